from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.session import assessment
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import BadAnswer, DifferentAnswer, OutOfStep, Run
from sessions_app.domain.store import keys
from sessions_app.domain.store.transactions import Busy

from .cast import FACILITATOR, NOON, PACKAGE, Participant, at_once, new_id

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]
RIGHT, WRONG = "Iron production", "Shipbuilding"


@pytest.fixture
def participant(table: str) -> Participant:
    return Participant.in_condition("L4-I3-S")


def conflicts(stored: Items, run: Run) -> list[tuple[str, str]]:
    return sorted((item["submission_id"], item["text"]) for item in stored(keys.session(run.id), "CONFLICT#"))


def answers(stored: Items, run: Run, kind: str = "baseline") -> list[str]:
    records = stored(keys.session(run.id), f"ASSESSMENT#{kind}")
    assert len(records) == 1
    return [question["student_answer"] for question in records[0]["questions"]]


def test_an_acknowledged_answer_is_in_the_table(participant: Participant, stored: Items) -> None:
    run = participant.answer_item(
        "baseline", 1, WRONG, submission_id="first", now=NOON + timedelta(seconds=12)
    )
    record, *_ = stored(keys.session(run.id), "ASSESSMENT#")
    assert record["SK"] == "ASSESSMENT#baseline#2026-03-03T17:00:00Z"
    question, *_ = record["questions"]
    assert (question["question_id"], question["student_answer"], question["submission_id"]) == (
        "q1",
        WRONG,
        "first",
    )
    assert (question["is_correct"], question["points_earned"]) == (False, 0)
    assert question["response_time_seconds"] == 12
    assert question["answered_at"] == "2026-03-03T17:00:12Z"


def test_a_right_choice_is_scored_at_once_and_a_short_answer_waits(
    participant: Participant, stored: Items
) -> None:
    for number in (1, 2, 3):
        participant.answer_item("baseline", number)
    choice, _, short = stored(keys.session(participant.run.id), "ASSESSMENT#")[0]["questions"]
    assert (choice["is_correct"], choice["points_earned"]) == (True, 1)
    assert short["rubric_points"] == 3
    assert not {"is_correct", "points_earned", "ai_scoring", "options"} & set(short)


def test_the_time_before_the_first_item_came_on_screen_does_not_count(participant: Participant) -> None:
    shown, now = NOON + timedelta(seconds=40), NOON + timedelta(seconds=55)
    run = participant.answer_item("baseline", 1, shown_at=shown, now=now)
    assert run.assessments["baseline"].questions[0].response_time_seconds == 15


def test_a_screen_time_outside_the_stage_is_not_believed(participant: Participant) -> None:
    run = participant.answer_item(
        "baseline", 1, shown_at=NOON - timedelta(days=1), now=NOON + timedelta(seconds=9)
    )
    assert run.assessments["baseline"].questions[0].response_time_seconds == 9


def test_the_same_submission_is_stored_once(participant: Participant, everything: Everything) -> None:
    participant.answer_item("baseline", 1, RIGHT, submission_id="one")
    once = everything()
    participant.answer_item("baseline", 1, RIGHT, submission_id="one")
    participant.run = Run.load(participant.run.id)
    participant.answer_item("baseline", 1, RIGHT, submission_id="one")
    assert everything() == once


def test_the_same_text_from_a_second_tab_is_harmless(
    participant: Participant, everything: Everything
) -> None:
    stale = Run.load(participant.run.id)
    participant.answer_item("baseline", 1, RIGHT)
    once = everything()
    participant.run = stale
    run = participant.answer_item("baseline", 1, RIGHT)
    assert run.step is not None
    assert run.step.slug == "baseline/2"
    assert everything() == once


@pytest.mark.parametrize(("submission", "same"), [("one", True), ("two", False)])
def test_another_text_is_kept_as_a_conflict(
    participant: Participant, stored: Items, submission: str, same: bool
) -> None:
    participant.answer_item("baseline", 1, RIGHT, submission_id="one")
    for _ in range(2):  # sent again, it is kept once
        with pytest.raises(DifferentAnswer) as refused:
            participant.answer_item("baseline", 1, WRONG, submission_id=submission)
        assert refused.value.same_submission is same
    assert answers(stored, participant.run) == [RIGHT]
    assert conflicts(stored, participant.run) == [(submission, WRONG)]


def test_the_same_conflict_from_tabs_that_know_nothing_of_each_other_is_kept_once(
    participant: Participant, stored: Items
) -> None:
    participant.answer_item("baseline", 1, RIGHT)
    now = participant.after()
    tabs = [Participant(Run.load(participant.run.id)) for _ in range(5)]
    raised = at_once(5, lambda n: tabs[n].answer_item("baseline", 1, WRONG, submission_id="x", now=now))
    assert [type(error) for error in raised] == [DifferentAnswer] * 5
    assert conflicts(stored, participant.run) == [("x", WRONG)]


