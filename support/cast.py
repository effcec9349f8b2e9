"""The people of the journeys, and the store when it is away."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from botocore.exceptions import EndpointConnectionError
from django.contrib.auth.models import Group, User
from django.test import Client

from sessions_app import study
from sessions_app.access import accounts
from sessions_app.access.roles import SITE_PREFIX
from sessions_app.domain import flow, models
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.consent.agreement import Agreement, forms_needed
from sessions_app.domain.models import Session, Student
from sessions_app.domain.participants import enrolment
from sessions_app.domain.session import assessment, content_delivery, dialogue
from sessions_app.domain.session import start as session_start
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from support.bot import Bot, Page

SCHOOLS = ("Riverside High", "Fall Line High School")
"""Of the students of these tests and of the domain's: the facilitator belongs to them."""
VERIFIED = session_start.Verified(method="honor_system", confidence="medium")


def belong(user: User, *schools: str) -> None:
    """Without a word in the audit log, which many tests count."""
    for school in schools:
        group, _ = Group.objects.get_or_create(name=f"{SITE_PREFIX}{keys.school_id(school)}")
        user.groups.add(group)


def signed_in(role: str, **headers: str) -> Client:
    user, _ = accounts.ensure_account(username=f"a-{role}", role=role, password=accounts.new_password())
    if role == "facilitator":
        belong(user, *SCHOOLS)
    client = Client(headers=headers)
    client.force_login(user)
    return client


def enrolled(*, age: int = 16, school: str = "Riverside High") -> Student:
    """A student with consent in force."""
    package = study.package()
    agreements = [
        Agreement(
            kind=kind,
            sha256=package.form(kind).sha256,
            relation="mother" if kind == "parental_permission" else "self",
            method="on_screen",
            agrees=True,
        )
        for kind in forms_needed(age)
    ]
    return enrolment.enrol(
        student_id=str(uuid.uuid4()),
        demographics={"age": age, "grade_level": 10, "school": school, "richmond_resident": True},
        learning_profile={
            "depth_preference": "moderate",
            "learning_style": "visual",
            "prior_knowledge_topics": [],
        },
        agreements=agreements,
        data_sharing=True,
        forms=package.forms,
        ages=study.ages(),
        source=random.Random(),
        by=Actor("a-facilitator", "facilitator"),
        now=study.now(),
    )


def started(code: str = "L4-I3-S", *, student: Student | None = None, at: datetime | None = None) -> Run:
    """A session of this condition that has just begun."""
    condition = keys.Condition.from_code(code)
    return session_start.start(
        session_id=str(uuid.uuid4()),
        student_id=(student or enrolled()).student_id,
        location=study.package().location(condition.location),
        verified=VERIFIED,
        package=study.package(),
        by=Actor("a-admin", "admin"),
        choose=random.choice,
        now=at or study.now(),
        override=session_start.Override(condition=condition, reason="test"),
    )


def brought_to(run: Run, step: str) -> Run:
    """The same session standing at `step` (as in `baseline/3`), what comes before it answered."""
    while run.step is not None and run.step.slug != step:
        run = _answered(run, run.step)
    assert run.step is not None, f"the session never comes to {step}"
    return Run.load(run.id)


def _answered(run: Run, step: flow.Step) -> Run:
    package, now, sending = study.package(), study.now(), str(uuid.uuid4())
    segment = step.stage.segment or 0
    match step.stage.kind:
        case "baseline" | "final":
            item = package.assessment[step.number - 1]
            answer = item.correct_answer or "The river moved the wheels."
            return assessment.answer_item(
                run,
                kind=step.stage.name,
                number=step.number,
                answer=answer,
                submission_id=sending,
                package=package,
                now=now,
            )
        case "format":
            return content_delivery.choose_format(
                run, format_chosen="text", speed=1.0, captions=False, package=package, now=now
            )
        case "segment":
            report = content_delivery.Report(position=150, played=150)
            return content_delivery.finish_segment(
                run, segment_id=segment, report=report, package=package, now=now
            )
        case "questions":
            dialogue.question(
                run,
                segment_id=segment,
                number=step.number,
                package=package,
                tutor=study.tutor(),
                clock=study.now,
            )
            return dialogue.answer_question(
                run,
                segment_id=segment,
                number=step.number,
                answer="I saw the river.",
                submission_id=sending,
                package=package,
                now=now,
            )
    raise AssertionError(f"nobody answers {step.slug}")


def at(run: Run) -> str:
    """The session's address."""
    return f"/run/{run.id}/"


def advance(bot: Bot, run: Run, step: str) -> Page:
    """The page of this step, what comes before it answered."""
    brought_to(run, step)
    return bot.open(f"{at(run)}{step}/")


def withdraw(student_id: str) -> None:
    """As the table looks after a withdrawal of consent."""
    withdrawn: Any = Student.consent_data
    Student.by_id(student_id).update(actions=[withdrawn.withdrawn_at.set(study.now())])


def close(run: Run) -> None:
    session_survey.stop(
        Run.load(run.id),
        by=Actor("a-facilitator", "facilitator"),
        now=study.now(),
        reason="the bell rang",
    )


def items_of(dynamodb: Any, table: str, session_id: str) -> list[dict[str, Any]]:
    """The session's items as DynamoDB's own JSON, past the models."""
    answer = dynamodb.query(
        TableName=table,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": keys.session(session_id)}},
    )
    items: list[dict[str, Any]] = answer["Items"]
    return items


def session_of(run: Run) -> Session:
    return Run.load(run.id).session


@contextmanager
def store_away(*operations: str) -> Iterator[None]:
    """Nothing that the models send arrives, or none of these operations does."""
    events = models.connection().client.meta.events

    def refuse(model: Any, **_: Any) -> None:
        if not operations or model.name in operations:
            raise EndpointConnectionError(endpoint_url="http://the.store.is.away")

    events.register("before-call.dynamodb", refuse)
    try:
        yield
    finally:
        events.unregister("before-call.dynamodb", refuse)
