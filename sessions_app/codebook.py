"""What the data means: every attribute of every item, from the models and their written meanings.

What an attribute is (type, range, required) comes from the models alone, what it means from
docs/data-dictionary.toml alone. `rows` gives both joined, for whatever needs a codebook.
"""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings
from pynamodb.attributes import Attribute

from .domain import location, models, playing, run, scoring
from .domain.models.base import Item, ListOf, Map
from .domain.models.review import SECOND_SHARE
from .domain.tutor import asking

MEANINGS = Path(settings.BASE_DIR) / "docs" / "data-dictionary.toml"

# By class name, the nearest in the class hierarchy first; other attributes are named by how they are stored.
KINDS = {
    "Flag": "true/false",
    "Timestamp": "timestamp",
    "ListOf": "list of maps",
    "TextList": "list of texts",
    "NumberMap": "map of numbers",
    "WholeMap": "map of whole numbers",
    "WholeList": "list of whole numbers",
    "Histograms": "map of maps of whole numbers",
    "CountedSessions": "map of texts",
}
STORED_AS = {"S": "text", "N": "number", "BOOL": "true/false", "M": "map", "L": "list"}


# --- what the models hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An attribute as the models define it. `owner` is the class of the map that holds it, "" for none."""

    path: str
    owner: str
    name: str
    kind: str
    required: bool
    allowed: str
    choices: tuple[str, ...]


def entities() -> dict[str, type[Item]]:
    """Every model of the project by its `entity_type`, also of modules that nothing has imported yet."""
    for module in pkgutil.iter_modules(models.__path__, f"{models.__name__}."):
        importlib.import_module(module.name)
    discriminator: Any = Item.get_attributes()["entity_type"]
    ours = [model for model in _subclasses(Item) if model.__module__.startswith(f"{models.__name__}.")]
    return {str(discriminator.get_discriminator(model)): model for model in ours}


def _subclasses(model: type[Item]) -> Iterator[type[Item]]:
    for child in model.__subclasses__():
        yield child
        yield from _subclasses(child)


def attributes(model: type[Item]) -> list[Found]:
    """Those of an entity, nested ones behind the map they lie in; what every item has is left out."""
    common = Item.get_attributes()
    return [found for found in _walk(model, "", "") if found.path.split(".")[0] not in common]


def item_attributes() -> list[Found]:
    return list(_walk(Item, "", ""))


def _walk(container: Any, prefix: str, owner: str) -> Iterator[Found]:
    for attribute in _in_order(container):
        path = f"{prefix}{attribute.attr_name}"
        yield Found(
            path=path,
            owner=owner,
            name=str(attribute.attr_name),
            kind=_kind(attribute),
            required=not attribute.null,
            allowed=_allowed(attribute),
            choices=getattr(attribute, "choices", None) or (),
        )
        if isinstance(attribute, Map):
            yield from _walk(type(attribute), f"{path}.", type(attribute).__name__)
        elif isinstance(attribute, ListOf):
            element: Any = attribute.element_type
            yield from _walk(element, f"{path}[].", element.__name__)


def _in_order(container: Any) -> list[Attribute[Any]]:
    """As written in the class: PynamoDB itself sorts by name."""
    written = list(chain.from_iterable(vars(base) for base in reversed(container.__mro__)))
    known: dict[str, Attribute[Any]] = container.get_attributes()
    return [known[name] for name in sorted(known, key=written.index)]


def _kind(attribute: Attribute[Any]) -> str:
    if getattr(attribute, "whole", False):
        return "whole number"
    named = (KINDS[base.__name__] for base in type(attribute).__mro__ if base.__name__ in KINDS)
    return next(named, STORED_AS.get(attribute.attr_type, attribute.attr_type))


def _allowed(attribute: Any) -> str:
    if getattr(attribute, "choices", None):
        return ", ".join(f"`{choice}`" for choice in attribute.choices)
    if getattr(attribute, "pattern", None):
        return f"`{attribute.pattern}`"
    if getattr(attribute, "longest", None):
        return f"at most {attribute.longest:,} characters"
    return _range(getattr(attribute, "least", None), getattr(attribute, "most", None))


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f"at most {most:g}"
    return f"at least {least:g}" if most is None else f"{least:g} to {most:g}"


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
    gain = scoring.learning_gain(60, 90)
    told = {
        "complete_percent": playing.COMPLETE_SHARE * 100,
        "tolerance_seconds": playing.TIMING_TOLERANCE_SECONDS,
        "long_pause_seconds": run.LONG_PAUSE_SECONDS,
        "short_answer_characters": run.SHORT_ANSWER_CHARACTERS,
        "most_tries": asking.MOST_TRIES,
        "second_percent": 100 * SECOND_SHARE,
        "poor_accuracy": location.POOR_ACCURACY_METERS,
        "good_accuracy": location.GOOD_ACCURACY_METERS,
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
