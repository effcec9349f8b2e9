"""What the public see of participants: rows that are alike for at least k of them, in every column."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from analytics_app.export import profiles
from analytics_app.export import tables as export_tables
from analytics_app.export.profiles import NotPublishable
from sessions_app.domain.models import Assessment, Item, PostSurvey, Session
from tests.analytics import cohort
from tests.analytics.export import participants
from tests.analytics.export.participants import built, manifest, profile, rows, took_part

Files = Mapping[str, bytes]
COLUMNS = [
    *("condition", "location", "interval", "intervention_type", "final_score", "baseline_score"),
    *("learning_gain", "location_impact_rating", "overall_experience_rating", "group_size"),
]
WHOLE = {"condition", "interval", "intervention_type"}


def person(number: int, place: str, chance: random.Random) -> tuple[Any, list[Item]]:
    """Unlike most others in how they learn, and in times and scores unlike all."""
    student = profile(age=14 + number % 5, resident=number % 4 > 0)
    student.learning_profile.learning_style = ("visual", "auditory", "hands-on")[number % 3]
    student.learning_profile.prior_knowledge_topics = ["civil_war"][: number % 2]
    code = f"{place}-{'I2' if number % 2 else 'I3'}-{'D' if number % 3 else 'S'}"
    start = cohort.NOON + timedelta(days=number // 10, seconds=number)
    scores = {kind: round(chance.uniform(20, 95), 1) for kind in ("baseline", "final")}
    items = [
        item
        for item in took_part(student, code, start=start, **scores)
        if isinstance(item, Session | Assessment | PostSurvey)  # storing the rest takes its time
    ]
    survey = next(item for item in items if isinstance(item, PostSurvey))
    survey.location_experience.location_impact_rating = chance.randint(1, 5)
    survey.learning_experience.overall_experience_rating = chance.randint(2, 5)
    return student, items


@pytest.fixture(scope="module")
def public(module_table: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, list[Any]]:
    """70 participants, unevenly over locations, and one of them twice; the files and what was stored."""
    chance = random.Random(1)
    places = ["L1"] * 30 + ["L2"] * 24 + ["L3"] * 12 + ["L4"] * 4
    people = [person(number, place, chance) for number, place in enumerate(places)]
    student, _ = people[0]
    again = took_part(student, "L1-I2-D", start=cohort.NOON + timedelta(days=30))
    unfinished = profile()
    participants.store(*people, (student, again))
    participants.store((unfinished, [cohort.session("L1-I1-D", student_id=unfinished.student_id)]))
    _, files = built(tmp_path_factory.mktemp("public"), profile="public")
    return files, people


def test_k_holds_over_every_column_but_condition_interval_and_type(public: Any) -> None:
    files, _ = public
    found = rows(files, "sessions_wide")
    assert list(found[0]) == COLUMNS
    alike = Counter(tuple(value for name, value in row.items() if name not in WHOLE) for row in found)
    told = manifest(files)["privacy"]
    assert told["k"] == {"required": 11, "measured": min(alike.values())}
    assert min(alike.values()) >= 11
    assert len(alike) > 3  # there is something to analyze
    assert told["l"]["measured"] >= told["l"]["required"] == 2
    assert set(told["measured_over"]) == set(COLUMNS) - WHOLE
    assert set(told["left_whole"]) == WHOLE | {"location"}


def test_no_combination_of_columns_singles_out_fewer_than_k(public: Any) -> None:
    files, _ = public
    found = rows(files, "sessions_wide")
    names = [name for name in COLUMNS if name not in WHOLE]
    for number in range(1, len(names) + 1):
        for some in itertools.combinations(names, number):
            assert min(Counter(tuple(row[name] for name in some) for row in found).values()) >= 11


def test_a_location_with_few_participants_is_suppressed_and_its_number_is_not_told(public: Any) -> None:
    files, _ = public
    told = manifest(files)
    assert {row["location"] for row in rows(files, "sessions_wide")} == {
        "on-site", "learning-space", "classroom",
    }  # fmt: skip
    assert told["privacy"]["rows_suppressed"] == "1 to 10"
    assert told["excluded"]["too_few"]["sessions"] == "1 to 10"
    assert told["sessions"] == 66


def test_each_participant_is_there_once_and_only_when_scored(public: Any) -> None:
    files, _ = public
    told = manifest(files)["excluded"]
    assert {told[reason]["sessions"] for reason in ("later_allocation", "incomplete")} == {"1 to 10"}


def test_the_public_get_one_table_without_ids_words_and_times(public: Any) -> None:
    files, people = public
    tables = {name for name in files if name.startswith("parquet/")}
    assert tables == {f"parquet/{level}.parquet" for level in export_tables.PUBLIC}
    shown = b"".join(content for name, content in files.items() if name.startswith("csv"))
    assert not re.search(rb"20\d\d-\d\d-\d\d", shown + files["manifest.json"])
    words = [b"visual", b"auditory", b"civil_war", b"tablet", b"audio", b"The river"]
    words += [student.student_id.encode() for student, _ in people]
    assert [word for word in words if word in shown] == []


def test_a_rating_that_all_gave_alike_is_dropped_and_named(public: Any) -> None:
    files, _ = public
    assert manifest(files)["privacy"]["columns_dropped"] == ["intervention_helpful_rating"]


def test_the_public_rows_are_in_the_order_of_what_they_say(public: Any) -> None:
    files, _ = public
    found = [
        (row["condition"], float(row["final_score"]), float(row["baseline_score"]))
        for row in rows(files, "sessions_wide")
    ]
    assert found == sorted(found)


def test_columns_are_public_by_opt_in() -> None:
    every = {column.name for level in export_tables.LEVELS for column in profiles.columns_of(level, "public")}
    assert every - set(COLUMNS) == {"intervention_helpful_rating"}


def test_below_k_nothing_is_exported_and_the_reason_says_what_to_do(
    public: Any, tmp_path: Path, settings: Any
) -> None:
    settings.EXPORT_PUBLIC_K = 31
    with pytest.raises(NotPublishable, match=r"Nothing was exported.*the 31 participants.*Wait for more"):
        built(tmp_path, profile="public")
    assert list(tmp_path.iterdir()) == []
