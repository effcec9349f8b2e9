"""Answers that no model could score come to people, and all that follows from a score follows from theirs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest

from sessions_app.domain import scoring
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.grading import human as human_scoring
from sessions_app.domain.models import Review
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.domain.tutor import (
    GradeRequest,
    InterventionRating,
    RatingRequest,
    RubricGrade,
    TutorFailed,
)
from sessions_app.domain.tutor.scripted import ScriptedTutor

from .cast import PACKAGE, Participant

SHORT = ("q3", "q6", "q10")
Items = Callable[..., list[dict[str, Any]]]


class Down(ScriptedTutor):
    offline = False

    def __init__(self, reason: str = "overloaded") -> None:
        self.reason = reason

    def grade(self, request: GradeRequest) -> RubricGrade:
        raise TutorFailed(self.reason, retryable=True)  # type: ignore[arg-type]

    def rate(self, request: RatingRequest) -> InterventionRating:
        raise TutorFailed(self.reason, retryable=True)  # type: ignore[arg-type]


def tried(participant: Participant, times: int, tutor: ScriptedTutor | None = None) -> None:
    """What a worker does that looks every two hours."""
    for _ in range(times):
        participant.after(7200)
        for task in list(automated_scoring.due(participant.now)):
            automated_scoring.work(task, package=PACKAGE, tutor=tutor or Down(), now=participant.now)


@pytest.fixture
def handed_over(table: str) -> Participant:
    participant = Participant.in_condition("L1-I3-D").walk()
    tried(participant, automated_scoring.MAX_TRIES)
    return participant


def give(participant: Participant, what: str, question: str, by: str = "ada") -> human_scoring.Answer:
    """All that each criterion can give."""
    mark = human_scoring.mark_of(participant.run.id, what)
    told: dict[str, Any] = {"session_id": participant.run.id, "mark": mark, "question": question}
    answer = human_scoring.load(**told, package=PACKAGE)
    return human_scoring.score(
        **told,
        breakdown={each.name: each.most for each in answer.criteria},
        note="",
        by=Actor(by, "researcher"),
        seen=answer.seen_by(by),
        package=PACKAGE,
        now=participant.after(),
    )


def open_answers(kind: str) -> set[tuple[str, str]]:
    """(what, question) of those that wait for a person without any score of a model."""
    found = [item for item in Review.listed(kind, "open") if isinstance(item, Review)]
    return {(item.what, a.question) for item in found for a in item.answers if a.model is None}


def test_until_then_the_model_is_asked_again_and_people_are_not(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    tried(participant, automated_scoring.MAX_TRIES - 1)
    assert open_answers("short") == set()
    tried(participant, 1, ScriptedTutor())
    assert Run.load(participant.run.id).assessments["baseline"].is_graded
    assert stored(keys.GRADING_QUEUE) == []


def test_after_many_failures_every_answer_waits_for_a_person_and_the_queue_is_empty(
    handed_over: Participant, stored: Items
) -> None:
    assert stored(keys.GRADING_QUEUE) == []
    assert open_answers("short") == {(what, item) for what in ("baseline", "final") for item in SHORT}
    assert open_answers("dialogue") == {("questions-4", str(n)) for n in (1, 2, 3)}


def test_results_and_gain_come_with_the_last_score_of_people(handed_over: Participant) -> None:
    for what in ("baseline", "final"):
        for item in SHORT:
            assert not Run.load(handed_over.run.id).assessments[what].is_graded
            give(handed_over, what, item)
    run = Run.load(handed_over.run.id)
    for record in run.assessments.values():
        assert record.assessment_results.serialize(record.assessment_results) is not None
        assert record.assessment_results.points_earned == scoring.results(record.questions)["points_earned"]
        assert record.metadata.grading_method == "human"
    assert run.assessments["final"].learning_gain.absolute_gain == 0
    assert open_answers("short") == set()


def test_a_dialogue_is_scored_by_what_the_model_would_have_scored(handed_over: Participant) -> None:
    third = give(handed_over, "questions-4", "3")
    names = {each.name for each in third.criteria}
    assert {"question_clarity", "answer_depth", "builds_on_previous", "synthesis_quality"} <= names
    record = Run.load(handed_over.run.id).interventions[4]
    assert record.questions[2].quality_scores.answer_depth == 5
    assert record.questions[2].model_scores is None
    assert record.intervention_summary.avg_question_quality == 5
    assert record.intervention_summary.avg_answer_depth == 5


def test_nothing_was_regraded(handed_over: Participant) -> None:
    give(handed_over, "baseline", "q3")
    run = Run.load(handed_over.run.id)
    assert "human_regraded" not in run.session.metadata.data_quality_flags
    asked = next(each for each in run.assessments["baseline"].questions if each.question_id == "q3")
    assert asked.ai_scoring is None
    assert (asked.points_earned, asked.is_correct) == (asked.points, True)


def test_its_giver_may_change_it(handed_over: Participant) -> None:
    give(handed_over, "questions-4", "1")
    again = human_scoring.load(
        session_id=handed_over.run.id,
        mark=human_scoring.mark_of(handed_over.run.id, "questions-4"),
        question="1",
        package=PACKAGE,
    )
    assert [each.model for each in again.criteria] == [None] * len(again.criteria)
    assert {each.human for each in again.criteria} == {5}
    assert again.part_of("ada") == "first"


def test_one_may_be_the_models_and_the_other_peoples(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    tried(participant, 1, ScriptedTutor())
    participant.walk()
    tried(participant, automated_scoring.MAX_TRIES)
    for item in SHORT:
        give(participant, "final", item)
    run = Run.load(participant.run.id)
    assert run.assessments["baseline"].metadata.grading_method == "automated_offline"
    assert run.assessments["final"].metadata.grading_method == "human"
    assert run.assessments["final"].learning_gain is not None


def test_where_the_days_money_is_spent_the_next_try_is_after_midnight(table: str, stored: Items) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    tried(participant, 1, Down("spend_cap_day"))
    (task,) = stored(keys.GRADING_QUEUE)
    midnight = participant.now.astimezone(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    assert task["not_before"] == keys.stamp(midnight)
    assert task["last_failure"] == "spend_cap_day"


def test_without_consent_nothing_is_handed_over(
    table: str, stored: Items, withdraw: Callable[[str], None]
) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("format")
    tried(participant, automated_scoring.MAX_TRIES - 1)
    withdraw(participant.run.session.student_id)
    tried(participant, 1)
    assert stored(keys.GRADING_QUEUE) == []
    assert open_answers("short") == set()
