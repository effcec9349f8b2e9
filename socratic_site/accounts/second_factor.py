"""The second factor: one-time codes of an app (TOTP), and recovery codes for when the device is lost.

Codes are throttled by device: each wrong one doubles the wait, from one second. A code counts once. Recovery
codes are stored as digests keyed with SECRET_KEY, in the column that django-otp has for the codes themselves.
"""

import re
import secrets
from base64 import b32encode
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.crypto import salted_hmac
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from sessions_app.access.roles import roles_of

NEEDED_BY = frozenset({"researcher", "irb", "admin"})
RECOVERY_CODES, RECOVERY_LENGTH = 10, 10
DIGEST_LENGTH = 16  # the column's; 64 bits of a keyed digest, guessed at one try a wait
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # without those that look alike


class WrongCode(Exception):
    """The code is not right, not right any more, or was used before."""


class Wait(Exception):
    """Too many wrong codes; `until` is when the next one is looked at."""

    def __init__(self, until: datetime) -> None:
        super().__init__()
        self.until = until


class AlreadyEnrolled(Exception):
    """The account has a second factor by now, perhaps set up in another tab."""


def needed(user: Any) -> bool:
    return bool(settings.REQUIRE_MFA and roles_of(user) & NEEDED_BY)


def enrolled(user: User) -> bool:
    return bool(TOTPDevice.objects.devices_for_user(user, confirmed=True).exists())


def new_key() -> str:
    """A secret of 160 bits, as hexadecimal text."""
    return secrets.token_hex(20)


def address_of(user: User, key: str) -> str:
    """The otpauth:// address that an app reads out of the QR code."""
    return str(TOTPDevice(user=user, key=key).config_url)


def spelled(key: str) -> str:
    """The secret as one types it into an app."""
    text = b32encode(bytes.fromhex(key)).decode()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def enrol(user: User, *, key: str, code: str) -> tuple[TOTPDevice, list[str]]:
    """The confirmed device and the recovery codes, which nobody can read again.

    Raises WrongCode, AlreadyEnrolled. Call it in a transaction.
    """
    User.objects.select_for_update().get(pk=user.pk)
    if enrolled(user):
        raise AlreadyEnrolled
    device = TOTPDevice.objects.create(user=user, name="app", key=key)
    if not device.verify_token(_digits(code)):
        raise WrongCode
    return device, _new_recovery_codes(user)


def _new_recovery_codes(user: User) -> list[str]:
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name="recovery")
    codes = [_random_code() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_digest(user, code)) for code in codes)
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def _random_code() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(RECOVERY_LENGTH))


def _digest(user: User, code: str) -> str:
    keyed = salted_hmac(f"socratic_site.recovery.{user.pk}", code, algorithm="sha256")
    return keyed.hexdigest()[:DIGEST_LENGTH]


def _digits(code: str) -> str:
    """The code as the app means it, or what is none."""
    bare = re.sub(r"\s", "", code)
    return bare if re.fullmatch(r"[0-9]{6}", bare) else ""


def accept(user: User, code: str) -> TOTPDevice:
    """The user's device, for a code of the app or an unused recovery code. Raises WrongCode, Wait."""
    with transaction.atomic():
        app = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=True).first()
        asked, token = (app, _digits(code)) if _digits(code) else _recovery(user, code)
        right = app is not None and asked is not None and _verified(asked, token)
    if not right:  # after the transaction: a wrong try is counted
        raise WrongCode
    return app


def _recovery(user: User, code: str) -> tuple[StaticDevice | None, str]:
    bare = re.sub(r"[\s-]", "", code).lower()
    device = StaticDevice.objects.select_for_update().filter(user=user, confirmed=True).first()
    return device, _digest(user, bare)


def _verified(device: Any, token: str) -> bool:
    allowed, told = device.verify_is_allowed()
    if not allowed:
        raise Wait(told["locked_until"])
    return bool(device.verify_token(token))


def recovery_codes_left(user: User) -> int:
    return int(StaticToken.objects.filter(device__user=user).count())


def reset(user: User) -> bool:
    """Whether there was one. The next sign-in sets up a new one; sessions end at their next request."""
    removed = [model.objects.filter(user=user).delete()[0] for model in (TOTPDevice, StaticDevice)]
    return any(removed)
