"""What completes an entity, what its lines hold, and which version of it they are."""

import json
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest

from analytics_app.export.pseudonyms import Coder
from analytics_app.lake import records, tables
from analytics_app.lake.records import Line, Poison
from sessions_app.domain.models import Item
from sessions_app.domain.models.session import Void
from tests.analytics import cohort
from tests.analytics.lake.conftest import STREAM

CODER = Coder(b"a key for tests", "coded")


def lines(record: Any, stream: str = STREAM) -> list[Line]:
    return records.convert(record, stream=stream, coder=CODER)


def of(new: Item | None = None, old: Item | None = None, **rest: Any) -> Counter[str]:
    return Counter(line.table for line in lines(cohort.record(new=new, old=old, **rest)))


# --- when


@pytest.mark.parametrize(
    ("state", "known"), [("running", 0), ("withdrawn", 0), ("completed", 1), ("stopped", 1), ("abandoned", 1)]
)
def test_a_session_is_complete_when_it_has_ended(state: str, known: int) -> None:
    assert of(cohort.session(state=state))["sessions"] == known


def test_an_assessment_is_complete_with_its_last_answer_and_newer_with_its_grade() -> None:
    made = cohort.session()
    open_, graded = cohort.assessment(made, "final", None), cohort.assessment(made, "final", 60.0)
    answered = cohort.assessment(made, "final", None)
    answered.assessment_metadata.duration_seconds = 180
    assert [of(each)["assessments"] for each in (open_, answered, graded)] == [0, 1, 1]


def test_a_dialogue_is_complete_with_its_third_answer() -> None:
    made = cohort.intervention(cohort.session(), 1)
    assert of(made) == {"interventions": 1, "questions": 3}
    raw = cohort.record(new=made)
    del raw["dynamodb"]["NewImage"]["socratic_sequence"]["L"][2]["M"]["answer"]
    assert lines(raw) == []


def test_a_content_is_complete_when_it_was_played_to_its_end() -> None:
    made = cohort.content(cohort.session())
    assert of(made) == {}
    made.engagement_metrics.end_time = cohort.NOON + timedelta(minutes=12)
    assert of(made) == {"deliveries": 1, "segments": 1}


def test_a_survey_is_complete_as_it_is_stored() -> None:
    assert of(cohort.survey(cohort.session())) == {"surveys": 1}


def test_other_items_do_not_matter() -> None:
    strange = cohort.record(new=cohort.survey(cohort.session()))
    strange["dynamodb"]["NewImage"]["entity_type"] = {"S": "hologram"}
    assert lines(strange) == []


# --- removals


def test_what_is_erased_is_told_by_its_key_alone() -> None:
    made = cohort.session(state="completed")
    (removal,) = lines(cohort.record(erased=made, sequence=9))
    (line,) = lines(cohort.record(new=made, sequence=8))
    assert (removal.table, removal.day) == (records.REMOVALS, line.day)
    assert set(removal.row) == {"entity_key", "version"}
    assert removal.row["entity_key"] == line.row["entity_key"]
    assert removal.row["version"] > line.row["version"]


def test_what_was_never_complete_needs_no_removal() -> None:
    assert of(erased=cohort.session()) == {}


def test_a_session_that_is_withdrawn_afterwards_is_taken_away() -> None:
    one, other = (cohort.session(session_id="s", state=state) for state in ("completed", "withdrawn"))
    assert of(new=other, old=one) == {records.REMOVALS: 1}


def test_an_entity_that_moves_to_another_day_leaves_the_first() -> None:
    one = cohort.session(session_id="s", state="completed")
    other = cohort.session(session_id="s", state="completed", start=cohort.NOON + timedelta(days=30))
    assert [(line.table, line.day) for line in lines(cohort.record(new=other, old=one))] == [
        (records.REMOVALS, date(2025, 10, 23)),
        ("sessions", date(2025, 11, 22)),
    ]


def test_an_item_that_is_put_right_enters_whatever_it_was_before() -> None:
    made = cohort.session(state="completed")
    record = cohort.record(new=made, old=made)
    record["dynamodb"]["OldImage"]["timeline"]["M"]["session_start"] = {"S": "yesterday"}
    assert [line.table for line in lines(record)] == ["sessions"]


# --- void sessions


def voided(kind: str = "spoiled", **attributes: Any) -> Item:
    made = cohort.session(session_id="s", state="stopped", **attributes)
    made.metadata.void = Void(at=cohort.NOON, by="f", kind=kind, reason="Anna had a fever")
    return made


def marks(**images: Any) -> list[str | None]:
    record = cohort.record(**images)
    return [line.row["kind"] for line in lines(record) if line.table == records.VOIDS]


def test_a_void_session_is_marked_by_kind_alone() -> None:
    found = lines(cohort.record(new=voided(), old=cohort.session(session_id="s", state="stopped")))
    (mark,) = (line for line in found if line.table == records.VOIDS)
    assert set(mark.row) == {"entity_key", "version", "kind"}
    assert mark.row["kind"] == "spoiled"
    assert "Anna" not in json.dumps([line.row for line in found], default=str)


def test_each_change_of_a_void_session_repeats_the_mark() -> None:
    """The lake may have begun after the session was marked."""
    assert marks(new=voided(), old=voided()) == ["spoiled"]
    assert marks(new=voided("wrong_student")) == ["wrong_student"]


def test_removing_the_mark_or_the_session_is_told_to_the_lake() -> None:
    assert marks(new=cohort.session(session_id="s", state="stopped"), old=voided()) == [None]
    assert marks(erased=voided()) == [None]


