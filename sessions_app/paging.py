"""Lists, page by page. A cursor says where the next page begins; it is signed, and bound to its list.

Only the order of an index is used: a list is one or more queries, read one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.core import signing

from .domain.models import Item

SIZE = 20
SALT = "sessions_app.paging"

Key = dict[str, dict[str, str]]


class BadCursor(ValueError):
    """A cursor that was cut or changed, or that belongs to another list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """`parts` take PynamoDB's paging arguments, and are read in this order; cursors are bound to `name`.

    `index` is the number of the GSI, None for the table itself. `read_per_item`: how many items the index
    holds for each that the list shows, where others share it.
    """

    name: str
    index: int | None
    parts: tuple[Callable[..., Iterable[Item]], ...]
    read_per_item: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """`older` is the cursor of the next page, None at the end of the list."""

    items: list[Item]
    older: str | None

    @property
    def unreadable(self) -> list[Item]:
        """Those that cannot be a row; pages name them."""
        return [item for item in self.items if not item.is_readable]


def page(listing: Listing, cursor: str | None, *, size: int = SIZE) -> Page:
    """One page of a list. Raises BadCursor."""
    first, start = _read(listing, cursor) if cursor else (0, None)
    found: list[tuple[int, Item]] = []
    for number in range(first, len(listing.parts)):
        wanted = size + 1 - len(found)  # one more than is shown tells whether there is a next page
        items = listing.parts[number](
            limit=wanted, page_size=wanted * listing.read_per_item, last_evaluated_key=start
        )
        found += [(number, item) for item in items]
        if len(found) > size:
            break
        start = None
    older = _write(listing, *found[size - 1]) if len(found) > size else None
    return Page([item for _, item in found[:size]], older)


def _write(listing: Listing, part: int, last: Item) -> str:
    return signing.dumps([listing.name, part, _key(listing, last)], salt=SALT, compress=True)


def _read(listing: Listing, cursor: str) -> tuple[int, Key]:
    try:
        name, part, key = signing.loads(cursor, salt=SALT)
    except signing.BadSignature:
        raise BadCursor("the cursor was changed, or is not whole") from None
    if name != listing.name:
        raise BadCursor("the cursor belongs to another list")
    return part, key


def _key(listing: Listing, item: Item) -> Key:
    names = ["PK", "SK"]
    if listing.index is not None:
        names += [f"GSI{listing.index}PK", f"GSI{listing.index}SK"]
    return {name: {"S": _text(item, name)} for name in names}


def _text(item: Any, name: str) -> str:
    return str(getattr(item, name))
