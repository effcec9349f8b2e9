"""The raw items of one session -> the objects that each row of each table is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sessions_app.domain.models import Item
from sessions_app.domain.models.assessment import TYPES
from sessions_app.domain.models.cleaned import as_read, cleaned
from sessions_app.domain.scores import Scores
from sessions_app.domain.session.record import Run, SessionNotFound
from sessions_app.domain.store.lenient_reading import MISSING

from . import columns as c
from .columns import NUMBER, TEXT, TIME, WHOLE, Map, Objects
from .tables import WIDE


@dataclass(frozen=True, slots=True)
class Calendar:
    """The study's days: its time zone, and the day of its first session, with which week 1 begins."""

    zone: ZoneInfo
    first: date

    def week(self, moment: datetime | None) -> int | None:
        if moment is None:
            return None
        return (moment.astimezone(self.zone).date() - self.first).days // 7 + 1


@dataclass(slots=True)
class Parts:
    """A session as its partition holds it, and its student's profile.

    `run` is the one reading of it: which of several records counts, and what they are worth. The others are
    raw, without what could not be read.
    """

    run: Run
    session: Map
    student: Map = field(default_factory=dict)
    verification: Map | None = None
    content: Map | None = None
    survey: Map | None = None
    interventions: list[Map] = field(default_factory=list)
    assessments: list[tuple[str, Map]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    """Entity and path of what was stored and could not be read."""

    @classmethod
    def of(cls, items: Iterable[Map], student: Map) -> Parts | None:
        """None where the session's own item is not among them."""
        stored = {item["SK"]["S"]: item for item in items}
        typed = [Item.from_raw_data(dict(item)) for item in stored.values()]
        try:
            run = Run.of(typed)
        except SessionNotFound:
            return None

        def raw(item: Item | None) -> Map | None:
            return None if item is None else cleaned(item, stored[str(item.SK)])

        found = cls(run, as_read(run.session), student)
        found.verification, found.content, found.survey = map(
            raw, (run.verification, run.content, run.survey)
        )
        for intervention in sorted(run.interventions.values(), key=lambda item: str(item.SK)):
            found.interventions.append(cleaned(intervention, stored[str(intervention.SK)]))
        for kind in TYPES:
            if kind in run.assessments:
                assessment = run.assessments[kind]
                found.assessments.append((kind, cleaned(assessment, stored[str(assessment.SK)])))
        for item in typed:
            kind = stored[str(item.SK)].get("entity_type", {}).get("S", "")
            found.unreadable += [(kind, path) for path, why in item.faults if why != MISSING]
        return found


def elements(container: Any, name: str) -> list[Map]:
    """The maps in a list, in order; whatever else is in it is left out."""
    typed = c.at(container, (name,)) or {}
    return [each["M"] for each in typed.get("L", ()) if "M" in each]


def questions_of(intervention: Map) -> list[Map]:
    return elements(intervention, "socratic_sequence") or elements(intervention, "static_questions")


def base(parts: Parts, calendar: Calendar) -> dict[str, Any]:
    """What every row of the session knows."""
    objects: dict[str, Any] = {
        "session": parts.session,
        "student": parts.student,
        "verification": parts.verification,
        "content": parts.content,
        "survey": parts.survey,
        "interventions": parts.interventions,
        "questions": [question for each in parts.interventions for question in questions_of(each)],
    }
    objects |= dict(parts.assessments)
    objects |= {"run": parts.run, "scores": Scores.of(parts.run.assessments)}
    start = c.value(objects, "session", "timeline.session_start", TIME)
    objects["week"] = calendar.week(start)
    return objects


def rows(parts: Parts, objects: Mapping[str, Any], wanted: frozenset[str]) -> Iterator[tuple[str, Objects]]:
    """The level and the objects of each row; students are the bundle's own affair."""
    for level in sorted({WIDE, "sessions"} & wanted):
        yield level, objects
    for segment in elements(parts.content, "segment_tracking"):
        yield "segments", {**objects, "segment": segment}
    for intervention in parts.interventions:
        asked = questions_of(intervention)
        here = {**objects, "intervention": intervention, "questions": asked}
        yield "interventions", here
        for question in asked:
            yield "questions", {**here, "question": question}
    for kind, assessment in parts.assessments:
        here = {**objects, "assessment": assessment, "record": parts.run.assessments[kind]}
        yield "assessments", here
        for item in elements(assessment, "questions"):
            yield "assessment_items", {**here, "item": item}
    if parts.survey is not None:
        yield "surveys", objects
    if "page_times" in wanted:
        for step in steps(parts):
            yield "page_times", {**objects, "step": step}


# --- when each step was shown and stored


def steps(parts: Parts) -> Iterator[dict[str, Any]]:
    """Every step that is stored, in the order of the session's plan."""
    by_kind = dict(parts.assessments)
    yield from _items("baseline", by_kind.get("baseline"))
    if parts.content is not None:
        yield _step(
            "format", None, 1, parts.content, stored="metadata.created_at", held="metadata.held_seconds"
        )
    yield from _content_and_dialogue(parts)
    yield from _items("final", by_kind.get("final"))
    if parts.survey is not None:
        about = "survey_metadata"
        yield _step(
            "survey",
            None,
            1,
            parts.survey,
            stored=f"{about}.timestamp",
            seconds=f"{about}.duration_seconds",
            held=f"{about}.held_seconds",
        )


def _items(stage: str, assessment: Map | None) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(elements(assessment, "questions"), 1):
        yield _step(
            stage,
            None,
            number,
            item,
            stored="answered_at",
            seconds="response_time_seconds",
            held="held_seconds",
        )


def _content_and_dialogue(parts: Parts) -> Iterator[dict[str, Any]]:
    dialogues: dict[Any, list[Map]] = {}
    for intervention in parts.interventions:
        segment = c.value({"x": intervention}, "x", "intervention_metadata.segment_id", WHOLE)
        dialogues[segment] = questions_of(intervention)
    for tracking in elements(parts.content, "segment_tracking"):
        segment = c.value({"x": tracking}, "x", "segment_id", WHOLE)
        yield _segment(tracking, segment)
        yield from _dialogue(segment, dialogues.pop(segment, []))
    for segment, questions in dialogues.items():
        yield from _dialogue(segment, questions)


def _segment(tracking: Map, segment: int | None) -> dict[str, Any]:
    step = _step("segment", segment, 1, tracking, shown="start_time", stored="end_time", held="held_seconds")
    if step["shown_at"] and step["stored_at"]:
        step["seconds"] = (step["stored_at"] - step["shown_at"]).total_seconds()
    return step


def _dialogue(segment: int | None, questions: Iterable[Map]) -> Iterator[dict[str, Any]]:
    about = "answer_metadata"
    for number, question in enumerate(questions, 1):
        yield _step(
            "questions",
            segment,
            number,
            question,
            shown="timestamp",
            stored=f"{about}.timestamp",
            seconds=f"{about}.response_time_seconds",
            held=f"{about}.held_seconds",
        )


def _step(
    stage: str,
    segment: int | None,
    number: int,
    container: Map,
    *,
    shown: str = "",
    stored: str = "",
    seconds: str = "",
    held: str = "",
) -> dict[str, Any]:
    def told(path: str, kind: str) -> Any:
        return c.value({"x": container}, "x", path, kind) if path else None

    return {
        "stage": stage,
        "segment": segment,
        "number": number,
        "shown_at": told(shown, TIME),
        "stored_at": told(stored, TIME),
        "seconds": told(seconds, NUMBER),
        "held_seconds": told(held, WHOLE),
    }


def text(container: Map, path: str) -> str:
    """A text of an item; empty where there is none."""
    return str(c.value({"x": container}, "x", path, TEXT) or "")
