"""How it was made sure where a session took place.

PK SESSION#<id>  SK LOCATION_VERIFICATION

GPS is kept to 4 decimals inside the geofence and 2 outside, and never asked for at home; the session's
token only as its SHA-256; the address of the device only as its network.
"""

from __future__ import annotations

from typing import ClassVar

from ..store import keys
from ..store.items import Flag, InvalidField, Item, Map, Number, Text, Timestamp

METHODS = ("GPS", "QR_code", "manual", "honor_system")
CONFIDENCES = ("high", "medium", "low")


class LocationData(Map):
    type = Text(choices=keys.LOCATIONS.values())
    name = Text()
    address = Text(null=True)


class VerificationData(Map):
    method = Text(choices=METHODS)
    verified = Flag()
    verification_timestamp = Timestamp()
    confidence = Text(choices=CONFIDENCES)
    override_reason = Text(null=True, longest=500)
    attested_by = Text(null=True)


class GpsData(Map):
    latitude = Number(least=-90, most=90)
    longitude = Number(least=-180, most=180)
    accuracy_meters = Number(least=0)
    geofence_validated = Flag()
    distance_from_target_meters = Number(least=0)


class DeviceInfo(Map):
    device_type = Text()
    os = Text()
    browser = Text()
    user_agent = Text(longest=400)


class VerificationMetadata(Map):
    timestamp = Timestamp()
    ip_address = Text(null=True)
    session_token = Text(null=True)
    session_token_sha256 = Text(null=True, pattern=r"[0-9a-f]{64}")


class LocationVerification(Item, discriminator="location_verification"):
    ROW_NEEDS: ClassVar = ()

    session_id = Text()
    student_id = Text()
    location_data = LocationData()
    verification = VerificationData()
    gps_data = GpsData(null=True)
    device_info = DeviceInfo(null=True)
    metadata = VerificationMetadata()

    def check(self) -> None:
        if self.location_data.type == "home" and self.gps_data is not None:
            raise InvalidField("gps_data", "is never kept at home")
        if self.verification.method == "manual" and not self.verification.override_reason:
            raise InvalidField("verification.override_reason", "is missing: a manual check names its reason")
