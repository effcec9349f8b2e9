"""Scores by people: they count before the model's, lose nothing, and stand beside a blind second one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app.domain.audit.log import Actor
from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.grading import human as human_scoring
from sessions_app.domain.grading.human import Answer, ChangedMeanwhile, NothingToScore, NotYours
from sessions_app.domain.models import InvalidField, Review
from sessions_app.domain.models.human_scoring import in_sample
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.domain.tutor import GradeRequest, RubricGrade
from sessions_app.domain.tutor.scripted import ScriptedTutor

from .cast import NOON, PACKAGE, Participant, at_once

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]
FULL = {"q3": 3.0, "q6": 3.0, "q10": 2.0}


class Interrupted(ScriptedTutor):
    """Lets something happen while it thinks."""

    def __init__(self, meanwhile: Callable[[], Any]) -> None:
        self.meanwhile = meanwhile

    def grade(self, request: GradeRequest) -> RubricGrade:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return super().grade(request)


@pytest.fixture
def nobody_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessions_app.domain.models.human_scoring.SECOND_SHARE", 0)


@pytest.fixture
def everybody_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessions_app.domain.models.human_scoring.SECOND_SHARE", 1)


def graded(participant: Participant, *only: str, tutor: ScriptedTutor | None = None) -> Run:
    for task in list(automated_scoring.due(participant.now)):
        if not only or task.what in only:
            tutor = tutor or ScriptedTutor()
            assert automated_scoring.work(task, package=PACKAGE, tutor=tutor, now=participant.after())
    return Run.load(participant.run.id)


@pytest.fixture
def finished(table: str, nobody_twice: None) -> Participant:
    """A whole session that the model has scored; nothing of it is drawn for a second score."""
    participant = Participant.in_condition("L1-I3-D").walk()
    graded(participant)
    return participant


def load(participant: Participant, what: str = "baseline", question: str = "q3") -> Answer:
    mark = human_scoring.mark_of(participant.run.id, what)
    return human_scoring.load(session_id=participant.run.id, mark=mark, question=question, package=PACKAGE)


def give(
    participant: Participant,
    value: float | None = None,
    *,
    what: str = "baseline",
    question: str = "q3",
    by: str = "ada",
    **changes: Any,
) -> Answer:
    """The same number for every criterion, or all that each can give."""
    answer = load(participant, what, question)
    told = {
        "session_id": participant.run.id,
        "mark": answer.mark,
        "question": question,
        "breakdown": {c.name: c.most if value is None else value for c in answer.criteria},
        "note": "",
        "by": Actor(by, "researcher"),
        "seen": answer.seen_by(by),
        "package": PACKAGE,
        "now": participant.after(),
    }
    return human_scoring.score(**{**told, **changes})


def assessment(stored: Items, participant: Participant, kind: str) -> dict[str, Any]:
    return stored(keys.session(participant.run.id), f"ASSESSMENT#{kind}")[0]


def item(record: dict[str, Any], question: str) -> dict[str, Any]:
    return next(each for each in record["questions"] if each["question_id"] == question)


def session(stored: Items, participant: Participant) -> dict[str, Any]:
    return stored(keys.session(participant.run.id), "METADATA")[0]


# --- a first score


def test_a_human_score_counts_before_the_models_which_is_kept(finished: Participant, stored: Items) -> None:
    before = assessment(stored, finished, "baseline")
    give(finished, 0.5, note="Names the river only.")
    after = assessment(stored, finished, "baseline")
    was, now = item(before, "q3"), item(after, "q3")
    assert now["ai_scoring"] == was["ai_scoring"]
    given = now["human_scoring"]
    assert (given["by"], given["note"], given["raw_score"]) == ("ada", "Names the river only.", 2.5)
    assert set(given["breakdown"].values()) == {given["breakdown"]["mentions_james_river"]} == {0.5}
    assert (float(now["points_earned"]), now["is_correct"]) == (2.5, True)
    moved = float(now["points_earned"]) - float(was["points_earned"])
    assert moved != 0
    results = after["assessment_results"]
    assert float(results["points_earned"]) == float(before["assessment_results"]["points_earned"]) + moved
    assert float(after["scoring_breakdown"]["short_answer_score"]) == pytest.approx(
        float(before["scoring_breakdown"]["short_answer_score"]) + moved
    )
    assert after["metadata"]["version"] == before["metadata"]["version"] + 1


def test_points_are_capped_at_the_items_points(finished: Participant, stored: Items) -> None:
    give(finished)
    record = item(assessment(stored, finished, "baseline"), "q3")
    assert sum(c.most for c in load(finished).criteria) > 3
    assert (record["points_earned"], record["human_scoring"]["raw_score"]) == (3, 5)


@pytest.mark.parametrize("what", ["baseline", "final"])
def test_the_gain_follows_a_human_score_on_either_side(
    finished: Participant, stored: Items, what: str
) -> None:
    for question in FULL:
        give(finished, what=what, question=question)
    before, after = (
        float(assessment(stored, finished, kind)["assessment_results"]["score_percentage"])
        for kind in ("baseline", "final")
    )
    gain = assessment(stored, finished, "final")["learning_gain"]
    assert (float(gain["baseline_score"]), float(gain["final_score"])) == (before, after)
    assert float(gain["absolute_gain"]) == round(after - before, 1) != 0


def test_the_session_is_flagged_and_its_version_moves_once(finished: Participant, stored: Items) -> None:
    version = session(stored, finished)["metadata"]["version"]
    give(finished)
    give(finished, question="q6")
    give(finished, 3, what="questions-4", question="1")
    record = session(stored, finished)["metadata"]
    assert record["data_quality_flags"].count("human_regraded") == 1
    assert record["version"] == version + 1


def test_dialogue_scores_move_the_summary_and_the_models_are_kept(
    finished: Participant, stored: Items
) -> None:
    (before,) = stored(keys.session(finished.run.id), "INTERVENTION#")
    model = before["socratic_sequence"][2]["quality_scores"]
    for question in ("1", "2"):
        give(finished, 2, what="questions-4", question=question)
    give(finished, 4.5, what="questions-4", question="3")
    (after,) = stored(keys.session(finished.run.id), "INTERVENTION#")
    third = after["socratic_sequence"][2]
    assert third["model_scores"] == model
    assert set(third["quality_scores"]) == set(model)
    assert set(third["quality_scores"].values()) == {third["human_scoring"]["breakdown"]["answer_depth"]}
    assert "raw_score" not in third["human_scoring"]
    summary = after["intervention_summary"]
    assert float(summary["avg_answer_depth"]) == round((2 + 2 + 4.5) / 3, 2)
    assert float(summary["avg_question_quality"]) == round((2 + 2 + 4.5) / 3, 2)
    assert summary["progression_quality"] == before["intervention_summary"]["progression_quality"]
    assert after["grading"] == before["grading"]


def test_a_score_is_one_query_and_one_write(finished: Participant, requests_made: list[str]) -> None:
    answer = load(finished)
    requests_made.clear()
    human_scoring.score(
        session_id=finished.run.id,
        mark=answer.mark,
        question="q3",
        breakdown={c.name: 0.0 for c in answer.criteria},
        note="",
        by=Actor("ada", "researcher"),
        seen=answer.seen_by("ada"),
        package=PACKAGE,
        now=finished.after(),
    )
    assert requests_made == ["Query", "TransactWriteItems"]


def test_the_same_score_sent_twice_is_stored_once(finished: Participant, everything: Everything) -> None:
    seen = load(finished).seen_by("ada")
    give(finished, 0.5, seen=seen)
    once = everything()
    give(finished, 0.5, seen=seen)
    assert everything() == once


def test_its_giver_may_change_a_first_score(finished: Participant, stored: Items) -> None:
    give(finished, 0.5)
    give(finished, 0)
    record = item(assessment(stored, finished, "baseline"), "q3")
    assert (record["points_earned"], record["is_correct"]) == (0, False)


def test_another_person_may_not(finished: Participant, everything: Everything) -> None:
    give(finished, 0.5)
    before = everything()
    with pytest.raises(NotYours):
        give(finished, 1, by="ben")
    assert everything() == before


@pytest.mark.parametrize(
    ("breakdown", "field"),
    [
        ({"mentions_james_river": 1.5}, "mentions_james_river"),
        ({"mentions_james_river": -0.5}, "mentions_james_river"),
        ({"mentions_james_river": 0.3}, "mentions_james_river"),
        ({"mentions_james_river": float("nan")}, "mentions_james_river"),
        ({"mentions_james_river": None}, "mentions_james_river"),
        ({"charm": 1.0}, "charm"),
    ],
)
def test_a_fault_is_named_and_nothing_stored(
    finished: Participant, everything: Everything, breakdown: dict[str, float], field: str
) -> None:
    before = everything()
    fine = {c.name: 0.0 for c in load(finished).criteria}
    with pytest.raises(InvalidField) as fault:
        give(finished, breakdown=fine | breakdown)
    assert fault.value.field == field
    assert everything() == before


def test_quality_scores_begin_at_one(finished: Participant) -> None:
    with pytest.raises(InvalidField):
        give(finished, 0.5, what="questions-4", question="1")


@pytest.mark.parametrize(
    ("what", "question"),
    [("baseline", "q1"), ("baseline", "q99"), ("questions-4", "4"), ("questions-1", "1"), ("survey", "q3")],
)
def test_what_was_not_scored_by_the_model_takes_no_score(
    finished: Participant, what: str, question: str
) -> None:
    with pytest.raises(NothingToScore):
        load(finished, what, question)


def test_an_ungraded_answer_takes_no_score(table: str) -> None:
    with pytest.raises(NothingToScore):
        load(Participant.in_condition("L4-I3-S").walk_to("format"))


@pytest.mark.parametrize("session_id", ["nothing", "x" * 65, "a/b"])
def test_a_session_that_is_not_there_takes_no_score(table: str, session_id: str) -> None:
    mark = human_scoring.mark_of(session_id, "final")
    with pytest.raises(NothingToScore):
        human_scoring.load(session_id=session_id, mark=mark, question="q3", package=PACKAGE)


def test_nothing_is_scored_after_consent_was_withdrawn(
    finished: Participant, everything: Everything, withdraw: Callable[[str], None]
) -> None:
    withdraw(finished.run.session.student_id)
    before = everything()
    with pytest.raises(ConsentNotInForce):
        give(finished)
    assert everything() == before


def test_an_answer_is_scored_while_the_session_still_runs(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    graded(participant)
    give(participant)
    give(participant, question="q6")
    participant.run = Run.load(participant.run.id)
    participant.walk()
    graded(participant)
    assert "human_regraded" in session(stored, participant)["metadata"]["data_quality_flags"]
    gain = assessment(stored, participant, "final")["learning_gain"]
    scored = assessment(stored, participant, "baseline")["assessment_results"]["score_percentage"]
    assert gain["baseline_score"] == scored


def test_a_session_that_was_scored_before_there_were_reviews_gets_one(
    finished: Participant, raw: Any, stored: Items
) -> None:
    pk = keys.session(finished.run.id)
    for each in stored(pk, "REVIEW#"):
        raw.delete_item(Key={"PK": pk, "SK": each["SK"]})
    give(finished, 0.5)
    (told,) = stored(pk, "REVIEW#")
    assert [each["question"] for each in told["answers"]] == ["q3", "q6", "q10"]
    assert (
        told["answers"][0]["human"] == {"points": 2.5} or float(told["answers"][0]["human"]["points"]) == 2.5
    )
    assert "human" not in told["answers"][1]


# --- a second score


@pytest.fixture
def drawn(table: str, everybody_twice: None) -> Participant:
    """A whole session of which every answer is to be scored twice."""
    participant = Participant.in_condition("L4-I3-S").walk()
    graded(participant)
    return participant


def test_a_second_score_is_kept_and_moves_nothing(drawn: Participant, stored: Items) -> None:
    give(drawn, 0.5)
    before = assessment(stored, drawn, "baseline")
    give(drawn, 1, by="ben", note="All there.")
    after = assessment(stored, drawn, "baseline")
    assert item(after, "q3")["second_scoring"]["by"] == "ben"
    for part in ("assessment_results", "scoring_breakdown"):
        assert after[part] == before[part]
    assert item(after, "q3")["points_earned"] == item(before, "q3")["points_earned"]
    assert item(after, "q3")["human_scoring"] == item(before, "q3")["human_scoring"]


def test_a_second_score_of_the_dialogue_moves_nothing(drawn: Participant, stored: Items) -> None:
    give(drawn, 2, what="questions-4", question="1")
    (before,) = stored(keys.session(drawn.run.id), "INTERVENTION#")
    give(drawn, 5, what="questions-4", question="1", by="ben")
    (after,) = stored(keys.session(drawn.run.id), "INTERVENTION#")
    assert after["intervention_summary"] == before["intervention_summary"]
    assert after["static_questions"][0]["second_scoring"]["breakdown"]["answer_depth"] == 5


def test_after_the_second_score_neither_is_changed(drawn: Participant, everything: Everything) -> None:
    give(drawn, 0.5)
    give(drawn, 1, by="ben")
    before = everything()
    for by in ("ada", "ben", "cleo"):
        with pytest.raises(NotYours):
            give(drawn, 0, by=by)
    assert everything() == before


def test_nobody_scores_the_same_answer_twice_over(drawn: Participant) -> None:
    give(drawn, 0.5)
    assert load(drawn).part_of("ada") == "first"
    assert load(drawn).part_of("ben") == "second"


def test_the_sample_is_drawn_by_the_answer_alone() -> None:
    answers = [(f"s{number}", what) for number in range(2000) for what in ("baseline", "final")]
    drawn = [each for each in answers if in_sample(*each, "q3")]
    assert drawn == [each for each in answers if in_sample(*each, "q3")]
    assert 0.17 < len(drawn) / len(answers) < 0.23


# --- at the same time


def test_of_two_first_scores_at_once_one_counts_and_the_other_is_told(
    finished: Participant, stored: Items
) -> None:
    seen = load(finished).seen_by("ada")
    now = finished.after()
    people = ["ada", "ben"]
    gave = at_once(2, lambda n: give(finished, n / 2, by=people[n], seen=seen, now=now))
    lost = [each for each in gave if isinstance(each, Exception)]
    assert [type(each) for each in lost] in ([ChangedMeanwhile], [NotYours])
    winner = item(assessment(stored, finished, "baseline"), "q3")
    assert winner["human_scoring"]["by"] == people[[isinstance(each, Answer) for each in gave].index(True)]
    assert winner["points_earned"] == winner["human_scoring"]["raw_score"]


def test_different_answers_scored_at_once_are_all_kept(finished: Participant, stored: Items) -> None:
    todo = [(what, question) for what in ("baseline", "final") for question in FULL]
    gave = at_once(len(todo), lambda n: give(finished, what=todo[n][0], question=todo[n][1], by=f"p{n}"))
    assert all(isinstance(each, Answer) for each in gave), gave
    scores = {}
    for kind in ("baseline", "final"):
        record = assessment(stored, finished, kind)
        assert {q: item(record, q)["points_earned"] for q in FULL} == FULL
        scores[kind] = float(record["assessment_results"]["score_percentage"])
    gain = assessment(stored, finished, "final")["learning_gain"]
    assert float(gain["absolute_gain"]) == round(scores["final"] - scores["baseline"], 1)
    (told,) = stored(keys.session(finished.run.id), "REVIEW#baseline")
    assert all("human" in each for each in told["answers"])


def test_a_form_from_before_another_score_is_told(finished: Participant, everything: Everything) -> None:
    early = load(finished).seen_by("ben")
    give(finished, 0.5)
    before = everything()
    with pytest.raises(ChangedMeanwhile):
        give(finished, 1, by="ben", seen=early)
    assert everything() == before


def test_another_answer_scored_meanwhile_is_no_conflict(finished: Participant, stored: Items) -> None:
    early = load(finished).seen_by("ben")
    give(finished, question="q6")
    give(finished, 0, by="ben", seen=early)
    record = assessment(stored, finished, "baseline")
    assert (item(record, "q3")["points_earned"], item(record, "q6")["points_earned"]) == (0, 3)


def test_a_worker_that_scores_the_final_meanwhile_takes_the_human_baseline(
    table: str, nobody_twice: None, stored: Items
) -> None:
    participant = Participant.in_condition("L4-I3-S").walk()
    graded(participant, "baseline")
    final = next(task for task in automated_scoring.due(participant.now) if task.what == "final")
    slow = Interrupted(lambda: give(participant))
    assert not automated_scoring.work(final, package=PACKAGE, tutor=slow, now=participant.after())
    assert automated_scoring.work(final, package=PACKAGE, tutor=ScriptedTutor(), now=participant.after())
    scored = assessment(stored, participant, "baseline")["assessment_results"]["score_percentage"]
    assert assessment(stored, participant, "final")["learning_gain"]["baseline_score"] == scored


def test_a_worker_that_scores_the_baseline_meanwhile_takes_the_human_final(
    table: str, nobody_twice: None, stored: Items
) -> None:
    participant = Participant.in_condition("L4-I3-S").walk()
    graded(participant, "final")
    baseline = next(task for task in automated_scoring.due(participant.now) if task.what == "baseline")
    slow = Interrupted(lambda: give(participant, what="final"))
    assert not automated_scoring.work(baseline, package=PACKAGE, tutor=slow, now=participant.after())
    assert automated_scoring.work(baseline, package=PACKAGE, tutor=ScriptedTutor(), now=participant.after())
    final = assessment(stored, participant, "final")
    assert item(final, "q3")["human_scoring"]["by"] == "ada"
    assert final["learning_gain"]["final_score"] == final["assessment_results"]["score_percentage"]


# --- the lists


def listed(kind: str, name: str, **told: Any) -> list[tuple[str, str]]:
    """(what, question) of every answer in a list."""
    return [
        (found.what, answer.question)
        for found in Review.listed(kind, name, **told)
        if isinstance(found, Review)
        for answer in found.answers
        if answer.belongs_to(name)
    ]


def test_an_answer_goes_from_list_to_list(drawn: Participant) -> None:
    assert ("baseline", "q3") in listed("short", "open")
    assert len(listed("short", "open")) == 6
    assert listed("short", "second") == listed("short", "scored") == []
    give(drawn)
    assert len(listed("short", "open")) == 5
    assert listed("short", "second") == listed("short", "scored") == [("baseline", "q3")]
    give(drawn, by="ben")
    assert listed("short", "second") == []
    assert listed("short", "scored") == [("baseline", "q3")]
    assert len(listed("dialogue", "open")) == 3


def test_an_answer_outside_of_the_sample_waits_for_no_second_score(finished: Participant) -> None:
    give(finished)
    assert listed("short", "second") == []


def test_the_review_of_answers_scored_to_the_last_leaves_the_open_list(finished: Participant) -> None:
    for question in FULL:
        give(finished, question=question)
    assert {what for what, _ in listed("short", "open")} == {"final"}


def test_a_list_is_cut_to_days(finished: Participant) -> None:
    day = timedelta(days=1)
    assert len(listed("short", "open", start=NOON, end=NOON + day)) == 6
    assert listed("short", "open", start=NOON + day, end=NOON + 2 * day) == []
    assert listed("short", "open", start=NOON - day, end=NOON) == []


def test_the_way_through_a_list_meets_every_answer_once(finished: Participant) -> None:
    other = Participant.in_condition("L4-I3-S", now=NOON + timedelta(hours=5))
    other.now = NOON + timedelta(hours=5)
    other.walk()
    graded(other)
    met, answer = [], load(other, "final", "q3")
    while True:
        met.append((answer.run.id, answer.what, answer.question))
        place = human_scoring.neighbour(answer, "open", by="ada", newer=False)
        if place is None:
            break
        answer = human_scoring.load(
            session_id=place.session_id, mark=place.mark, question=place.question, package=PACKAGE
        )
    assert len(met) == len(set(met)) >= 9
    assert {run for run, *_ in met} == {other.run.id, finished.run.id}
    back = human_scoring.neighbour(answer, "open", by="ada", newer=True)
    assert back is not None
    assert (back.session_id, back.question) == (met[-2][0], met[-2][2])


def test_nobody_is_led_to_his_own_answers_for_a_second_score(drawn: Participant) -> None:
    for what in ("baseline", "final"):
        give(drawn, what=what)
    here = load(drawn, "final")
    assert human_scoring.neighbour(here, "second", by="ada", newer=False) is None
    found = {human_scoring.neighbour(here, "second", by="ben", newer=newer) for newer in (True, False)}
    marks = {place.mark for place in found if place}
    assert marks == {human_scoring.mark_of(drawn.run.id, "baseline")}
