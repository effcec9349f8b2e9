"""`restore_check`: nobody comes back with a backup, and what it holds is looked through before it is used."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from django.core.management import CommandError, call_command

from analytics_app.statistics import updates
from sessions_app import study
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit import seals
from sessions_app.domain.models import AuditHead, Item, Student
from sessions_app.domain.participants import erasure
from sessions_app.domain.store import keys
from sessions_app.domain.store import table as tables
from socratic_site.local.dynamodb_local import REGION, Engine
from tests.conftest import keys_in
from tests.domain.cast import ADMIN, NOON, Participant, enrol, start_in

CELL = "L4-I3-D"
DAYS = [NOON.date()]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "now", lambda: NOON + timedelta(hours=3))


@pytest.fixture(scope="module")
def made(engine: Engine) -> Any:
    resource = boto3.resource("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)
    name = f"Restored-{uuid.uuid4().hex[:12]}"
    tables.create(resource.meta.client, name=name)
    return resource.Table(name)


@pytest.fixture
def restored(made: Any) -> Iterator[Any]:
    """An empty table, to be filled by `copy`."""
    yield made
    with made.batch_writer() as batch:
        for key in keys_in(made):
            batch.delete_item(Key=key)


def copy(source: Any, target: Any) -> None:
    """As a backup would have it."""
    with target.batch_writer() as batch:
        for item in whole(source):
            batch.put_item(Item=item)


def whole(table: Any) -> list[dict[str, Any]]:
    pages = table.meta.client.get_paginator("scan").paginate(TableName=table.name, ConsistentRead=True)
    items = [item for page in pages for item in page["Items"]]
    return sorted(items, key=lambda item: (item["PK"], item["SK"]))


def check(restored: Any, *words: str) -> tuple[str, str]:
    """The report, and the fault that ends it; empty where it passes."""
    told = io.StringIO()
    try:
        call_command("restore_check", restored.name, *words, stdout=told)
    except CommandError as error:
        return told.getvalue(), f"{error} (exit {error.returncode})"
    return told.getvalue(), ""


def seal() -> None:
    seals.sweep(DAYS, now=NOON)


def a_counted_session(student: Student) -> str:
    session_id = Participant(start_in(CELL, student)).walk().run.id
    updates.apply(session_id, now=NOON)
    return session_id


@pytest.fixture
def students(table: str, shared_table: Any, restored: Any) -> tuple[Student, Student]:
    """Both had a session when the backup was made; the first was erased after it."""
    leaves, stays = enrol(), enrol()
    for student in (leaves, stays):
        a_counted_session(student)
    seal()
    copy(shared_table, restored)
    erasure.erase(leaves.student_id, by=ADMIN, reason="asked to", now=NOON, wait=lambda _: None)
    return leaves, stays


def test_whoever_was_erased_after_the_backup_is_erased_again_and_nobody_else(
    students: tuple[Student, Student], shared_table: Any, restored: Any
) -> None:
    leaves, stays = students
    site = whole(shared_table)
    before = [item for item in whole(restored) if stays.student_id in str(item)]
    told, fault = check(restored)
    assert fault == "", told
    assert "Tombstones   1 replayed, 1 of whom had come back" in told
    assert "Statistics   1 sessions, no difference" in told
    assert told.endswith("All in order\n")
    left = [item["entity_type"] for item in whole(restored) if leaves.student_id in str(item)]
    assert set(left) == {"tombstone", "audit_entry", "erasure_task"}  # the worker proves the absence
    of_stays = {(item["PK"], item["SK"]): item for item in whole(restored) if stays.student_id in str(item)}
    assert all((item["PK"], item["SK"]) in of_stays for item in before)
    assert whole(shared_table) == site
    assert Item.Meta.table_name == shared_table.name


def test_it_may_be_repeated(students: tuple[Student, Student], restored: Any) -> None:
    assert check(restored)[1] == ""
    once = whole(restored)
    told, fault = check(restored)
    assert fault == ""
    assert "1 replayed, 0 of whom had come back" in told
    assert whole(restored) == once


def test_statistics_that_differ_are_named_and_end_in_a_failure(
    students: tuple[Student, Student], restored: Any
) -> None:
    cell = keys.statistics(keys.Condition.from_code(CELL))
    for item in whole(restored):
        if item["PK"] == cell:
            restored.delete_item(Key={"PK": item["PK"], "SK": item["SK"]})
    told, fault = check(restored)
    assert f"{CELL} 2026-03 " in told
    assert fault == f"Not in order: Statistics. Do not use {restored.name} yet. (exit 1)"


# --- the audit log


@pytest.fixture
def log(table: str, shared_table: Any, restored: Any) -> str:
    """Two sealed entries, restored; the head of their chain."""
    for number in range(2):
        audit_log.record("sign_in", by=ADMIN, now=NOON + timedelta(minutes=number))
    seal()
    copy(shared_table, restored)
    head = AuditHead.read()
    assert head is not None
    return f"{head.sequence}:{head.sha256}"


def test_a_log_that_was_touched_is_named_and_nothing_is_sealed_over_it(log: str, restored: Any) -> None:
    entry = next(item for item in whole(restored) if item["entity_type"] == "audit_entry")
    restored.put_item(Item={**entry, "by": "nobody"})
    told, fault = check(restored)
    assert entry["SK"] in told
    assert fault == f"Not in order: Audit log. Do not use {restored.name} yet. (exit 1)"
    assert "and since" not in told


def test_a_head_that_was_written_down_proves_the_log(log: str, restored: Any) -> None:
    assert check(restored, "--expect", log)[1] == ""
    assert check(restored, "--expect", f"2:{'0' * 64}")[1].startswith("Not in order: Audit log.")


def test_what_was_not_sealed_when_the_backup_was_made_is_sealed_then(
    log: str, shared_table: Any, restored: Any
) -> None:
    audit_log.record("sign_out", by=ADMIN, now=NOON + timedelta(minutes=9))
    copy(shared_table, restored)
    told, fault = check(restored)
    assert fault == ""
    assert "3 entries, 1 of them not sealed" in told
    assert "3 entries, 0 of them not sealed" in told


# --- what it refuses


def refusal(*words: str) -> str:
    with pytest.raises(CommandError) as refused:
        call_command("restore_check", *words, stdout=io.StringIO())
    return str(refused.value)


def test_it_leaves_the_sites_own_table_alone_unless_told(table: str, shared_table: Any) -> None:
    audit_log.record("sign_in", by=ADMIN, now=NOON)
    before = whole(shared_table)
    assert refusal(table).startswith(f"{table} is the table that the site uses. Nothing was changed.")
    assert whole(shared_table) == before
    told, fault = check(shared_table, "--in-use")
    assert fault == ""
    assert "1 entries, 0 of them not sealed" in told


def test_a_missing_table_is_named(table: str) -> None:
    assert refusal("Nowhere") == f"There is no table Nowhere in {REGION}."


def test_a_table_of_another_shape_is_refused_line_by_line(table: str, dynamodb: Any) -> None:
    key = {"AttributeName": "id", "KeyType": "HASH"}
    attribute = {"AttributeName": "id", "AttributeType": "S"}
    dynamodb.create_table(
        TableName="Other",
        KeySchema=[key],
        AttributeDefinitions=[attribute],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        told = refusal("Other")
    finally:
        dynamodb.delete_table(TableName="Other")
    assert told.startswith("Table Other is none of this study; nothing was changed:\n")
    assert "  key: is id (HASH), should be PK (HASH) + SK (RANGE)" in told
    assert "stream" not in told


def test_a_lost_newer_table_has_to_be_owned_up_to(log: str, restored: Any) -> None:
    told = refusal(restored.name, "--tombstones-of", "Lost")
    assert told.startswith("There is no table Lost to tell of the newest erasures. Nothing was changed.")
    assert check(restored, "--without-newer")[1] == ""


def test_what_a_restore_leaves_out_is_told_and_is_no_fault(
    table: str, log: str, restored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = tables.describe

    def without_stream(client: Any, name: str) -> dict[str, Any] | None:
        found = described(client, name)
        return found and {**found, "StreamSpecification": {}}

    monkeypatch.setattr(tables, "describe", without_stream)
    monkeypatch.setattr(tables, "recovery", lambda *_: "off")
    told, fault = check(restored)
    assert fault == ""
    assert "Before use   stream: is off, should be NEW_AND_OLD_IMAGES" in told
    assert "point-in-time recovery: is off, should be on" in told
