from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.domain.store import keys

MOMENTS = st.datetimes(
    min_value=datetime(2000, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.just(UTC),
)
ID = "7f3e8b2a-1c4d-4e9f-b2a1-9d8e7c6b5a4f"
START = datetime(2025, 10, 23, 14, 30, tzinfo=UTC)
CELL = keys.Condition("on-site", "2.5", "dynamic")


@given(MOMENTS)
def test_a_stored_timestamp_reads_back_to_the_second(moment: datetime) -> None:
    assert keys.moment(keys.stamp(moment)) == moment.replace(microsecond=0)


@given(MOMENTS, MOMENTS)
def test_timestamps_sort_as_text_like_the_moments_they_stand_for(one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    assert keys.stamp(earlier) <= keys.stamp(later)
    assert len(keys.stamp(one)) == 20


def test_local_time_is_stored_as_utc() -> None:
    eastern = timezone(timedelta(hours=-4))
    assert keys.stamp(datetime(2025, 10, 23, 10, 30, tzinfo=eastern)) == "2025-10-23T14:30:00Z"


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(keys.BadKey, match="no time zone"):
        keys.stamp(datetime(2025, 10, 23, 14, 30))


@pytest.mark.parametrize(
    "text",
    [
        "2025-10-23T14:30:00Z",
        "2025-10-23T14:30:00+00:00",
        "2025-10-23T14:30:00.000000+00:00",
        "2025-10-23T14:30:00.0Z",
    ],
)
def test_timestamps_of_other_writers_are_read(text: str) -> None:
    assert keys.moment(text) == START


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-10-23",
        "2025-10-23 14:30:00Z",
        "2025-10-23T14:30:00",
        "2025-10-23T14:30:00-04:00",
        "2025-13-23T14:30:00Z",
        "2025-02-30T14:30:00Z",
        "2025-10-23T25:30:00Z",
        "2025-10-23T14:30:00Z\n",
        "２０２５-10-23T14:30:00Z",
    ],
)
def test_what_is_no_utc_timestamp_is_refused(text: str) -> None:
    with pytest.raises(keys.BadKey):
        keys.moment(text)


@pytest.mark.parametrize(("minutes", "text"), [(2.5, "2.5"), (5, "5.0"), (5.0, "5.0"), (10, "10.0")])
def test_an_interval_has_one_literal(minutes: float, text: str) -> None:
    assert keys.interval_key(minutes) == text


@pytest.mark.parametrize("minutes", [0, 2.4, 2.54, 5.01, 100, -5, float("nan"), float("inf")])
def test_other_intervals_are_refused(minutes: float) -> None:
    with pytest.raises(keys.BadKey):
        keys.interval_key(minutes)


def test_there_are_24_conditions_and_each_code_leads_back_to_its_own() -> None:
    codes = [condition.code for condition in keys.CONDITIONS]
    assert len(set(codes)) == 24
    assert [keys.Condition.from_code(code) for code in codes] == list(keys.CONDITIONS)


def test_a_condition_knows_its_minutes_and_its_arm() -> None:
    assert (CELL.code, CELL.minutes, CELL.arm) == ("L1-I1-D", 2.5, "I1-D")


@pytest.mark.parametrize(
    "code", ["", "L5-I1-D", "L1-I4-D", "L1-I1-X", "l1-i1-d", "L1-I1", "L1-I1-D-S", "L1 I1 D"]
)
def test_other_codes_are_refused(code: str) -> None:
    with pytest.raises(keys.BadKey):
        keys.Condition.from_code(code)


def test_a_condition_of_unknown_parts_is_refused() -> None:
    with pytest.raises(keys.BadKey, match="interval '5'"):
        keys.Condition("home", "5", "static")


def test_keys_are_spelled_as_the_schema_spells_them() -> None:
    assert keys.student(ID) == f"STUDENT#{ID}"
    assert keys.session(ID) == f"SESSION#{ID}"
    assert keys.student_session(START) == "SESSION#2025-10-23T14:30:00Z"
    assert keys.condition(CELL) == "CONDITION#on-site#2.5#dynamic"
    assert keys.location("learning-space") == "LOCATION#learning-space"
    assert keys.intervention_type("static") == "INTERVENTION#static"
    assert keys.day(date(2025, 10, 3)) == "DATE#2025-10-03"
    assert keys.intervention(START, 1) == "INTERVENTION#2025-10-23T14:30:00Z#1"
    assert keys.assessment("baseline", START) == "ASSESSMENT#baseline#2025-10-23T14:30:00Z"
    assert keys.statistics(CELL) == "STATS#CONDITION#on-site#2.5#dynamic"
    assert (keys.PROFILE, keys.METADATA, keys.POST_SURVEY) == ("PROFILE", "METADATA", "POST_SURVEY")


@pytest.mark.parametrize("part", ["", "a#b", "a b", "a/b", "x" * 65, "abc\n", "é", "../x"])
def test_a_part_that_could_break_out_of_a_key_is_refused(part: str) -> None:
    for build in (keys.student, keys.session, keys.school, keys.consent_state):
        with pytest.raises(keys.BadKey):
            build(part)
    with pytest.raises(keys.BadKey):
        keys.queued(START, ID, part)


def test_unknown_places_types_and_assessments_have_no_key() -> None:
    for build in (keys.location, keys.allocation, keys.intervention_type):
        with pytest.raises(keys.BadKey):
            build("moon")
    with pytest.raises(keys.BadKey):
        keys.assessment("midterm", START)


@pytest.mark.parametrize(
    ("day", "key"),
    [
        (date(2025, 10, 31), "AGGREGATE#2025-10-01_2025-10-31"),
        (date(2028, 2, 1), "AGGREGATE#2028-02-01_2028-02-29"),
        (date(2025, 12, 9), "AGGREGATE#2025-12-01_2025-12-31"),
    ],
)
def test_statistics_are_kept_by_calendar_month(day: date, key: str) -> None:
    assert keys.aggregate(day) == key


def test_a_school_has_one_id_however_it_is_written_and_the_id_does_not_tell_its_name() -> None:
    assert keys.school_id("Fall  Line high SCHOOL ") == keys.school_id("Fall Line High School")
    assert keys.school_id("Fall Line High School") != keys.school_id("Canal Street Academy")
    assert "fall" not in keys.school_id("Fall Line High School")