def test_a_session_that_was_never_void_has_no_mark() -> None:
    one, other = (cohort.session(session_id="s", state=state) for state in ("running", "completed"))
    assert marks(new=other, old=one) == []


def test_a_mark_of_an_unknown_kind_counts_as_other() -> None:
    record = cohort.record(new=voided())
    record["dynamodb"]["NewImage"]["metadata"]["M"]["void"]["M"]["kind"] = {"S": "a dream"}
    assert [line.row["kind"] for line in lines(record) if line.table == records.VOIDS] == ["other"]


# --- what a line holds


def test_rows_are_typed_and_join_by_codes() -> None:
    items = cohort.whole(final=73.3)
    rows = {line.table: line.row for item in items for line in lines(cohort.record(new=item))}
    session = rows["sessions"]
    assert session["session_id"] == CODER.code("session_id", items[0].session_id)
    assert session["student_id"] == CODER.code("student_id", items[0].student_id)
    assert {row["session_id"] for row in rows.values()} == {session["session_id"]}
    assert (session["condition"], session["age"], session["age_band"]) == ("L1-I1-D", 16, "16 to 17")
    assert (session["completed"], session["session_start"]) == (True, "2025-10-23T12:00:00Z")
    assert rows["assessments"]["score_percentage"] == 73.3
    assert (rows["questions"]["question_number"], rows["questions"]["answer"]) == (3, "The river")
    assert rows["interventions"]["answers"] == 3


def test_no_raw_id_is_in_any_line() -> None:
    items = cohort.whole()
    told = "".join(
        json.dumps(dict(line.row)) for item in items for line in lines(cohort.record(new=item, old=item))
    )
    assert told
    assert items[0].session_id not in told
    assert items[0].student_id not in told


def test_the_day_is_the_entitys_own_in_all_its_versions() -> None:
    made = cohort.session(state="completed")
    for creation in (1, 2_000_000_000):
        record = cohort.record(new=made)
        record["dynamodb"]["ApproximateCreationDateTime"] = creation
        assert [line.day for line in lines(record)] == [date(2025, 10, 23)]


def test_versions_sort_by_sequence_and_a_later_stream_is_newer() -> None:
    made = cohort.session(state="completed")
    numbers = ("99", "100", "1" + "0" * 30)
    found = []
    for number in numbers:
        record = cohort.record(new=made)
        record["dynamodb"]["SequenceNumber"] = number
        found.append(lines(record)[0].row["version"])
    restored = STREAM.replace("2025-10-01", "2026-01-01")
    found.append(lines(cohort.record(new=made, sequence=1), restored)[0].row["version"])
    assert found == sorted(found)
    assert len(set(found)) == 4


@pytest.mark.parametrize("name", tables.NAMES)
def test_every_table_is_made_from_an_item_of_the_lake(name: str) -> None:
    role = tables.TABLES[name].role
    assert role in records.COMPLETE
    assert role in records.BEGINNING


# --- what cannot be converted


def broken(item: Item, *path: str, value: Any) -> Any:
    record = cohort.record(new=item)
    container = record["dynamodb"]["NewImage"]
    for name in path[:-1]:
        container = container[name]["M"]
    container[path[-1]] = value
    return record


def test_a_value_that_cannot_be_read_is_left_out_of_its_row() -> None:
    made = cohort.session(state="completed")
    record = broken(made, "student_metadata", "age", value={"S": "sixteen"})
    (line,) = lines(record)
    assert "age" not in line.row
    assert line.row["grade"] == 10


def test_what_makes_a_record_unreadable_is_named_by_its_place_and_not_by_itself() -> None:
    made = cohort.session(state="completed")
    record = broken(made, "experimental_condition", "interval_minutes", value={"S": "seven"})
    record["dynamodb"]["NewImage"]["experimental_condition"]["M"]["condition_code"] = {"S": "L1-I9-D"}
    with pytest.raises(Poison) as caught:
        lines(record)
    assert "seven" not in str(caught.value)
    assert "I9" not in str(caught.value)


@pytest.mark.parametrize("attribute", ["session_id", "student_id"])
def test_whose_it_is_must_be_known(attribute: str) -> None:
    record = broken(cohort.session(state="completed"), attribute, value={"NULL": True})
    (line,) = lines(record)  # its key tells
    assert line.row[attribute]
    del record["dynamodb"]["NewImage"]["PK" if attribute == "session_id" else "GSI2PK"]
    with pytest.raises(Poison):
        lines(record)


def test_without_a_time_of_its_own_it_has_no_day() -> None:
    record = broken(cohort.session(state="completed"), "timeline", "session_start", value={"S": "noon"})
    with pytest.raises(Poison, match=r"timeline\.session_start cannot be read"):
        lines(record)


@pytest.mark.parametrize("record", [{}, {"dynamodb": {}}, {"dynamodb": {"Keys": {}, "NewImage": {}}}])
def test_what_is_no_record_is_said_to_be_none(record: Any) -> None:
    with pytest.raises(Poison, match="not of the form"):
        lines(record)


def test_what_is_whole_by_the_models_is_complete_in_the_lake() -> None:
    made = cohort.intervention(cohort.session(), 1)
    raw = made.serialize()
    assert made.is_whole is records.COMPLETE["intervention"](raw) is True
    del made.socratic_sequence[2]
    assert made.is_whole is records.COMPLETE["intervention"](made.serialize(null_check=False)) is False
