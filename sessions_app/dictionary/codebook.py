"""What the data means: every attribute of every item, from the models and their written meanings.

What an attribute is (type, range, required) comes from the models alone, what it means from
docs/data-dictionary.toml alone. `rows` gives both joined, for whatever needs a codebook.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings

from ..domain import scores, scoring
from ..domain.models.human_scoring import SECOND_SHARE
from ..domain.session import content_delivery, location_check, offline_timing, record
from ..domain.tutor import ask
from .model_attributes import Found, attributes, entities, item_attributes

MEANINGS = Path(settings.BASE_DIR) / "docs" / "data-dictionary.toml"


# --- what they mean

Meanings = Mapping[str, Any]


def load(path: Path = MEANINGS) -> dict[str, Any]:
    """The written meanings, with the numbers that the code works with in place of $names."""
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    filled: dict[str, Any] = _filled(told, _numbers())
    return filled


def _filled(told: Any, numbers: Mapping[str, str]) -> Any:
    if isinstance(told, str):
        return Template(told).substitute(numbers)
    if isinstance(told, dict):
        return {name: _filled(value, numbers) for name, value in told.items()}
    return [_filled(value, numbers) for value in told] if isinstance(told, list) else told


def _numbers() -> dict[str, str]:
    gain = scores.learning_gain(Fraction(60, 100), Fraction(90, 100))
    told = {
        "complete_percent": content_delivery.COMPLETE_SHARE * 100,
        "tolerance_seconds": content_delivery.TIMING_TOLERANCE_SECONDS,
        "long_pause_seconds": record.LONG_PAUSE_SECONDS,
        "resumed_after_seconds": record.RESUMED_AFTER_SECONDS,
        "late_after_seconds": offline_timing.LATE_AFTER_SECONDS,
        "longest_response_seconds": offline_timing.MAX_RESPONSE_SECONDS,
        "short_answer_characters": record.SHORT_ANSWER_CHARACTERS,
        "most_tries": ask.MAX_TRIES,
        "second_percent": 100 * SECOND_SHARE,
        "poor_accuracy": location_check.POOR_ACCURACY_METERS,
        "good_accuracy": location_check.GOOD_ACCURACY_METERS,
        "gain_absolute": gain["absolute_gain"],
        "gain_relative": gain["relative_gain"],
        "gain_normalized": gain["normalized_gain"],
        "engagement_full": scoring.engagement(played=150, duration=150, elapsed=150),
        "engagement_paused": scoring.engagement(played=150, duration=150, elapsed=180),
        "engagement_half": scoring.engagement(played=75, duration=150, elapsed=75),
        "engagement_slow": scoring.engagement(played=150, duration=150, elapsed=150 / 0.8, speed=0.8),
    }
    return {name: f"{value:g}" for name, value in told.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An attribute with its meaning. `allowed` is Markdown, `unit` may be empty.

    `choices` are the allowed values themselves, where there is a list; `values` says what they stand for.
    """

    entity: str
    path: str
    kind: str
    required: bool
    allowed: str
    choices: tuple[str, ...]
    label: str
    meaning: str
    unit: str
    values: Mapping[str, str]
    addition: bool


def rows(meanings: Meanings, entity: str) -> list[Row]:
    """The attributes of an entity in the order of its model. What has no meaning yet has an empty one."""
    about = meanings["entities"].get(entity, {})
    added: list[str] = []
    joined = []
    for found in attributes(entities()[entity]):
        entry = entry_of(meanings, entity, found)
        inside = any(found.path.startswith((f"{path}.", f"{path}[")) for path in added)
        addition = bool(about.get("addition") or entry.get("addition") or inside)
        if addition:
            added.append(found.path)
        joined.append(_row(entity, found, entry, addition))
    return joined


def item_rows(meanings: Meanings) -> list[Row]:
    return [_row("", found, meanings["item"].get(found.path, {}), False) for found in item_attributes()]


def _row(entity: str, found: Found, entry: Mapping[str, Any], addition: bool) -> Row:
    return Row(
        entity=entity,
        path=found.path,
        kind=found.kind,
        required=found.required,
        allowed=found.allowed,
        choices=found.choices,
        label=entry.get("label", ""),
        meaning=entry.get("meaning", ""),
        unit=entry.get("unit", ""),
        values=entry.get("values", {}),
        addition=addition,
    )


def entry_of(meanings: Meanings, entity: str, found: Found) -> dict[str, Any]:
    return {word: value for place in places_of(entity, found) for word, value in _at(meanings, place).items()}


def places_of(entity: str, found: Found) -> list[tuple[str, ...]]:
    """Where a meaning may be written, the more special the later."""
    own = ("entities", entity, "attributes", found.path)
    return [("shared", found.path), ("maps", found.owner, found.name), own]


def _at(meanings: Meanings, place: Iterable[str]) -> Mapping[str, Any]:
    told: Any = meanings
    for name in place:
        told = told.get(name, {})
    entry: Mapping[str, Any] = told
    return entry
