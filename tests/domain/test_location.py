import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.domain.session import location_check

WORKS = location_check.Fence(37.5356, -77.4453, 100)
NOW = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)
SECRET = "a secret"
LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-180, 180)


def fix(north: float = 0, accuracy: float = 10) -> location_check.Fix:
    """A position so many metres north of the works."""
    latitude = WORKS.latitude + math.degrees(north / location_check.EARTH_RADIUS_METERS)
    return location_check.fix(latitude=latitude, longitude=WORKS.longitude, accuracy=accuracy, fence=WORKS)


@pytest.mark.parametrize(
    ("a", "b", "meters", "tolerance"),
    [
        # a quarter of a great circle is pi/2 radii
        ((0, 0), (0, 90), math.pi / 2 * location_check.EARTH_RADIUS_METERS, 0.01),
        ((90, 0), (-90, 77), math.pi * location_check.EARTH_RADIUS_METERS, 0.01),
        # Los Angeles to New York, 0.623585 radians: the worked example of E. Williams, Aviation Formulary
        ((33 + 57 / 60, -(118 + 24 / 60)), (40 + 38 / 60, -(73 + 47 / 60)), 0.623585 * 6_371_008.8, 5),
        # the schema's centre and the real one: 444.8 m north, 246.9 m east, by Pythagoras
        ((37.5316, -77.4481), (37.5356, -77.4453), 508.7, 0.5),
    ],
)
def test_known_distances(
    a: tuple[float, float], b: tuple[float, float], meters: float, tolerance: float
) -> None:
    assert location_check.distance_meters(a, b) == pytest.approx(meters, abs=tolerance)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_a_distance_is_the_same_both_ways_and_never_beyond_the_antipodes(
    lat1: float, lon1: float, lat2: float, lon2: float
) -> None:
    there = location_check.distance_meters((lat1, lon1), (lat2, lon2))
    back = location_check.distance_meters((lat2, lon2), (lat1, lon1))
    assert there == pytest.approx(back, abs=1e-3)
    assert 0 <= there <= math.pi * location_check.EARTH_RADIUS_METERS + 1e-3


@pytest.mark.parametrize(
    ("north", "accuracy", "inside", "confidence"),
    [
        (0, 5, True, "high"),
        (70, 25, True, "high"),
        (80, 25, True, "medium"),
        (99, 30, True, "medium"),
        (101, 5, False, "medium"),
        (0, 100, True, "medium"),
        (0, 101, False, "medium"),
    ],
)
def test_a_position_counts_inside_the_fence_if_it_is_exact_enough(
    north: float, accuracy: float, inside: bool, confidence: str
) -> None:
    found = fix(north, accuracy)
    assert (found.inside, found.confidence) == (inside, confidence)
    assert found.distance_meters == pytest.approx(north, abs=0.1)


def stored(found: location_check.Fix) -> tuple[float, ...]:
    names = ("latitude", "longitude", "distance_from_target_meters", "accuracy_meters")
    return tuple(found.gps_data[name] for name in names)


def test_four_decimals_are_kept_inside_and_two_outside() -> None:
    assert stored(fix(12.3))[:2] == (37.5357, -77.4453)
    assert stored(fix(5000))[:2] == (37.58, -77.45)


@pytest.mark.parametrize(
    ("north", "accuracy", "distance", "accurate_to"),
    [
        (4.2, 8.5, 0, 10),
        (34.6, 10, 30, 10),
        (99.9, 100, 100, 100),
        (0, 101, 1000, 1000),
        (5000, 12, 5000, 1000),
    ],
)
def test_distance_and_accuracy_are_stored_no_finer_than_the_position(
    north: float, accuracy: float, distance: int, accurate_to: int
) -> None:
    assert stored(fix(north, accuracy))[2:] == (distance, accurate_to)


