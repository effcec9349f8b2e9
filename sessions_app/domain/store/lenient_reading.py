"""Reading is lenient: what can be understood is taken, the rest is left out and named.

An item that has the form of its model is read in one pass, `read_strictly`, which stops at the first thing
that is odd. Only then is the item read again, attribute by attribute, by `read_leniently`. So other clients'
ways of writing cost our own items nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pynamodb.attributes import Attribute
from pynamodb.constants import MAP, NULL

Stored = Mapping[str, Mapping[str, Any]]
"""Attributes as DynamoDB's own JSON: `{"age": {"N": "16"}}`."""

Remark = tuple[str, str]
"""A dotted path, and a phrase that follows it."""

MISSING = "is missing"
NAIVE = "has no time zone and is read as UTC"


class Unreadable(ValueError):
    """A stored value that its attribute cannot read; the message is a phrase that follows its path."""


@dataclass(slots=True)
class Report:
    """What was odd about an item: `faults` were left out, `adjustments` were read in another way."""

    faults: list[Remark] = field(default_factory=list)
    adjustments: list[Remark] = field(default_factory=list)

    def is_known(self, path: str, how: str) -> None:
        """What is missing at a path, or could not be read, followed from something else."""
        if (path, MISSING) in self.faults:
            self.faults.remove((path, MISSING))
        self.adjustments.append((path, how))


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a class is read. `readers`: type tag and function by name; None takes the value as it is."""

    readers: Mapping[str, tuple[str, Callable[[Any], Any] | None]]
    attributes: Mapping[str, Attribute[Any]]
    required: frozenset[str]
    aliases: Mapping[str, str]


_PLANS: dict[type, _Plan] = {}


def _plan(kind: Any) -> _Plan:
    attributes: Mapping[str, Attribute[Any]] = kind.get_attributes()
    plan = _PLANS[kind] = _Plan(
        readers={name: (each.attr_type, _reader(each)) for name, each in attributes.items()},
        attributes=attributes,
        required=frozenset(name for name, each in attributes.items() if not each.null),
        aliases=kind.ALIASES,
    )
    return plan


def _reader(attribute: Any) -> Callable[[Any], Any] | None:
    reader: Callable[[Any], Any] | None = getattr(attribute, "reader", attribute.deserialize)
    return reader


def read_strictly(container: Any, stored: Stored) -> None:
    """Known attributes as typed values, unknown ones as they are. Raises whatever the first odd one raises.

    PynamoDB visits all that a class knows, through its descriptors. Here an attribute has one name and no
    default (a test holds that), so that one pass over what is stored is enough.
    """
    kind = type(container)
    plan = _PLANS.get(kind) or _plan(kind)
    readers, values = plan.readers, container.attribute_values
    unknown = vars(container)["unknown"] = dict[str, Any]()
    for name, typed in stored.items():
        known = readers.get(name)
        if known is None:
            unknown[name] = typed
            continue
        tag, reader = known
        values[name] = typed[tag] if reader is None else reader(typed[tag])
    if not plan.required <= values.keys():
        raise Unreadable("lacks attributes")
    if unknown and not plan.aliases.keys().isdisjoint(unknown):
        raise Unreadable("has attributes under another name")


def read_leniently(container: Any, stored: Stored, path: str, report: Report) -> None:
    """The same for an odd item: nothing raises.

    Values that cannot be read stay with the unknown ones, so that our own writes keep them. A required map or
    list that is absent is an empty one, so that the parts of an item can be left out one by one.
    """
    kind = type(container)
    plan = _PLANS.get(kind) or _plan(kind)
    container.attribute_values, container.unknown = {}, {}
    for name, typed in stored.items():
        _read_one(container, plan, name, typed, path, report)
    _take_aliases(container, plan, path, report)
    container.lacking = frozenset(plan.required - container.attribute_values.keys())
    for name in sorted(container.lacking):
        if name not in stored:
            report.faults.append((f"{path}{name}", MISSING))
        stand_in = getattr(plan.attributes[name], "stand_in", None)
        if stand_in is not None:
            container.attribute_values[name] = stand_in()


def _read_one(
    container: Any, plan: _Plan, name: str, typed: Mapping[str, Any], path: str, report: Report
) -> None:
    attribute = plan.attributes.get(name)
    if attribute is None:
        container.unknown[name] = typed
    elif NULL in typed and attribute.null:
        return
    else:
        try:
            container.attribute_values[name] = read_value(attribute, typed, f"{path}{name}", report)
        except Exception as error:
            container.unknown[name] = typed
            reason = str(error) if isinstance(error, Unreadable) else "cannot be read"
            report.faults.append((f"{path}{name}", reason))


def read_value(attribute: Any, typed: Mapping[str, Any], path: str, report: Report) -> Any:
    """One value by its attribute's `salvage`, where it has one. Raises Unreadable, among others."""
    if NULL in typed:
        raise Unreadable("is NULL")
    salvage = getattr(attribute, "salvage", None)
    if salvage is not None:
        return salvage(typed, path, report)
    return attribute.deserialize(inner(typed, attribute.attr_type))


def _take_aliases(container: Any, plan: _Plan, path: str, report: Report) -> None:
    """What another client stores under another name counts where ours is absent or false."""
    for alias, name in plan.aliases.items():
        if alias in container.unknown and not container.attribute_values.get(name):
            stored = container.unknown[alias]
            _read_one(container, plan, name, stored, path, report)
            report.adjustments.append((f"{path}{name}", f"is stored as {alias}"))


# --- for the attributes' own `salvage`

WORDS = {
    "S": "text",
    "N": "a number",
    "BOOL": "true or false",
    "M": "a map",
    "L": "a list",
    "B": "bytes",
    "SS": "a set of texts",
    "NS": "a set of numbers",
    "BS": "a set of bytes",
}


def inner(typed: Mapping[str, Any], tag: str) -> Any:
    """The value without its type tag. Raises Unreadable where it has another type."""
    if tag in typed:
        return typed[tag]
    raise Unreadable(f"is {kind_of(typed)}, not {WORDS[tag]}")


def kind_of(typed: Mapping[str, Any]) -> str:
    return WORDS.get(next(iter(typed), ""), "nothing")


def inner_map(typed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Likewise for maps; DynamoDB Local's stream sends an empty one without a type tag."""
    if not typed:
        return {}
    found: Mapping[str, Any] = inner(typed, MAP)
    return found
