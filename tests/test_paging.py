"""Lists page by page: every item once, and a cursor opens nothing but its own list."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.core import signing

from sessions_app import paging
from sessions_app.domain.models import Item, School
from sessions_app.domain.store import keys
from sessions_app.paging import BadCursor, Listing, page


def schools(names: list[str], partition: str = "DIRECTORY#schools") -> None:
    for name in names:
        School(PK=partition, SK=name, GSI1PK=partition, GSI1SK=f"at {name}", name=name).save()


def listing(name: str = "schools") -> Listing:
    return Listing(name=name, index=None, parts=(partial(Item.query, keys.SCHOOL_DIRECTORY),))


def walked(what: Listing, size: int) -> list[list[str]]:
    """The names on all pages, page by page."""
    pages, cursor = [], None
    while not pages or cursor:
        this = page(what, cursor, size=size)
        pages.append([str(item.SK) for item in this.items])
        cursor = this.older
    return pages


def in_a_row(pages: list[list[str]]) -> list[str]:
    return [each for page in pages for each in page]


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, [0]), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])]
)
def test_every_item_is_on_one_page_and_no_page_is_empty_at_the_end(
    table: str, count: int, sizes: list[int]
) -> None:
    names = [f"school-{n:02}" for n in range(count)]
    schools(names)
    pages = walked(listing(), 3)
    assert [len(each) for each in pages] == sizes
    assert in_a_row(pages) == names


def test_a_page_is_one_query(table: str, requests_made: list[str]) -> None:
    schools([f"school-{n:02}" for n in range(8)])
    requests_made.clear()
    page(listing(), None, size=3)
    assert requests_made == ["Query"]


def test_parts_of_a_list_follow_each_other_across_pages(table: str) -> None:
    schools(["a", "b", "c"], "DATE#later")
    schools(["d", "e"], "DATE#earlier")
    parts = tuple(partial(Item.by_condition.query, day) for day in ("DATE#later", "DATE#earlier"))
    both = Listing(name="days", index=1, parts=parts)
    assert walked(both, 2) == [["a", "b"], ["c", "d"], ["e"]]


def test_a_part_that_ends_with_its_page_leads_to_the_next_part(table: str) -> None:
    schools(["a", "b"], "DATE#later")
    schools(["c"], "DATE#earlier")
    parts = tuple(partial(Item.by_condition.query, day) for day in ("DATE#later", "DATE#earlier"))
    assert walked(Listing(name="days", index=1, parts=parts), 2) == [["a", "b"], ["c"]]


def test_items_that_come_in_between_pages_shift_nothing(table: str) -> None:
    schools(["b", "c", "d", "e"])
    first = page(listing(), None, size=2)
    schools(["a"])
    assert [item.SK for item in page(listing(), first.older, size=2).items] == ["d", "e"]


def cursor_of(name: str) -> str:
    schools([f"school-{n}" for n in range(3)])
    older = page(listing(name), None, size=1).older
    assert older
    return older


def changed(cursor: str) -> list[str]:
    middle = len(cursor) // 3
    other = "A" if cursor[middle] != "A" else "B"
    return [
        cursor[:-1],
        cursor[1:],
        cursor[:middle] + other + cursor[middle + 1 :],
        cursor + "x",
        cursor.rsplit(":", 1)[0],
        "nonsense",
        "a:b:c",
        "\x00:é:\U0001f3ed",
    ]


def test_a_changed_cursor_is_refused(table: str) -> None:
    for cursor in changed(cursor_of("schools")):
        with pytest.raises(BadCursor):
            page(listing(), cursor)


def test_a_cursor_of_another_list_is_refused(table: str) -> None:
    cursor = cursor_of("students/school/one")
    with pytest.raises(BadCursor, match="another list"):
        page(listing("students/school/two"), cursor)


def test_something_signed_for_another_purpose_is_no_cursor(table: str) -> None:
    key: Any = {"PK": {"S": "DIRECTORY#schools"}, "SK": {"S": "a"}}
    with pytest.raises(BadCursor):
        page(listing(), signing.dumps(["schools", 0, key], salt="elsewhere"))
    assert page(listing(), signing.dumps(["schools", 0, key], salt=paging.SALT)).items == []
