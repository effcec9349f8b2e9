"""Every access pattern and analysis against a scan of the whole table, which is larger than two pages."""

import random
import statistics
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import pytest

from analytics_app.statistics import items as statistics_items
from analytics_app.statistics import queries, updates
from analytics_app.statistics.queries import BadRange, Listing, Months, Span
from analytics_app.statistics.sums import FIELDS, Sums
from sessions_app.domain.models import ConditionMonth, DayCounts, Item, configure
from sessions_app.domain.session.record import SessionNotFound
from sessions_app.domain.store import keys
from sessions_app.domain.store import table as tables
from socratic_site.local.dynamodb_local import REGION, Engine
from tests.analytics import cohort

CELL = keys.Condition.from_code("L1-I1-D")
DAY = cohort.NOON.date()
STUDENT = "11111111-2222-4333-8444-555555555555"
FAT = "x" * 200_000  # bytes: six such items are more than a page of 1 MB

Raw = dict[str, Any]


# --- a table whose every index partition is larger than two pages


def cast() -> Iterator[Item]:
    chance = random.Random(5)
    for number in range(13):  # one partition of each index holds all of these
        start = datetime(2025, 10, 23, chance.randrange(24), chance.randrange(60), number, tzinfo=UTC)
        made = cohort.session("L1-I1-D", student_id=STUDENT, start=start)
        yield made
        yield cohort.intervention(made, 1)
    for number in range(20):
        code = chance.choice([c.code for c in keys.CONDITIONS])
        start = cohort.NOON + timedelta(days=chance.randrange(-3, 4), seconds=number)
        yield from cohort.whole(code, start=start, baseline=chance.randrange(1000) / 10)


@pytest.fixture(scope="module")
def big(engine: Engine) -> Iterator[tuple[str, list[Raw]]]:
    """The table's name and its items as a plain scan gives them."""
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)
    name = f"Test-{cohort.new_id()[:12]}"
    tables.create(client, name=name)
    configure(table_name=name, region=REGION)
    for number, item in enumerate(cast()):
        values = item.serialize() | ({"padding": {"S": FAT}} if number < 26 else {})
        client.put_item(TableName=name, Item=values)
    yield name, scan(boto3.resource("dynamodb", region_name=REGION, endpoint_url=engine.endpoint).Table(name))
    client.delete_table(TableName=name)


def scan(table: Any) -> list[Raw]:
    answer = table.scan()
    items = list(answer["Items"])
    while "LastEvaluatedKey" in answer:
        answer = table.scan(ExclusiveStartKey=answer["LastEvaluatedKey"])
        items += answer["Items"]
    return items


@pytest.fixture
def scanned(big: tuple[str, list[Raw]]) -> list[Raw]:
    configure(table_name=big[0], region=REGION)
    return big[1]


def brute(
    scanned: list[Raw], entity: str, index: int, partition: str, span: Span = queries.ALWAYS
) -> list[Raw]:
    """What a reader of every item would find, in the index's order."""
    found = [
        item
        for item in scanned
        if item["entity_type"] == entity
        and item.get(f"GSI{index}PK") == partition
        and span.holds(item[f"GSI{index}SK"].removeprefix("SESSION#"))
    ]
    return sorted(found, key=lambda item: str(item[f"GSI{index}SK"]))


def stamps(items: Any, index: int) -> list[str]:
    return [
        item[f"GSI{index}SK"] if isinstance(item, dict) else getattr(item, f"GSI{index}SK") for item in items
    ]


