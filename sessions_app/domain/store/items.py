"""The one table: `Item` with its five indexes, and the attribute types that check what is written.

Writing is strict: every check lives in an attribute's `serialize`, which PynamoDB calls for whole items and
for update actions alike, so no write can pass it by. Reading is lenient (see `reading.py`): each type has a
`reader`, quick and exact, and a `salvage` that makes the best of what other clients wrote.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self, TypeVar

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
from pynamodb.constants import MAP
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model

from . import keys, lenient_reading, retries
from .lenient_reading import Remark, Report, Unreadable

MAX_NUMBER = 10.0**15
"""Nothing here is counted or measured beyond it; a float is exact up to there."""
MAX_DIGITS = 40
MAX_QUOTED = 60
STAMP_LENGTH = len("2025-10-23T14:30:00Z")
ANY_STAMP = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?"
FIRST_YEAR, LAST_YEAR = 1970, 2200
IDS = {"session_id": keys.SESSION_PREFIX, "student_id": keys.STUDENT_PREFIX}
"""Ids, each with the beginning of the keys that hold it too."""
ID = r"[A-Za-z0-9_-]{1,64}"
"""What an address of the site can hold."""


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
        known = {value: value for value in self.choices or ()}
        self.reader = known.__getitem__ if known else None

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

    def salvage(self, typed: Mapping[str, Any], path: str, report: Report) -> str:
        """Choices are known in other casings too, such as `ON_SITE`. Form and length are for writers."""
        value: str = lenient_reading.inner(typed, "S")
        if self.choices is None or value in self.choices:
            return value
        for choice in self.choices:
            if _plain(choice) == _plain(value):
                report.adjustments.append((path, f"is {shortened(value)}, read as {choice}"))
                return choice
        raise Unreadable(f"is {shortened(value)}, which is not one of {', '.join(self.choices)}")


def _plain(choice: str) -> str:
    return choice.casefold().replace("_", "-").replace(" ", "-")


def shortened(value: str) -> str:
    """A stored text in a message: whatever it is, it takes one short line."""
    return repr(value if len(value) <= MAX_QUOTED else f"{value[:MAX_QUOTED]}…")


class Key(UnicodeAttribute):
    """A key attribute: built in `keys.py`, never empty."""

    reader = None

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
        self.low = -MAX_NUMBER if least is None else least
        self.high = MAX_NUMBER if most is None else most

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
        number: float = int(value) if value.isdecimal() else self._fraction(value)
        if self.low <= number <= self.high:
            return number
        raise Unreadable(f"is {number:g}, which is not {self._range()}")

    def _fraction(self, value: str) -> float:
        number = int(value) if value[1:].isdecimal() else float(value)
        if self.whole and number != int(number):
            raise Unreadable(f"is {number:g}, which is not a whole number")
        return number

    def salvage(self, typed: Mapping[str, Any], path: str, report: Report) -> float:
        """Numbers stored as text are numbers."""
        if "S" not in typed:
            return self.deserialize(lenient_reading.inner(typed, "N"))
        text = str(typed["S"]).strip()
        if len(text) > MAX_DIGITS or not re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text, re.ASCII):
            raise Unreadable(f"is the text {shortened(text)}, not a number")
        number = self.deserialize(text.lstrip("0") if text.strip("0").isdecimal() else text)
        report.adjustments.append((path, f"is the text {text!r}, read as a number"))
        return number

    def _range(self) -> str:
        if self.most is None and self.least is None:
            return f"between {-MAX_NUMBER:g} and {MAX_NUMBER:g}"
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

    reader = None

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
        """Our own form is read six times as fast as the others."""
        if len(value) == STAMP_LENGTH and value[-1] == "Z" and value[7] == "-":
            moment = datetime.fromisoformat(value)
        else:
            moment = self._read(value)
        if FIRST_YEAR <= moment.year <= LAST_YEAR:
            return moment
        raise Unreadable(f"is {value}, a year in which nothing was stored")

    def salvage(self, typed: Mapping[str, Any], path: str, report: Report) -> datetime:
        """Without a zone it is UTC; with another one it is converted."""
        text = str(lenient_reading.inner(typed, "S"))
        if not re.fullmatch(ANY_STAMP, text, re.ASCII):
            raise Unreadable(f"is {shortened(text)}, not a timestamp")
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            report.adjustments.append((path, lenient_reading.NAIVE))
            return self.deserialize(f"{moment.isoformat()}+00:00")
        return self.deserialize(moment.astimezone(UTC).isoformat())

    def _read(self, text: str) -> datetime:
        try:
            return keys.moment(text)
        except keys.BadKey as error:
            raise InvalidField(_path(self), f"is a bad timestamp: {error}") from None


def _serialized(container: Any, null_check: bool) -> dict[str, Any]:
    """Known attributes, checked, over the unknown ones that were read with the container.

    What the stored container lacked, or had in a form that could not be read, stays as it is.
    """
    values: dict[str, Any] = dict(getattr(container, "unknown", {}))
    for name, attribute in container.get_attributes().items():
        value = getattr(container, name)
        if name in container.lacking and (value is None or is_empty(value)):
            continue
        if value is not None:
            values[attribute.attr_name] = {attribute.attr_type: attribute.serialize(value)}
        elif null_check and not attribute.null:
            raise InvalidField(attribute.attr_name, "is missing")
    return values


def is_empty(value: Any) -> bool:
    """Whether it stands in for a map or list that was not there."""
    if isinstance(value, Map):
        return not value.unknown and all(is_empty(each) for each in value.attribute_values.values())
    return isinstance(value, list | dict) and not value


class Map(MapAttribute[str, Any]):
    """A nested map with typed attributes that carries along those it does not know.

    `ALIASES`: other clients' names for attributes, each with ours. `lacking`: what was absent on reading.
    """

    ALIASES: ClassVar[Mapping[str, str]] = {}
    unknown: dict[str, Any]
    lacking: frozenset[str] = frozenset()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)  # type: ignore[no-untyped-call]  # PynamoDB leaves it unannotated

    def serialize(self, values: Any, *, null_check: bool = True) -> dict[str, Any]:
        try:
            return _serialized(self._typed(values), null_check)
        except InvalidField as error:
            raise error.within(_path(self)) if getattr(self, "attr_path", None) else error from None

    def _typed(self, values: Any) -> Any:
        if isinstance(values, type(self)):
            return values
        if not isinstance(values, Mapping):
            raise InvalidField("value", f"must be a map, not {values!r}")
        try:
            return type(self)(**values)
        except ValueError as error:
            raise InvalidField("value", str(error)) from None

    @classmethod
    def _instantiate(cls, attribute_values: dict[str, Any]) -> Any:
        instance = cls._bare()
        lenient_reading.read_strictly(instance, attribute_values)
        return instance

    @classmethod
    def _bare(cls) -> Any:
        instance = cls.__new__(cls)
        # All that `__init__` would leave here, past PynamoDB's slow `__setattr__`.
        vars(instance).update(attribute_kwargs={}, attribute_values={})
        return instance

    @property
    def reader(self) -> Any:
        return self._instantiate

    def salvage(self, typed: Mapping[str, Any], path: str, report: Report) -> Any:
        instance = self._bare()
        lenient_reading.read_leniently(instance, lenient_reading.inner_map(typed), f"{path}.", report)
        return instance

    def stand_in(self) -> Any:
        """An empty one; nothing of it is written."""
        instance = self._bare()
        lenient_reading.read_leniently(instance, {}, "", Report())
        return instance


class ListOf(ListAttribute[Any]):
    """A list of one kind of map; a fault names the element."""

    def stand_in(self) -> list[Any]:
        return []

    def deserialize(self, values: Any) -> list[Any]:
        """PynamoDB's own copies the element's whole description for every list it reads, half of its time."""
        element_type: Any = self.element_type
        return [element_type._instantiate(value[MAP]) for value in values]

    def salvage(self, typed: Mapping[str, Any], path: str, report: Report) -> list[Any]:
        """An element that is no map is an empty one: updates name elements by their position."""
        element: Any = self._element()
        return [
            self._salvaged(element, value, f"{path}[{i}]", report)
            for i, value in enumerate(lenient_reading.inner(typed, "L") if typed else ())
        ]

    def _element(self) -> Any:
        element_type: Any = self.element_type
        return element_type()

    def _salvaged(self, element: Any, value: Mapping[str, Any], path: str, report: Report) -> Any:
        try:
            return lenient_reading.read_value(element, value, path, report)
        except Unreadable as error:
            report.faults.append((path, str(error)))
            return element.stand_in()

    def serialize(self, values: Any, *, null_check: bool = True) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise InvalidField(_path(self), f"must be a list, not {values!r}")
        element_type: Any = self.element_type
        serialized = []
        for place, value in enumerate(values):
            element: Any = value if isinstance(value, element_type) else element_type()
            try:
                serialized.append({element.attr_type: element.serialize(value)})
            except InvalidField as error:
                raise error.within(f"{_path(self)}[{place}]") from None
        return serialized


class TextList(ListAttribute[Any]):
    """A list of texts."""

    def stand_in(self) -> list[Any]:
        return []

    def deserialize(self, values: Any) -> list[Any]:
        return [value["S"] for value in values]

    def salvage(self, typed: Mapping[str, Any], path: str, report: Report) -> list[Any]:
        """A set of texts is a list; what is no text is left out."""
        if "SS" in typed:
            report.adjustments.append((path, "is a set, read as a list"))
            return sorted(typed["SS"])
        stored = lenient_reading.inner(typed, "L") if typed else ()
        odd = [i for i, value in enumerate(stored) if "S" not in value]
        report.faults += [(f"{path}[{i}]", f"is {lenient_reading.kind_of(stored[i])}, not text") for i in odd]
        return [value["S"] for value in stored if "S" in value]

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
        except InvalidField as error:
            raise error.within(_path(self)) from None

    def stand_in(self) -> dict[str, float]:
        return {}

    def deserialize(self, value: dict[str, Any]) -> dict[str, float]:
        return {name: json.loads(number["N"]) for name, number in value.items()}

    def salvage(self, typed: Mapping[str, Any], path: str, report: Report) -> dict[str, float]:
        numbers: dict[str, float] = {}
        for name, value in lenient_reading.inner_map(typed).items():
            try:
                numbers[name] = lenient_reading.read_value(Number(), value, f"{path}.{name}", report)
            except ValueError as error:
                reason = str(error) if isinstance(error, Unreadable) else "cannot be read"
                report.faults.append((f"{path}.{name}", reason))
        return numbers


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

    ALIASES: ClassVar[Mapping[str, str]] = {}
    ROW_NEEDS: ClassVar[tuple[str, ...] | None] = None
    """Dotted paths without which an item of this kind is no row of a list; None for all that it must have."""

    unknown: dict[str, Any]
    lacking: frozenset[str] = frozenset()
    faults: tuple[Remark, ...] = ()
    """What was stored but could not be read, or is missing, as (dotted path, reason): it was left out."""
    adjustments: tuple[Remark, ...] = ()
    """What was read in another way than it is stored, such as a number stored as text."""

    @property
    def kind(self) -> str:
        """The stored name of its class; empty for a plain Item."""
        kinds: Any = Item.get_attributes()["entity_type"]
        return kinds.get_discriminator(type(self)) or ""

    @property
    def is_readable(self) -> bool:
        """Whether the item has what a row needs. Lists name the others; no sum counts them."""
        return not self.unreadable_reason

    @property
    def unreadable_reason(self) -> str:
        """Why the item is no row, as a phrase; empty where it is one."""
        if type(self) is Item:
            kind = self.unknown.get("entity_type", {}).get("S")
            return f"entity_type {shortened(kind)} is unknown" if kind else "entity_type is missing"
        lacks = map(self._lack, self._lacking_values() if self.ROW_NEEDS is None else self.ROW_NEEDS)
        return next(filter(None, (*lacks, *map(self._bad_id, IDS))), "")

    def _lacking_values(self) -> list[str]:
        """Maps and lists are left out: empty ones stand in for them."""
        return sorted(name for name in self.lacking if getattr(self, name) is None)

    def _bad_id(self, name: str) -> str:
        value = self.attribute_values.get(name)
        if value is None or re.fullmatch(ID, value):
            return ""
        return f"{name} {shortened(value)} has characters that an id may not have"

    def _lack(self, path: str) -> str:
        value: Any = self
        for name in path.split("."):
            value = getattr(value, name, None)
        if value is None or value == "":
            return next((f"{p} {why}" for p, why in self.faults if path == p), f"{path} is missing")
        return ""

    @property
    def has_naive_timestamp(self) -> bool:
        return any(why == lenient_reading.NAIVE for _, why in self.adjustments)

    def complete(self, report: Report) -> None:
        """Fill in, after a lenient reading, what follows from the rest. Extended by entities."""
        for name, prefix in IDS.items():
            key = next((key for key in (self.PK, self.GSI2PK) if (key or "").startswith(prefix)), None)
            if name in self.lacking and key:
                setattr(self, name, key.removeprefix(prefix))
                report.is_known(name, "is taken from the key")

    def check(self) -> None:
        """Raise InvalidField where attributes contradict each other. Overridden by entities."""

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        values = _serialized(self, null_check)
        if null_check:
            self.check()  # every attribute is there and of its type by now
        return values

    def deserialize(self, attribute_values: dict[str, dict[str, Any]]) -> None:
        self._read(attribute_values)

    @classmethod
    def _instantiate(cls, attribute_values: dict[str, dict[str, Any]]) -> Self:
        """In lists an item of an unknown kind, or of none, is a plain Item.

        Raises DoesNotExist where one kind was asked for and the key holds another.
        """
        kind = cls._kind_of(attribute_values)
        if not issubclass(kind, cls):
            raise cls.DoesNotExist(f"there is a {kind.__name__} instead of a {cls.__name__}")
        instance = kind.__new__(kind)
        instance._read(attribute_values)
        return instance

    @classmethod
    def _get_discriminator_attribute(cls) -> DiscriminatorAttribute | None:
        """None for Item itself: PynamoDB would filter its queries by it, and unknown kinds would vanish."""
        return None if cls is Item else super()._get_discriminator_attribute()

    @classmethod
    def _kind_of(cls, stored: Mapping[str, Mapping[str, Any]]) -> type[Any]:
        name = stored.get("entity_type")
        kinds: Any = cls.get_attributes()["entity_type"]
        if not name:
            return cls
        return kinds._discriminator_map.get(name.get("S"), Item)  # type: ignore[no-any-return]

    def _read(self, stored: Mapping[str, Mapping[str, Any]]) -> None:
        """Nothing of before stays."""
        self.attribute_values: dict[str, Any] = {}
        self.faults = self.adjustments = ()
        self.lacking = frozenset()
        try:
            lenient_reading.read_strictly(self, stored)
        except Exception:
            report = Report()
            lenient_reading.read_leniently(self, stored, "", report)
            self.complete(report)
            self.faults, self.adjustments = tuple(report.faults), tuple(report.adjustments)

    @classmethod
    def batch_get(cls, items: Iterable[Any], *arguments: Any, **options: Any) -> Iterator[Self]:
        """Those of this kind; where a key holds another, nothing is there."""
        found: Iterator[Any] = super(Item, Item).batch_get(items, *arguments, **options)
        return (item for item in found if isinstance(item, cls))


def same_version(path: Any, version: float | None) -> Any:
    """The condition that a version is still what was read; one that is no number guards nothing."""
    odd = ~path.is_type()
    return odd if version is None else (path == version) | odd


_I = TypeVar("_I", bound=Item)


def readable(items: Iterable[Any], kind: type[_I]) -> Iterator[_I]:
    """Those of a kind that can be a row; what another client stored otherwise is passed by."""
    return (item for item in items if isinstance(item, kind) and item.is_readable)


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
