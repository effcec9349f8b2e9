"""A session as its partition holds it: what is stored, what is done, what comes next."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from pynamodb.expressions.condition import size
from pynamodb.expressions.update import Action

from .. import flow
from ..consent.agreement import ConsentNotInForce
from ..models import (
    AnswerConflict,
    Assessment,
    Browser,
    Call,
    ContentDelivery,
    Intervention,
    Item,
    LocationVerification,
    ParticipantLink,
    PostSurvey,
    PreparedQuestion,
    QuestionMaking,
    Session,
    Student,
)
from ..models.assessment import MIDPOINT
from ..store import keys
from ..store.items import same_version
from ..store.transactions import Refused, Transaction
from ..tutor.protocol import Payer

LONG_PAUSE_SECONDS = 600
RESUMED_AFTER_SECONDS = 1800  # without a stored step: longer than anything a step asks for
SILENT_AFTER = timedelta(minutes=5)
"""Without anything stored for so long, somebody should look."""
SHORT_ANSWER_CHARACTERS = 5
MAX_ANSWER_LENGTH = 10_000


class SessionNotFound(LookupError):
    """No session has this id."""


class SessionUnreadable(SessionNotFound):
    """There is such a session, but not enough of it can be read; the message says why."""


class SessionClosed(Exception):
    """The session does not take this any more; `state` says why."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the session is {state}")
        self.state = state


class OutOfStep(Exception):
    """Something else comes next: `step`, or None when all is done. Nothing was stored."""

    def __init__(self, step: flow.Step | None) -> None:
        super().__init__(step.slug if step else "done")
        self.step = step


