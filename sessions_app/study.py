"""The study as this installation runs it: what the settings say, made once and handed to the domain."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core import checks

from .domain import study_settings
from .domain.consent import decisions as consent_decisions
from .domain.consent.agreement import Ages
from .domain.content import package as content_package
from .domain.models import Student
from .domain.tutor import DEFAULT_PRICES, Tutor, budget
from .domain.tutor.circuit_breaker import Breaker
from .domain.tutor.metered import GuardedTutor
from .domain.tutor.scripted import ScriptedTutor

chance = random.SystemRandom()

AUDITED_SETTINGS = (
    "STUDY_TIME_ZONE",
    "MINIMUM_AGE",
    "MAXIMUM_AGE",
    "ALLOW_OUTSIDE_AGES",
    "RETENTION_UNTIL",
    "ALLOCATION_STRATA",
    "ABANDON_AFTER_HOURS",
    "JOIN_HOURS",
    "EXPORT_UNREVIEWED",
    "EXPORT_HOURS",
    "TUTOR_MODEL",
    "GRADER_MODEL",
    "SPEND_CAP_STUDENT",
    "SPEND_CAP_SESSION",
    "SPEND_CAP_DAY",
    "AXES_FAILURE_LIMIT",
    "AXES_COOLOFF_TIME",
    "REQUIRE_MFA",
    "IDLE_MINUTES",
    "IDLE_MINUTES_FACILITATOR",
    "TRUSTED_PROXIES",
)
"""Settings that decide what the study does and who gets in. No key, password or address is among them."""


@cache
def package() -> content_package.Package:
    return content_package.load(settings.CONTENT_PACKAGE)


@cache
def tutor() -> Tutor:
    """The model where a key is set, otherwise the scripted tutor, which says what it is."""
    if not settings.ANTHROPIC_API_KEY:
        return ScriptedTutor()
    from .domain.tutor import anthropic

    claude = anthropic.AnthropicTutor.build(
        api_key=settings.ANTHROPIC_API_KEY,
        question_model=settings.TUTOR_MODEL,
        grader_model=settings.GRADER_MODEL,
        prices=DEFAULT_PRICES,
        user_key=settings.SECRET_KEY.encode(),
        lesson=package().lesson_text,
    )
    return GuardedTutor(
        claude,
        breaker=Breaker(),
        purse=budget.Purse(caps(), now),
        health=budget.ToldHealth(now),
        question_at_most=claude.question_at_most,
        judgement_at_most=claude.judgement_at_most,
    )


def caps() -> budget.Caps:
    return budget.Caps(
        student=settings.SPEND_CAP_STUDENT, session=settings.SPEND_CAP_SESSION, day=settings.SPEND_CAP_DAY
    )


def ages() -> Ages:
    if settings.ALLOW_OUTSIDE_AGES:
        return Ages(least=5, most=120)
    return Ages(least=settings.MINIMUM_AGE, most=settings.MAXIMUM_AGE)


def today() -> date:
    """The day in the study's time zone."""
    return now().astimezone(zone()).date()


def is_expired() -> bool:
    """Whether the day has passed until which the study may keep participants' data."""
    return settings.RETENTION_UNTIL is not None and today() > settings.RETENTION_UNTIL


def check_retention(*, app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    if not is_expired():
        return []
    return [
        checks.Warning(
            f"Participants' data should have been erased by {settings.RETENTION_UNTIL}",
            hint="manage.py erase_student --expired --reason ...",
            id="sessions_app.W001",
        )
    ]


def may_export(student: Student) -> str | None:
    """Why this student's data stay out of exports: `consent.may_export` under this study's setting."""
    unreviewed: bool = settings.EXPORT_UNREVIEWED
    return consent_decisions.may_export(student, unreviewed=unreviewed)


def now() -> datetime:
    """UTC, to the second: what is stored is no finer."""
    return datetime.now(UTC).replace(microsecond=0)


def zone() -> ZoneInfo:
    """The zone in which staff see times."""
    return ZoneInfo(settings.STUDY_TIME_ZONE)


def settings_in_force() -> dict[str, str]:
    """The audited settings, the content package and the consent forms, as the audit log records changes."""
    forms = {
        f"{study_settings.FORM_PREFIX}{form.kind}": f"version {form.version}, SHA-256 {form.sha256}"
        for form in package().forms
    }
    values = {name: str(getattr(settings, name)) for name in AUDITED_SETTINGS}
    content_version = f"{settings.CONTENT_PACKAGE.name}, {package().content_version}"
    tutor_used = "Claude" if settings.ANTHROPIC_API_KEY else "scripted"
    return {**values, **forms, "CONTENT_PACKAGE": content_version, "tutor": tutor_used}
