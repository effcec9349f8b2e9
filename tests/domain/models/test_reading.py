"""Items are read in one pass where they have the form of their model, and leniently where they have not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from pynamodb.attributes import AttributeContainer

from sessions_app.domain.models import Assessment, InvalidField, Item, Session
from sessions_app.domain.store import lenient_reading
from sessions_app.domain.store.items import Map, is_empty

EXAMPLES = Path(__file__).parents[2] / "examples"


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
    assert (question.question_id, question.points, empty.question_id) == ("q1", 1, None)
    assert question.unknown == {"hint": {"S": "kept"}}


def test_reading_again_leaves_nothing_of_before() -> None:
    item = Item.from_raw_data(STORED)
    item.deserialize({name: STORED[name] for name in ("PK", "SK", "entity_type")})
    assert (item.unknown, item.assessment_id) == ({}, None)


# --- what other clients write


def whole(name: str) -> dict[str, Any]:
    """One of the document's example items, as it is stored."""
    item = json.loads((EXAMPLES / f"{name}.json").read_text(), parse_float=Decimal)
    return {key: TypeSerializer().serialize(value) for key, value in item.items()}


def changed(name: str, path: str, typed: dict[str, Any] | None) -> Any:
    """The model of an example that has `typed` at a path; None takes the attribute out."""
    stored = whole(name)
    target: Any = {"M": stored}
    *way, last = path.split(".")
    for part in way:
        target = target["L"][int(part)] if part.isdigit() else target["M"][part]
    if typed is None:
        del target["M"][last]
    elif last.isdigit():
        target["L"][int(last)] = typed
    else:
        target["M"][last] = typed
    return Item.from_raw_data(stored)


def at(item: Any, path: str) -> Any:
    for part in path.split("."):
        item = item[int(part)] if part.isdigit() else getattr(item, part)
    return item


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.json")))
def test_an_item_in_its_own_form_is_read_in_one_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lenient_reading, "read_leniently", None)
    stored = {key: value for key, value in whole(name).items() if value != {"NULL": True}}
    item = Item.from_raw_data(stored)
    assert (item.faults, item.adjustments, item.unreadable_reason) == ((), (), "")


N38 = "9" * 38
LEFT_OUT: list[tuple[str, str, dict[str, Any] | None, str]] = [
    ("assessment-final", "assessment_results.score_percentage", {"N": "100.4"}, "not from 0 to 100"),
    ("assessment-final", "assessment_results.score_percentage", {"S": "much"}, "text 'much', not a number"),
    ("assessment-final", "assessment_results.score_percentage", {"BOOL": True}, "is true or false"),
    ("assessment-final", "assessment_results.score_percentage", {"S": "9" * 400}, "not a number"),
    ("assessment-final", "assessment_results.score_percentage", {}, "is nothing, not a number"),
    ("session", "timeline.total_duration_seconds", {"N": "-3"}, "not at least 0"),
    ("session", "timeline.total_duration_seconds", {"N": N38}, "is 1e+38"),
    ("session", "timeline.total_duration_seconds", {"N": "1E+125"}, "is 1e+125"),
    ("session", "timeline.session_end", {"S": "yesterday"}, "not a timestamp"),
    ("session", "timeline.session_end", {"S": "2025-02-30T10:00:00Z"}, "cannot be read"),
    ("session", "timeline.session_end", {"S": "9999-12-31T23:59:59Z"}, "nothing was stored"),
    ("session", "timeline.session_end", {"N": "1759314600"}, "is a number, not text"),
    ("session", "timeline.session_start", {"NULL": True}, "is NULL"),
    ("session", "student_metadata", {"NULL": True}, "is NULL"),
    ("session", "student_metadata", {"L": []}, "is a list, not a map"),
    ("session", "student_metadata.age", {"B": b"16"}, "is bytes, not a number"),
    ("session", "completion_status.completed", {"S": "true"}, "is text, not true or false"),
    ("session", "completion_status.interventions_completed", {"N": "1.5"}, "not a whole number"),
    ("session", "metadata.version", None, "is missing"),
    ("post_survey", "learning_experience.pacing_rating", {"N": "6"}, "not from 1 to 5"),
    ("post_survey", "open_ended_responses.additional_comments", {"N": "7"}, "is a number, not text"),
    ("content_delivery", "segment_tracking.2.end_time", {"S": "later"}, "not a timestamp"),
]


@pytest.mark.parametrize(("name", "path", "typed", "reason"), LEFT_OUT)
def test_what_cannot_be_read_is_left_out_and_named(
    name: str, path: str, typed: dict[str, Any] | None, reason: str
) -> None:
    item = changed(name, path, typed)
    named = re.sub(r"\.(\d+)", r"[\1]", path)
    assert [where for where, _ in item.faults] == [named]
    assert reason in item.faults[0][1]
    value = at(item, path)
    assert value is None or is_empty(value)
    other = {"session": "session_id", "content_delivery": "content_metadata"}.get(name, "metadata")
    assert getattr(item, other) is not None  # the rest stands


ADJUSTED: list[tuple[str, str, dict[str, Any], Any]] = [
    ("assessment-final", "assessment_results.score_percentage", {"S": "93.3"}, 93.3),
    ("session", "student_metadata.age", {"S": " 016 "}, 16),
    ("session", "metadata.version", {"S": "0"}, 0),
    ("session", "timeline.session_end", {"S": "2025-10-23T15:00:00.250000"}, (15, 0, 250000)),
    ("session", "timeline.session_end", {"S": "2025-10-23 15:00"}, (15, 0, 0)),
    ("session", "experimental_condition.location", {"S": "ON_SITE"}, "on-site"),
    ("location_verification", "verification.method", {"S": "QR_CODE"}, "QR_code"),
    (
        "student_profile",
        "metadata.conditions_completed",
        {"SS": ["L1-I2-S", "L1-I1-D"]},
        ["L1-I1-D", "L1-I2-S"],
    ),
]


