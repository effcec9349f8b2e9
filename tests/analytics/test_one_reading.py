"""Page, statistics, export and lake read a session alike, however oddly another client stored it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from analytics_app.export import session_rows
from analytics_app.export.profiles import Plan
from analytics_app.export.pseudonyms import Coder
from analytics_app.export.tables import WIDE
from analytics_app.lake import records
from analytics_app.statistics.contributions import contribution
from analytics_app.statistics.sums import NORMALIZED, POINT
from sessions_app.domain.models import Item
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.presenters import transcript
from tests.analytics import cohort

Raw = dict[str, Any]
CODER = Coder(b"a key for tests", "coded")
STREAM = "arn:aws:dynamodb:us-east-1:1:table/T/stream/2025-10-01T00:00:00.000"
Readings = tuple[float | None, float | None, float | None, float | None]
"""Baseline and final score, absolute gain in percentage points, and normalized gain."""


# --- the four readings


def on_the_page(items: list[Raw]) -> Readings:
    found = transcript.gain(Run.of(typed(items)))
    return found.baseline, found.final, found.absolute, found.normalized


def in_statistics(items: list[Raw]) -> Readings:
    counts = contribution(Run.of(typed(items))).sums.counts

    def mean(name: str, scale: int) -> float | None:
        return counts.get(f"{name}_sum", 0) / scale if counts.get(f"{name}_n") else None

    baseline, final, gain = (mean(name, POINT) for name in ("baseline", "final", "gain"))
    return baseline, final, gain, mean("normalized", NORMALIZED)


def in_an_export(items: list[Raw]) -> Readings:
    parts = session_rows.Parts.of(items, {})
    assert parts is not None
    plan = Plan.of(WIDE, "full", CODER)
    objects = session_rows.base(parts, session_rows.Calendar(ZoneInfo("America/New_York"), date(2025, 10, 1)))
    row = dict(zip((column.name for column in plan.columns), plan.row(objects), strict=True))
    return row["baseline_score"], row["final_score"], row["learning_gain"], row["normalized_gain"]


def in_the_lake(items: list[Raw]) -> Readings:
    """As docs/lake.md says: of each kind the first complete assessment by its entity_key."""
    found: dict[str, float | None] = {}
    for number, item in enumerate(sorted(items, key=lambda item: item["SK"]["S"])):
        change = {"Keys": {name: item[name] for name in ("PK", "SK")}, "NewImage": item}
        record = {"dynamodb": {**change, "SequenceNumber": str(number)}}
        for line in records.convert(record, stream=STREAM, coder=CODER):
            if line.table == "assessments":
                found.setdefault(line.row["assessment_type"], line.row.get("score"))
    baseline, final = found.get("baseline"), found.get("final")
    if baseline is None or final is None:
        return baseline, final, None, None
    gain = final - baseline
    return baseline, final, gain, gain / (100 - baseline) if baseline < 100 else None


def typed(items: list[Raw]) -> list[Item]:
    return [Item.from_raw_data(copy.deepcopy(item)) for item in items]


# --- odd sessions


def whole(baseline: float | None = 40.0, final: float | None = 73.3) -> list[Raw]:
    items = [item.serialize() for item in cohort.whole(baseline=baseline, final=final)]
    for item in assessments(items):
        item["assessment_metadata"]["M"]["duration_seconds"] = {"N": "170"}
    return items


def assessments(items: list[Raw], kind: str = "") -> list[Raw]:
    prefix = keys.ASSESSMENT_PREFIX + kind
    return [item for item in items if item["SK"]["S"].startswith(prefix)]


def results(items: list[Raw], kind: str = "final") -> Raw:
    (item,) = assessments(items, kind)
    found: Raw = item["assessment_results"]["M"]
    return found


def of_points(items: list[Raw], kind: str, earned: str, percent: str) -> None:
    results(items, kind).update(points_earned={"N": earned}, score_percentage={"N": percent})


def question(number: int, earned: str, points: str) -> Raw:
    return {
        "M": {
            "question_id": {"S": f"q{number}"},
            "question_text": {"S": "What was made here?"},
            "question_type": {"S": "short_answer"},
            "difficulty": {"S": "easy"},
            "points": {"N": points},
            "points_earned": {"N": earned},
        }
    }


def exact_points(items: list[Raw]) -> None:
    of_points(items, "baseline", "9.5", "63.3")
    of_points(items, "final", "14", "93.3")


def an_item_above_its_points(items: list[Raw]) -> None:
    (item,) = assessments(items, "final")
    item["questions"] = {"L": [question(n, "4.5" if n == 1 else "1", "1.5") for n in range(1, 11)]}


def points_that_contradict(items: list[Raw]) -> None:
    of_points(items, "final", "3", "93.3")


def a_score_beyond_the_scale(items: list[Raw]) -> None:
    results(items)["score_percentage"] = {"N": "100.4"}


def a_score_as_text(items: list[Raw]) -> None:
    results(items)["score_percentage"] = {"S": "73.3"}


def a_score_that_is_no_number(items: list[Raw]) -> None:
    results(items)["score_percentage"] = {"S": "very good"}


def null_results(items: list[Raw]) -> None:
    (item,) = assessments(items, "final")
    item["assessment_results"] = {"NULL": True}


def no_baseline(items: list[Raw]) -> None:
    items.remove(assessments(items, "baseline")[0])


def two_finals(items: list[Raw]) -> None:
    second = copy.deepcopy(assessments(items, "final")[0])
    second["SK"] = {"S": second["SK"]["S"].replace("12:30", "12:50")}
    second["assessment_results"]["M"].update(score_percentage={"N": "100"}, points_earned={"N": "15"})
    items.append(second)


def a_first_final_that_was_left(items: list[Raw]) -> None:
    first = copy.deepcopy(assessments(items, "final")[0])
    first["SK"] = {"S": first["SK"]["S"].replace("12:30", "12:10")}
    del first["assessment_results"], first["assessment_metadata"]["M"]["duration_seconds"]
    items.append(first)


def two_baselines(items: list[Raw]) -> None:
    second = copy.deepcopy(assessments(items, "baseline")[0])
    second["SK"] = {"S": second["SK"]["S"].replace("12:00", "12:05")}
    second["assessment_results"]["M"].update(score_percentage={"N": "10"}, points_earned={"N": "1.5"})
    items.append(second)


def a_full_baseline(items: list[Raw]) -> None:
    of_points(items, "baseline", "15", "100")


def an_empty_baseline(items: list[Raw]) -> None:
    of_points(items, "baseline", "0", "0")


def a_midpoint(items: list[Raw]) -> None:
    third = copy.deepcopy(assessments(items, "final")[0])
    third["SK"] = {"S": "ASSESSMENT#midpoint#2025-10-23T12:15:00Z"}
    third["assessment_metadata"]["M"]["type"] = {"S": "midpoint"}
    items.append(third)


def a_stored_gain_that_is_wrong(items: list[Raw]) -> None:
    (item,) = assessments(items, "final")
    scores = {"baseline_score": {"N": "1"}, "final_score": {"N": "2"}, "absolute_gain": {"N": "1"}}
    item["learning_gain"] = {"M": scores}


def times_without_a_zone(items: list[Raw]) -> None:
    for item in items:
        if "updated_at" in item.get("metadata", {}).get("M", {}):
            item["metadata"]["M"]["updated_at"] = {"S": "2025-10-23T12:40:00.123456"}


ODD = [
    exact_points,
    an_item_above_its_points,
    points_that_contradict,
    a_score_beyond_the_scale,
    a_score_as_text,
    a_score_that_is_no_number,
    null_results,
    no_baseline,
    two_finals,
    a_first_final_that_was_left,
    two_baselines,
    a_full_baseline,
    an_empty_baseline,
    a_midpoint,
    a_stored_gain_that_is_wrong,
    times_without_a_zone,
]
EXPECTED: dict[Callable[[list[Raw]], None], tuple[float | None, float | None]] = {
    exact_points: (950 / 15, 1400 / 15),
    an_item_above_its_points: (40, 70),
    points_that_contradict: (40, 93.3),
    a_score_beyond_the_scale: (40, None),
    a_score_that_is_no_number: (40, None),
    null_results: (40, None),
    no_baseline: (None, 73.3),
    a_full_baseline: (100, 73.3),
    an_empty_baseline: (0, 73.3),
}


@pytest.mark.parametrize("spoil", ODD, ids=lambda spoil: spoil.__name__)
def test_all_four_read_an_odd_session_alike(spoil: Callable[[list[Raw]], None]) -> None:
    items = whole()
    spoil(items)
    baseline, final = EXPECTED.get(spoil, (40, 73.3))
    gain = None if baseline is None or final is None else final - baseline
    share = None if gain is None or baseline == 100 else gain / (100 - (baseline or 0))
    right = pytest.approx((baseline, final, gain, share), abs=1e-9)
    readings = {
        read.__name__: read(items) for read in (on_the_page, in_statistics, in_an_export, in_the_lake)
    }
    assert readings == dict.fromkeys(readings, right)
