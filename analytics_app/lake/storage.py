"""Where the lake lies: a folder, or a bucket of S3. An object is there whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

S3 = "s3://"


class BadUrl(ValueError):
    """LAKE_URL is neither a folder nor a bucket."""


class LakeAway(Exception):
    """The lake cannot be read or written. The message says where and why, and holds nothing of its data."""


class Taken(LakeAway):
    """Somebody else compacts the lake at this moment."""


class Store(Protocol):
    """Names are paths below the lake, with slashes. Everything raises LakeAway."""

    def put(self, name: str, data: bytes) -> None:
        """In place of what is there. What was told as put outlasts a loss of power."""

    def replace(self, name: str, path: Path, seen: str | None) -> None:
        """Put a file in place of the object whose mark is `seen` (None: of none). Raises Taken."""

    def mark(self, name: str) -> str | None:
        """Tells this state of an object from another; None where there is none."""

    def read(self, name: str) -> bytes: ...

    def fetch(self, name: str, shop: Path) -> Path:
        """A local file with what the object holds; `shop` is a folder where it may be put."""

    def names(self, prefix: str) -> list[str]:
        """Those of all objects that begin so, sorted."""

    def delete(self, name: str) -> None:
        """Also where it is gone already."""


def of_url(url: str) -> Store:
    """Raises BadUrl."""
    if url.startswith(S3):
        bucket, _, prefix = url.removeprefix(S3).partition("/")
        if not bucket:
            raise BadUrl(f"LAKE_URL names no bucket: {url!r} is not like s3://bucket/prefix")
        return Bucket(bucket, prefix.strip("/"))
    if not url:
        raise BadUrl("LAKE_URL is not set: it names the lake, a folder or s3://bucket/prefix")
    if "://" in url:
        raise BadUrl(f"LAKE_URL {url!r} is neither a folder nor like s3://bucket/prefix")
    return Folder(Path(url))


# --- a folder


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of mode 700 with files of 600. What begins with a dot is no object."""

    root: Path

    def put(self, name: str, data: bytes) -> None:
        self._write(name, lambda file: file.write(data))

    def replace(self, name: str, path: Path, seen: str | None) -> None:
        def copy(file: IO[bytes]) -> None:
            with path.open("rb") as source:
                shutil.copyfileobj(source, file)

        with self._alone():
            if self.mark(name) != seen:
                raise Taken(f"{self.root / name} was changed meanwhile by another compaction")
            self._write(name, copy)

    def mark(self, name: str) -> str | None:
        with self._told(name):
            try:
                found = (self.root / name).stat()
            except FileNotFoundError:
                return None
            return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        with self._told(name):
            return (self.root / name).read_bytes()

    def fetch(self, name: str, shop: Path) -> Path:
        return self.root / name

    def names(self, prefix: str) -> list[str]:
        folder = prefix.rpartition("/")[0]
        with self._told(prefix):
            files = (path for path in (self.root / folder).rglob("*") if path.is_file())
            found = (path.relative_to(self.root).as_posix() for path in files if path.name[0] != ".")
            return sorted(name for name in found if name.startswith(prefix))

    def delete(self, name: str) -> None:
        with self._told(name):
            (self.root / name).unlink(missing_ok=True)
            with suppress(OSError):
                (self.root / name).parent.rmdir()  # where it was the last

    def _write(self, name: str, write: Callable[[IO[bytes]], object]) -> None:
        path = self.root / name
        with self._told(name):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = _temporary(path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            _settle(path.parent)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._told(""):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.root / ".replacing").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LakeAway(f"the lake at {self.root / name}: {error.strerror or error}") from None


def _temporary(folder: Path) -> tuple[int, str]:
    """A new file in the folder, which a compaction may take away, being empty, between two of our steps."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return tempfile.mkstemp(dir=folder, prefix=".")


def _settle(folder: Path) -> None:
    """A name outlasts a loss of power once its folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- a bucket


@dataclass(frozen=True)
class Bucket:
    """Reached as botocore reaches it: its region, credentials and endpoint by the usual variables."""

    bucket: str
    prefix: str

    def put(self, name: str, data: bytes) -> None:
        with self._told(name):
            self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=data)

    def replace(self, name: str, path: Path, seen: str | None) -> None:
        unchanged = {"IfNoneMatch": "*"} if seen is None else {"IfMatch": seen}
        with self._told(name), path.open("rb") as body:
            self._client.put_object(Bucket=self.bucket, Key=self._key(name), Body=body, **unchanged)

    def mark(self, name: str) -> str | None:
        with self._told(name):
            try:
                return str(self._client.head_object(Bucket=self.bucket, Key=self._key(name))["ETag"])
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    return None
                raise

    def read(self, name: str) -> bytes:
        with self._told(name):
            body: bytes = self._client.get_object(Bucket=self.bucket, Key=self._key(name))["Body"].read()
            return body

    def fetch(self, name: str, shop: Path) -> Path:
        path = shop / name.replace("/", "-")
        with self._told(name):
            self._client.download_file(self.bucket, self._key(name), str(path))
        return path

    def names(self, prefix: str) -> list[str]:
        start = len(self._key(""))
        with self._told(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._key(prefix)
            )
            return sorted(each["Key"][start:] for page in pages for each in page.get("Contents", ()))

    def delete(self, name: str) -> None:
        with self._told(name):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(name))

    @cached_property
    def _client(self) -> Any:
        retries: Any = {"max_attempts": 4, "mode": "standard"}
        return boto3.client("s3", config=Config(connect_timeout=2, read_timeout=30, retries=retries))

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        where = f"{S3}{self.bucket}/{self._key(name)}"
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("PreconditionFailed", "ConditionalRequestConflict", "412"):
                raise Taken(f"{where} was changed meanwhile by another compaction") from None
            raise LakeAway(f"the lake at {where}: {code}") from None
        except BotoCoreError as error:
            raise LakeAway(f"the lake at {where}: {type(error).__name__}") from None
        except OSError as error:
            raise LakeAway(f"the lake at {where}: {error.strerror or error}") from None
