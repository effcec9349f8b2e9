"""The ten example items of the schema, as another client writes them: read, written back, nothing lost."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sessions_app.domain import models

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.json"))
NAMES = [path.stem for path in EXAMPLES]
CLASSES = {
    "assessment-baseline": models.Assessment,
    "assessment-final": models.Assessment,
    "condition_statistics": models.ConditionStatistics,
    "content_delivery": models.ContentDelivery,
    "intervention-dynamic": models.Intervention,
    "intervention-static": models.Intervention,
    "location_verification": models.LocationVerification,
    "post_survey": models.PostSurvey,
    "session": models.Session,
    "student_profile": models.Student,
}
STRANGE: dict[str, Any] = {
    "text": "später",
    "number": Decimal("1.50"),
    "nothing": None,
    "truth": True,
    "texts": {"x", "y"},
    "numbers": {Decimal(1), Decimal("2.5")},
    "bytes": {b"\x00\xff"},
    "list": [None, False, Decimal(3), {"deep": ["er"]}, {"set"}],
    "map": {"empty": {}, "none": None},
}


def example(name: str) -> dict[str, Any]:
    path = EXAMPLES[NAMES.index(name)]
    item: dict[str, Any] = json.loads(path.read_text(), parse_float=Decimal, parse_int=Decimal)
    return item


def sprinkled(value: Any) -> Any:
    """The same item with attributes that no model knows: at the top, in every map, in every list's maps."""
    if isinstance(value, dict):
        return {name: sprinkled(each) for name, each in value.items()} | {"zz_unknown": STRANGE}
    if isinstance(value, list):
        return [sprinkled(each) for each in value]
    return value


def free_maps(item: dict[str, Any]) -> dict[str, Any]:
    """A rubric breakdown's names are free, so nothing in it is unknown, and only numbers fit in."""
    for question in item.get("questions", []):
        if "ai_scoring" in question:
            question["ai_scoring"]["rubric_breakdown"].pop("zz_unknown", None)
    return item


def typed(value: Any) -> Any:
    """What `==` alone does not tell apart: true from 1, a list from a tuple, a set from a list."""
    if isinstance(value, dict):
        return {name: typed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [typed(each) for each in value]
    return (type(value).__name__, value)


def test_there_are_ten_examples_and_each_has_its_class() -> None:
    assert sorted(CLASSES) == NAMES
    assert len(NAMES) == 10


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_read_as_its_class_and_written_back_unchanged(table: str, raw: Any, name: str) -> None:
    item = example(name)
    raw.put_item(Item=item)
    read = models.Item.get(item["PK"], item["SK"])
    assert type(read) is CLASSES[name]
    raw.delete_item(Key={"PK": item["PK"], "SK": item["SK"]})
    read.save()
    back = raw.get_item(Key={"PK": item["PK"], "SK": item["SK"]})["Item"]
    assert typed(back) == typed(item)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_attributes_survive_reading_and_writing(table: str, raw: Any, name: str) -> None:
    item = free_maps(sprinkled(example(name)))
    raw.put_item(Item=item)
    read = next(iter(models.Item.query(item["PK"])))
    assert type(read) is CLASSES[name]
    raw.delete_item(Key={"PK": item["PK"], "SK": item["SK"]})
    read.save()
    back = raw.get_item(Key={"PK": item["PK"], "SK": item["SK"]})["Item"]
    assert typed(back) == typed(item)


def touched(read: Any) -> tuple[Any, Any]:
    """An attribute of the item that every update here leaves to the model: the time of the last change."""
    metadata = type(read).metadata
    name = next(n for n in ("updated_at", "last_updated", "timestamp") if hasattr(read.metadata, n))
    return getattr(metadata, name), name


@pytest.mark.parametrize("name", NAMES)
def test_unknown_attributes_survive_an_update(table: str, raw: Any, name: str) -> None:
    item = free_maps(sprinkled(example(name)))
    raw.put_item(Item=item)
    read: Any = models.Item.get(item["PK"], item["SK"])
    attribute, changed = touched(read)
    read.update(actions=[attribute.set("2026-01-02T03:04:05Z")])
    back = raw.get_item(Key={"PK": item["PK"], "SK": item["SK"]})["Item"]
    item["metadata"][changed] = "2026-01-02T03:04:05Z"
    assert typed(back) == typed(item)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_map_set_by_an_update_keeps_what_it_was_read_with(table: str, raw: Any, name: str) -> None:
    item = free_maps(sprinkled(example(name)))
    raw.put_item(Item=item)
    read: Any = models.Item.get(item["PK"], item["SK"])
    read.update(actions=[type(read).metadata.set(read.metadata)])
    back = raw.get_item(Key={"PK": item["PK"], "SK": item["SK"]})["Item"]
    assert typed(back) == typed(item)


def test_elements_of_a_list_keep_what_they_were_read_with(table: str, raw: Any) -> None:
    item = free_maps(sprinkled(example("assessment-final")))
    raw.put_item(Item=item)
    read: Any = models.Item.get(item["PK"], item["SK"])
    read.update(actions=[models.Assessment.questions.set(read.questions)])
    back = raw.get_item(Key={"PK": item["PK"], "SK": item["SK"]})["Item"]
    assert typed(back) == typed(item)


@pytest.mark.parametrize("written", ["2025-10-23T14:30:00.000000+00:00", "2025-10-23T14:30:00+00:00"])
def test_timestamps_of_other_writers_are_read(table: str, raw: Any, written: str) -> None:
    item = example("session")
    item["timeline"]["session_start"] = written
    raw.put_item(Item=item)
    read: Any = models.Item.get(item["PK"], item["SK"])
    assert read.start.isoformat() == "2025-10-23T14:30:00+00:00"


def test_a_session_written_by_another_client_is_a_run_that_is_closed(table: str, raw: Any) -> None:
    from sessions_app.domain.session.record import Run

    for name in NAMES:
        raw.put_item(Item=example(name))
    run = Run.load("7f3e8b2a-1c4d-4e9f-b2a1-9d8e7c6b5a4f")
    assert run.step is None
    assert run.session.condition.code == "L1-I1-D"
    assert set(run.assessments) == {"baseline", "final"}
    assert run.interventions[1].is_whole