class BadAnswer(ValueError):
    """An answer that cannot be taken; `field` names it, the message is for the screen."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class DifferentAnswer(Exception):
    """Another text was already stored for this question. The new one is kept as a conflict.

    `same_submission` tells a reused submission id from a second tab.
    """

    def __init__(self, same_submission: bool) -> None:
        super().__init__("this question already has another answer")
        self.same_submission = same_submission


@dataclass(slots=True)
class Run:
    """Everything of one session, as one query gave it.

    Where other clients stored a part twice, the first complete assessment of a kind counts, and the first
    intervention of a segment; the others are `duplicates`. Parts that cannot be read are `unreadable`.
    """

    session: Session
    verification: LocationVerification | None = None
    content: ContentDelivery | None = None
    assessments: dict[str, Assessment] = field(default_factory=dict)
    interventions: dict[int, Intervention] = field(default_factory=dict)
    prepared: dict[int, PreparedQuestion] = field(default_factory=dict)
    makings: dict[tuple[int, int], QuestionMaking] = field(default_factory=dict)
    survey: PostSurvey | None = None
    conflicts: list[AnswerConflict] = field(default_factory=list)
    browsers: list[Browser] = field(default_factory=list)
    links: list[ParticipantLink] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    duplicates: list[Assessment | Intervention] = field(default_factory=list)
    midpoints: list[Assessment] = field(default_factory=list)
    unreadable: list[Item] = field(default_factory=list)
    holds_student: bool | None = None
    """Whether the student's profile names this session as the open one; None while nobody has looked."""

    @classmethod
    def load(cls, session_id: str) -> Run:
        """One consistent query. Raises SessionNotFound."""
        try:
            return cls.of(Session.whole(session_id))
        except keys.BadKey:
            raise SessionNotFound(session_id) from None

    @classmethod
    def of(cls, items: Iterable[Item]) -> Run:
        """Raises SessionNotFound, SessionUnreadable."""
        items = sorted(items, key=lambda item: str(item.SK))
        session = next((item for item in items if isinstance(item, Session)), None)
        if session is None:
            raise SessionNotFound("no session among the items")
        if not session.is_readable:
            raise SessionUnreadable(session.unreadable_reason)
        run = cls(session)
        for item in items:
            run._take(item)
        if run.duplicates:
            session.raise_flag("duplicate")
        if any(item.has_naive_timestamp for item in items):
            session.raise_flag("naive_timestamp")
        return run

    def _take(self, item: Item) -> None:
        if not item.is_readable:
            self.unreadable.append(item)
            return
        match item:
            case LocationVerification():
                self.verification = item
            case ContentDelivery():
                self.content = item
            case Assessment():
                self._take_assessment(item)
            case Intervention():
                if (
                    self.interventions.setdefault(int(item.intervention_metadata.segment_id), item)
                    is not item
                ):
                    self.duplicates.append(item)
            case PreparedQuestion():
                self.prepared[int(item.segment_id)] = item
            case QuestionMaking():
                self.makings[int(item.segment_id), int(item.question_number)] = item
            case PostSurvey():
                self.survey = item
            case AnswerConflict():
                self.conflicts.append(item)
            case Browser():
                self.browsers.append(item)
            case ParticipantLink():
                self.links.append(item)
            case Call():
                self.calls.append(item)

    def _take_assessment(self, item: Assessment) -> None:
        kind = str(item.assessment_metadata.type)
        if kind == MIDPOINT:
            self.midpoints.append(item)
            return
        counted = self.assessments.get(kind)
        if counted is None:
            self.assessments[kind] = item
        elif item.is_complete and not counted.is_complete:
            self.assessments[kind] = item
            self.duplicates.append(counted)
        else:
            self.duplicates.append(item)

    @property
    def id(self) -> str:
        return str(self.session.session_id)

    def record(self, what: str) -> Assessment | Intervention | None:
        """The record of `baseline`, `final`, or `questions-<segment>`."""
        if what.startswith("questions-"):
            return self.interventions.get(int(what.removeprefix("questions-")))
        return self.assessments.get(what)

    @property
    def payer(self) -> Payer:
        """Whose caps the tutor's calls count against."""
        return Payer(str(self.session.student_id), self.id)

    @property
    def stages(self) -> tuple[flow.Stage, ...]:
        return flow.plan(self.session.condition.interval)

    @property
    def is_open(self) -> bool:
        return self.session.is_open

    @property
    def done(self) -> dict[str, int]:
        """Finished steps by stage."""
        done = {
            kind: flow.ITEMS if record.is_complete else len(record.questions)
            for kind, record in self.assessments.items()
        }
        done["format"] = int(self.content is not None)
        for tracking in self.content.segment_tracking if self.content else ():
            done[f"segment-{tracking.segment_id}"] = int(tracking.end_time is not None)
        for segment_id, record in self.interventions.items():
            done[f"questions-{segment_id}"] = record.answered
        done["survey"] = int(self.survey is not None)
        return done

    @property
    def takes_late_answers(self) -> bool:
        """Whether what a participant gave is still taken, or kept for staff: only withdrawal refuses."""
        return str(self.session.state) != "withdrawn"

    @property
    def kept_after_end(self) -> list[AnswerConflict]:
        """What was given after the session had ended."""
        return [conflict for conflict in self.conflicts if conflict.is_after_end]

    @property
    def next_step(self) -> flow.Step | None:
        """The first step that is not stored, whether the session is open or not; None when all is there."""
        return flow.next_step(self.stages, self.done)

    @property
    def step(self) -> flow.Step | None:
        """The step that comes next; None when the session is closed or all is done."""
        return self.next_step if self.is_open else None

    @property
    def minutes_left(self) -> float:
        return flow.minutes_left(self.stages, self.done) if self.is_open else 0

    @property
    def last_moment(self) -> datetime:
        """When the newest answer or segment was stored: where the stage that runs now began.

        It follows from what is stored, so every tab and device computes the same moment.
        """
        return max(filter(None, self._moments()))

    @property
    def last_seen(self) -> datetime:
        """The newest sign of life. METADATA knows of stages; what is stored inside one, its record knows."""
        records = [self.content, *self.assessments.values(), *self.interventions.values()]
        updated = [record.metadata.updated_at for record in records if record is not None]
        return max(filter(None, [self.last_moment, self.session.metadata.updated_at, *updated]))

    @property
    def has_pages_on_a_device(self) -> bool:
        """Whether a device took the pages to come, so that a student can go on without a network.

        A tablet that was taken back afterwards does not count.
        """
        cached_at: datetime | None = self.session.pages_cached_at
        if cached_at is None:
            return False
        taken_back = any(browser.ended_at and browser.ended_at >= cached_at for browser in self.browsers)
        return not taken_back or any(browser.ended_at is None for browser in self.browsers)

    def may_be_offline(self, now: datetime) -> bool:
        """Nothing was heard for a while, and the student may be going on without a network."""
        return self.is_open and self.has_pages_on_a_device and now - self.last_seen > SILENT_AFTER

    @property
    def last_given(self) -> datetime:
        """When the participant last gave anything; what waited on a device counts from when it was given."""
        return max(self._moments_of_giving())

    def was_left(self, now: datetime | None) -> bool:
        """Whether nothing was given for so long that somebody had gone away, up to `now` if that is asked.

        What waited on a device counts from when it was given.
        """
        given = sorted({*self._moments_of_giving(), *([now] if now else [])})
        return any(seconds_between(a, b) > RESUMED_AFTER_SECONDS for a, b in pairwise(given))

    def _moments_of_giving(self) -> Iterable[datetime]:
        def given(stored: datetime | None, held: float | None) -> Iterable[datetime]:
            if stored:
                yield stored - timedelta(seconds=held or 0)

        yield self.session.start
        for assessment in self.assessments.values():
            for item in assessment.questions:
                yield from given(item.answered_at, item.held_seconds)
        if self.content:
            yield from given(self.content.metadata.created_at, self.content.metadata.held_seconds)
            for tracking in self.content.segment_tracking:
                yield from given(tracking.end_time or tracking.start_time, tracking.held_seconds)
        for intervention in self.interventions.values():
            for told in (q.answer_metadata for q in intervention.questions if q.answer_metadata):
                yield from given(told.timestamp, told.held_seconds)
        if self.survey:
            yield from given(self.survey.survey_metadata.timestamp, self.survey.survey_metadata.held_seconds)

    def _moments(self) -> Iterable[datetime | None]:
        """Other clients leave some of them out."""
        yield self.session.start
        for assessment in self.assessments.values():
            yield from (item.answered_at for item in assessment.questions)
        for tracking in self.content.segment_tracking if self.content else ():
            yield tracking.end_time or tracking.start_time
        if self.content:
            yield self.content.metadata.created_at
        for intervention in self.interventions.values():
            yield from (q.answer_metadata.timestamp for q in intervention.questions if q.answer_metadata)
        if self.survey:
            yield self.survey.survey_metadata.timestamp

    def stored_at(self, step: flow.Step) -> datetime | None:
        """When what was given at this step was stored; None for a step that is not done."""
        if self.done.get(step.stage.name, 0) < step.number:
            return None
        name, segment = step.stage.name, int(step.stage.segment or 0)
        at: Any = None
        match step.stage.kind:
            case "baseline" | "final":
                # other clients may keep fewer items than were answered
                items = self.assessments[name].questions[step.number - 1 : step.number]
                at = items[0].answered_at if items else None
            case "format" if self.content:
                at = self.content.metadata.created_at
            case "segment" if self.content:
                at = next(t.end_time for t in self.content.segment_tracking if t.segment_id == segment)
            case "questions":
                given = self.interventions[segment].questions[step.number - 1].answer_metadata
                at = given and given.timestamp
            case "survey" if self.survey:
                at = self.survey.survey_metadata.timestamp
        return at or self.last_moment  # other clients of the table may leave an item without its time

    def stage_start(self, stage: str) -> datetime:
        """When a stage began: its record's start if it has one, else now-latest stored moment."""
        record = self.assessments.get(stage)
        return (record and record.assessment_metadata.timestamp) or self.last_moment

    def step_of(self, stage: str, number: int = 1) -> flow.Step:
        """Raises OutOfStep for a stage that this session's plan has not."""
        found = next((known for known in self.stages if known.name == stage), None)
        if found is None:
            raise OutOfStep(self.step)
        return flow.Step(found, number)

    def expect(self, stage: str, number: int) -> None:
        """Raises SessionClosed or OutOfStep unless this is the step that comes next."""
        if not self.is_open:
            raise SessionClosed(str(self.session.state))
        step = self.step
        if step is None or (step.stage.name, step.number) != (stage, number):
            raise OutOfStep(step)

    def ending(self, end: datetime) -> dict[str, Any]:
        """The timeline of a session that ended then, for `stage_done`."""
        played = (self.content.engagement_metrics.total_play_time_seconds or 0) if self.content else 0
        asked: list[float] = [
            record.intervention_summary.total_duration_seconds or 0
            for record in self.interventions.values()
            if record.intervention_summary
        ]
        return {
            "timeline__session_end": end,
            "timeline__total_duration_seconds": seconds_between(self.session.start, end),
            "timeline__content_duration_seconds": played,
            "timeline__intervention_duration_seconds": sum(asked),
        }

    def writing(self) -> Transaction:
        """A transaction that holds only while the student's consent is in force."""
        transaction = Transaction()
        transaction.check(
            "consent",
            Student,
            keys.student(self.session.student_id),
            keys.PROFILE,
            Student.consent_in_force(),
        )
        return transaction

    def stage_done(self, *, now: datetime, flags: Iterable[str] = (), **facts: Any) -> list[Action]:
        """The update of METADATA; `facts` are dotted paths with `__` for dots, and None removes a value.

        The local copy is changed alike, so that the run can go on without being read again.
        """
        session = self.session
        known = list(session.metadata.data_quality_flags)
        flags = list(flags)
        if self.was_left(None if "late_sync" in flags else now):
            flags.append("resumed")
        session.metadata.data_quality_flags = known + [f for f in dict.fromkeys(flags) if f not in known]
        session.metadata.updated_at = now
        session.metadata.version = (session.metadata.version or 0) + 1
        actions: list[Action] = [Session.metadata.set(session.metadata)]
        for path, value in facts.items():
            actions.append(_assign(session, path.split("__"), value))
        return actions

    def unchanged_session(self) -> Any:
        """Condition: METADATA is still as it was read. To be taken before `stage_done`."""
        completed: Any = Session.completion_status.completed
        open_still = completed.does_not_exist() | (completed == False)  # noqa: E712
        return same_version(Session.metadata.version, self.session.metadata.version) & open_still


