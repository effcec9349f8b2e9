"""Codes instead of ids, the same in every export of the study and in its lake. Imports no Django."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Coder:
    """Keyed hashes: the same id has the same code in every export of the study and the same profile."""

    key: bytes
    kind: str

    def code(self, name: str, value: str) -> str:
        told = f"{self.kind}:{name}:{value}".encode()
        return hmac.new(self.key, told, hashlib.sha256).hexdigest()[:20]

    @property
    def fingerprint(self) -> str:
        """Says whether two exports share their codes, and nothing else."""
        return self.code("key", "fingerprint")[:8]
