from collections.abc import Callable
from typing import Any

import pytest

from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.models import InvalidField, Student
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import OutOfStep, Run, SessionClosed
from sessions_app.domain.store import keys

from .cast import FACILITATOR, Participant, at_once, start_in, survey_answers

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def participant(table: str) -> Participant:
    return Participant.in_condition("L4-I3-S").walk_to("survey")


def completed_by(run: Run) -> list[str]:
    return list(Student.by_id(run.session.student_id).metadata.conditions_completed)


def test_the_survey_completes_the_session(participant: Participant, stored: Items) -> None:
    run = participant.survey()
    session, *_ = stored(keys.session(run.id), "METADATA")
    assert session["state"] == "completed"
    assert session["completion_status"] == {
        "completed": True,
        "location_verified": True,
        "baseline_completed": True,
        "content_completed": True,
        "interventions_completed": 1,
        "final_assessment_completed": True,
        "post_survey_completed": True,
    }
    survey, *_ = stored(keys.session(run.id), "POST_SURVEY")
    assert survey["location_experience"]["location_impact_rating"] == 4
    assert survey["survey_metadata"]["duration_seconds"] == 60
    assert run.step is None


def test_the_timeline_adds_up(participant: Participant, stored: Items) -> None:
    run = participant.survey()
    timeline = stored(keys.session(run.id), "METADATA")[0]["timeline"]
    whole = (participant.now - run.session.start).total_seconds()
    assert timeline["session_end"] == keys.stamp(participant.now)
    assert timeline["total_duration_seconds"] == whole
    assert timeline["content_duration_seconds"] == 600
    assert timeline["assessment_duration_seconds"] == 200
    # three answers, each 10 seconds after its question was shown at once
    assert (
        timeline["intervention_duration_seconds"]
        == run.interventions[4].intervention_summary.total_duration_seconds
    )


def test_conditions_completed_grows_once(participant: Participant) -> None:
    assert completed_by(participant.run) == []
    stale = Run.load(participant.run.id)
    participant.survey()
    participant.survey()
    participant.run = stale
    participant.survey()
    assert completed_by(participant.run) == ["L4-I3-S"]


def test_two_tabs_complete_once(participant: Participant, stored: Items) -> None:
    tabs = [Participant(Run.load(participant.run.id), now=participant.now) for _ in range(3)]
    runs = at_once(3, lambda n: tabs[n].survey())
    assert all(isinstance(run, Run) and not run.is_open for run in runs), runs
    assert completed_by(participant.run) == ["L4-I3-S"]


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("location_experience", "location_impact_rating", 0),
        ("location_experience", "location_impact_rating", 6),
        ("learning_experience", "pacing_rating", 3.5),
        ("learning_experience", "pacing_rating", True),
        ("learning_experience", "pacing_rating", None),
        ("intervention_experience", "questions_were_engaging", 1),
        ("technical_experience", "audio_quality_rating", "5"),
        ("open_ended_responses", "additional_comments", "x" * 4001),
    ],
)
def test_a_bad_answer_is_refused_by_field_and_nothing_is_stored(
    participant: Participant, everything: Everything, group: str, name: str, value: Any
) -> None:
    answers = survey_answers()
    answers[group][name] = value
    before = everything()
    with pytest.raises(InvalidField) as refused:
        participant.survey(answers)
    assert refused.value.field == f"{group}.{name}"
    assert everything() == before


def test_a_missing_group_is_named(participant: Participant) -> None:
    answers = survey_answers()
    del answers["learning_experience"]
    with pytest.raises(InvalidField, match="learning_experience is missing"):
        participant.survey(answers)


def test_what_may_be_left_out_may_be_left_out(participant: Participant, stored: Items) -> None:
    answers = survey_answers()
    answers["open_ended_responses"] = {}
    answers["technical_experience"]["audio_quality_rating"] = None
    run = participant.survey(answers)
    survey, *_ = stored(keys.session(run.id), "POST_SURVEY")
    assert survey["open_ended_responses"] == {}
    assert "audio_quality_rating" not in survey["technical_experience"]


def test_the_survey_comes_last(table: str, everything: Everything) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("final/10")
    before = everything()
    with pytest.raises(OutOfStep):
        participant.survey()
    assert everything() == before


def test_a_complete_session_cannot_be_stopped(participant: Participant, everything: Everything) -> None:
    run = participant.survey()
    before = everything()
    with pytest.raises(SessionClosed):
        session_survey.stop(run, by=FACILITATOR, now=participant.after(), reason="the bell rang")
    with pytest.raises(SessionClosed):
        session_survey.stop(Run.load(run.id), by=FACILITATOR, now=participant.after(), reason="the bell rang")
    assert everything() == before


def test_consent_withdrawn_at_the_last_step_leaves_the_session_open(
    participant: Participant, everything: Everything, withdraw: Callable[[str], None]
) -> None:
    withdraw(participant.run.session.student_id)
    before = everything()
    with pytest.raises(ConsentNotInForce):
        participant.survey()
    assert everything() == before


def test_interventions_that_are_not_counted_are_flagged(participant: Participant, raw: Any) -> None:
    raw.update_item(
        Key={"PK": keys.session(participant.run.id), "SK": "METADATA"},
        UpdateExpression="SET completion_status.interventions_completed = :none",
        ExpressionAttributeValues={":none": 0},
    )
    participant.run = Run.load(participant.run.id)
    run = participant.survey()
    assert "intervention_count_mismatch" in run.session.metadata.data_quality_flags


def test_what_a_run_holds_is_what_is_stored(participant: Participant) -> None:
    run = participant.survey()
    fresh = Run.load(run.id)
    assert fresh.done == run.done
    assert fresh.session.serialize() == run.session.serialize()
    for mine, theirs in ((run.content, fresh.content), (run.survey, fresh.survey)):
        assert mine is not None
        assert theirs is not None
        assert mine.serialize() == theirs.serialize()
    for kind in ("baseline", "final"):
        assert fresh.assessments[kind].serialize() == run.assessments[kind].serialize()
    assert fresh.interventions[4].serialize() == run.interventions[4].serialize()


def test_a_second_session_of_the_student_leaves_the_first_alone(participant: Participant) -> None:
    first = participant.survey()
    before = Run.load(first.id).session.serialize()
    student = Student.by_id(first.session.student_id)
    second = Participant(start_in("L4-I3-D", student)).walk()
    assert completed_by(second.run) == ["L4-I3-S", "L4-I3-D"]
    assert Run.load(first.id).session.serialize() == before


def test_the_survey_is_one_write(participant: Participant, requests_made: list[str]) -> None:
    requests_made.clear()
    participant.survey()
    assert requests_made == ["TransactWriteItems"]
