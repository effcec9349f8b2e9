"""Digests of items as DynamoDB stores them: all attributes, in canonical JSON."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, in UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_base64)
    return text.encode()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def item_digest(image: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(image)).hexdigest()
