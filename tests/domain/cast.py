"""A fixed cast for the domain's tests: the study's package, a participant who walks through a session."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

from sessions_app.domain.audit.log import Actor
from sessions_app.domain.consent.agreement import Ages, Agreement, forms_needed
from sessions_app.domain.content.package import ConsentForm, load
from sessions_app.domain.models import AuditEntry, AuditReason, Item, Session, Spending, Student
from sessions_app.domain.participants import enrolment
from sessions_app.domain.session import assessment, content_delivery, dialogue, offline_timing
from sessions_app.domain.session import start as session_start
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.domain.tutor import Tutor
from sessions_app.domain.tutor.scripted import ScriptedTutor

PACKAGE = load(Path(__file__).parents[2] / "content" / "tredegar-iron-works-v1")
FACILITATOR, ADMIN = Actor("facilitator", "facilitator"), Actor("admin", "admin")
IRB = Actor("irb", "irb")
NOON = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)
AGES = Ages(least=14, most=18)
GPS = {
    "latitude": 37.5356,
    "longitude": -77.4453,
    "accuracy_meters": 8.5,
    "geofence_validated": True,
    "distance_from_target_meters": 4.2,
}
HONOR = session_start.Verified(method="honor_system", confidence="medium")
ANSWER = "The river gave the mills their power because the water falls here."


def new_id() -> str:
    return str(uuid.uuid4())


def with_new_form(kind: str, version: str = "2.0") -> tuple[ConsentForm, ...]:
    """The package's forms, one of them with another text."""
    return tuple(
        form.model_copy(update={"version": version, "text": f"{form.text}\n\nNew in {version}."})
        if form.kind == kind
        else form
        for form in PACKAGE.forms
    )


def agreements(
    age: int, *, agrees: bool = True, forms: tuple[ConsentForm, ...] = PACKAGE.forms
) -> list[Agreement]:
    current = {str(form.kind): form.sha256 for form in forms}
    return [
        Agreement(
            kind=kind,
            sha256=current[kind],
            relation="mother" if kind == "parental_permission" else "self",
            method="on_screen",
            agrees=agrees,
        )
        for kind in forms_needed(age)
    ]


def enrol(age: int = 16, **changes: Any) -> Student:
    told: dict[str, Any] = {
        "student_id": new_id(),
        "demographics": {
            "age": age,
            "grade_level": 10,
            "school": "Fall Line High School",
            "richmond_resident": True,
        },
        "learning_profile": {
            "depth_preference": "moderate",
            "learning_style": "visual",
            "prior_knowledge_topics": ["civil_war"],
        },
        "agreements": agreements(age),
        "data_sharing": True,
        "forms": PACKAGE.forms,
        "ages": AGES,
        "source": random.Random(),
        "by": FACILITATOR,
        "now": NOON - timedelta(days=3),
    }
    return enrolment.enrol(**{**told, **changes})


def verified(location: str) -> session_start.Verified:
    if location in ("on-site", "learning-space"):
        return session_start.Verified(method="GPS", confidence="high", gps=GPS)
    if location == "classroom":
        return session_start.Verified(method="QR_code", confidence="high")
    return HONOR


def start(student: Student, location: str = "home", **changes: Any) -> Run:
    told: dict[str, Any] = {
        "session_id": new_id(),
        "student_id": student.student_id,
        "location": PACKAGE.location(location),
        "verified": verified(location),
        "package": PACKAGE,
        "by": FACILITATOR,
        "choose": random.Random(1).choice,
        "now": NOON,
    }
    return session_start.start(**{**told, **changes})


def start_in(code: str, student: Student | None = None, **changes: Any) -> Run:
    """A session in a given condition, set by hand."""
    condition = keys.Condition.from_code(code)
    override = session_start.Override(condition=condition, reason="a test")
    told: dict[str, Any] = {"by": ADMIN, "override": override, **changes}
    return start(student or enrol(), condition.location, **told)


def start_beside(student: Student, code: str = "L4-I3-S", **changes: Any) -> Run:
    """A session beside the open ones of the student, as other clients can leave them."""
    others = [item for item in Session.of_student(student.student_id) if isinstance(item, Session)]
    others = [session for session in others if session.is_open]
    for session in others:
        session.update(actions=[Session.state.set("abandoned")])
    run = start_in(code, student, **changes)
    for session in others:
        session.update(actions=[Session.state.set("running")])
    return run


