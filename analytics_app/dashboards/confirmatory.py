"""The participants of the confirmatory analysis, read from the table once and kept while nothing changes.

One a student: the condition allocated first, and of its attempts the one that got furthest. The statistics
hold scores of completed sessions only; whoever dropped out has a baseline too, so sessions are read whole.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sessions_app.domain import allocation, scores
from sessions_app.domain.content.package import AnalysisPlan
from sessions_app.domain.models import AllocationEntry, DirectoryEntry, Item, Session, readable
from sessions_app.domain.models.session import STAGES
from sessions_app.domain.realms import REALMS
from sessions_app.domain.session.record import Run, SessionNotFound
from sessions_app.domain.store import keys

from ..inference import planned, redraw
from ..inference.planned import Participant
from . import session_scores
from .analysis import Kept, TooMany

MAX_PARTICIPANTS = 5_000


@dataclass(frozen=True, slots=True)
class Study:
    """The participants, with what happened before the allocation and beside it."""

    people: tuple[Participant, ...]
    draws: tuple[redraw.Draw, ...]
    enrolled: int
    consented: int
    refused: int
    void: int
    unreadable: int


def read(realm: str) -> Study:
    """Raises TooMany."""
    found, void = _sessions(realm)
    chosen = [_furthest(sessions) for sessions in found.values()]
    if len(chosen) > MAX_PARTICIPANTS:
        raise TooMany(
            f"There are {len(chosen):,} participants; this page reads at most {MAX_PARTICIPANTS:,}."
        )
    listed = [entry for entry in readable(DirectoryEntry.all(), DirectoryEntry) if entry.realm_read == realm]
    states = Counter(str(entry.consent_state) for entry in listed)
    key = (realm, void, tuple(sorted(states.items())), _version(chosen))
    if (known := _studies.get(key)) is None:
        known = _study(realm, chosen, void, states)
        _studies.put(key, known)
    return known


def results(plan: AnalysisPlan, study: Study) -> planned.Results:
    """Kept by what they are made of."""
    key = (plan.sha256, hash((study.people, study.draws)))
    if (known := _results.get(key)) is None:
        known = planned.results(plan, study.people, study.draws)
        _results.put(key, known)
    return known


def _sessions(realm: str) -> tuple[dict[str, list[Session]], int]:
    """By student, oldest first, and how many void ones were left out."""
    found: dict[str, list[Session]] = {}
    void = 0
    for condition in keys.CONDITIONS:
        for session in readable(Session.of_condition(condition), Session):
            if session.realm != realm:
                continue
            if session.is_void:
                void += 1
            else:
                found.setdefault(session.student_id, []).append(session)
    for sessions in found.values():
        sessions.sort(key=lambda session: (session.start, session.session_id))
    return dict(sorted(found.items(), key=lambda entry: entry[1][0].start)), void


def _furthest(sessions: list[Session]) -> Session:
    """Of the attempts in the condition allocated first; of equal ones the earliest."""
    attempts = [session for session in sessions if session.condition == sessions[0].condition]
    return max(attempts, key=lambda session: STAGES.index(session.stage))


def _version(chosen: Iterable[Session]) -> str:
    sessions = list(chosen)
    counted = session_scores.contributions(sessions)
    state = [
        (one.session_id, one.metadata.version, one.state, getattr(counted.get(one.session_id), "source", ""))
        for one in sessions
    ]
    return hashlib.sha256(repr(state).encode()).hexdigest()


def _study(realm: str, chosen: Iterable[Session], void: int, states: Counter[str]) -> Study:
    people, unreadable = [], 0
    for session in chosen:
        try:
            people.append(_participant(Run.load(session.session_id)))
        except SessionNotFound:
            unreadable += 1
    return Study(
        people=tuple(people),
        draws=tuple(_draws(realm)),
        enrolled=states.total(),
        consented=states["complete"],
        refused=states["refused"],
        void=void,
        unreadable=unreadable,
    )


def _participant(run: Run) -> Participant:
    session, found = run.session, scores.Scores.of(run.assessments)
    about: Any = session.student_metadata
    return Participant(
        student_id=session.student_id,
        session_id=session.session_id,
        condition=session.condition,
        state=_state(session),
        stage=session.stage,
        baseline=scores.percent(found.baseline),
        final=scores.percent(found.final),
        content_percent=run.content.engagement_metrics.completion_percentage if run.content else None,
        flags=frozenset(session.metadata.data_quality_flags or ()),
        school=session.site or "unknown",
        facilitator=session.facilitator or "unknown",
        age=about.age,
        grade=about.grade,
        resident=about.richmond_resident,
    )


def _state(session: Session) -> str:
    done = session.completion_status.completed and session.state != "withdrawn"
    return "completed" if done else session.state or "running"


def _draws(realm: str) -> Iterator[redraw.Draw]:
    """The first entry of each student in the log, location by location, oldest first."""
    for location in keys.LOCATIONS.values():
        seen: set[str] = set()
        for entry in readable(Item.query(keys.allocation(location), consistent_read=True), AllocationEntry):
            student = entry.student_id
            if student is None or student in seen or entry.method == "continued":
                continue
            if _realm_of(entry.stratum) == realm and (draw := _draw(entry, student)):
                seen.add(student)
                yield draw


def _realm_of(stratum: str | None) -> str:
    first = (stratum or "").split("#")[0]
    return first if first in REALMS else "real"


def _draw(entry: AllocationEntry, student: str) -> redraw.Draw | None:
    """None of an entry that names no condition: its student counts as one without a logged draw."""
    try:
        condition = keys.Condition.from_code(entry.condition_code or "")
        could = {keys.Condition.from_code(code).arm for code in entry.candidates or ()}
    except keys.BadKey:
        return None
    drawable = allocation.candidates(location=condition.location, counts=entry.counts or {})
    return redraw.Draw(
        student_id=student,
        condition=condition,
        stratum=entry.stratum or "",
        is_drawn=entry.method == "balanced",
        avoided=frozenset(one.arm for one in drawable if one.arm not in could) if could else frozenset(),
    )


_studies: Kept[Study] = Kept(4)
_results: Kept[planned.Results] = Kept(8)