@given(st.floats(-3000, 3000), st.floats(0, 300))
def test_a_stored_distance_narrows_a_stored_position_down_no_further(north: float, accuracy: float) -> None:
    """Two positions that are stored alike have the same stored distance."""
    found = fix(north, accuracy)
    step = location_check.STEP_METERS[found.inside]
    latitude, longitude, distance, accurate_to = stored(found)
    assert distance % step == accurate_to % step == 0
    center = location_check.distance_meters((latitude, longitude), (WORKS.latitude, WORKS.longitude))
    expected = round(center / step) * step
    assert distance == (min(expected, WORKS.radius_meters) if found.inside else expected)


@pytest.mark.parametrize(
    ("meters", "inside", "words"),
    [
        (0, True, "inside, up to 50 m"),
        (60, True, "inside, over 50 m"),
        (0, False, "outside, up to 1 km"),
        (1234.5, False, "outside, over 1 km"),
    ],
)
def test_a_distance_is_worded_in_bands(meters: float, inside: bool, words: str) -> None:
    assert location_check.distance_band(meters=meters, inside=inside) == words


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("latitude", {"latitude": 90.1}),
        ("latitude", {"latitude": math.nan}),
        ("longitude", {"longitude": -180.5}),
        ("longitude", {"longitude": math.inf}),
        ("accuracy", {"accuracy": -1}),
        ("accuracy", {"accuracy": math.inf}),
    ],
)
def test_an_impossible_position_is_refused_by_name(field: str, values: dict[str, float]) -> None:
    told = {"latitude": 37.5, "longitude": -77.4, "accuracy": 5.0} | values
    with pytest.raises(location_check.BadPosition) as refused:
        location_check.fix(**told, fence=WORKS)
    assert refused.value.field == field


def check(code: str, *, place: str = "classroom", secret: str = SECRET, now: datetime = NOW) -> None:
    location_check.check_place_code(code, location=place, secret=secret, now=now)


@pytest.mark.parametrize("hours", [0, 12, 24])
def test_a_code_opens_its_place_for_24_hours(hours: int) -> None:
    code = location_check.place_code("classroom", secret=SECRET, now=NOW)
    check(f" {code}\n", now=NOW + timedelta(hours=hours))
    with pytest.raises(location_check.BadCode, match="older than 24 hours"):
        check(code, now=NOW + timedelta(hours=24, seconds=1))


def test_a_code_opens_no_other_place() -> None:
    with pytest.raises(location_check.BadCode, match="another place"):
        check(location_check.place_code("home", secret=SECRET, now=NOW))


def test_a_code_signed_with_another_secret_is_forged() -> None:
    with pytest.raises(location_check.BadCode, match="not made by this study"):
        check(location_check.place_code("classroom", secret="guessed", now=NOW))


def test_a_code_whose_end_was_moved_is_forged() -> None:
    place, end, signature = location_check.place_code("classroom", secret=SECRET, now=NOW).split(".")
    with pytest.raises(location_check.BadCode, match="not made by this study"):
        check(f"{place}.{int(end) + 9999}.{signature}")


@given(st.text())
def test_no_text_but_a_code_opens_a_place(text: str) -> None:
    with pytest.raises(location_check.BadCode):
        check(text)


@pytest.mark.parametrize(
    "text", ["classroom.٣٣.x", "classroom.1e9.x", "classroom." + "9" * 400 + ".x", "é.1.é"]
)
def test_odd_digits_and_letters_are_no_code(text: str) -> None:
    with pytest.raises(location_check.BadCode):
        check(text)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("192.168.1.100", "192.168.1.0/24"),
        ("2001:db8:aaaa:bbbb::1", "2001:db8:aaaa::/48"),
        ("", None),
        ("somewhere", None),
        ("1.2.3.4.5", None),
        ("fe80::1%eth0", "fe80::/48"),
    ],
)
def test_only_the_network_of_an_address_is_kept(address: str, kept: str | None) -> None:
    assert location_check.network(address) == kept


def test_a_token_is_kept_as_its_sha256() -> None:
    assert (
        location_check.token_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
