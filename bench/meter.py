"""Requests and capacity units of what is asked of the table meanwhile.

As DynamoDB Local charges them, but for transactions: it tells what one of their items costs, whichever. These
are worked out from the items, by DynamoDB's rule.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from sessions_app.domain.store.table import INDEXES

WRITES: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
COUNTED: Final = WRITES | {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"}
WRITE_UNIT: Final = 1024
OVERHEAD: Final = 3  # bytes of a map or list, and 1 more for each element

Raw = Mapping[str, Any]


def size(item: Raw) -> int:
    """Bytes of an item as DynamoDB counts them."""
    return sum(len(name.encode()) + size_of_value(value) for name, value in item.items())


def size_of_value(value: Raw) -> int:
    """Bytes of a typed value, as in `{"S": "words"}`."""
    kind, inner = next(iter(value.items()))
    match kind:
        case "S":
            return len(inner.encode())
        case "N":
            return (len(inner.strip("-").replace(".", "").strip("0")) + 1) // 2 + 1
        case "M":
            return OVERHEAD + sum(
                len(name.encode()) + size_of_value(each) + 1 for name, each in inner.items()
            )
        case "L":
            return OVERHEAD + sum(size_of_value(each) + 1 for each in inner)
    return 1  # true, false, null; there are no others in this table


def units(item: Raw) -> int:
    """Write units of an item as large as this one; 0 of one that is not there."""
    return max(1, math.ceil(size(item) / WRITE_UNIT)) if item else 0


def written(before: Raw, after: Raw) -> Counter[str]:
    """Write units of one item that is written alone, in the table and in each index; {} is an absent item."""
    used = Counter({"of the table": max(units(before), units(after), 1)})
    used.update({f"of {index}": index_units(before, after, index) for index in INDEXES})
    return +used


def index_units(before: Raw, after: Raw, index: str) -> int:
    """Write units of one index: where its key moves, the old entry is removed and the new one put, both paid.

    Indexes hold items whole, so whatever changed is written there; what changed nothing moves no index.
    """
    if before == after:
        return 0
    old, new = (_entry(item, index) for item in (before, after))
    paid = [units(item) for item, entry in ((before, old), (after, new)) if entry]
    return max(paid, default=0) if old == new else sum(paid)


def _entry(item: Raw, index: str) -> tuple[Any, ...]:
    """Under what an index holds the item; empty when it does not."""
    key = (item.get(f"{index}PK"), item.get(f"{index}SK"))
    return key if all(key) else ()


def charged(before: Raw, after: Raw) -> Counter[str]:
    """Write units of one item in a transaction: twice those of its write alone."""
    alone = written(before, after)
    used = Counter({"write": 2 * alone.total()})
    used.update({f"write {where}": 2 * amount for where, amount in alone.items()})
    return used


class Meter:
    """Adds up what the requests of one client consume: `read`, `write`, and both by index in `used`.

    `plain` looks at the items of a transaction, and must not be the client that is measured.
    """

    def __init__(self, plain: Any) -> None:
        self.plain = plain
        self.requests = 0
        self.used: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def read(self) -> float:
        return self.used["read"]

    @property
    def write(self) -> float:
        return self.used["write"]

    def ask(self, params: dict[str, Any], model: Any, context: Any, **_: Any) -> None:
        if model.name == "TransactWriteItems":
            context["before"] = [(*part, self._item(*part)) for part in _parts(params)]
        elif model.name in COUNTED:
            params["ReturnConsumedCapacity"] = "INDEXES"

    def note(self, parsed: dict[str, Any], model: Any, context: Any, **_: Any) -> None:
        if model.name not in COUNTED:
            return
        with self._lock:
            self.requests += 1
            if model.name == "TransactWriteItems":
                self._transaction(context.pop("before"), applied="Error" not in parsed)
            else:
                self._told("write" if model.name in WRITES else "read", parsed)

    def _transaction(self, before: list[tuple[str, Raw, Raw]], *, applied: bool) -> None:
        if applied:
            for table, key, old in before:
                self.used.update(charged(old, self._item(table, key)))

    def _told(self, kind: str, parsed: dict[str, Any]) -> None:
        told = parsed.get("ConsumedCapacity") or []
        for each in told if isinstance(told, list) else [told]:
            self.used[kind] += each["CapacityUnits"]
            self.used[f"{kind} of the table"] += each.get("Table", {}).get("CapacityUnits", 0)
            for index, inner in (each.get("GlobalSecondaryIndexes") or {}).items():
                self.used[f"{kind} of {index}"] += inner["CapacityUnits"]

    def _item(self, table: str, key: Raw) -> Raw:
        found: Raw = self.plain.get_item(TableName=table, Key=key, ConsistentRead=True)
        return dict(found.get("Item", {}))


def _parts(params: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and key of each item of a transaction."""
    for part in params["TransactItems"]:
        inner = next(iter(part.values()))
        whole = inner.get("Key") or inner["Item"]
        yield inner["TableName"], {"PK": whole["PK"], "SK": whole["SK"]}


@contextmanager
def metered(client: Any, *, plain: Any) -> Iterator[Meter]:
    """Counts what a client asks, its paginators and resources included."""
    meter, events = Meter(plain), client.meta.events
    events.register("provide-client-params.dynamodb", meter.ask)
    events.register("after-call.dynamodb", meter.note)
    try:
        yield meter
    finally:
        events.unregister("provide-client-params.dynamodb", meter.ask)
        events.unregister("after-call.dynamodb", meter.note)
