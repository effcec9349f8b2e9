"""The keys that sign seals, the head of the chain and what is published of it. The web process has none.

AUDIT_SEAL_KEY holds a key, or several with commas between: the first signs, all of them verify, so that a key
can be replaced. AUDIT_SEAL_KEY_FILE names a file that holds the same. AUDIT_HEAD_URL is where heads are
published.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIN_KEY_LENGTH = 32


class BadSealKey(ValueError):
    """A key that anybody could guess, or a file that cannot be read."""


class SealKeyMissing(Exception):
    """The chain is signed, and this process has no key: it must not seal."""


@dataclass(frozen=True, slots=True)
class SealKeys:
    secrets: tuple[str, ...]
    head_url: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SealKeys | None:
        """None where no key is set. Raises BadSealKey."""
        text = environment.get("AUDIT_SEAL_KEY", "")
        if not text and (file := environment.get("AUDIT_SEAL_KEY_FILE")):
            try:
                text = Path(file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise BadSealKey(f"AUDIT_SEAL_KEY_FILE cannot be read: {type(error).__name__}") from None
        secrets = tuple(part.strip() for part in text.split(",") if part.strip())
        if any(len(secret) < MIN_KEY_LENGTH for secret in secrets):
            raise BadSealKey(f"AUDIT_SEAL_KEY is too short: it needs {MIN_KEY_LENGTH} random characters")
        return cls(secrets, environment.get("AUDIT_HEAD_URL", "")) if secrets else None

    def sign(self, purpose: str, *parts: object) -> dict[str, str]:
        """The attributes `key_id` and `mac`."""
        secret = self.secrets[0]
        return {"key_id": _key_id(secret), "mac": _mac(secret, purpose, parts)}

    def has_signed(self, signature: Mapping[str, Any], purpose: str, *parts: object) -> bool:
        """Whether `key_id` and `mac` are one of these keys' signature of the same purpose and parts."""
        key_id, mac = str(signature.get("key_id")), str(signature.get("mac"))
        return any(
            hmac.compare_digest(_mac(secret, purpose, parts), mac)
            for secret in self.secrets
            if _key_id(secret) == key_id
        )


def _key_id(secret: str) -> str:
    """Names a key without giving it away."""
    return _mac(secret, "key id", ())[:16]


def _mac(secret: str, purpose: str, parts: tuple[object, ...]) -> str:
    message = json.dumps([purpose, *parts], separators=(",", ":"))
    return hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
