"""What was given while a session was open is stored whenever it arrives, whatever closed it meanwhile."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sessions_app.domain import flow
from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.models import InvalidField, Session, Student
from sessions_app.domain.participants import withdrawal
from sessions_app.domain.session import abandoned, offline_timing, open_session, voiding
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import OutOfStep, Run, SessionClosed
from sessions_app.domain.session.submissions import KeptForStaff
from sessions_app.domain.store import keys

from .cast import (
    ADMIN,
    FACILITATOR,
    NOON,
    Participant,
    at_once,
    enrol,
    reason_of,
    start,
    start_beside,
    start_in,
)

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]
DAY = timedelta(hours=24)
STEPS = (
    "baseline/1",
    "baseline/10",
    "format",
    "segment-1",
    "segment-4",
    "questions-4/3",
    "final/10",
    "survey",
)


def leave(run: Run) -> datetime:
    """Closed by the clock; when that was."""
    at = Run.load(run.id).last_seen + DAY + timedelta(minutes=1)
    assert abandoned.close(run.id, now=at, after=DAY)
    return at


def stop(run: Run, at: datetime) -> None:
    session_survey.stop(Run.load(run.id), by=FACILITATOR, now=at, reason="the bell rang")


def held(run: Run, *, given: datetime, arrives: datetime) -> offline_timing.Held | None:
    """As the view builds it from the device's headers."""
    return offline_timing.held(
        seconds=int((arrives - given).total_seconds()),
        answering=20,
        session_age=int((arrives - run.session.start).total_seconds()),
    )


def send(participant: Participant, step: Any, *, given: datetime, arrives: datetime) -> Run:
    """A step from a device that had no network: dynamic questions were the fixed ones."""
    participant.run = Run.load(participant.run.id)
    waited = {"held": held(participant.run, given=given, arrives=arrives), "now": arrives}
    match step.stage.kind:
        case "baseline" | "final":
            return participant.answer_item(step.stage.kind, step.number, **waited)
        case "format":
            return participant.choose_format(**waited)
        case "segment":
            participant.now = arrives
            return participant.finish_segment(step.stage.segment, seconds=0, held=waited["held"])
        case "questions":
            return participant.answer_question(step.stage.segment, step.number, fallback=True, **waited)
        case _:
            return participant.survey(**waited)


def steps_left(run: Run) -> Iterator[Any]:
    """From the one that comes next to the end of the plan."""
    step = run.next_step
    while step is not None:
        yield step
        step = flow.following(run.stages, step)


def hold_of(run: Run) -> str | None:
    return Student.by_id(run.session.student_id).metadata.open_session


# --- closed by the clock


@pytest.mark.parametrize("slug", STEPS)
def test_a_late_answer_of_any_kind_opens_the_session_again_or_completes_it(
    table: str, slug: str, stored: Items
) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to(slug)
    step = participant.run.step
    given = participant.now + timedelta(seconds=30)
    closed = leave(participant.run)
    assert hold_of(participant.run) is None
    send(participant, step, given=given, arrives=closed + timedelta(hours=1))

    after = Run.load(participant.run.id)
    assert after.stored_at(step) == closed + timedelta(hours=1)
    assert "late_sync" in after.session.metadata.data_quality_flags
    timeline = stored(after.session.PK, "METADATA")[0]["timeline"]
    if slug == "survey":
        assert after.session.state == "completed"
        assert after.session.completion_status.completed
        assert timeline["session_end"] == keys.stamp(given)
        assert hold_of(after) is None
    else:
        assert after.session.state == "running"
        assert after.step == participant.run.step
        assert set(timeline) <= {"session_start", "assessment_duration_seconds"}
        assert hold_of(after) == after.id


