"""What `base._take` leaves out of PynamoDB's way of reading an item is not needed by any of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pynamodb.attributes import AttributeContainer, ListAttribute
from pynamodb.exceptions import AttributeDeserializationError

from sessions_app.domain.models import Assessment, Item
from sessions_app.domain.models.base import Map


def containers(kind: type[Any]) -> Iterator[type[Any]]:
    for child in kind.__subclasses__():
        yield child
        yield from containers(child)


ALL = sorted({*containers(Item), *containers(Map)}, key=lambda kind: (kind.__module__, kind.__name__))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_attributes_are_stored_under_their_own_names_and_have_no_defaults(kind: type[Any]) -> None:
    for name, attribute in kind.get_attributes().items():
        assert attribute.attr_name == name
        assert attribute.default is None
        assert attribute.default_for_new is None
    assert not issubclass(kind, Map) or kind._get_discriminator_attribute() is None


def test_all_kinds_are_looked_at() -> None:
    assert len(ALL) > 60
    assert all(issubclass(kind, AttributeContainer) for kind in ALL)


STORED: dict[str, Any] = {
    "PK": {"S": "SESSION#1"},
    "SK": {"S": "ASSESSMENT#baseline#2026-03-03T17:00:00Z"},
    "entity_type": {"S": "assessment"},
    "session_id": {"S": "1"},
    "learning_gain": {"NULL": True},
    "added": {"S": "by another client"},
    "questions": {
        "L": [
            {"M": {"question_id": {"S": "q1"}, "points": {"N": "1"}, "hint": {"S": "kept"}}},
            {"NULL": True},
        ]
    },
}


def test_what_is_known_is_typed_and_what_is_not_is_kept() -> None:
    item = Item.from_raw_data(STORED)
    assert isinstance(item, Assessment)
    assert (item.session_id, item.learning_gain) == ("1", None)
    assert item.unknown == {"added": {"S": "by another client"}}
    question, empty = item.questions
    assert (question.question_id, question.points, empty) == ("q1", 1, None)
    assert question.unknown == {"hint": {"S": "kept"}}


def test_reading_again_leaves_nothing_of_before() -> None:
    item = Item.from_raw_data(STORED)
    item.deserialize({name: STORED[name] for name in ("PK", "SK", "entity_type")})
    assert (item.unknown, item.attribute_values.get("session_id")) == ({}, None)


@pytest.mark.parametrize("wrong", [{"S": "text"}, {"L": []}])
def test_an_element_that_is_no_map_is_named(wrong: dict[str, Any]) -> None:
    assert isinstance(Assessment.questions, ListAttribute)
    with pytest.raises(AttributeDeserializationError, match=r"questions\[1\]"):
        Item.from_raw_data({**STORED, "questions": {"L": [STORED["questions"]["L"][0], wrong]}})