SPANS = [
    queries.ALWAYS,
    Span.of("2025-10-23", "2025-10-23"),
    Span.of("2025-10-23T06:00:00Z", "2025-10-23T18:00:00Z"),
    Span.of(None, DAY - timedelta(days=1)),
    Span.of(datetime(2025, 10, 23, 20, tzinfo=UTC), None),
]
PATTERNS: list[tuple[Any, str, int, str]] = [
    (lambda span, **o: queries.sessions_of_condition(CELL, span, **o), "session", 1, keys.condition(CELL)),
    (lambda span, **o: queries.sessions_of_student(STUDENT, span, **o), "session", 2, keys.student(STUDENT)),
    (lambda span, **o: queries.sessions_at_location("on-site", span, **o), "session", 3, "LOCATION#on-site"),
    (
        lambda span, **o: queries.interventions_of_type("dynamic", span, **o),
        "intervention",
        4,
        "INTERVENTION#dynamic",
    ),
]
NAMES = ["condition", "student", "location", "interventions"]


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize(("pattern", "entity", "index", "partition"), PATTERNS, ids=NAMES)
def test_a_listing_is_what_a_scan_would_find(
    scanned: list[Raw], pattern: Any, entity: str, index: int, partition: str, span: Span
) -> None:
    expected = stamps(brute(scanned, entity, index, partition, span), index)
    assert stamps(pattern(span), index) == expected
    if span is queries.ALWAYS:
        assert len(expected) >= 13  # more than two pages
        assert stamps(pattern(span, newest_first=True), index) == expected[::-1]