def test_two_texts_under_one_submission_id_in_one_second_are_both_kept(
    participant: Participant, stored: Items
) -> None:
    participant.answer_item("baseline", 1, RIGHT, submission_id="x")
    now = participant.after()
    for text in (WRONG, "Tobacco processing"):
        tab = Participant(Run.load(participant.run.id))
        with pytest.raises(DifferentAnswer):
            tab.answer_item("baseline", 1, text, submission_id="x", now=now)
    assert conflicts(stored, participant.run) == [("x", WRONG), ("x", "Tobacco processing")]


def test_five_tabs_that_send_the_first_answer_make_one_record(
    participant: Participant, stored: Items
) -> None:
    tabs = [Participant(Run.load(participant.run.id)) for _ in range(5)]
    runs = at_once(5, lambda n: tabs[n].answer_item("baseline", 1, RIGHT, submission_id="one"))
    assert all(isinstance(run, Run) for run in runs), runs
    assert answers(stored, participant.run) == [RIGHT]
    assert conflicts(stored, participant.run) == []


def test_of_five_different_answers_one_wins_and_the_others_are_kept(
    participant: Participant, stored: Items
) -> None:
    participant.walk_to("baseline/3")
    tabs = [Participant(Run.load(participant.run.id)) for _ in range(5)]
    now = participant.after()
    ended = at_once(
        5, lambda n: tabs[n].answer_item("baseline", 3, f"answer {n}", submission_id=f"tab-{n}", now=now)
    )
    assert sorted(type(end).__name__ for end in ended) == ["DifferentAnswer"] * 4 + ["Run"]
    kept = [text for _, text in conflicts(stored, participant.run)]
    assert sorted([answers(stored, participant.run)[2], *kept]) == [f"answer {n}" for n in range(5)]


@pytest.mark.parametrize(
    ("kind", "number"), [("baseline", 2), ("final", 1), ("baseline", 0), ("baseline", 11)]
)
def test_what_is_not_next_is_not_stored(
    participant: Participant, everything: Everything, kind: str, number: int
) -> None:
    before = everything()
    with pytest.raises(OutOfStep) as refused:
        participant.answer_item(kind, number, RIGHT if number != 2 else PACKAGE.assessment[1].correct_answer)
    assert refused.value.step is not None
    assert refused.value.step.slug == "baseline/1"
    assert everything() == before


def test_a_number_of_zero_is_not_the_last_item(participant: Participant, stored: Items) -> None:
    participant.walk_to("format")
    with pytest.raises(OutOfStep):
        participant.answer_item("baseline", 0, "another text")
    assert conflicts(stored, participant.run) == []


@pytest.mark.parametrize(
    ("number", "text", "error"),
    [
        (1, "Banking", assessment.BadChoice),
        (1, "iron production", assessment.BadChoice),
        (1, "", BadAnswer),
        (1, " \n\t ", BadAnswer),
        (1, "\x00", BadAnswer),
        (3, "x" * 10_001, BadAnswer),
    ],
)
def test_what_is_no_answer_is_not_stored(
    participant: Participant, everything: Everything, number: int, text: str, error: type[Exception]
) -> None:
    participant.walk_to(f"baseline/{number}")
    before = everything()
    with pytest.raises(error):
        assessment.answer_item(
            participant.run,
            kind="baseline",
            number=number,
            answer=text,
            submission_id=new_id(),
            package=PACKAGE,
            now=participant.after(),
        )
    assert everything() == before


def test_the_longest_answer_fits_in_any_script(participant: Participant, stored: Items) -> None:
    participant.walk_to("baseline/3")
    text = "七" * 9_998 + "🙂"
    participant.answer_item("baseline", 3, f"  {text}\r\n")
    assert answers(stored, participant.run)[2] == text


def test_what_was_stored_stays_acknowledged_after_a_stop(
    participant: Participant, everything: Everything
) -> None:
    participant.answer_item("baseline", 1, RIGHT)
    session_survey.stop(participant.run, by=FACILITATOR, now=participant.after(), reason="the bell rang")
    participant.run = Run.load(participant.run.id)
    before = everything()
    participant.answer_item("baseline", 1, RIGHT)
    assert everything() == before


def test_consent_withdrawn_in_between_stops_the_collection(
    participant: Participant, everything: Everything, withdraw: Callable[[str], None]
) -> None:
    participant.answer_item("baseline", 1, RIGHT)
    withdraw(participant.run.session.student_id)
    before = everything()
    with pytest.raises(ConsentNotInForce):
        participant.answer_item("baseline", 2)
    participant.run = Run.load(participant.run.id)
    with pytest.raises(ConsentNotInForce):
        participant.answer_item("baseline", 1, WRONG)
    assert everything() == before