@dataclass
class Participant:
    """Holds the run as its last call left it; each call takes `pause` seconds."""

    run: Run
    tutor: Tutor = field(default_factory=ScriptedTutor)
    now: datetime = NOON

    @classmethod
    def in_condition(cls, code: str, **changes: Any) -> Participant:
        return cls(start_in(code, **changes))

    def after(self, seconds: float = 10) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now

    def answer_item(self, kind: str, number: int, answer: str | None = None, **changes: Any) -> Run:
        item = PACKAGE.assessment[(number - 1) % len(PACKAGE.assessment)]
        told = {
            "kind": kind,
            "number": number,
            "answer": answer or item.correct_answer or ANSWER,
            "submission_id": new_id(),
            "package": PACKAGE,
            "now": self.after(),
        }
        self.run = assessment.answer_item(self.run, **{**told, **changes})
        return self.run

    def choose_format(self, **changes: Any) -> Run:
        told = {
            "format_chosen": "audio",
            "speed": 1.0,
            "captions": False,
            "package": PACKAGE,
            "now": self.after(),
        }
        self.run = content_delivery.choose_format(self.run, **{**told, **changes})
        return self.run

    def report(self, segment_id: int, seconds: float = 10, **counted: Any) -> Run:
        self.run = content_delivery.record_progress(
            self.run,
            segment_id=segment_id,
            report=content_delivery.Report(**counted),
            package=PACKAGE,
            now=self.after(seconds),
        )
        return self.run

    def finish_segment(
        self, segment_id: int, seconds: float = 150, held: offline_timing.Held | None = None, **counted: Any
    ) -> Run:
        counted = {"position": 150, "played": 150} | counted
        self.run = content_delivery.finish_segment(
            self.run,
            segment_id=segment_id,
            report=content_delivery.Report(**counted),
            package=PACKAGE,
            now=self.after(seconds),
            held=held,
        )
        return self.run

    def prepare(self, segment_id: int) -> Run:
        self.run = dialogue.prepare(
            self.run, segment_id=segment_id, package=PACKAGE, tutor=self.tutor, now=self.after()
        )
        return self.run

    def question(self, segment_id: int, number: int) -> Run:
        self.run = dialogue.question(
            self.run,
            segment_id=segment_id,
            number=number,
            package=PACKAGE,
            tutor=self.tutor,
            clock=self.after,
        )
        return self.run

    def answer_question(self, segment_id: int, number: int, answer: str = ANSWER, **changes: Any) -> Run:
        told = {
            "segment_id": segment_id,
            "number": number,
            "answer": answer,
            "submission_id": new_id(),
            "package": PACKAGE,
            "now": self.after(),
        }
        self.run = dialogue.answer_question(self.run, **{**told, **changes})
        return self.run

    def survey(self, answers: dict[str, Any] | None = None, **changes: Any) -> Run:
        told = {
            "answers": answers or survey_answers(),
            "submission_id": new_id(),
            "package": PACKAGE,
            "now": self.after(60),
        }
        self.run = session_survey.submit_survey(self.run, **{**told, **changes})
        return self.run

    def take_step(self) -> None:
        step = self.run.step
        assert step is not None
        match step.stage.kind:
            case "baseline" | "final":
                self.answer_item(step.stage.kind, step.number)
            case "format":
                self.choose_format()
            case "segment":
                self.finish_segment(step.stage.segment or 0)
            case "questions":
                self.question(step.stage.segment or 0, step.number)
                self.answer_question(step.stage.segment or 0, step.number)
            case _:
                self.survey()

    def walk_to(self, slug: str) -> Participant:
        """Until the step with this slug comes next."""
        while self.run.step is not None and self.run.step.slug != slug:
            self.take_step()
        assert self.run.step is not None, f"{slug} never came"
        return self

    def walk(self) -> Participant:
        while self.run.step is not None:
            self.take_step()
        return self


def survey_answers() -> dict[str, Any]:
    values = {"rating": 4, "yes_no": True, "choice": "dynamic", "text": "fine"}
    return {group.name: {each.name: values[each.kind] for each in group.fields} for group in PACKAGE.survey}


def reason_of(entry: AuditEntry | dict[str, Any]) -> str:
    """The free text that lies beside an entry of the audit log; an empty text where none was given."""
    stored = entry if isinstance(entry, AuditEntry) else AuditEntry.get(entry["PK"], entry["SK"])
    assert stored.reason is None
    if stored.reason_sha256 is None:
        return ""
    reason = AuditReason.get(*stored.reason_key, consistent_read=True)
    assert reason.digest() == stored.reason_sha256
    return str(reason.reason)


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What `call(0)` to `call(count - 1)` gave or raised, all let go at the same moment."""
    gate = Barrier(count)

    def one(number: int) -> Any:
        gate.wait(timeout=30)
        try:
            return call(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def consent_events(student_id: str) -> list[Any]:
    """Every consent event of a student, oldest first."""
    prefix = Item.SK.startswith(keys.CONSENT_PREFIX)
    return list(Item.query(keys.student(student_id), prefix, consistent_read=True))


def spent_usd(scope: Any, name: str) -> float:
    """What the counter of a student, a session or a day says."""
    try:
        counter = Spending.get(keys.spending(scope, name), keys.TOTAL, consistent_read=True)
    except Spending.DoesNotExist:
        return 0.0
    return float(counter.microdollars) / 1_000_000
