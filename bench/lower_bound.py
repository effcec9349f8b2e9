"""The fewest units that an action could cost, from what it left in the table and what it had to read.

Writes. Every item that changed is one write of the bytes that are new in it: a new item whole, a changed one
only what changed, as if that could be stored alone. Rounded up to 1,024 bytes. Each index that holds the item
takes a whole copy, as the schema projects everything, and gives up the old one where the index key moves. All
twice where several items change together or consent is checked with them (a transaction); the check itself is
a unit, twice: of a profile that fits into one.

Reads. What has to be known, in one query: a unit for each 4,096 bytes if it must be the latest, else half.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sessions_app.domain.store.table import INDEXES

from .meter import WRITE_UNIT, Raw, index_units, size, size_of_value

Snapshot = Mapping[tuple[str, str], Raw]

READ_UNIT: Final = 4096


def snapshot(client: Any, table: str) -> dict[tuple[str, str], Raw]:
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {(item["PK"]["S"], item["SK"]["S"]): item for page in pages for item in page["Items"]}


def new_bytes(before: Raw | None, after: Raw) -> int:
    """Bytes of what was added or changed, with its own name; nothing for what went."""
    if before is None:
        return size(after)
    return sum(len(name.encode()) + _changed(before.get(name), value) for name, value in after.items()
               if before.get(name) != value)  # fmt: skip


def _changed(before: Raw | None, after: Raw) -> int:
    if before is not None and "M" in before and "M" in after:
        return new_bytes(before["M"], after["M"])
    if before is not None and "L" in before and "L" in after:
        pairs = zip(after["L"], [*before["L"], *[None] * len(after["L"])], strict=False)
        return sum(_changed(old, new) for new, old in pairs if new != old)
    return size_of_value(after)


@dataclass(frozen=True, slots=True)
class Minimum:
    read: float
    write: float
    derivation: str


def least(
    before: Snapshot, after: Snapshot, *, consent: str | None, needed: Iterable[Raw], latest: bool
) -> Minimum:
    """`consent`: the partition of the student whose consent is checked in the write, if any is."""
    moved = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    told: list[str] = []
    checked = consent if moved and consent and (consent, "PROFILE") not in moved else None
    together = 2 if len(moved) > 1 or checked else 1
    write = sum(_written(before.get(key), after.get(key), together, told) for key in sorted(moved))
    if checked:
        write += 2
        told.append("consent x 2")
    read_bytes = sum(map(size, needed))
    units = math.ceil(read_bytes / READ_UNIT)
    if read_bytes:
        told.append(f"read {read_bytes:,} B")
    return Minimum(units if latest else units / 2, write, "; ".join(told))


def _written(before: Raw | None, after: Raw | None, together: int, told: list[str]) -> float:
    fresh = new_bytes(before, after) if after is not None else 1
    units = max(math.ceil(fresh / WRITE_UNIT), 1)
    copies = sum(index_units(before or {}, after or {}, index) for index in INDEXES)
    text = f"{_name(after or before or {})} {fresh:,} B" + (f" + {copies} of indexes" if copies else "")
    told.append(f"({text}) x {together}" if together > 1 else text)
    return (units + copies) * together


def _name(item: Raw) -> str:
    return str(item.get("entity_type", {}).get("S", "item")).replace("_", " ")