def _assign(session: Session, path: list[str], value: Any) -> Action:
    target: Any = session
    attribute: Any = Session
    for name in path[:-1]:
        target, attribute = getattr(target, name), getattr(attribute, name)
    setattr(target, path[-1], value)
    last = getattr(attribute, path[-1])
    action: Action = last.remove() if value is None else last.set(value)
    return action


def count_is(attribute: Any, count: int) -> Any:
    """The condition that a stored list still has so many elements."""
    return size(attribute) == count  # type: ignore[no-untyped-call]  # PynamoDB leaves it unannotated


def commit(transaction: Transaction) -> None:
    """Raises ConsentNotInForce, or Refused for any other condition."""
    try:
        transaction.commit()
    except Refused as refused:
        if "consent" in refused.names:
            raise ConsentNotInForce("consent is not active; nothing was saved") from None
        raise


def clean_answer(text: str) -> str:
    """An answer as it is stored. Raises BadAnswer for nothing and for too much."""
    text = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if not text:
        raise BadAnswer("answer", "Please write something first, even a short thought.")
    if len(text) > MAX_ANSWER_LENGTH:
        raise BadAnswer("answer", f"This is too long: at most {MAX_ANSWER_LENGTH:,} characters fit.")
    return text


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds, never negative: clocks of two servers may differ a little."""
    return max(0, round((end - start).total_seconds()))


def timing_flags(seconds: float) -> list[str]:
    return ["long_pause"] if seconds > LONG_PAUSE_SECONDS else []


def keep_conflict(
    run: Run,
    *,
    step: flow.Step,
    question: str,
    submission_id: str,
    text: str,
    now: datetime,
    **details: Any,
) -> None:
    """Store a text that does not count, for staff; the same one sent again changes nothing.

    Its key has the time of the answer that counts, or else that of the session's end: the same text, sent
    many times at once, is one item. `details` are further attributes of the item.
    """
    this = (submission_id, question, text)
    if any((known.submission_id, known.question, known.text) == this for known in run.conflicts):
        return
    digest = hashlib.sha256("\n".join(this).encode()).hexdigest()[:32]
    conflict = AnswerConflict(
        PK=keys.session(run.id),
        SK=keys.conflict(run.stored_at(step) or run.session.timeline.session_end or now, digest),
        session_id=run.id,
        stage=step.stage.name,
        question=question,
        submission_id=submission_id,
        text=text,
        at=now,
        **details,
    )
    transaction = run.writing()
    transaction.create("conflict", conflict)
    with suppress(Refused):  # it was kept a moment ago by another request
        commit(transaction)
    run.conflicts.append(conflict)