def test_the_tenth_item_ends_the_stage_and_queues_the_grading(
    participant: Participant, stored: Items
) -> None:
    participant.walk_to("format")
    session, *_ = stored(keys.session(participant.run.id), "METADATA")
    record, *_ = stored(keys.session(participant.run.id), "ASSESSMENT#")
    assert session["completion_status"]["baseline_completed"] is True
    assert session["timeline"]["assessment_duration_seconds"] == 100
    assert record["assessment_metadata"]["duration_seconds"] == 100
    assert [(task["session_id"], task["what"]) for task in stored(keys.GRADING_QUEUE)] == [
        (participant.run.id, "baseline")
    ]
    assert participant.run.session.metadata.version == session["metadata"]["version"] == 2


def test_short_answers_and_long_pauses_are_flagged(participant: Participant, stored: Items) -> None:
    participant.walk_to("baseline/3")
    participant.answer_item("baseline", 3, "idk")
    participant.walk_to("baseline/10")
    participant.after(601)
    participant.answer_item("baseline", 10)
    session, *_ = stored(keys.session(participant.run.id), "METADATA")
    assert session["metadata"]["data_quality_flags"] == ["condition_override", "short_answer", "long_pause"]


def test_the_final_assessment_begins_when_the_last_question_was_answered(participant: Participant) -> None:
    participant.walk_to("final/1")
    last = participant.now
    run = participant.answer_item("final", 1)
    assert run.assessments["final"].assessment_metadata.timestamp == last
    assert keys.assessment("final", last) == run.assessments["final"].SK


def test_every_answer_is_one_write(participant: Participant, requests_made: list[str]) -> None:
    for number in range(1, 11):
        requests_made.clear()
        participant.answer_item("baseline", number)
        assert requests_made == ["TransactWriteItems"], number


def test_a_replay_asks_nothing_of_the_table(participant: Participant, requests_made: list[str]) -> None:
    participant.answer_item("baseline", 1, RIGHT)
    requests_made.clear()
    participant.answer_item("baseline", 1, RIGHT)
    assert requests_made == []


def test_a_change_of_the_session_meanwhile_is_no_obstacle(participant: Participant, raw: Any) -> None:
    participant.walk_to("baseline/10")
    raw.update_item(
        Key={"PK": participant.run.session.PK, "SK": "METADATA"},
        UpdateExpression="ADD metadata.version :one",
        ExpressionAttributeValues={":one": 1},
    )
    participant.answer_item("baseline", 10)
    after = Run.load(participant.run.id)
    assert len(after.assessments["baseline"].questions) == 10
    assert after.session.completion_status.baseline_completed


def test_stopping_keeps_what_was_stored_and_twice_is_harmless(
    participant: Participant, stored: Items
) -> None:
    participant.walk_to("baseline/4")
    run = session_survey.stop(
        participant.run, by=FACILITATOR, now=participant.after(), reason="the bell rang"
    )
    session_survey.stop(run, by=FACILITATOR, now=participant.after(), reason="the bell rang")
    session_survey.stop(Run.load(run.id), by=FACILITATOR, now=participant.after(), reason="the bell rang")
    session, *_ = stored(keys.session(run.id), "METADATA")
    assert session["state"] == "stopped"
    assert session["completion_status"]["completed"] is False
    assert session["timeline"]["session_end"] == "2026-03-03T17:00:40Z"
    assert len(answers(stored, run)) == 3


def test_a_session_that_moved_on_is_not_stopped_unseen(participant: Participant, stored: Items) -> None:
    stale = Run.load(participant.run.id)
    participant.walk_to("format")
    with pytest.raises(Busy):
        session_survey.stop(stale, by=FACILITATOR, now=participant.after(), reason="the bell rang")
    assert stored(keys.session(stale.id), "METADATA")[0]["state"] == "running"


def test_a_session_left_behind_is_stale(participant: Participant) -> None:
    session, hour = participant.run.session, timedelta(hours=1)
    assert session_survey.is_stale(session, now=NOON + timedelta(minutes=61), after=hour)
    assert not session_survey.is_stale(session, now=NOON + timedelta(minutes=60), after=hour)
    session.state = "completed"
    assert not session_survey.is_stale(session, now=NOON + timedelta(days=9), after=hour)


def test_prior_knowledge_is_the_baselines_multiple_choice_points(
    participant: Participant, stored: Items
) -> None:
    for number, item in enumerate(PACKAGE.assessment, 1):
        right = item.correct_answer if number <= 2 else None
        wrong = next((option for option in item.options if option != item.correct_answer), "A short answer")
        participant.answer_item("baseline", number, right or wrong)
    session, *_ = stored(keys.session(participant.run.id), "METADATA")
    assert session["student_metadata"]["prior_knowledge_score"] == 2
