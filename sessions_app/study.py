"""The study as this installation runs it: what the settings say, made once and handed to the domain."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

from django.conf import settings

from .domain import content
from .domain.onboarding import Ages
from .domain.tutor import DEFAULT_PRICES, Tutor
from .domain.tutor.scripted import ScriptedTutor

chance = random.SystemRandom()


@cache
def package() -> content.Package:
    return content.load(settings.CONTENT_PACKAGE)


@cache
def tutor() -> Tutor:
    """The model where a key is set, otherwise the scripted tutor, which says what it is."""
    if not settings.ANTHROPIC_API_KEY:
        return ScriptedTutor()
    from .domain.tutor import anthropic

    return anthropic.AnthropicTutor.build(
        api_key=settings.ANTHROPIC_API_KEY,
        question_model=settings.TUTOR_MODEL,
        grader_model=settings.GRADER_MODEL,
        prices=DEFAULT_PRICES,
    )


def ages() -> Ages:
    if settings.ALLOW_OUTSIDE_AGES:
        return Ages(least=5, most=120)
    return Ages(least=settings.MINIMUM_AGE, most=settings.MAXIMUM_AGE)


def now() -> datetime:
    """UTC, to the second: what is stored is no finer."""
    return datetime.now(UTC).replace(microsecond=0)


def zone() -> ZoneInfo:
    """The zone in which staff see times."""
    return ZoneInfo(settings.STUDY_TIME_ZONE)
