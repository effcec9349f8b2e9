"""Where a session takes place: geofence, signed codes for the wall, and what may be kept of it. Pure."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

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
    """A position checked against a fence, already rounded to what may be kept."""

    latitude: float
    longitude: float
    accuracy_meters: float
    distance_meters: float
    inside: bool
    confidence: str


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
    """Check a position. 4 decimals are kept inside the fence (about 11 m), 2 outside (about 1 km).

    A position that is less accurate than 100 m proves nothing and counts as outside.
    Raises BadPosition.
    """
    _checked("latitude", latitude, 90)
    _checked("longitude", longitude, 180)
    if not math.isfinite(accuracy) or accuracy < 0:
        raise BadPosition("accuracy", f"must be metres of at least 0, not {accuracy!r}")
    distance = distance_meters((latitude, longitude), (fence.latitude, fence.longitude))
    inside = distance <= fence.radius_meters and accuracy <= POOR_ACCURACY_METERS
    decimals = 4 if inside else 2
    sure = accuracy <= GOOD_ACCURACY_METERS and distance + accuracy <= fence.radius_meters
    return Fix(
        latitude=round(latitude, decimals),
        longitude=round(longitude, decimals),
        accuracy_meters=round(accuracy, 1),
        distance_meters=round(distance, 1),
        inside=inside,
        confidence="high" if sure else "medium",
    )


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
