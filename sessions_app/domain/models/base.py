"""The one table: `Item` with its five indexes, and the attribute types that check what is written.

Every check lives in an attribute's `serialize`, which PynamoDB calls for whole items and for update
actions alike, so no write can pass it by.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from pynamodb.attributes import (
    Attribute,
    BooleanAttribute,
    DiscriminatorAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from pynamodb.connection import Connection
from pynamodb.constants import MAP, NULL
from pynamodb.exceptions import AttributeDeserializationError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

from .. import keys
from . import retries


class InvalidField(ValueError):
    """A value that may not be stored. `field` is its dotted path, `reason` a phrase that follows it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason

    def within(self, parent: str) -> InvalidField:
        joint = "" if self.field.startswith("[") else "."
        return InvalidField(f"{parent}{joint}{self.field}", self.reason)


def _path(attribute: Attribute[Any]) -> str:
    return ".".join(attribute.attr_path)


class Text(UnicodeAttribute):
    """Text, if asked for one of `choices`, matching `pattern`, or at most `longest` characters."""

    def __init__(
        self,
        *,
        choices: Iterable[str] | None = None,
        pattern: str | None = None,
        longest: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.choices = tuple(choices) if choices is not None else None
        self.pattern = pattern
        self.longest = longest

    def serialize(self, value: Any) -> str:
        if not isinstance(value, str):
            raise InvalidField(_path(self), f"must be text, not {value!r}")
        if self.choices is not None and value not in self.choices:
            raise InvalidField(_path(self), f"must be one of {', '.join(self.choices)}, not {value!r}")
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise InvalidField(_path(self), f"has the wrong form: {value!r}")
        if self.longest is not None and len(value) > self.longest:
            raise InvalidField(_path(self), f"is longer than {self.longest} characters")
        return value


class Key(UnicodeAttribute):
    """A key attribute: built in `keys.py`, never empty."""

    def serialize(self, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise InvalidField(_path(self), f"must be a key, not {value!r}")
        return value


class Number(NumberAttribute):
    """A finite number in a closed range; `whole` refuses fractions."""

    def __init__(
        self, *, least: float | None = None, most: float | None = None, whole: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.least = least
        self.most = most
        self.whole = whole

    def serialize(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidField(_path(self), f"must be a number, not {value!r}")
        if self.whole and value != int(value):
            raise InvalidField(_path(self), f"must be a whole number, not {value!r}")
        if (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            raise InvalidField(_path(self), f"must be {self._range()}, not {value!r}")
        return json.dumps(value)

    def deserialize(self, value: str) -> float:
        """Most are counts; they are read here four times as fast."""
        number: float = int(value) if value.isdecimal() else json.loads(value)
        return number

    def _range(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return f"at most {self.most}" if self.least is None else f"from {self.least} to {self.most}"


def Count(**kwargs: Any) -> Number:
    """How many of something, or whole seconds."""
    return Number(least=0, whole=True, **kwargs)


def Seconds(**kwargs: Any) -> Number:
    return Number(least=0, **kwargs)


def Percent(**kwargs: Any) -> Number:
    return Number(least=0, most=100, **kwargs)


def Rating(**kwargs: Any) -> Number:
    """A survey rating: a whole number from 1 to 5."""
    return Number(least=1, most=5, whole=True, **kwargs)


def Quality(**kwargs: Any) -> Number:
    """A dialogue quality score, 1 to 5, fractions allowed."""
    return Number(least=1, most=5, **kwargs)


class Flag(BooleanAttribute):
    """True or false, nothing that merely looks like it."""

    def serialize(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise InvalidField(_path(self), f"must be true or false, not {value!r}")
        return value


class Timestamp(Attribute[datetime]):
    """An aware UTC datetime, stored as `YYYY-MM-DDTHH:MM:SSZ`."""

    attr_type = "S"

    def serialize(self, value: Any) -> str:
        if isinstance(value, str):
            value = self._read(value)
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise InvalidField(_path(self), f"must be a UTC timestamp, not {value!r}")
        return keys.stamp(value)

    def deserialize(self, value: str) -> datetime:
        return self._read(value).astimezone(UTC)

    def _read(self, text: str) -> datetime:
        try:
            return keys.moment(text)
        except keys.BadKey as fault:
            raise InvalidField(_path(self), f"is a bad timestamp: {fault}") from None


def _take(container: Any, stored: Mapping[str, Any]) -> None:
    """Known attributes as typed values, unknown ones as they are, in one pass over what is stored.

    PynamoDB passes over all that a class knows, through its descriptors. Here an attribute has one name and
    no default (a test holds that), so that nothing else is to be done.
    """
    known, values = type(container).get_attributes(), container.attribute_values
    container.unknown = {}
    for name, typed in stored.items():
        attribute = known.get(name)
        if attribute is None:
            container.unknown[name] = typed
        elif NULL not in typed:
            values[name] = attribute.deserialize(attribute.get_value(typed))


def _serialized(container: Any, null_check: bool) -> dict[str, Any]:
    """Known attributes, checked, over the unknown ones that were read with the container."""
    values: dict[str, Any] = dict(getattr(container, "unknown", {}))
    for name, attribute in container.get_attributes().items():
        value = getattr(container, name)
        if value is not None:
            values[attribute.attr_name] = {attribute.attr_type: attribute.serialize(value)}
        elif null_check and not attribute.null:
            raise InvalidField(attribute.attr_name, "is missing")
    return values


class Map(MapAttribute[str, Any]):
    """A nested map with typed attributes that carries along those it does not know."""

    unknown: dict[str, Any]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)  # type: ignore[no-untyped-call]  # PynamoDB leaves it unannotated

    def serialize(self, values: Any, *, null_check: bool = True) -> dict[str, Any]:
        try:
            return _serialized(self._typed(values), null_check)
        except InvalidField as fault:
            raise fault.within(_path(self)) if getattr(self, "attr_path", None) else fault from None

    def _typed(self, values: Any) -> Any:
        if isinstance(values, type(self)):
            return values
        if not isinstance(values, Mapping):
            raise InvalidField("value", f"must be a map, not {values!r}")
        try:
            return type(self)(**values)
        except ValueError as fault:
            raise InvalidField("value", str(fault)) from None

    @classmethod
    def _instantiate(cls, attribute_values: dict[str, Any]) -> Any:
        instance = cls.__new__(cls)
        instance.attribute_kwargs, instance.attribute_values = {}, {}  # all that `__init__` would leave here
        _take(instance, attribute_values)
        return instance


class ListOf(ListAttribute[Any]):
    """A list of one kind of map; a fault names the element."""

    def deserialize(self, values: Any) -> list[Any]:
        """PynamoDB's own copies the element's whole description for every list it reads, half of its time."""
        element_type: Any = self.element_type
        return [
            None if NULL in value else element_type._instantiate(self._map_of(value, place))
            for place, value in enumerate(values)
        ]

    def _map_of(self, value: Mapping[str, Any], place: int) -> Any:
        if MAP not in value:
            raise AttributeDeserializationError(f"{self.attr_name}[{place}]", MAP)
        return value[MAP]

    def serialize(self, values: Any, *, null_check: bool = True) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise InvalidField(_path(self), f"must be a list, not {values!r}")
        element_type: Any = self.element_type
        serialized = []
        for place, value in enumerate(values):
            element: Any = value if isinstance(value, element_type) else element_type()
            try:
                serialized.append({element.attr_type: element.serialize(value)})
            except InvalidField as fault:
                raise fault.within(f"{_path(self)}[{place}]") from None
        return serialized


class TextList(ListAttribute[Any]):
    """A list of texts."""

    def serialize(self, values: Any, *, null_check: bool = True) -> list[Any]:
        if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
            raise InvalidField(_path(self), f"must be a list of texts, not {values!r}")
        return [{"S": value} for value in values]


class NumberMap(Attribute[dict[str, float]]):
    """A map from free names to numbers of at least 0, such as a rubric breakdown."""

    attr_type = "M"

    def serialize(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidField(_path(self), f"must be a map of numbers, not {value!r}")
        try:
            return {
                name: {"N": Number(least=0, attr_name=name).serialize(number)}
                for name, number in value.items()
            }
        except InvalidField as fault:
            raise fault.within(_path(self)) from None

    def deserialize(self, value: dict[str, Any]) -> dict[str, float]:
        return {name: json.loads(number["N"]) for name, number in value.items()}


def _index(number: int) -> type[GlobalSecondaryIndex[Any]]:
    """An index over GSInPK and GSInSK with every attribute projected, as the schema has five of."""

    class Meta:
        index_name = f"GSI{number}"
        projection = AllProjection()

    namespace = {
        "Meta": Meta,
        f"GSI{number}PK": UnicodeAttribute(hash_key=True),
        f"GSI{number}SK": UnicodeAttribute(range_key=True),
    }
    return type(f"Index{number}", (GlobalSecondaryIndex,), namespace)


Index1, Index2, Index3, Index4, Index5 = (_index(number) for number in range(1, 6))


class Item(Model):
    """Anything in the table; `entity_type` names its class."""

    class Meta:
        table_name = "SocraticBenchmarks"
        region: str | None = None
        connect_timeout_seconds = 2
        read_timeout_seconds = 5
        max_retry_attempts = 0  # retries.py sends again, and nothing beside it
        max_pool_connections = 50

    PK = Key(hash_key=True)
    SK = Key(range_key=True)
    entity_type = DiscriminatorAttribute()
    GSI1PK = Key(null=True)
    GSI1SK = Key(null=True)
    GSI2PK = Key(null=True)
    GSI2SK = Key(null=True)
    GSI3PK = Key(null=True)
    GSI3SK = Key(null=True)
    GSI4PK = Key(null=True)
    GSI4SK = Key(null=True)
    GSI5PK = Key(null=True)
    GSI5SK = Key(null=True)

    by_condition = Index1()
    by_student = Index2()
    by_location = Index3()
    by_type = Index4()
    by_day = Index5()

    unknown: dict[str, Any]

    def check(self) -> None:
        """Raise InvalidField where attributes contradict each other. Overridden by entities."""

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        values = _serialized(self, null_check)
        if null_check:
            self.check()  # every attribute is there and of its type by now
        return values

    def deserialize(self, attribute_values: dict[str, dict[str, Any]]) -> None:
        super().deserialize({})  # nothing of before stays
        _take(self, attribute_values)

    @classmethod
    def _instantiate(cls, attribute_values: dict[str, dict[str, Any]]) -> Self:
        kind = {name: attribute_values[name] for name in ("entity_type",) if name in attribute_values}
        instance: Self = super()._instantiate(kind)
        _take(instance, attribute_values)
        return instance


def _subclasses(model: type[Item]) -> Iterator[type[Item]]:
    for child in model.__subclasses__():
        yield child
        yield from _subclasses(child)


def configure(*, table_name: str, region: str | None) -> None:
    """Bind every model to a table. The endpoint and credentials come from botocore's usual variables."""
    Item.Meta.table_name = table_name
    Item.Meta.region = region
    before, Item._connection = Item._connection, None
    if before is not None:
        before.connection.client.close()
    shared = Item._get_connection()
    retries.take_over(shared.connection.client)
    models: list[type[Any]] = list(_subclasses(Item))
    for model in models:
        model._connection = shared


def count_up_to(most: int, partition: str, *, index: int) -> int:
    """How many items a partition of an index holds, counted no further than one beyond `most`."""
    counted, start = 0, None
    while counted <= most:
        answer = Item._get_connection().query(
            partition,
            index_name=f"GSI{index}",
            select="COUNT",
            limit=most + 1 - counted,
            exclusive_start_key=start,
        )
        counted += answer["Count"]
        start = answer.get("LastEvaluatedKey")
        if start is None:
            break
    return counted


def connection() -> Connection:
    """The one connection that all models share."""
    return Item._get_connection().connection