@pytest.mark.parametrize(("name", "path", "typed", "value"), ADJUSTED)
def test_other_ways_of_writing_are_understood_and_named(
    name: str, path: str, typed: dict[str, Any], value: Any
) -> None:
    item = changed(name, path, typed)
    found = at(item, path)
    if isinstance(found, datetime):
        assert found.utcoffset() == timedelta()
        found = (found.hour, found.minute, found.microsecond)
    assert found == value
    assert item.faults == ()
    assert [where for where, _ in item.adjustments] == [path]


@pytest.mark.parametrize("text", ["2025-10-23T15:00:00+00:00", "2025-10-23T15:00:00.000000Z"])
def test_offsets_of_zero_and_microseconds_are_nothing_odd(text: str) -> None:
    item = changed("session", "timeline.session_end", {"S": text})
    assert item.timeline.session_end == datetime(2025, 10, 23, 15, tzinfo=UTC)
    assert item.adjustments == ()


def test_a_timestamp_without_a_zone_raises_its_flag() -> None:
    item = changed("session", "metadata.updated_at", {"S": "2025-10-23T15:00:00.123456"})
    assert item.has_naive_timestamp
    assert item.metadata.data_quality_flags == ["naive_timestamp"]


def test_a_status_under_the_other_name_counts() -> None:
    item = changed("session", "completion_status.final_assessment_completed", {"BOOL": False})
    assert not item.completion_status.final_assessment_completed
    stored = whole("session")
    stored["completion_status"]["M"] |= {
        "final_assessment_completed": {"BOOL": False},
        "final_completed": {"BOOL": True},
    }
    item = Item.from_raw_data(stored)
    assert item.completion_status.final_assessment_completed is True
    assert item.adjustments == (
        ("completion_status.final_assessment_completed", "is stored as final_completed"),
    )


def test_an_empty_map_as_the_local_stream_sends_it_is_an_empty_map() -> None:
    stored = whole("assessment-baseline")
    stored["questions"]["L"][2]["M"]["ai_scoring"]["M"]["rubric_breakdown"] = {}
    item: Any = Item.from_raw_data(stored)
    assert item.questions[2].ai_scoring.rubric_breakdown == {}
    assert item.faults == ()


def test_the_code_follows_from_the_factors_and_they_from_it() -> None:
    assert changed("session", "experimental_condition.condition_code", None).condition.code == "L1-I1-D"
    item = changed("session", "experimental_condition.interval_minutes", {"BOOL": True})
    assert item.experimental_condition.interval_minutes == 2.5
    wrong = ("experimental_condition.interval_minutes", "is true or false, not a number")
    assert (item.faults, item.is_readable) == ((wrong,), True)


def test_ids_come_from_the_keys_where_the_attributes_lack_them() -> None:
    stored = whole("session")
    ids = stored.pop("session_id"), stored.pop("student_id")
    item: Any = Item.from_raw_data(stored)
    assert ({"S": item.session_id}, {"S": item.student_id}) == ids
    assert item.is_readable


UNREADABLE = [
    ("timeline", None, "timeline.session_start is missing"),
    ("timeline", {"NULL": True}, "timeline.session_start is missing"),
    ("timeline.session_start", {"S": "soon"}, "timeline.session_start is 'soon', not a timestamp"),
    ("session_id", {"S": "sess 1:3f/9"}, "session_id 'sess 1:3f/9' has characters that an id may not have"),
    ("student_id", {"S": "a.b"}, "student_id 'a.b' has characters that an id may not have"),
    ("experimental_condition.condition_code", {"S": "L1-I4-D"}, "L1-I4-D (2.5 minutes) is no condition"),
    ("experimental_condition.interval_minutes", {"N": "7.5"}, "does not agree with its code L1-I1-D"),
    ("experimental_condition", {"NULL": True}, "experimental_condition.condition_code is missing"),
    ("entity_type", {"S": "sesion"}, "entity_type 'sesion' is unknown"),
    ("entity_type", None, "entity_type is missing"),
    ("entity_type", {"N": "5"}, "entity_type is missing"),
]


@pytest.mark.parametrize(("path", "typed", "reason"), UNREADABLE)
def test_a_session_that_cannot_be_a_row_says_why(path: str, typed: Any, reason: str) -> None:
    item = changed("session", path, typed)
    assert not item.is_readable
    assert reason in item.unreadable_reason


def test_where_one_kind_is_asked_for_another_is_not_there() -> None:
    with pytest.raises(Session.DoesNotExist):
        Session.from_raw_data(whole("student_profile"))


def test_writing_keeps_what_could_not_be_read(table: str) -> None:
    """Whole maps are written when a stage ends: what was odd in them, or absent, stays as it is."""
    item = changed("session", "metadata.created_at", {"S": "long ago"})
    item.metadata.version = 7
    written = Session.metadata.serialize(item.metadata)
    assert written["created_at"] == {"S": "long ago"}
    assert written["version"] == {"N": "7"}
    item = changed("session", "student_metadata", {"NULL": True})
    assert item.serialize()["student_metadata"] == {"NULL": True}
    item = changed("session", "metadata.created_at", None)
    assert "created_at" not in Session.metadata.serialize(item.metadata)


def test_a_new_map_may_lack_nothing() -> None:
    with pytest.raises(InvalidField, match="is missing"):
        Session.metadata.serialize(type(changed("session", "state", {"S": "running"}).metadata)(version=1))
