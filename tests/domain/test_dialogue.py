from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from boto3.dynamodb.conditions import Key

from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.session import dialogue
from sessions_app.domain.session.record import BadAnswer, DifferentAnswer, OutOfStep, Run
from sessions_app.domain.store import keys
from sessions_app.domain.tutor import Draft, QuestionRequest, TutorFailed
from sessions_app.domain.tutor.scripted import ScriptedTutor

from .cast import ANSWER, PACKAGE, Participant, at_once

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]


class Counting(ScriptedTutor):
    """Remembers what it was asked for; no two of its questions are alike."""

    def __init__(self) -> None:
        self.requests: list[QuestionRequest] = []

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        self.requests.append(request)
        draft = super().ask(request, timeout_seconds=timeout_seconds, feedback=feedback)
        words = ("first", "second", "third", "fourth", "fifth", "sixth")
        number = words[len(self.requests) - 1]
        return Draft(
            text=f"For the {number} time, what comes to your mind about this place, and why?",
            model=draft.model,
            prompt_tokens=100,
            completion_tokens=10,
            generation_time_ms=5,
            cost_usd=0.001,
        )


class Silent(ScriptedTutor):
    offline = False

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        raise TutorFailed("unauthorised", retryable=False)


def at_questions(code: str = "L4-I3-D", segment: int = 4, tutor: ScriptedTutor | None = None) -> Participant:
    participant = Participant.in_condition(code)
    participant.tutor = tutor or Counting()
    return participant.walk_to(f"questions-{segment}/1")


def record_of(stored: Items, run: Run) -> dict[str, Any]:
    records = stored(keys.session(run.id), "INTERVENTION#")
    return records[-1]


def of_type(raw: Any, kind: str) -> list[dict[str, Any]]:
    """GSI4, as an independent client reads it."""
    answer = raw.query(IndexName="GSI4", KeyConditionExpression=Key("GSI4PK").eq(f"INTERVENTION#{kind}"))
    return [item for item in answer["Items"] if item["entity_type"] == "intervention"]


# --- static


def test_everyone_is_asked_the_same_static_questions(table: str, stored: Items) -> None:
    asked = []
    for code in ("L4-I3-S", "L1-I3-S"):
        participant = at_questions(code).walk_to("final/1")
        asked.append(
            [question["question"] for question in record_of(stored, participant.run)["static_questions"]]
        )
    assert asked[0] == asked[1] == list(PACKAGE.segment(4).static_questions)


def test_a_static_record_has_the_schemas_attributes(table: str, stored: Items) -> None:
    participant = at_questions("L3-I3-S").walk_to("final/1")
    record = record_of(stored, participant.run)
    assert {question["question_source"] for question in record["static_questions"]} == {"predefined_set_v1"}
    assert "socratic_sequence" not in record
    assert "ai_metadata" not in record
    assert record["intervention_summary"]["no_adaptive_followup"] is True
    assert record["location_context"]["location_aware_prompting"] is False


def test_a_static_intervention_asks_no_tutor(table: str) -> None:
    tutor = Counting()
    participant = at_questions("L4-I3-S", tutor=tutor)
    participant.prepare(4)
    participant.walk_to("final/1")
    assert tutor.requests == []


# --- dynamic: preparing and asking


def test_a_question_is_stored_before_it_is_shown(table: str, stored: Items) -> None:
    participant = at_questions()
    run = participant.question(4, 1)
    shown = run.interventions[4].questions[0].question
    assert record_of(stored, run)["socratic_sequence"][0]["question"] == shown


def test_a_reload_shows_the_same_question_and_asks_nobody(table: str, requests_made: list[str]) -> None:
    tutor = Counting()
    participant = at_questions(tutor=tutor)
    shown = participant.question(4, 1).interventions[4].questions[0].question
    participant.run = Run.load(participant.run.id)
    requests_made.clear()
    again = participant.question(4, 1).interventions[4].questions[0].question
    assert again == shown
    assert len(tutor.requests) == 1
    assert requests_made == []


def test_two_tabs_are_shown_one_question(table: str, stored: Items) -> None:
    participant = at_questions()
    tabs = [
        Participant(Run.load(participant.run.id), tutor=Counting(), now=participant.now) for _ in range(2)
    ]
    tabs[1].tutor.requests.append(None)  # type: ignore[attr-defined]  # so that it asks another one
    runs = at_once(2, lambda n: tabs[n].question(4, 1))
    assert all(isinstance(run, Run) for run in runs), runs
    assert len({run.interventions[4].questions[0].question for run in runs}) == 1
    assert len(record_of(stored, participant.run)["socratic_sequence"]) == 1


