"""What the models hold: every attribute of every entity, its kind and what it may be. Imports no Django."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pynamodb.attributes import Attribute

from ..domain import models
from ..domain.store.items import Item, ListOf, Map

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