@pytest.mark.parametrize("code", ["L4-I1-D", "L4-I2-S"])
@pytest.mark.parametrize("begins", ["baseline/3", "segment-2"])
def test_a_whole_backlog_is_taken_in_order(
    table: str, code: str, begins: str, everything: Everything
) -> None:
    participant = Participant.in_condition(code).walk_to(begins)
    given, run = participant.now, participant.run
    backlog = list(steps_left(run))
    arrives = leave(run) + timedelta(minutes=5)
    for step in backlog:
        given += timedelta(seconds=60)
        send(participant, step, given=given, arrives=arrives)

    after = Run.load(run.id)
    session, status = after.session, after.session.completion_status
    assert (session.state, after.next_step) == ("completed", None)
    assert status.completed
    assert status.baseline_completed
    assert status.content_completed
    assert status.final_assessment_completed
    assert status.post_survey_completed
    rounds = [stage for stage in after.stages if stage.kind == "questions"]
    assert status.interventions_completed == len(rounds)
    assert session.timeline.session_end == given
    assert session.timeline.total_duration_seconds == (given - session.start).total_seconds()
    assert session.timeline.content_duration_seconds == 600
    flags = session.metadata.data_quality_flags
    assert "late_sync" in flags
    assert "intervention_count_mismatch" not in flags
    assert ("ai_fallback" in flags) is (code == "L4-I1-D")
    assert Student.by_id(session.student_id).metadata.conditions_completed == [code]
    audited = [item for item in everything() if item.get("action") == "session.reopen"]
    assert [(entry["by"], entry["new"]) for entry in audited] == [("system", {"state": "running"})]


