"""What the public see of participants: nothing by which ten or fewer of them could be singled out."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from analytics_app.export import levels
from analytics_app.export.suppression import SMALLEST_CLASS
from sessions_app.domain.models import Intervention, Item, LocationVerification, Session
from tests.analytics import cohort
from tests.analytics.export import participants
from tests.analytics.export.participants import built, manifest, profile, rows, took_part

Files = Mapping[str, bytes]


def part_of(items: list[Item]) -> list[Item]:
    """What could give away what is hidden; storing the rest takes its time."""
    return [item for item in items if isinstance(item, Session | Intervention | LocationVerification)]


@pytest.fixture(scope="module")
def public(module_table: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, list[Any]]:
    """70 participants, unevenly over places, arms, weeks and ages; the files and what was stored."""
    people = []
    for number in range(70):
        place = "L1" if number < 36 else "L2" if number < 54 else "L3" if number < 66 else "L4"
        code = f"{place}-{'I2' if number % 2 else 'I3'}-{'D' if number % 3 else 'S'}"
        student = profile(age=14 + number % 5, resident=number % 4 > 0)
        start = cohort.NOON + timedelta(days=number // 10, seconds=number)
        people.append((student, part_of(took_part(student, code, start=start))))
    participants.store(*people)
    _, files = built(tmp_path_factory.mktemp("public"), profile="public")
    return files, people


def circumstances(files: Files) -> list[tuple[str, ...]]:
    names = ("location", "intervention_type", "interval", "age_band", "week", "richmond_resident")
    return [tuple(row[name] for name in names) for row in rows(files, "sessions")]


def test_of_the_public_data_no_circumstances_single_out_ten_or_fewer(public: Any) -> None:
    files, people = public
    shown = circumstances(files)
    assert len(shown) == len(people)
    told = {value for each in shown for value in each}
    assert {"on-site", "dynamic", "5", "10"} <= told  # not everything is hidden
    assert "home" not in told
    for number in range(1, 7):
        for places in itertools.combinations(range(6), number):
            table = Counter(tuple(each[place] for place in places) for each in shown)
            assert min(table.values()) >= SMALLEST_CLASS


def test_an_attacker_cannot_subtract_a_small_class_out_of_the_public_tables(public: Any) -> None:
    """Four participants were at home: neither a total less its parts nor the manifest tells so."""
    files, _ = public
    shown = Counter(place for place, *_ in circumstances(files))
    left_over = sum(shown.values()) - sum(number for place, number in shown.items() if place)
    assert left_over >= SMALLEST_CLASS + 4  # at home, and a whole other place beside it
    assert shown["classroom"] == 0
    assert '"sessions": 4' not in json.dumps(manifest(files))


def test_what_a_session_hides_its_other_rows_do_not_tell(public: Any) -> None:
    """How many dialogues there are, how a place was checked, and flags would give it away."""
    files, _ = public
    by_id = {row["session_id"]: row for row in rows(files, "sessions")}
    hidden_arm = {key for key, row in by_id.items() if not (row["interval"] and row["intervention_type"])}
    hidden_place = {key for key, row in by_id.items() if not row["location"]}
    assert hidden_arm
    assert hidden_place
    for level in ("interventions", "questions"):
        assert not hidden_arm & {row["session_id"] for row in rows(files, level)}
    for key in hidden_arm:
        told = by_id[key]
        assert {told[n] for n in ("condition", "interventions_completed", "total_duration_seconds")} == {""}
    wide = {row["session_id"]: row for row in rows(files, "sessions_wide")}
    assert {wide[key]["interventions_total"] for key in hidden_arm} == {""}
    for key in hidden_place:
        told = by_id[key]
        assert {told[n] for n in ("verification_method", "distance_band", "flag_location_override")} == {""}


def test_the_public_see_no_words_no_times_and_no_exact_ages(public: Any) -> None:
    files, people = public
    dates = re.compile(rb"20\d\d-\d\d-\d\d")
    assert [name for name, content in files.items() if dates.search(content) and name.endswith("v")] == []
    for level in levels.LEVELS:
        name = f"parquet/{level}.parquet"
        assert (name in files) == (level != "page_times")
        if name in files:
            schema = pq.read_schema(io.BytesIO(files[name]))
            assert not {"age", "grade", "answer", "question", "student_answer", "session_start"} & set(
                schema.names
            )
            assert not [str(each.type) for each in schema if "timestamp" in str(each.type)]
    shown = b"".join(content for name, content in files.items() if name.endswith("csv"))
    assert b"The river" not in shown
    assert not [student for student, _ in people if student.student_id.encode() in shown]
    assert not dates.search(files["manifest.json"])


def test_the_public_rows_are_not_in_the_order_of_time(public: Any) -> None:
    files, _ = public
    ids = [row["session_id"] for row in rows(files, "sessions")]
    assert ids == sorted(ids)


def test_the_publics_codes_are_not_those_of_other_exports(public: Any, tmp_path: Path) -> None:
    files, _ = public
    _, coded = built(tmp_path, levels=("sessions",))
    assert not {r["student_id"] for r in rows(files, "sessions")} & {
        r["student_id"] for r in rows(coded, "sessions")
    }
