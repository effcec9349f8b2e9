"""The sessions that run now, each with where it stands, those that need somebody first.

METADATA of today and yesterday tells which sessions run, and at which stage. One query a session, over
the part of its partition that this stage writes, tells its step and its last sign of life. Sessions of other
days are never read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sessions_app.access import field_policy
from sessions_app.domain import flow
from sessions_app.domain.models import (
    AnswerConflict,
    Assessment,
    Browser,
    Call,
    ContentDelivery,
    Intervention,
    Item,
    OpenCall,
    ParticipantLink,
    Session,
)
from sessions_app.domain.session import devices
from sessions_app.domain.session import messages as session_messages
from sessions_app.domain.session.record import SILENT_AFTER, Run
from sessions_app.domain.store import keys
from sessions_app.presenters import session_timeline

LEFT = timedelta(hours=2)
"""Without anything stored for so long, nobody is there any more."""
MAX_SESSIONS = 100
"""Sessions that are read one by one; no study has more at once."""
READERS = 8

# Flags that tell of the present trouble of a session; the others are shown, and call nobody.
PROBLEM_FLAGS = {
    "ai_fallback": "fallback question",
    "long_pause": "long pause",
    "content_not_delivered": "skipped a part",
}


CALLS = {session_messages.HELP: "asks for help", session_messages.OFFICE: "calls the office"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One running session. `number` of `steps`: the step that comes next, 1 to the end of the plan."""

    session: Session
    number: int
    steps: int
    label: str
    on_step: timedelta
    seen: datetime
    flags: tuple[str, ...]
    device: str = ""
    may_be_offline: bool = False
    calls: tuple[Call, ...] = ()
    problems: tuple[str, ...]

    def without_arm(self) -> Row:
        """For readers who must not see the arm, which steps, flags and the tutor's state give away."""
        phase = session_timeline.phases(self.session)
        hidden = {PROBLEM_FLAGS.get(flag) for flag in field_policy.DYNAMIC_FLAGS}
        return replace(
            self,
            number=phase.done + 1,
            steps=phase.total,
            label=phase.stage,
            flags=tuple(flag for flag in self.flags if flag not in field_policy.DYNAMIC_FLAGS),
            problems=tuple(problem for problem in self.problems if problem not in hidden),
        )

    @property
    def tutor(self) -> str:
        """`hidden`, `stood in`, `offline`, `ok`, or nothing where the questions are fixed."""
        if self.session.is_arm_hidden:
            return "hidden"
        if self.session.experimental_condition.intervention_type == "static":
            return ""
        if "ai_fallback" in self.flags:
            return "fallback"
        return "offline" if "offline_tutor" in self.flags else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A safeguarding call that nobody has seen to, of a session in any state and from any day."""

    session: Session
    call: Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """`offline`: silent for long, with pages on a device; `left`: silent for long, without any.

    Alarms are of all realms, the rest of the one that is shown; `elsewhere`: how many run in others.
    `more`: running sessions beyond those that are read one by one; `unreadable`: those of which nothing
    can be told.
    """

    rows: tuple[Row, ...]
    offline: tuple[Row, ...]
    left: tuple[Row, ...]
    more: int
    at: datetime
    alarms: tuple[Alarm, ...] = ()
    elsewhere: tuple[tuple[str, int], ...] = ()
    unreadable: tuple[Session, ...] = ()

    def without_arms(self) -> Board:
        rows, offline, left = (
            tuple(row.without_arm() for row in part) for part in (self.rows, self.offline, self.left)
        )
        return replace(self, rows=rows, offline=offline, left=left)

    @property
    def calling(self) -> int:
        alarmed = {alarm.session.session_id for alarm in self.alarms}
        return len(alarmed | {row.session.session_id for row in self.rows if row.problems})


def board(now: datetime, only: Any = None, realm: str = "real") -> Board:
    """`only`: a condition on sessions, where not all are shown."""
    everywhere = _running(now, only)
    found = [session for session in everywhere if session.realm == realm]
    counts = Counter(session.realm for session in everywhere if session.realm != realm)
    running = [session for session in found if session.is_readable]
    rows = _in_parallel(lambda session: _row(session, now), running[:MAX_SESSIONS])
    silent = [row for row in rows if now - row.seen > LEFT]
    here = sorted((row for row in rows if row not in silent), key=_urgency)
    return Board(
        rows=tuple(here),
        offline=tuple(row for row in silent if row.may_be_offline),
        left=tuple(row for row in silent if not row.may_be_offline),
        more=len(running[MAX_SESSIONS:]),
        at=now,
        alarms=_alarms(only),
        elsewhere=tuple(sorted(counts.items())),
        unreadable=tuple(session for session in found if not session.is_readable),
    )


def _alarms(only: Any) -> tuple[Alarm, ...]:
    """Danger first, then the wish to stop; the oldest on top. One query, and one for each call that waits."""
    found = [_alarm(pointer, only) for pointer in OpenCall.all()]
    alarms = (alarm for alarm in found if alarm is not None)
    return tuple(sorted(alarms, key=lambda alarm: (not alarm.call.is_alarm, alarm.call.at)))


def _alarm(pointer: OpenCall, only: Any) -> Alarm | None:
    partition, sort_key = keys.session(pointer.session_id), Item.SK
    found = Item.query(partition, sort_key == keys.METADATA, filter_condition=only)
    session = next((item for item in found if isinstance(item, Session)), None)
    made = Item.query(partition, sort_key == keys.call(pointer.at, pointer.call_id), consistent_read=True)
    call = next((item for item in made if isinstance(item, Call)), None)
    return Alarm(session=session, call=call) if session is not None and call is not None else None


def _urgency(row: Row) -> Any:
    """Calls first, then problems, the most of them on top; then by code, so that rows keep their place."""
    return not row.calls, -len(row.problems), row.session.student_code or "", row.session.session_id


def _running(now: datetime, among: Any) -> list[Session]:
    """Newest first."""
    only: Any = (Session.state == "running") & (Session.completion_status.completed == False)  # noqa: E712
    only = only if among is None else only & among
    found: list[Session] = []
    for day in (now.date(), now.date() - timedelta(days=1)):
        found += [item for item in Session.on_day(day, filter_condition=only) if isinstance(item, Session)]
    return found


def _in_parallel(work: Callable[[Session], Row | None], sessions: list[Session]) -> list[Row]:
    if not sessions:
        return []
    with ThreadPoolExecutor(min(READERS, len(sessions))) as pool:
        return [row for row in pool.map(work, sessions) if row is not None]


# --- one session


def _row(session: Session, now: datetime) -> Row | None:
    """None for a session whose last stage was stored a moment ago."""
    run = _as_far_as_needed(session)
    stages = flow.plan(session.condition.interval)
    done = _done(session, stages) | {name: count for name, count in run.done.items() if count}
    step = flow.next_step(stages, done)
    if step is None:
        return None
    since = max(filter(None, (run.last_moment, session.metadata.updated_at)))
    seen = run.last_seen
    flags = _flags(run)
    return Row(
        session=session,
        number=sum(min(done.get(stage.name, 0), stage.steps) for stage in stages) + 1,
        steps=sum(stage.steps for stage in stages),
        label=_label(step),
        on_step=now - since,
        seen=seen,
        flags=flags,
        device=_device(run),
        may_be_offline=run.may_be_offline(now),
        calls=_calls(run),
        problems=tuple(_problems(run, flags, now)),
    )


def _as_far_as_needed(session: Session) -> Run:
    """The session with the items that its present stage writes, and the conflicts: one query."""
    low, high = _span(session)
    query: Any = Item.query(keys.session(session.session_id), Item.SK.between(low, keys.after(high)))
    wanted = (Assessment, ContentDelivery, Intervention, AnswerConflict, Browser, ParticipantLink, Call)
    return Run.of([session, *(item for item in query if isinstance(item, wanted))])


def _span(session: Session) -> tuple[str, str]:
    """First and last prefix of sort keys, in order: ASSESSMENT, BROWSER, CONFLICT, INTERVENTION."""
    status = session.completion_status
    asked = len(flow.SCHEDULE[session.condition.interval])
    if not status.baseline_completed:
        return keys.ASSESSMENT_PREFIX, keys.CONFLICT_PREFIX
    if not status.content_completed or (status.interventions_completed or 0) < asked:
        return keys.BROWSER_PREFIX, keys.INTERVENTION_PREFIX
    if not status.final_assessment_completed:
        return keys.assessment_prefix("final"), keys.CONFLICT_PREFIX
    return keys.BROWSER_PREFIX, keys.CONFLICT_PREFIX


def _done(session: Session, stages: tuple[flow.Stage, ...]) -> dict[str, int]:
    """What METADATA knows to be finished, to the stage."""
    status = session.completion_status
    rounds = [stage for stage in stages if stage.kind == "questions"]
    whole = {stage.name for stage in rounds[: int(status.interventions_completed or 0)]}
    if status.baseline_completed:
        whole.add("baseline")
    if status.content_completed:
        whole |= {stage.name for stage in stages if stage.kind in ("format", "segment")}
    if status.final_assessment_completed:
        whole.add("final")
    return {stage.name: stage.steps for stage in stages if stage.name in whole}


def _label(step: flow.Step) -> str:
    stage = step.stage
    if stage.kind == "questions":
        return f"Question {step.number} after part {stage.segment}"
    return f"{stage.staff_label}, item {step.number}" if stage.steps > 1 else stage.staff_label


def _flags(run: Run) -> tuple[str, ...]:
    """Those of the session, and those of an intervention that is not whole yet."""
    flags = list(run.session.metadata.data_quality_flags)
    for record in run.interventions.values():
        flags += record.metadata.data_quality_flags or ()
    return tuple(dict.fromkeys(flags))


def _device(run: Run) -> str:
    """`tablet`, `own`, or nothing while no browser is bound."""
    newest = devices.newest((*run.browsers, *run.links))
    return str(newest.kind) if newest else ""


def _calls(run: Run) -> tuple[Call, ...]:
    """Calls for help that nobody has seen to; safeguarding calls stand above all sessions."""
    return tuple(call for call in run.calls if call.kind in CALLS and call.is_open)


def _problems(run: Run, flags: Iterable[str], now: datetime) -> Iterable[str]:
    yield from (CALLS[call.kind] for call in _calls(run))
    silence = now - run.last_seen
    if silence > SILENT_AFTER:
        yield f"still for {silence // timedelta(minutes=1)} min"
    if any(not conflict.is_after_end for conflict in run.conflicts):
        yield "conflicting answers"
    yield from (words for flag, words in PROBLEM_FLAGS.items() if flag in flags)
