"""A folder and a bucket keep objects alike: whole or not at all, and what goes wrong is said."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from analytics_app.lake import storage
from analytics_app.lake.storage import BadUrl, Bucket, Folder, LakeAway, Store, Taken


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "file"
    path.write_text(text)
    return path


def test_what_is_put_is_there_and_is_overwritten_by_what_is_put_again(store: Store) -> None:
    store.put("a/date=2025-10-23/x.jsonl", b"one")
    store.put("a/date=2025-10-23/x.jsonl", b"two")
    assert store.read("a/date=2025-10-23/x.jsonl") == b"two"
    assert store.names("a/") == ["a/date=2025-10-23/x.jsonl"]


def test_names_begin_as_asked_and_are_sorted(store: Store) -> None:
    for name in ("a/date=2025-11-01/x", "a/date=2025-10-31/x", "a/date=2025-10-02/x", "ab/date=2025-10-02/x"):
        store.put(name, b"")
    assert store.names("a/date=2025-10-") == ["a/date=2025-10-02/x", "a/date=2025-10-31/x"]
    assert store.names("c/") == []


def test_deleting_twice_does_no_harm(store: Store) -> None:
    store.put("a/x", b"")
    store.delete("a/x")
    store.delete("a/x")
    assert store.names("") == []


def test_a_file_takes_the_place_of_what_was_seen_and_of_nothing_else(store: Store, tmp_path: Path) -> None:
    store.replace("a/x", file(tmp_path, "one"), None)
    seen = store.mark("a/x")
    store.replace("a/x", file(tmp_path, "two"), seen)
    assert store.fetch("a/x", tmp_path).read_text() == "two"
    for outdated in (None, seen):
        with pytest.raises(Taken, match="another compaction"):
            store.replace("a/x", file(tmp_path, "three"), outdated)
    assert store.read("a/x") == b"two"


def test_what_is_not_there_has_no_mark_and_cannot_be_read(store: Store) -> None:
    assert store.mark("a/x") is None
    with pytest.raises(LakeAway, match="a/x"):
        store.read("a/x")


@pytest.mark.parametrize("url", ["", "ftp://somewhere/lake", "s3://", "s3:///prefix"])
def test_what_is_neither_folder_nor_bucket_is_refused(url: str) -> None:
    with pytest.raises(BadUrl, match="LAKE_URL"):
        storage.of_url(url)


def test_a_bucket_may_be_used_without_a_prefix(bucket_url: str) -> None:
    store = storage.of_url(bucket_url.removesuffix("/study"))
    store.put("a/x", b"one")
    assert store.names("a/") == ["a/x"]


# --- what goes wrong


def test_a_full_disk_is_said_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Folder(tmp_path / "lake")
    store.put("a/x", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LakeAway, match="No space left"):
        store.put("a/x", b"new")
    assert store.read("a/x") == b"old"
    assert [path.name for path in (tmp_path / "lake" / "a").iterdir()] == ["x"]


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")
    with pytest.raises(LakeAway, match="lake"):
        Folder(tmp_path / "lake").put("a/x", b"")


def test_what_is_being_written_has_no_name_yet(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".half").write_text("ha")
    assert Folder(tmp_path).names("") == []


def test_only_their_owner_reads_the_files(tmp_path: Path) -> None:
    Folder(tmp_path / "lake").put("a/x", b"")
    assert (tmp_path / "lake" / "a" / "x").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "lake").stat().st_mode & 0o777 == 0o700


def test_a_bucket_that_is_not_there_is_said(bucket_url: str) -> None:
    with pytest.raises(LakeAway, match="s3://nobodys-bucket/x: NoSuchBucket"):
        Bucket("nobodys-bucket", "").put("x", b"")


def test_a_bucket_without_rights_is_said(bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = storage.of_url(bucket_url)
    assert isinstance(store, Bucket)

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "who knows what"}}, "PutObject")

    monkeypatch.setattr(store._client, "put_object", refuse)
    with pytest.raises(LakeAway, match=r"study/x: AccessDenied$"):
        store.put("x", b"")
    assert store.names("") == []


def test_a_bucket_out_of_reach_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(LakeAway, match="EndpointConnectionError"):
        Bucket("lake", "").put("x", b"")
