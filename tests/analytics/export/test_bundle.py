"""Who and what is in an export, by filters and profile; how it begins anew; what the coded data lead to."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from analytics_app.export import bundle, columns, profiles, tables
from analytics_app.export.columns import Made
from analytics_app.export.read import BadChoice, Chosen
from analytics_app.export.request import Choice
from sessions_app import study
from sessions_app.access.field_policy import DERIVED, RULES
from sessions_app.domain.models import Item, Student, connection
from sessions_app.domain.store import keys
from tests.analytics import cohort
from tests.analytics.export import participants
from tests.analytics.export.participants import built, manifest, profile, rows, took_part

Files = Mapping[str, bytes]


@pytest.fixture
def store(table: str, settings: Any) -> Any:
    settings.EXPORT_KEY = "the study's"
    return participants.store


def test_the_same_data_give_the_same_bytes(store: Any, tmp_path: Path) -> None:
    for _ in range(3):
        student = profile()
        store((student, took_part(student)))
    one, _ = built(tmp_path)
    other, _ = built(tmp_path)
    assert (one.sha256, one.version) == (other.sha256, other.version)
    store(((late := profile()), took_part(late)))
    assert built(tmp_path)[0].version != one.version


def test_sessions_of_the_same_second_stand_in_the_order_of_their_ids(store: Any, tmp_path: Path) -> None:
    for _ in range(4):
        student = profile()
        store((student, took_part(student)))
    _, files = built(tmp_path, profile="full", levels=("sessions",))
    ids = [row["session_id"] for row in rows(files, "sessions")]
    assert ids == sorted(ids)
    assert len(ids) == 4


OUTSIDERS = {
    "withdrawn": {"withdrawn_at": cohort.NOON, "state": "withdrawn"},
    "consent_missing": {"student_assent": False},
    "not_shared": {"data_sharing_consent": False},
    "needs_reconsent": {"state": "needs_reconsent"},
    "returned": {"review": {"state": "returned", "at": cohort.NOON}},
    "unreviewed": {"review": None},
    "simulated": {"simulated": True, "review": None},
    "practice": {"realm": "practice"},
}


def cast(store: Any) -> dict[str, str]:
    """A session for each reason to stay out, and one that is in; session ids by reason."""
    people: dict[str, Student] = {reason: profile(**consent) for reason, consent in OUTSIDERS.items()}
    people["in"] = profile()
    sessions = {reason: took_part(student) for reason, student in people.items()}
    store(*((people[reason], items) for reason, items in sessions.items()))
    orphan = took_part(profile())
    cohort.store(*orphan)
    return {reason: items[0].session_id for reason, items in (*sessions.items(), ("no_profile", orphan))}  # type: ignore[attr-defined]


def exported(tmp_path: Path, **choice: Any) -> tuple[set[str], Mapping[str, int]]:
    """Which sessions are in, by their original ids, and what was left out."""
    made, files = built(tmp_path, levels=("sessions",), **choice)
    assert made.excluded == {reason: told["sessions"] for reason, told in manifest(files)["excluded"].items()}
    return {row["session_id"] for row in rows(files, "sessions")}, made.excluded


def test_who_stays_out_is_counted_by_reason(store: Any, tmp_path: Path, settings: Any) -> None:
    ids = cast(store)
    shown, excluded = exported(tmp_path)
    assert len(shown) == 1
    assert excluded == dict.fromkeys([*OUTSIDERS, "no_profile"], 1)

    settings.EXPORT_UNREVIEWED = True
    shown, excluded = exported(tmp_path, simulated=True)
    assert len(shown) == 3
    assert not {"unreviewed", "simulated"} & excluded.keys()

    settings.EXPORT_UNREVIEWED = False
    shown, excluded = exported(tmp_path, profile="full")
    inside = {"in", "not_shared", "needs_reconsent", "returned", "unreviewed"}
    assert shown == {ids[reason] for reason in inside}
    assert set(excluded) == {"withdrawn", "consent_missing", "simulated", "practice", "no_profile"}


def test_realm_and_simulated_are_never_empty(store: Any, tmp_path: Path) -> None:
    for about in ({}, {"simulated": True}, {"realm": "real"}, {"realm": "simulated"}):
        student = profile(**about)
        store((student, took_part(student, simulated=about.get("simulated", False))))
    _, files = built(tmp_path, simulated=True, levels=("sessions", "sessions_wide", "students"))
    for table in ("sessions", "sessions_wide", "students"):
        found = [(row["simulated"], row["realm"]) for row in rows(files, table)]
        assert set(found) <= {("0", "real"), ("1", "simulated")}, table
        assert len(found) == 4
    students = [row["simulated"] for row in rows(files, "students")]
    assert sorted(students) == ["0", "0", "1", "1"]


def test_days_are_the_studys_and_the_last_one_is_counted_in(store: Any, tmp_path: Path) -> None:
    """20:30 in Richmond on the 23rd is the 24th in UTC."""
    evening = cohort.NOON.replace(hour=0, minute=30) + timedelta(days=1)
    starts = [cohort.NOON - timedelta(days=1), cohort.NOON, evening, cohort.NOON + timedelta(days=1)]
    for start in starts:
        student = profile()
        store((student, took_part(student, start=start)))
    day = date(2025, 10, 23)

    def found(start: date | None, end: date | None) -> list[str]:
        _, files = built(tmp_path, chosen=Chosen(start, end), profile="full", levels=("sessions",))
        return [row["session_start"] for row in rows(files, "sessions")]

    assert found(day, day) == [keys.stamp(start) for start in starts[1:3]]
    assert found(None, day) == [keys.stamp(start) for start in starts[:3]]
    assert found(day + timedelta(days=1), None) == [keys.stamp(starts[3])]
    assert found(date(2030, 1, 1), None) == []
    assert found(date.min, date.max) == [keys.stamp(start) for start in starts]


def test_conditions_choose_sessions(store: Any, tmp_path: Path) -> None:
    for code in ("L1-I1-D", "L4-I3-S", "L4-I2-S"):
        student = profile()
        store((student, took_part(student, code)))
    _, files = built(tmp_path, chosen=Chosen(conditions=("L4-I3-S", "L1-I1-D")))
    assert {row["condition"] for row in rows(files, "sessions")} == {"L4-I3-S", "L1-I1-D"}


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ({"chosen": Chosen(date(2026, 3, 2), date(2026, 3, 1))}, "to"),
        ({"chosen": Chosen(conditions=("L9-I1-D",))}, "conditions"),
        ({"levels": ("sessions", "secrets")}, "levels"),
        ({"profile": "public", "levels": ("page_times",)}, "levels"),
        ({"profile": "public", "chosen": Chosen(start=date(2026, 3, 1))}, "profile"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(choice: dict[str, Any], field: str) -> None:
    with pytest.raises(BadChoice) as told:
        Choice(**choice).check()
    assert told.value.field == field


def test_an_empty_table_gives_tables_without_rows(store: Any, tmp_path: Path) -> None:
    made, files = built(tmp_path)
    assert made.sessions == sum(made.rows.values()) == 0
    assert pq.read_table(io.BytesIO(files["parquet/sessions.parquet"])).num_rows == 0


def test_a_value_of_another_type_is_left_empty_and_counted(store: Any, tmp_path: Path) -> None:
    student = profile()
    items = took_part(student)
    store((student, items))
    connection().client.update_item(
        TableName=Item.Meta.table_name,
        Key={"PK": {"S": items[0].PK}, "SK": {"S": keys.METADATA}},
        UpdateExpression="SET timeline.total_duration_seconds = :x, content_id = :y",
        ExpressionAttributeValues={":x": {"S": "long"}, ":y": {"N": "7"}},
    )
    _, files = built(tmp_path, levels=("sessions",))
    (row,) = rows(files, "sessions")
    assert (row["total_duration_seconds"], row["content_id"], row["state"]) == ("", "", "completed")
    assert manifest(files)["unreadable_values"] == {
        "session": {"timeline.total_duration_seconds": 1, "content_id": 1}
    }


def test_what_was_begun_and_broken_off_leaves_nothing(store: Any, tmp_path: Path) -> None:
    student = profile()
    store((student, took_part(student)))

    def broken(done: int, total: int) -> None:
        raise ConnectionResetError("the power went")

    with pytest.raises(bundle.CannotWrite), bundle.workshop(tmp_path) as shop:  # noqa: PT012
        assert len(list(tmp_path.iterdir())) == 1
        bundle.build(Choice(), shop, zone=study.zone(), tick=broken)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_maker_left_is_swept_away_and_what_is_being_made_is_not(tmp_path: Path) -> None:
    left = tmp_path / ".export-abc.partial"
    left.mkdir()
    (left / "lock").touch()
    with bundle.workshop(tmp_path) as first:
        with bundle.workshop(tmp_path) as second:
            assert first.exists()
            assert second.exists()
        assert not left.exists()


# --- the coded profile


def test_coded_data_lead_to_no_person_place_or_device(store: Any, tmp_path: Path) -> None:
    student = profile(code="river-oak-7")
    items = took_part(student)
    store((student, items))
    planted = [
        participants.SCHOOL, participants.AGENT, participants.NETWORK, participants.STAFF, "37.53", "-77.44",
        "river-oak", student.student_id, items[0].session_id, "61.7",  # type: ignore[attr-defined]
    ]  # fmt: skip

    def leaked(profile: str) -> list[str]:
        _, files = built(tmp_path, profile=profile)
        shown = b"\n".join(content for name, content in files.items() if not name.endswith(".parquet"))
        for name, content in files.items():
            if name.endswith(".parquet"):
                shown += str(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
        return [needle for needle in planted if needle.encode() in shown]

    assert leaked("full") == planted
    assert leaked("coded") == []
    _, files = built(tmp_path)
    assert rows(files, "sessions")[0]["distance_band"] == "inside, over 50 m"


def codes(files: Files) -> dict[str, str]:
    (row,) = rows(files, "sessions")
    return {name: row[name] for name in ("session_id", "student_id")}


def test_codes_are_stable_inside_a_study_and_mean_nothing_outside(
    store: Any, tmp_path: Path, settings: Any
) -> None:
    student = profile()
    store((student, took_part(student)))
    once, again = codes(built(tmp_path)[1]), codes(built(tmp_path)[1])
    assert once == again
    assert re.fullmatch("[0-9a-f]{20}", once["student_id"])
    assert rows(built(tmp_path)[1], "students")[0]["student_id"] == once["student_id"]
    settings.EXPORT_KEY = "another study's"
    other = codes(built(tmp_path)[1])
    assert not set(once.values()) & set(other.values())


def test_without_a_setting_the_key_is_made_once_and_kept_private(
    store: Any, tmp_path: Path, settings: Any, var: Path
) -> None:
    settings.EXPORT_KEY = ""
    student = profile()
    store((student, took_part(student)))
    once = codes(built(tmp_path)[1])
    assert codes(built(tmp_path)[1]) == once
    assert (var / "export_key").stat().st_mode & 0o777 == 0o600
    assert len((var / "export_key").read_text().strip()) == 60


# --- too few for the public, and declarations


def test_of_ten_participants_the_public_get_nothing(store: Any, tmp_path: Path) -> None:
    people = [profile() for _ in range(10)]
    store(*((student, took_part(student)) for student in people))
    with pytest.raises(BadChoice, match="Nothing was exported"):
        built(tmp_path, profile="public")


def test_every_column_is_carried_by_a_profile_and_every_computed_one_has_a_rule() -> None:
    made = {each.name for level in tables.DECLARED.values() for each in level if isinstance(each, Made)}
    assert made | {profiles.GROUP_SIZE.name} == set(RULES[DERIVED])
    assert [c.name for level in tables.LEVELS for c in tables.columns(level) if "full" not in c.exports] == []


def test_a_column_that_the_dictionary_does_not_know_is_refused() -> None:
    with pytest.raises(KeyError):
        columns.column(columns.Stored("session", "timeline.gone"))
