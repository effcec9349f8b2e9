"""Heads of the audit log, published outside of the table: what was published once can be compared for ever.

A folder gets one read-only file a head; a bucket (s3://bucket/prefix) one object, locked against changes and
deletion. They hold no data of the study. Only a lock on the bucket, or a folder that another account owns,
keeps somebody who has all rights on this machine from deleting them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ..models import AuditHead
from ..store import keys
from .seal_keys import SealKeys

S3 = "s3://"
PREFIX = "head-"
BETWEEN = timedelta(days=1)
LOCKED_FOR = timedelta(days=5 * 365)


class PublicationAway(Exception):
    """The place where heads are published cannot be read or written; the message says why."""


@dataclass(frozen=True, slots=True)
class Published:
    """`signed_from` is the sequence from which on every seal is signed; 0 where none is."""

    at: str
    sequence: int
    sha256: str
    signed_from: int
    key_id: str = ""
    mac: str = ""

    @property
    def parts(self) -> tuple[object, ...]:
        return self.at, self.sequence, self.sha256, self.signed_from

    def is_signed_by(self, signing: SealKeys) -> bool:
        return signing.has_signed({"key_id": self.key_id, "mac": self.mac}, "published", *self.parts)


def publish(head: AuditHead, *, now: datetime, url: str, signing: SealKeys | None) -> Published:
    """Published again in the same second, it changes nothing. Raises PublicationAway."""
    plain = Published(keys.stamp(now), int(head.sequence), str(head.sha256), int(head.signed_from or 0))
    signature = signing.sign("published", *plain.parts) if signing else {}
    published = Published(**(asdict(plain) | signature))
    name = f"{PREFIX}{plain.at.replace(':', '')}-{plain.sequence}.json"
    data = json.dumps(asdict(published), indent=2).encode() + b"\n"
    try:
        if url.startswith(S3):
            _put_object(url, name, data, now)
        else:
            _write_file(Path(url), name, data)
    except (OSError, BotoCoreError, ClientError) as error:
        raise PublicationAway(f"the head was not published to {url}: {_reason(error)}") from error
    return published


def publish_when_due(*, now: datetime, url: str, signing: SealKeys | None, at_once: bool = False) -> bool:
    """Publish what is not published yet, once a day or `at_once`; whether it was. Raises PublicationAway."""
    head = AuditHead.read()
    if head is None or not url:
        return False
    newest = max(read(url), key=lambda each: each.at, default=None)
    if newest is not None and newest.sequence == head.sequence and newest.sha256 == head.sha256:
        return False
    is_due = newest is None or now - keys.moment(newest.at) >= BETWEEN
    begins_signing = newest is not None and bool(head.signed_from) and not newest.signed_from
    if not (at_once or is_due or begins_signing):
        return False
    publish(head, now=now, url=url, signing=signing)
    return True


def read(url: str) -> list[Published]:
    """All that was ever published, oldest first; what is no published head raises PublicationAway."""
    try:
        found = [_parsed(name, data) for name, data in (_objects(url) if url.startswith(S3) else _files(url))]
    except (OSError, BotoCoreError, ClientError) as error:
        raise PublicationAway(f"published heads in {url} cannot be read: {_reason(error)}") from error
    return sorted(found, key=lambda each: (each.at, each.sequence))


def signed_from(url: str) -> int | None:
    """Where signing began, by what was published; None where nothing signed was. Raises PublicationAway."""
    return min((each.signed_from for each in read(url) if each.signed_from), default=None) if url else None


def _parsed(name: str, data: bytes) -> Published:
    try:
        return Published(**json.loads(data))
    except (ValueError, TypeError):
        raise PublicationAway(f"{name} is no published head: it was changed") from None


def _reason(error: Exception) -> str:
    code = getattr(error, "response", {}).get("Error", {}).get("Code")
    return str(code or type(error).__name__)


# --- a folder


def _write_file(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    try:
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _files(url: str) -> Iterator[tuple[str, bytes]]:
    return ((path.name, path.read_bytes()) for path in Path(url).glob(f"{PREFIX}*.json"))


# --- a bucket


def _client() -> Any:
    config = Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 2})
    return boto3.client("s3", config=config)


def _split(url: str) -> tuple[str, str]:
    bucket, _, prefix = url.removeprefix(S3).partition("/")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _put_object(url: str, name: str, data: bytes, now: datetime) -> None:
    bucket, prefix = _split(url)
    _client().put_object(
        Bucket=bucket,
        Key=f"{prefix}{name}",
        Body=data,
        ContentType="application/json",
        ChecksumAlgorithm="SHA256",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=now + LOCKED_FOR,
    )


def _objects(url: str) -> Iterator[tuple[str, bytes]]:
    bucket, prefix = _split(url)
    client = _client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}{PREFIX}")
    for page in pages:
        for entry in page.get("Contents", []):
            yield entry["Key"], client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
