"""Items as they were read, as DynamoDB's own JSON, for readers past the models: exports and the lake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..store.items import InvalidField, Item, ListOf, Map

Raw = Mapping[str, Any]


def without_value(reason: str) -> str:
    """Why an item cannot be read, for logs and dead letters: the path of an attribute and nothing it held."""
    path = re.match(r"[a-z_]+(\.[a-z_]+)*(?= )", reason)
    return f"{path[0] if path else 'experimental_condition'} cannot be read"


def cleaned(item: Item, stored: Raw) -> Raw:
    """The stored item where it has the form of its model; else without what could not be read, and with the
    rest in the form of the model: numbers as numbers, times in UTC."""
    return as_read(item) if item.faults or item.adjustments else stored


def as_read(container: Any) -> dict[str, Any]:
    attributes = container.get_attributes()
    values = {name: typed for name, typed in container.unknown.items() if name not in attributes}
    for name, value in container.attribute_values.items():
        attribute = attributes[name]
        try:
            values[name] = {attribute.attr_type: _inner(attribute, value)}
        except InvalidField:  # lenient reading took what strict writing refuses
            continue
    return values


def _inner(attribute: Any, value: Any) -> Any:
    if isinstance(value, Map):
        return as_read(value)
    if isinstance(attribute, ListOf):
        return [{"M": as_read(element)} for element in value]
    return value if isinstance(value, str) else attribute.serialize(value)