def paged(listing: Listing[Any], limit: int) -> Iterator[Any]:
    cursor = None
    while True:
        page = listing.page(limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        yield from page.items
        cursor = page.cursor
        if cursor is None:
            return


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(("pattern", "entity", "index", "partition"), PATTERNS, ids=NAMES)
def test_pages_one_after_another_are_complete_and_repeat_nothing(
    scanned: list[Raw], pattern: Any, entity: str, index: int, partition: str, newest_first: bool
) -> None:
    found = stamps(paged(pattern(queries.ALWAYS, newest_first=newest_first), 4), index)
    expected = stamps(brute(scanned, entity, index, partition), index)
    assert found == (expected[::-1] if newest_first else expected)


def test_the_sessions_of_a_day_and_of_several(scanned: list[Raw]) -> None:
    one = brute(scanned, "session", 5, f"DATE#{DAY}")
    assert len(one) >= 13
    assert stamps(queries.sessions_on_day(DAY), 5) == stamps(one, 5)
    first, last = DAY - timedelta(days=2), DAY + timedelta(days=1)
    week = [
        item for n in range(4) for item in brute(scanned, "session", 5, f"DATE#{first + timedelta(days=n)}")
    ]
    assert stamps(queries.sessions_between(first, last), 5) == stamps(week, 5)


def test_a_whole_session_is_all_of_its_partition(scanned: list[Raw]) -> None:
    whole = next(item for item in scanned if item["entity_type"] == "post_survey")
    run = queries.whole_session(whole["session_id"])
    assert set(run.assessments) == {"baseline", "final"}
    assert (len(run.interventions), run.survey is not None, run.content is not None) == (1, True, True)
    with pytest.raises(SessionNotFound):
        queries.whole_session("nobody")


def test_interventions_of_a_session_in_a_span(scanned: list[Raw]) -> None:
    made = cohort.session(start=cohort.NOON)
    cohort.store(made, *(cohort.intervention(made, segment) for segment in (1, 2, 3)))
    every = list(queries.interventions_in_session(made.session_id))
    assert [item.intervention_metadata.segment_id for item in every] == [1, 2, 3]
    span = Span.of("2025-10-23T12:05:00Z", "2025-10-23T12:10:00Z")
    some = queries.interventions_in_session(made.session_id, span)
    assert [item.intervention_metadata.segment_id for item in some] == [1]
    cohort.erase(made.session_id)


def test_baseline_and_final(scanned: list[Raw]) -> None:
    for item in [item for item in scanned if item["SK"].startswith("ASSESSMENT#baseline")][:3]:
        found = queries.baseline_and_final(item["session_id"])
        told = item["assessment_results"]["score_percentage"]
        assert found["baseline"].assessment_results.score_percentage == float(told)
        assert set(found) == {"baseline", "final"}
    assert queries.baseline_and_final("nobody") == {}


# --- ranges


def test_a_date_alone_at_the_end_means_through_that_day() -> None:
    span = Span.of("2025-10-23", "2025-10-23")
    assert span.holds("2025-10-23T00:00:00Z")
    assert span.holds("2025-10-23T23:59:59Z")
    assert not span.holds("2025-10-24T00:00:00Z")
    assert not span.holds("2025-10-22T23:59:59Z")


@pytest.mark.parametrize("form", ["Z", ".5Z", ".000001Z", "+00:00", ".250000+00:00"])
def test_a_range_is_half_open_however_a_second_is_stored(form: str) -> None:
    span = Span.of("2025-10-23T14:00:00Z", "2025-10-23T15:00:00Z")
    assert span.holds(f"2025-10-23T14:00:00{form}")
    assert not span.holds(f"2025-10-23T15:00:00{form}")
    assert span.holds(f"2025-10-23T14:59:59{form}")


@pytest.mark.parametrize("bad", ["yesterday", "2025-13-01", "2025-02-30", "", "2025-10-23T25:00:00Z"])
def test_a_bound_that_is_no_time_is_refused(bad: str) -> None:
    with pytest.raises(BadRange):
        Span.of(bad, None)


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(BadRange):
        Span.of("2025-10-24", "2025-10-22")
    with pytest.raises(BadRange):
        Months("2025-11", "2025-10")
    with pytest.raises(BadRange):
        Months.of("2025-13")


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(BadRange):
        Span.of(datetime(2025, 10, 23))


# --- statistics and analyses


@pytest.fixture(scope="module")
def counted(big: tuple[str, list[Raw]]) -> list[Raw]:
    configure(table_name=big[0], region=REGION)
    for item in big[1]:
        if item["entity_type"] == "session":
            updates.apply(item["session_id"], now=cohort.NOON)
    return big[1]


@pytest.fixture
def completed(counted: list[Raw], big: tuple[str, list[Raw]]) -> list[Raw]:
    """Of each completed session: condition, baseline and final, read out of the plain scan."""
    configure(table_name=big[0], region=REGION)
    scores = {
        (item["session_id"], item["assessment_metadata"]["type"]): float(
            item["assessment_results"]["score_percentage"]
        )
        for item in counted
        if item["entity_type"] == "assessment"
    }
    return [
        {
            "id": item["session_id"],
            "code": item["experimental_condition"]["condition_code"],
            "location": item["experimental_condition"]["location"],
            "type": item["experimental_condition"]["intervention_type"],
            "gain": scores[item["session_id"], "final"] - scores[item["session_id"], "baseline"],
        }
        for item in counted
        if item["entity_type"] == "session" and item["completion_status"]["completed"]
    ]


def test_all_conditions_at_once_equal_each_alone_and_the_scan(
    completed: list[Raw], counted: list[Raw]
) -> None:
    figures = cohort.figures_by_condition()
    assert list(figures) == list(keys.CONDITIONS)
    for condition, found in figures.items():
        gains = [row["gain"] for row in completed if row["code"] == condition.code]
        alone = queries.learning_gain(condition)
        assert found.sums.counts == alone.sums.counts
        assert (found.completed, found.gain.n) == (len(gains), len(gains))
        assert found.gain.least == alone.gain.least
        if gains:
            assert found.gain.mean == pytest.approx(sum(gains) / len(gains))
            assert alone.gain.median == pytest.approx(statistics.median(gains))
    told = [item for item in counted if item["entity_type"] == "session"]
    assert sum(found.sessions for found in figures.values()) == len(told)


def test_a_range_of_months_leaves_out_the_others(completed: list[Raw]) -> None:
    assert cohort.figures_by_condition(Months.of("2025-10")) == cohort.figures_by_condition()
    assert not any(f.sessions for f in cohort.figures_by_condition(Months("2025-11", "2026-02")).values())


def test_individual_gains_are_those_of_the_completed_sessions(completed: list[Raw]) -> None:
    code = completed[0]["code"]
    found = queries.individual_gains(keys.Condition.from_code(code))
    assert {row.session_id: row.gain for row in found} == {
        row["id"]: pytest.approx(row["gain"]) for row in completed if row["code"] == code
    }


def test_locations_are_compared(completed: list[Raw]) -> None:
    for location, found in queries.compare_locations().items():
        gains = [row["gain"] for row in completed if row["location"] == location]
        assert found.gain.n == len(gains)
        assert found.gain.mean == (pytest.approx(sum(gains) / len(gains)) if gains else None)
        assert found.mean("location_impact", "location_impact_n") == (4 if gains else None)


def test_types_are_compared(completed: list[Raw]) -> None:
    found = queries.compare_intervention_types()
    for kind in ("static", "dynamic"):
        figures = getattr(found, kind)
        assert figures["interventions"] == sum(1 for row in completed if row["type"] == kind)
        assert figures.answer_depth.mean == 3.5
    assert found.dynamic.question_quality.mean == 4.25
    assert found.static.question_quality.mean is None
    assert found.d_answer_depth is None  # every depth is the same: nothing varies


def test_a_day_at_a_glance(completed: list[Raw], counted: list[Raw]) -> None:
    found = queries.day_at_a_glance(DAY)
    told = [i for i in counted if i["entity_type"] == "session" and i["GSI5PK"] == f"DATE#{DAY}"]
    done = [item for item in told if item["completion_status"]["completed"]]
    assert (found.total_sessions, found.completed_sessions) == (len(told), len(done))
    assert found.completion_rate == pytest.approx(100 * len(done) / len(told))
    assert found.sessions_by_condition["L1-I1-D"] >= 13
    assert sum(found.sessions_by_location.values()) == len(told)
    assert queries.day_at_a_glance(date(1999, 1, 1)).completion_rate is None


# --- what it costs


class Cost:
    """Requests and read units of what is done inside."""

    def __init__(self, table: str) -> None:
        self.table, self.requests, self.units = table, 0, 0.0

    def __enter__(self) -> "Cost":
        events = Item._get_connection().connection.client.meta.events
        events.register("before-parameter-build.dynamodb", self.ask)
        events.register("after-call.dynamodb", self.note)
        self.events = events
        return self

    def ask(self, params: Any, **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def note(self, parsed: Any, **_: Any) -> None:
        self.requests += 1
        told = parsed.get("ConsumedCapacity") or {}
        self.units += sum(one["CapacityUnits"] for one in (told if isinstance(told, list) else [told]))

    def __exit__(self, *_: object) -> None:
        self.events.unregister("before-parameter-build.dynamodb", self.ask)
        self.events.unregister("after-call.dynamodb", self.note)


def spread_statistics(sessions: int, months: list[str]) -> None:
    """Statistics as of many sessions: large sums, spread evenly."""
    each = max(sessions // (24 * len(months)), 1)
    counts = {name: each * (200_000 if name.endswith("_squares") else 900) for name in FIELDS}
    histograms = {
        "students": {0: each},
        "gain": {-300: 1, 900: 1},
        "baseline": {0: 1, 1000: 1},
        "final": {9: 1},
    }
    with ConditionMonth.batch_write() as batch:
        for condition in keys.CONDITIONS:
            for month in months:
                batch.save(statistics_items.compact(condition, month, Sums(counts, histograms)))


@pytest.mark.parametrize("sessions", [48, 50_000])
def test_the_dashboards_reads_cost_the_same_at_any_number_of_sessions(table: str, sessions: int) -> None:
    months = [f"2025-{number:02}" for number in range(1, 7)]
    spread_statistics(sessions, months)
    with Cost(table) as cost:
        found = cohort.figures_by_condition()
    assert sum(figures.sessions for figures in found.values()) > 0
    assert cost.requests == 1
    assert 1 <= cost.units <= 12
    with Cost(table) as one_month:
        cohort.figures_by_condition(Months.of("2025-03"))
    assert one_month.requests == 1
    assert one_month.units <= 2.5


def test_a_month_of_days_costs_one_request(table: str) -> None:
    with Item.batch_write() as batch:
        for number in range(1, 31):
            item = updates.empty_day(f"2025-10-{number:02}", "real")
            for name in DayCounts.COUNTS:
                setattr(item, name, {condition.code: 12345 for condition in keys.CONDITIONS})
            batch.save(item)
    with Cost(table) as cost:
        assert len(queries.days(date(2025, 10, 1), date(2025, 10, 31))) == 30
    assert cost.requests == 1
    assert cost.units <= 9
