"""Simulated students: a cohort goes through the same calls as real ones, each at a time of its own.

Everything follows from the seed and the student's place in the cohort: ids, persona, answers and how long
they take. Run again, a cohort finds itself in the table and writes nothing more; one that was broken off
goes on where it stood. Profiles and sessions carry `simulated`.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from random import Random
from typing import Any

from .. import flow
from ..audit.log import Actor
from ..consent.agreement import Ages, Agreement, forms_needed
from ..content.package import Location, Package
from ..grading import automated as automated_scoring
from ..models import GradingTask, Student
from ..participants import enrolment
from ..session import assessment, content_delivery, dialogue
from ..session import location_check as places
from ..session import start as session_start
from ..session import survey as session_survey
from ..session.record import Run
from ..store import keys
from ..tutor import Tutor
from . import persona as mind

AGES = Ages(least=14, most=18)
FIRST_START = time(13, 0)  # local: sessions begin on school days, after noon
LAST_START = time(15, 30)
SHARE_VOUCHED_FOR = 0.03  # of the places with a geofence: the position could not be had
GRADING_DELAY = timedelta(seconds=30)
GRADING_TRIES = 3


class BadCohort(ValueError):
    """A cohort that cannot be: the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """`size` students over the school days of the last `days` days; `condition` sets it for all of them.

    `now` is the real one: every session ends before it. `label` stands where the facilitator's name would.
    """

    size: int
    seed: int
    package: Package
    tutor: Tutor
    now: datetime
    zone: tzinfo
    days: int = 28
    condition: keys.Condition | None = None
    label: str = "simulation"
    afternoons: tuple[date, ...] = field(init=False)

    def __post_init__(self) -> None:
        if self.size < 1:
            raise BadCohort(f"a cohort has at least 1 student, not {self.size}")
        if self.days < 1:
            raise BadCohort(f"a cohort takes at least 1 day, not {self.days}")
        today = self.now.astimezone(self.zone).date()
        past = [today - timedelta(days=back) for back in range(self.days, 0, -1)]
        school_days = tuple(day for day in past if day.weekday() < 5)
        object.__setattr__(self, "afternoons", school_days or tuple(past))

    @property
    def actor(self) -> Actor:
        return Actor(self.label, "system")

    def chance(self, index: int, what: str) -> Random:
        """The chance of one student in one matter, whatever came before."""
        return Random(f"{self.seed}/{index}/{what}")  # noqa: S311 - has to be repeatable, and guards nothing

    def id(self, index: int, what: str) -> str:
        return str(uuid.UUID(int=self.chance(index, what).getrandbits(128), version=4))

    def persona(self, index: int) -> mind.Persona:
        return mind.drawn(self.chance(index, "persona"))

    def wanted(self, index: int) -> keys.Condition:
        """All conditions in turn."""
        return self.condition or keys.CONDITIONS[index % len(keys.CONDITIONS)]

    def begins(self, index: int) -> datetime:
        """The afternoons in order, a time of day by chance."""
        day = self.afternoons[index * len(self.afternoons) // self.size]
        earliest = datetime.combine(day, FIRST_START, self.zone)
        room = datetime.combine(day, LAST_START, self.zone) - earliest
        seconds = self.chance(index, "begin").uniform(0, room.total_seconds())
        return (earliest + timedelta(seconds=round(seconds))).astimezone(self.now.tzinfo)


class Clock:
    """A time of its own, in whole seconds."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def after(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=round(seconds))
        return self.now


def admit(cohort: Cohort, index: int) -> Run:
    """Enrol student `index` (from 0) and start the session. In order, as the draw depends on those before."""
    begins = cohort.begins(index)
    student = _enrolled(cohort, index, begins)
    wanted = cohort.wanted(index)
    place = cohort.package.location(wanted.location)

    def choose(drawn_from: Sequence[keys.Condition]) -> keys.Condition:
        """The one whose turn it is, where the balance of the table allows it."""
        return wanted if wanted in drawn_from else cohort.chance(index, "draw").choice(drawn_from)

    override = session_start.Override(condition=wanted, reason="simulation")
    return session_start.start(
        session_id=cohort.id(index, "session"),
        student_id=student.student_id,
        location=place,
        verified=verified(place, cohort.chance(index, "place"), now=begins, by=cohort.label),
        package=cohort.package,
        by=cohort.actor,
        choose=choose,
        now=begins,
        override=override if cohort.condition else None,
    )


def _enrolled(cohort: Cohort, index: int, begins: datetime) -> Student:
    persona, chance = cohort.persona(index), cohort.chance(index, "enrol")
    agreements = [
        Agreement(
            kind=kind,
            sha256=cohort.package.form(kind).sha256,
            relation=persona.relation if kind == "parental_permission" else "self",
            method="paper_seen" if persona.on_paper and kind == "parental_permission" else "on_screen",
            agrees=True,
        )
        for kind in forms_needed(persona.age)
    ]
    return enrolment.enrol(
        student_id=cohort.id(index, "student"),
        demographics=persona.demographics,
        learning_profile=persona.learning_profile,
        agreements=agreements,
        data_sharing=persona.data_sharing,
        forms=cohort.package.forms,
        ages=AGES,
        source=chance,
        by=cohort.actor,
        now=begins - timedelta(days=chance.randint(1, 10), minutes=chance.randint(0, 90)),
        realm="simulated",
    )


def verified(place: Location, chance: Random, *, now: datetime, by: str) -> session_start.Verified:
    """Made sure of as for real: a position in the fence, the code on the wall, or the student's word."""
    token = places.token_hash(f"{chance.getrandbits(128):x}")
    if place.method == "honor_system":
        return session_start.Verified(method="honor_system", confidence="medium", token_sha256=token)
    if place.method == "QR_code":
        secret = f"{chance.getrandbits(128):x}"
        code = places.place_code(place.key, secret=secret, now=now - timedelta(hours=chance.randint(1, 5)))
        places.check_place_code(code, location=place.key, secret=secret, now=now)
        return session_start.Verified(method="QR_code", confidence="high", token_sha256=token)
    if chance.random() < SHARE_VOUCHED_FOR:
        return session_start.Verified(
            method="manual",
            confidence="low",
            token_sha256=token,
            override_reason="the tablet found no position",
            attested_by=by,
        )
    return session_start.Verified(
        method="GPS", confidence=(fix := _fix(place, chance)).confidence, gps=fix.gps_data, token_sha256=token
    )


def _fix(place: Location, chance: Random) -> places.Fix:
    """A position inside the fence, as exact as a tablet outdoors."""
    fence = places.Fence(
        float(place.latitude or 0), float(place.longitude or 0), float(place.radius_meters or 0)
    )
    away = 0.8 * fence.radius_meters * math.sqrt(chance.random())
    bearing = chance.uniform(0, 2 * math.pi)
    degree = math.radians(1) * places.EARTH_RADIUS_METERS  # metres of one degree of latitude
    return places.fix(
        latitude=fence.latitude + away * math.cos(bearing) / degree,
        longitude=fence.longitude
        + away * math.sin(bearing) / (degree * math.cos(math.radians(fence.latitude))),
        accuracy=round(chance.lognormvariate(2.2, 0.5), 1),
        fence=fence,
    )


def walk(cohort: Cohort, index: int, run: Run) -> Run:
    """Take every step that is left, or stop early where the persona does; then score what waits for it."""
    persona, clock = cohort.persona(index), Clock(run.last_moment)
    while (step := run.step) is not None:
        if persona.quits_after is not None and _steps_done(run) >= persona.quits_after:
            run = session_survey.stop(
                run, by=cohort.actor, now=clock.after(45), reason="the student had to leave"
            )
            break
        run = Walk(cohort, index, persona, clock, cohort.chance(index, step.slug)).take(run, step)
    for task in waiting(run):
        _graded(task, cohort, clock.now + GRADING_DELAY)
    return run


def _steps_done(run: Run) -> int:
    return sum(run.done.values())


def waiting(run: Run) -> Iterator[GradingTask]:
    """The session's tasks on the queue, as they were put there: no need to read the queue for them."""
    for kind, record in run.assessments.items():
        if len(record.questions) == flow.ITEMS and not record.is_graded:
            yield assessment.grading_task(run.id, kind, record.questions[-1].answered_at)
    for segment_id, asked in run.interventions.items():
        rated: Any = asked.grading
        if asked.is_whole and rated is None:
            answered = asked.questions[-1].answer_metadata.timestamp
            yield assessment.grading_task(run.id, f"questions-{segment_id}", answered)


def _graded(task: GradingTask, cohort: Cohort, now: datetime) -> bool:
    """Tried again when another worker changed the record meanwhile; in the end it stays on the queue."""
    return any(
        automated_scoring.work(task, package=cohort.package, tutor=cohort.tutor, now=now)
        for _ in range(GRADING_TRIES)
    )


@dataclass(frozen=True, slots=True)
class Walk:
    """One step of one student; its chance depends on nothing but cohort, student and step."""

    cohort: Cohort
    index: int
    persona: mind.Persona
    clock: Clock
    chance: Random

    def take(self, run: Run, step: flow.Step) -> Run:
        match step.stage.kind:
            case "baseline" | "final":
                return self._item(run, step)
            case "format":
                return self._format(run)
            case "segment":
                return self._segment(run, step)
            case "questions":
                return self._question(run, step)
            case _:
                return self._survey(run)

    @property
    def _submission(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def _item(self, run: Run, step: flow.Step) -> Run:
        item = self.cohort.package.assessment[step.number - 1]
        after = step.stage.name == "final"
        text = mind.answer(
            item,
            self.persona,
            gained=mind.learned(self.persona, run.session.condition) if after else 0,
            known=self.cohort.chance(self.index, item.question_id),
            chance=self.chance,
        )
        shown = self.clock.after(self.chance.uniform(8, 40)) if step.number == 1 else None
        chosen = item.question_type == "multiple_choice"
        return assessment.answer_item(
            run,
            kind=step.stage.name,
            number=step.number,
            answer=text,
            submission_id=self._submission,
            package=self.cohort.package,
            now=self.clock.after(mind.seconds(text, self.persona, self.chance, chosen=chosen)),
            shown_at=shown,
        )

    def _format(self, run: Run) -> Run:
        return content_delivery.choose_format(
            run,
            format_chosen=self.persona.format,
            speed=self.persona.speed,
            captions=self.persona.captions,
            package=self.cohort.package,
            now=self.clock.after(self.chance.uniform(6, 25)),
        )

    def _segment(self, run: Run, step: flow.Step) -> Run:
        """One report on the way, the first question prepared meanwhile, and the end."""
        package, tutor = self.cohort.package, self.cohort.tutor
        segment = package.segment(int(step.stage.segment or 0))
        heard = mind.listen(segment, self.persona, self.chance)
        part = round(heard.played * self.chance.uniform(0.3, 0.7), 1)
        first_part = math.ceil(part / self.persona.speed)
        on_the_way = content_delivery.Report(position=part, played=part)
        run = content_delivery.record_progress(
            run,
            segment_id=segment.segment_id,
            report=on_the_way,
            package=package,
            now=self.clock.after(first_part),
        )
        run = dialogue.prepare(
            run, segment_id=segment.segment_id, package=package, tutor=tutor, now=self.clock.now
        )
        at_the_end = content_delivery.Report(
            position=heard.played, played=heard.played, pauses=heard.pauses, rewinds=heard.rewinds
        )
        now = self.clock.after(heard.elapsed - first_part)
        return content_delivery.finish_segment(
            run, segment_id=segment.segment_id, report=at_the_end, package=package, now=now
        )

    def _question(self, run: Run, step: flow.Step) -> Run:
        package, tutor = self.cohort.package, self.cohort.tutor
        segment = package.segment(int(step.stage.segment or 0))
        place: dict[str, Any] = {"segment_id": segment.segment_id, "number": step.number}
        run = dialogue.question(run, **place, package=package, tutor=tutor, clock=lambda: self.clock.after(1))
        text = mind.reply(segment, self.persona, run.session.condition, self.chance)
        return dialogue.answer_question(
            run,
            **place,
            answer=text,
            submission_id=self._submission,
            package=package,
            now=self.clock.after(mind.seconds(text, self.persona, self.chance, chosen=False)),
        )

    def _survey(self, run: Run) -> Run:
        shown = self.clock.after(self.chance.uniform(4, 12))
        return session_survey.submit_survey(
            run,
            answers=mind.survey(self.cohort.package, self.persona, run.session.condition, self.chance),
            submission_id=self._submission,
            package=self.cohort.package,
            now=self.clock.after(self.chance.uniform(60, 200) * self.persona.pace),
            shown_at=shown,
        )