def test_a_session_that_timed_out_ended_with_its_last_sign_of_life(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    leave(participant.run)
    timeline = Run.load(participant.run.id).session.timeline
    assert timeline.session_end == participant.now
    assert timeline.total_duration_seconds == 30


def test_beside_another_open_session_it_is_stored_and_completes_but_does_not_run(table: str) -> None:
    student = enrol()
    participant = Participant(start_in("L4-I3-S", student)).walk_to("final/10")
    given = participant.now
    arrives = leave(participant.run) + timedelta(minutes=5)
    other = start(student, now=arrives)
    final, survey = steps_left(Run.load(participant.run.id))

    send(participant, final, given=given + timedelta(seconds=20), arrives=arrives)
    beside = Run.load(participant.run.id)
    assert len(beside.assessments["final"].questions) == 10
    assert beside.session.state == "abandoned"
    assert beside.session.timeline.session_end == given + timedelta(seconds=20)
    assert "late_sync" in beside.session.metadata.data_quality_flags

    send(participant, survey, given=given + timedelta(seconds=50), arrives=arrives)
    assert Run.load(participant.run.id).session.state == "completed"
    assert Run.load(other.id).session.state == "running"
    assert hold_of(other) == other.id


def test_an_answer_given_after_the_clock_closed_it_opens_it_too(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    participant.now = leave(participant.run) + timedelta(hours=3)
    participant.run = Run.load(participant.run.id)
    participant.answer_item("baseline", 4)
    after = Run.load(participant.run.id)
    assert after.session.state == "running"
    assert {"late_sync", "resumed"} <= set(after.session.metadata.data_quality_flags)


def test_a_step_that_comes_before_its_turn_changes_nothing(table: str, everything: Everything) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    closed = leave(participant.run)
    before = everything()
    _, early, *_ = steps_left(participant.run)
    with pytest.raises(OutOfStep) as refused:
        send(participant, early, given=NOON, arrives=closed)
    assert refused.value.step is not None
    assert refused.value.step.slug == "baseline/4"
    assert everything() == before


# --- stopped by staff


@pytest.mark.parametrize("code", ["L4-I1-D", "L4-I2-S"])
def test_a_stopped_session_takes_what_was_given_before_and_keeps_the_rest_for_staff(
    table: str, code: str, everything: Everything
) -> None:
    participant = Participant.in_condition(code).walk_to("baseline/10")
    run, began = participant.run, participant.now
    stopped_at = began + timedelta(seconds=60 * 6 + 30)  # six steps of a minute each were given by then
    backlog = list(steps_left(run))
    stop(run, stopped_at)

    arrives, kept = stopped_at + timedelta(hours=30), []
    for number, step in enumerate(backlog, 1):
        given = began + timedelta(seconds=60 * number)
        try:
            send(participant, step, given=given, arrives=arrives)
        except KeptForStaff:
            kept.append(step)

    after = Run.load(run.id)
    assert kept == backlog[6:]
    assert after.session.state == "stopped"
    assert after.session.timeline.session_end == stopped_at
    assert after.next_step == backlog[6]
    assert after.session.completion_status.baseline_completed
    assert not after.session.completion_status.completed
    assert after.session.timeline.content_duration_seconds == 150 * len(after.content.segment_tracking)  # type: ignore[union-attr]
    assert "late_sync" in after.session.metadata.data_quality_flags
    assert len(after.conflicts) == len(kept)
    assert all(conflict.is_after_end and conflict.held_seconds for conflict in after.conflicts)
    assert hold_of(after) is None


def test_what_was_kept_is_kept_once_however_often_it_is_sent(table: str, everything: Everything) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    stop(participant.run, participant.now)
    snapshots = []
    for hours in (1, 2, 30):
        participant.run = Run.load(participant.run.id)
        with pytest.raises(KeptForStaff):
            participant.answer_item("baseline", 4, submission_id="one", now=participant.now + hours * DAY)
        snapshots.append(everything())
    assert snapshots[0] == snapshots[1] == snapshots[2]


def test_everything_given_before_the_stop_is_stored_and_it_stays_stopped(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("survey")
    run, given = participant.run, participant.now + timedelta(seconds=20)
    stop(run, given + timedelta(minutes=1))
    (survey,) = steps_left(run)
    send(participant, survey, given=given, arrives=given + timedelta(hours=2))
    after = Run.load(run.id)
    assert after.survey is not None
    assert after.session.completion_status.post_survey_completed
    assert (after.session.state, after.session.completion_status.completed) == ("stopped", False)


def test_no_answer_can_have_waited_longer_than_its_session_is_old(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/10")
    run = participant.run
    stopped_at = participant.now + timedelta(minutes=1)
    stop(run, stopped_at)
    (step, *_) = steps_left(run)
    arrives = stopped_at + timedelta(minutes=1)
    send(participant, step, given=arrives - timedelta(days=20_000), arrives=arrives)
    after = Run.load(run.id)
    assert (
        after.assessments["baseline"].questions[-1].held_seconds
        == (arrives - run.session.start).total_seconds()
    )
    assert {"clock_skew", "late_sync"} <= set(after.session.metadata.data_quality_flags)


@pytest.mark.parametrize("seconds", [None, 0, 59])
def test_what_was_given_after_the_stop_does_not_count(table: str, seconds: int | None) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    stop(participant.run, participant.now)
    participant.run = Run.load(participant.run.id)
    waited = offline_timing.held(seconds=seconds, answering=None, session_age=3600)
    with pytest.raises(KeptForStaff):
        participant.answer_item("baseline", 4, held=waited, now=participant.now + timedelta(seconds=60))
    after = Run.load(participant.run.id)
    assert len(after.assessments["baseline"].questions) == 3
    assert [conflict.kind for conflict in after.conflicts] == ["after_end"]


@pytest.mark.parametrize("closed", ["running", "abandoned", "stopped"])
def test_only_a_withdrawal_refuses(table: str, closed: str, everything: Everything) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("segment-2")
    run = participant.run
    (step, *_) = steps_left(run)
    if closed == "abandoned":
        leave(run)
    if closed == "stopped":
        stop(run, NOON + DAY)
    withdrawal.withdraw(run.session.student_id, keep=True, by=FACILITATOR, now=NOON + 3 * DAY)
    before = everything()
    with pytest.raises((SessionClosed, ConsentNotInForce)):
        send(participant, step, given=NOON + timedelta(minutes=30), arrives=NOON + 3 * DAY)
    assert everything() == before


# --- staff stop and reopen


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_staff_say_why_they_stop_and_reopen(table: str, reason: str, everything: Everything) -> None:
    run = start(enrol())
    before = everything()
    with pytest.raises(InvalidField) as refused:
        session_survey.stop(run, by=FACILITATOR, now=NOON, reason=reason)
    assert refused.value.field == "reason"
    assert everything() == before
    stop(run, NOON)
    with pytest.raises(InvalidField):
        session_survey.reopen(Run.load(run.id), by=FACILITATOR, now=NOON, reason=reason)
    assert Run.load(run.id).session.state == "stopped"


@pytest.mark.parametrize("closed", ["stopped", "abandoned"])
def test_a_closed_session_is_reopened_with_a_reason(table: str, closed: str, everything: Everything) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("baseline/4")
    run, now = participant.run, NOON + 2 * DAY
    if closed == "stopped":
        stop(run, participant.now)
    else:
        leave(run)
    participant.run = session_survey.reopen(
        Run.load(run.id), by=ADMIN, now=now, reason="it was the wrong tablet"
    )
    after = Run.load(run.id)
    assert (after.session.state, after.step) == ("running", participant.run.step)
    assert after.session.timeline.session_end is None
    assert hold_of(after) == run.id
    (entry,) = [item for item in everything() if item.get("action") == "session.reopen"]
    assert (entry["by"], reason_of(entry)) == ("admin", "it was the wrong tablet")
    assert (entry["old"], entry["new"]) == ({"state": closed}, {"state": "running"})
    participant.now = now
    assert participant.walk().run.session.state == "completed"


def test_a_stopped_session_that_holds_everything_completes_when_it_is_reopened(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("survey")
    run, given = participant.run, participant.now + timedelta(seconds=20)
    stop(run, given + timedelta(minutes=1))
    send(participant, run.next_step, given=given, arrives=given + timedelta(hours=2))
    session_survey.reopen(Run.load(run.id), by=ADMIN, now=NOON + DAY, reason="it was whole")
    after = Run.load(run.id)
    assert (after.session.state, after.session.timeline.session_end) == ("completed", given)
    assert Student.by_id(run.session.student_id).metadata.conditions_completed == ["L4-I3-S"]


def test_no_session_is_reopened_beside_an_open_one(table: str, everything: Everything) -> None:
    student = enrol()
    run = start(student)
    stop(run, NOON)
    other = start(student)
    before = everything()
    with pytest.raises(open_session.AlreadyOpen) as refused:
        session_survey.reopen(Run.load(run.id), by=FACILITATOR, now=NOON, reason="the wrong one was stopped")
    assert refused.value.session.session_id == other.id
    assert everything() == before


@pytest.mark.parametrize("state", ["running", "completed", "withdrawn"])
def test_no_other_session_is_reopened(table: str, state: str, everything: Everything) -> None:
    participant = Participant.in_condition("L4-I3-S")
    if state == "completed":
        participant.walk()
    if state == "withdrawn":
        withdrawal.withdraw(participant.run.session.student_id, keep=True, by=FACILITATOR, now=NOON)
    before = everything()
    with pytest.raises(SessionClosed) as refused:
        session_survey.reopen(Run.load(participant.run.id), by=ADMIN, now=NOON, reason="a mistake")
    assert refused.value.state == state
    assert everything() == before


def test_a_void_session_is_not_reopened(table: str) -> None:
    run = start(enrol())
    voiding.void(run, kind="wrong_student", reason="a mistake", by=ADMIN, now=NOON, zone=UTC)
    with pytest.raises(SessionClosed) as refused:
        session_survey.reopen(Run.load(run.id), by=ADMIN, now=NOON, reason="a mistake")
    assert refused.value.state == "void"
    assert not Run.load(run.id).is_open


def test_nothing_is_reopened_without_consent(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S")
    stop(participant.run, NOON)
    withdrawal.withdraw(participant.run.session.student_id, keep=True, by=FACILITATOR, now=NOON)
    with pytest.raises(ConsentNotInForce):
        session_survey.reopen(Run.load(participant.run.id), by=ADMIN, now=NOON, reason="a mistake")
    assert Run.load(participant.run.id).session.state == "stopped"


# --- at the same moment


@pytest.mark.parametrize("slug", ["baseline/1", "baseline/3", "baseline/10", "format", "segment-1", "survey"])
def test_an_answer_and_the_clock_at_once(table: str, slug: str) -> None:
    """Whichever comes first: the answer is stored, and the session is not closed behind it."""
    for _ in range(3):
        participant = Participant.in_condition("L4-I3-S").walk_to(slug)
        run, step = participant.run, participant.run.step
        now = participant.now + DAY + timedelta(minutes=1)

        def act(number: int, participant: Participant = participant, step: Any = step, now: Any = now) -> Any:
            if number:
                return abandoned.close(participant.run.id, now=now, after=DAY)
            return send(participant, step, given=now - timedelta(seconds=9), arrives=now)

        answer, closed = at_once(2, act)
        assert isinstance(answer, Run)
        assert isinstance(closed, bool)
        after = Run.load(run.id)
        assert after.stored_at(step) == now  # type: ignore[arg-type]
        assert after.session.state == ("completed" if slug == "survey" else "running")
        assert hold_of(after) == (None if slug == "survey" else run.id)


@pytest.mark.parametrize("slug", ["baseline/1", "baseline/3", "baseline/10", "format", "segment-1", "survey"])
def test_an_answer_and_a_stop_at_once(table: str, slug: str) -> None:
    """The answer is stored whichever comes first: it was given before the stop."""
    for _ in range(3):
        participant = Participant.in_condition("L4-I3-S").walk_to(slug)
        run, step = participant.run, participant.run.step
        at = participant.now + timedelta(seconds=30)

        def act(number: int, run: Run = run, participant: Participant = participant, at: Any = at) -> Any:
            if number:
                return stop(run, at)
            participant.take_step()
            return participant.run

        answer, stopped = at_once(2, act)
        assert isinstance(answer, Run)
        after = Run.load(run.id)
        assert after.stored_at(step) is not None  # type: ignore[arg-type]
        assert not after.conflicts
        if stopped is None:
            assert after.session.state == "stopped"
            assert hold_of(after) is None
        else:  # the stop saw another session than the one that was there
            assert after.session.state == ("completed" if slug == "survey" else "running")


def test_late_answers_and_a_new_start_at_once_leave_one_open_session(table: str) -> None:
    for _ in range(4):
        student = enrol()
        participant = Participant(start_in("L4-I3-S", student)).walk_to("baseline/4")
        run = participant.run
        arrives = leave(run) + timedelta(minutes=5)
        (step, *_) = steps_left(run)
        given = participant.now + timedelta(seconds=10)

        def act(
            number: int, run: Run = run, step: Any = step, given: Any = given, arrives: Any = arrives
        ) -> Any:
            if number == 0:
                return start(Student.by_id(run.session.student_id), now=arrives)
            return send(Participant(run), step, given=given, arrives=arrives)

        at_once(4, act)
        sessions = [item for item in Session.of_student(student.student_id) if isinstance(item, Session)]
        open_ones = [session.session_id for session in sessions if Run.load(session.session_id).is_open]
        assert len(open_ones) == 1
        assert len(Run.load(run.id).assessments["baseline"].questions) == 4
        assert hold_of(run) == open_ones[0]


def test_a_session_beside_another_client_s_open_one_is_not_reopened(table: str) -> None:
    student = enrol()
    run = start(student)
    stop(run, NOON)
    start_beside(student, "L4-I3-D")
    with pytest.raises(open_session.AlreadyOpen):
        session_survey.reopen(Run.load(run.id), by=ADMIN, now=NOON, reason="a mistake")
