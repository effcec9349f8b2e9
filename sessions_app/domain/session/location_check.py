"""Where a session takes place: geofence, signed codes for the wall, and what may be kept of it. Pure."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

EARTH_RADIUS_METERS = 6_371_008.8  # mean radius, IUGG
QR_LIFETIME = timedelta(hours=24)
POOR_ACCURACY_METERS = 100
GOOD_ACCURACY_METERS = 25


class BadPosition(ValueError):
    """`field` is latitude, longitude or accuracy."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field


class BadCode(ValueError):
    """A code from the wall that does not open this place: forged, for another place, or too old."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A circle: centre in degrees, radius in metres."""

    latitude: float
    longitude: float
    radius_meters: float


@dataclass(frozen=True, slots=True)
class Fix:
    """A position checked against a fence.

    `accuracy_meters` and `distance_meters` are exact, for the screen of whoever stands there. `gps_data` is
    what may be stored: its distance follows from its rounded position alone, so it narrows nothing down.
    """

    accuracy_meters: float
    distance_meters: float
    inside: bool
    confidence: str
    gps_data: dict[str, Any]


DECIMALS: Final = {True: 4, False: 2}
"""Of a stored position, inside the fence and outside of it: cells of about 11 m and 1 km."""
STEP_METERS: Final = {True: 10, False: 1000}
"""What is stored in meters is a multiple of these."""
BANDS: Final = ("inside, up to 50 m", "inside, over 50 m", "outside, up to 1 km", "outside, over 1 km")


def distance_band(*, meters: float, inside: bool) -> str:
    """A stored distance in words; one that another client stored exactly is worded no finer."""
    return BANDS[meters > 50] if inside else BANDS[2 + (meters > STEP_METERS[False])]


def distance_meters(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (latitude, longitude) pairs in degrees, by the haversine formula."""
    lat1, lon1, lat2, lon2 = map(math.radians, (*a, *b))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_METERS * math.asin(math.sqrt(half))


def _checked(field: str, value: float, limit: float) -> float:
    if not math.isfinite(value) or abs(value) > limit:
        raise BadPosition(field, f"must be from {-limit:g} to {limit:g}, not {value!r}")
    return value


def fix(*, latitude: float, longitude: float, accuracy: float, fence: Fence) -> Fix:
    """Check a position. One that is less accurate than 100 m proves nothing and counts as outside.

    Raises BadPosition.
    """
    _checked("latitude", latitude, 90)
    _checked("longitude", longitude, 180)
    if not math.isfinite(accuracy) or accuracy < 0:
        raise BadPosition("accuracy", f"must be metres of at least 0, not {accuracy!r}")
    distance = distance_meters((latitude, longitude), (fence.latitude, fence.longitude))
    inside = distance <= fence.radius_meters and accuracy <= POOR_ACCURACY_METERS
    sure = accuracy <= GOOD_ACCURACY_METERS and distance + accuracy <= fence.radius_meters
    kept = (round(latitude, DECIMALS[inside]), round(longitude, DECIMALS[inside]))
    return Fix(
        accuracy_meters=accuracy,
        distance_meters=distance,
        inside=inside,
        confidence="high" if sure else "medium",
        gps_data={
            "latitude": kept[0],
            "longitude": kept[1],
            "accuracy_meters": math.ceil(accuracy / STEP_METERS[inside]) * STEP_METERS[inside],
            "geofence_validated": inside,
            "distance_from_target_meters": _kept_distance(kept, fence, inside),
        },
    )


def _kept_distance(kept: tuple[float, float], fence: Fence, inside: bool) -> int:
    """Of the rounded position; inside the fence never beyond its radius, where rounding would lead out."""
    step = STEP_METERS[inside]
    distance = distance_meters(kept, (fence.latitude, fence.longitude))
    steps = round(distance / step)
    return min(steps, int(fence.radius_meters // step)) * step if inside else steps * step


def _signature(text: str, secret: str) -> str:
    return hmac.new(secret.encode(), f"place-code:{text}".encode(), hashlib.sha256).hexdigest()[:32]


def place_code(location: str, *, secret: str, now: datetime) -> str:
    """The text of the code on the wall: place, end of its 24 hours, signature."""
    body = f"{location}.{int((now + QR_LIFETIME).timestamp())}"
    return f"{body}.{_signature(body, secret)}"


def check_place_code(code: str, *, location: str, secret: str, now: datetime) -> None:
    """Raises BadCode, with a sentence for the screen."""
    parts = code.strip().split(".")
    if len(parts) != 3 or not parts[1].isascii() or not parts[1].isdigit() or len(parts[1]) > 12:
        raise BadCode(
            "This is not a place code. Scan the code on the wall, or type what is printed under it."
        )
    body = f"{parts[0]}.{parts[1]}"
    if not hmac.compare_digest(_signature(body, secret).encode(), parts[2].encode()):
        raise BadCode("This code was not made by this study. Print a new one from the start page.")
    if parts[0] != location:
        raise BadCode("This code belongs to another place.")
    if now > datetime.fromtimestamp(int(parts[1]), UTC):
        raise BadCode("This code is older than 24 hours. Print a new one from the start page.")


def network(address: str) -> str | None:
    """The /24 or /48 network of an address: what is kept of it. None for what is no address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    prefix = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