def test_the_prepared_question_is_the_one_that_is_asked(table: str, stored: Items) -> None:
    tutor = Counting()
    participant = Participant.in_condition("L4-I3-D")
    participant.tutor = tutor
    participant.walk_to("segment-4").prepare(4)
    prepared, *_ = stored(keys.session(participant.run.id), "EVENT#PREPARED#4")
    run = participant.finish_segment(4)
    first = record_of(stored, run)["socratic_sequence"][0]
    assert first["question"] == prepared["question"]
    assert first["question_metadata"]["prompt_tokens"] == 100
    assert first["timestamp"] == keys.stamp(participant.now)
    participant.question(4, 1)
    assert len(tutor.requests) == 1


def test_a_question_is_prepared_once(table: str, everything: Everything) -> None:
    tutor = Counting()
    participant = Participant.in_condition("L4-I3-D")
    participant.tutor = tutor
    participant.walk_to("segment-4").prepare(4)
    once = everything()
    participant.prepare(4)
    participant.run = Run.load(participant.run.id)
    participant.prepare(4)
    assert everything() == once
    assert len(tutor.requests) == 1


def test_a_question_prepared_by_two_tabs_is_kept_once(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I3-D").walk_to("segment-4")
    tabs = [Participant(Run.load(participant.run.id), now=participant.now) for _ in range(2)]
    runs = at_once(2, lambda n: tabs[n].prepare(4))
    assert all(isinstance(run, Run) for run in runs), runs
    assert len(stored(keys.session(participant.run.id), "EVENT#PREPARED#")) == 1


@pytest.mark.parametrize("code", ["L4-I3-D", "L4-I3-S"])
def test_nothing_is_prepared_where_no_dynamic_questions_follow(table: str, stored: Items, code: str) -> None:
    participant = Participant.in_condition(code).walk_to("segment-1")
    participant.prepare(1)
    assert stored(keys.session(participant.run.id), "EVENT#") == []


def test_preparing_too_late_does_nothing(table: str, stored: Items) -> None:
    participant = at_questions()
    participant.prepare(4)
    assert stored(keys.session(participant.run.id), "EVENT#") == []


def test_the_tutor_is_told_place_age_grade_and_the_answers_before(table: str) -> None:
    tutor = Counting()
    at_questions("L1-I3-D", tutor=tutor).walk_to("final/1")
    first, second, third = tutor.requests
    assert (first.location_type, first.age, first.grade, first.previous) == ("on-site", 16, 10, ())
    assert first.framing == PACKAGE.segment(4).framing["on-site"]
    assert [len(request.previous) for request in (second, third)] == [1, 2]
    assert third.previous[1].answer == ANSWER
    assert third.previous[1].question.startswith("For the second time")


def test_a_tutor_that_fails_strands_nobody(table: str, stored: Items) -> None:
    participant = at_questions(tutor=Silent()).walk_to("final/1")
    record = record_of(stored, participant.run)
    assert [question["question"] for question in record["socratic_sequence"]] == list(
        PACKAGE.segment(4).static_questions
    )
    assert {question["question_source"] for question in record["socratic_sequence"]} == {"static_fallback"}
    assert record["intervention_metadata"]["type"] == "dynamic"
    assert record["metadata"]["data_quality_flags"] == ["ai_fallback"]
    assert "ai_fallback" in Run.load(participant.run.id).session.metadata.data_quality_flags


def test_the_offline_tutor_is_flagged_and_named(table: str, stored: Items) -> None:
    participant = at_questions(tutor=ScriptedTutor()).walk_to("final/1")
    record = record_of(stored, participant.run)
    assert {question["question_metadata"]["model"] for question in record["socratic_sequence"]} == {
        "scripted-v1"
    }
    assert record["ai_metadata"]["model_version"] == "scripted-v1"
    assert "offline_tutor" in participant.run.session.metadata.data_quality_flags


def test_a_second_question_cannot_be_asked_before_the_first_is_answered(table: str) -> None:
    participant = at_questions()
    participant.question(4, 1)
    with pytest.raises(OutOfStep):
        participant.question(4, 2)


# --- answering


def test_an_answer_is_in_the_table_with_its_counts(table: str, stored: Items) -> None:
    participant = at_questions()
    participant.question(4, 1)
    participant.after(33)
    run = participant.answer_question(4, 1, "two words\n", submission_id="one")
    question, *_ = record_of(stored, run)["socratic_sequence"]
    assert question["answer"] == "two words"
    assert question["answer_metadata"] == {
        "timestamp": keys.stamp(participant.now),
        "response_time_seconds": 43,
        "word_count": 2,
        "character_count": 9,
        "submission_id": "one",
    }


def test_an_answer_sent_twice_is_stored_once(table: str, everything: Everything) -> None:
    participant = at_questions("L4-I3-S")
    stale = Run.load(participant.run.id)
    participant.answer_question(4, 1, submission_id="one")
    once = everything()
    participant.answer_question(4, 1, submission_id="one")
    participant.run = stale
    run = participant.answer_question(4, 1, submission_id="two")
    assert run.step is not None
    assert run.step.slug == "questions-4/2"
    assert everything() == once


@pytest.mark.parametrize(("submission", "same"), [("one", True), ("two", False)])
def test_another_answer_is_kept_as_a_conflict(table: str, stored: Items, submission: str, same: bool) -> None:
    participant = at_questions("L4-I3-S")
    participant.answer_question(4, 1, "the first", submission_id="one")
    with pytest.raises(DifferentAnswer) as refused:
        participant.answer_question(4, 1, "another", submission_id=submission)
    assert refused.value.same_submission is same
    conflict, *_ = stored(keys.session(participant.run.id), "CONFLICT#")
    assert (conflict["stage"], conflict["question"]) == ("questions-4", "questions-4/1")
    assert (conflict["submission_id"], conflict["text"]) == (submission, "another")
    assert record_of(stored, participant.run)["static_questions"][0]["answer"] == "the first"


def test_of_five_different_answers_one_wins_and_the_others_are_kept(table: str, stored: Items) -> None:
    participant = at_questions("L4-I3-S")
    now = participant.after()
    tabs = [Participant(Run.load(participant.run.id)) for _ in range(5)]
    ended = at_once(
        5, lambda n: tabs[n].answer_question(4, 1, f"answer {n}", submission_id=f"tab-{n}", now=now)
    )
    assert sorted(type(end).__name__ for end in ended) == ["DifferentAnswer"] * 4 + ["Run"]
    kept = [item["text"] for item in stored(keys.session(participant.run.id), "CONFLICT#")]
    won = record_of(stored, participant.run)["static_questions"][0]["answer"]
    assert sorted([won, *kept]) == [f"answer {n}" for n in range(5)]


@pytest.mark.parametrize("number", [0, 2, 3, 4])
def test_questions_are_answered_in_order(table: str, everything: Everything, number: int) -> None:
    participant = at_questions("L4-I3-S")
    before = everything()
    with pytest.raises(OutOfStep):
        participant.answer_question(4, number)
    assert everything() == before


def test_question_zero_is_not_the_last_one(table: str, stored: Items) -> None:
    participant = at_questions("L4-I3-S").walk_to("final/1")
    with pytest.raises(OutOfStep):
        participant.answer_question(4, 0, "another text")
    assert stored(keys.session(participant.run.id), "CONFLICT#") == []


def test_a_question_that_was_never_shown_takes_no_answer(table: str, everything: Everything) -> None:
    participant = at_questions()
    before = everything()
    with pytest.raises(OutOfStep):
        participant.answer_question(4, 1)
    assert everything() == before


@pytest.mark.parametrize("text", ["", "  \n", "x" * 10_001])
def test_what_is_no_answer_is_refused(table: str, everything: Everything, text: str) -> None:
    participant = at_questions("L4-I3-S")
    before = everything()
    with pytest.raises(BadAnswer):
        participant.answer_question(4, 1, text)
    assert everything() == before


def test_consent_withdrawn_in_between_stops_questions_and_answers(
    table: str, everything: Everything, withdraw: Callable[[str], None]
) -> None:
    participant = at_questions()
    participant.question(4, 1)
    withdraw(participant.run.session.student_id)
    before = everything()
    with pytest.raises(ConsentNotInForce):
        participant.answer_question(4, 1)
    assert everything() == before


def test_a_short_answer_and_a_long_pause_flag_intervention_and_session(table: str, stored: Items) -> None:
    participant = at_questions("L4-I3-S")
    participant.answer_question(4, 1, "ok")
    participant.after(700)
    participant.answer_question(4, 2)
    participant.walk_to("final/1")
    assert record_of(stored, participant.run)["metadata"]["data_quality_flags"] == [
        "short_answer",
        "long_pause",
    ]
    assert {"short_answer", "long_pause"} <= set(
        Run.load(participant.run.id).session.metadata.data_quality_flags
    )


# --- a whole intervention


def test_it_enters_the_index_with_its_third_answer(table: str, raw: Any) -> None:
    participant = at_questions()
    for number in (1, 2):
        participant.question(4, number)
        participant.answer_question(4, number)
        assert of_type(raw, "dynamic") == []
    participant.question(4, 3)
    participant.answer_question(4, 3)
    found, *_ = of_type(raw, "dynamic")
    assert found["session_id"] == participant.run.id
    assert found["GSI4SK"] == found["intervention_metadata"]["timestamp"]


def test_its_summary_and_costs_add_up(table: str, stored: Items) -> None:
    participant = at_questions()
    opened = participant.now
    participant.walk_to("final/1")
    record = record_of(stored, participant.run)
    summary = record["intervention_summary"]
    assert summary["questions_asked"] == 3
    assert summary["total_duration_seconds"] == (participant.now - opened).total_seconds()
    assert summary["avg_response_time_seconds"] == 10
    assert summary["location_awareness_utilized"] is True
    told = record["ai_metadata"]
    assert (told["total_prompt_tokens"], told["total_completion_tokens"]) == (300, 30)
    assert float(told["total_cost_usd"]) == 0.003


def test_the_session_counts_it_and_its_grading_is_queued(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I2-S").walk_to("segment-3")
    session, *_ = stored(keys.session(participant.run.id), "METADATA")
    assert session["completion_status"]["interventions_completed"] == 1
    assert "questions-2" in {task["what"] for task in stored(keys.GRADING_QUEUE)}
    record = record_of(stored, participant.run)
    assert (
        record["intervention_metadata"]["segment_id"],
        record["intervention_metadata"]["sequence_number"],
    ) == (2, 1)
    participant.walk_to("final/1")
    assert record_of(stored, participant.run)["intervention_metadata"]["sequence_number"] == 2


def test_asking_and_answering_are_one_write_each(table: str, requests_made: list[str]) -> None:
    participant = at_questions()
    for number in (1, 2, 3):
        requests_made.clear()
        participant.question(4, number)
        participant.answer_question(4, number)
        assert requests_made == ["TransactWriteItems"] * 2


def test_preparing_is_one_write(table: str, requests_made: list[str]) -> None:
    participant = Participant.in_condition("L4-I3-D").walk_to("segment-4")
    requests_made.clear()
    participant.prepare(4)
    assert requests_made == ["TransactWriteItems"]


def test_a_question_is_due_only_until_it_is_prepared_or_opened(table: str) -> None:
    participant = Participant.in_condition("L4-I3-D").walk_to("segment-4")
    assert dialogue.is_due(participant.run, 4)
    assert not dialogue.is_due(participant.run, 3)
    participant.prepare(4)
    assert not dialogue.is_due(participant.run, 4)


class Slow(ScriptedTutor):
    """Takes seven seconds of the participant's time."""

    def __init__(self, participant: Participant) -> None:
        self.participant = participant

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        self.participant.after(7)
        return super().ask(request, timeout_seconds=timeout_seconds, feedback=feedback)


def test_the_time_of_a_question_is_when_the_tutor_had_answered(table: str) -> None:
    participant = at_questions()
    asked_at = participant.now
    run = dialogue.question(
        participant.run,
        segment_id=4,
        number=1,
        package=PACKAGE,
        tutor=Slow(participant),
        clock=lambda: participant.now,
    )
    assert run.interventions[4].questions[0].timestamp == asked_at + timedelta(seconds=7)


def test_a_question_that_was_prepared_too_late_for_the_end_of_its_segment_is_asked_all_the_same(
    table: str, stored: Items
) -> None:
    tutor = Counting()
    participant = Participant.in_condition("L4-I3-D")
    participant.tutor = tutor
    late = Participant(Run.load(participant.walk_to("segment-4").run.id), tutor=tutor, now=participant.now)
    participant.finish_segment(4)
    late.prepare(4)
    participant.run = Run.load(participant.run.id)
    run = participant.question(4, 1)
    prepared, *_ = stored(keys.session(run.id), "EVENT#PREPARED#4")
    assert record_of(stored, run)["socratic_sequence"][0]["question"] == prepared["question"]
    assert len(tutor.requests) == 1
