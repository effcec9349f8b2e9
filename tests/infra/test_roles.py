"""Each role may do what its program asks for, as it asks here, and nothing that would undo the log."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from analytics_app.streams import dispatch
from sessions_app import study
from sessions_app.domain import models
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.models import Student
from sessions_app.domain.participants import erasure
from sessions_app.domain.store import keys
from tests.domain.cast import ADMIN, NOON, Participant, enrol, start_in
from tests.infra.stack import TABLE, Stack, is_allowed, statements

RECORDED = json.loads(Path(__file__).with_name("recorded_event.json").read_text(encoding="utf-8"))
STACK = Stack()
ROLES = ("WebRole", "WorkerRole", "StreamRole", "LakeRole", "ExportRole")
ENTRY, HEAD = "AUDIT#2026-03-03", keys.AUDIT_CHAIN
CHANGES = ("UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLUpdate", "PartiQLDelete")


@dataclass(frozen=True, slots=True, order=True)
class Asked:
    """What a program wanted of DynamoDB; of a transaction, each of its parts, as IAM looks at it."""

    action: str
    resource: str
    key: str


def asked(operation: str, body: dict[str, Any]) -> Iterator[Asked]:
    if operation == "TransactWriteItems":
        for part in body["TransactItems"]:
            ((kind, inner),) = part.items()
            name = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
            yield from asked(name, inner)
    elif operation == "BatchGetItem":
        for table in body["RequestItems"].values():
            yield from (Asked(operation, TABLE, each["PK"]["S"]) for each in table["Keys"])
    else:
        index = f"/index/{body['IndexName']}" if "IndexName" in body else ""
        key = (body.get("Key") or body.get("Item") or {}).get("PK", {}).get("S", "")
        yield Asked(operation, TABLE + index, key)


@pytest.fixture
def requests(table: str) -> Iterator[set[Asked]]:
    """What the models ask for; `.clear()` it before what is looked at."""
    made: set[Asked] = set()

    def note(model: Any, params: Any, **_: Any) -> None:
        made.update(asked(model.name, json.loads(params["body"])))

    events = models.connection().client.meta.events
    events.register("before-call.dynamodb", note)
    yield made
    events.unregister("before-call.dynamodb", note)


def refused(role: str, made: set[Asked]) -> list[Asked]:
    policy = statements(STACK, role)
    return [
        each
        for each in sorted(made)
        if not is_allowed(policy, f"dynamodb:{each.action}", each.resource, [each.key] if each.key else [])
    ]


def a_whole_session() -> Student:
    student = enrol()
    Participant(start_in("L4-I3-D", student)).walk()
    return student


# --- what the programs do is allowed


def test_the_web_role_may_do_all_that_a_session_an_erasure_and_the_log_need(
    table: str, requests: set[Asked]
) -> None:
    student = a_whole_session()
    audit_log.record("sign_in", by=ADMIN, now=NOON)
    erasure.erase(student.student_id, by=ADMIN, reason="asked", now=NOON, wait=lambda _: None)
    assert {each.action for each in requests} >= {"PutItem", "UpdateItem", "DeleteItem", "Query"}
    assert refused("WebRole", requests) == []


def test_the_streams_role_may_count_and_seal(table: str, dynamodb: Any, requests: set[Asked]) -> None:
    for record in RECORDED["Records"]:
        dynamodb.put_item(TableName=table, Item=record["dynamodb"]["NewImage"])
    assert dispatch.handler(RECORDED, None) == {"batchItemFailures": []}  # makes the head
    audit_log.record("sign_in", by=ADMIN, now=study.now())
    assert dispatch.sweeper({}, None)["sealed"] == 1  # moves it
    assert {Asked(action, TABLE, HEAD) for action in ("PutItem", "UpdateItem")} <= requests
    assert {each.key for each in requests} >= {"STATS#MONTHS", "STATS#DAYS"}
    assert refused("StreamRole", requests) == []


def test_the_workers_role_may_do_all_that_a_round_of_the_worker_needs(
    table: str, requests: set[Asked]
) -> None:
    a_whole_session()
    requests.clear()
    call_command("run_worker", once=True, no_stream=True)
    dispatch.sweep()
    assert requests
    assert refused("WorkerRole", requests) == []


def test_the_exports_role_may_do_all_that_an_export_needs(
    table: str, requests: set[Asked], tmp_path: Path
) -> None:
    a_whole_session()
    requests.clear()
    call_command("export", out=str(tmp_path), quiet=True, stdout=io.StringIO())
    assert any(each.key.startswith(keys.AUDIT_PREFIX) for each in requests)
    assert refused("ExportRole", requests) == []


# --- what would undo the log is not


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", CHANGES)
def test_no_role_changes_or_deletes_what_the_audit_log_holds(role: str, action: str) -> None:
    policy = statements(STACK, role)
    assert not is_allowed(policy, f"dynamodb:{action}", TABLE, [ENTRY])
    assert not is_allowed(policy, f"dynamodb:{action}", TABLE, ["SESSION#1", ENTRY])


@pytest.mark.parametrize("action", ["PutItem", *CHANGES])
@pytest.mark.parametrize("role", ["WebRole", "LakeRole", "ExportRole"])
def test_only_who_seals_moves_the_head(role: str, action: str) -> None:
    assert not is_allowed(statements(STACK, role), f"dynamodb:{action}", TABLE, [HEAD])


@pytest.mark.parametrize("role", ROLES)
def test_only_who_seals_reads_the_key_and_publishes_and_nobody_deletes_what_was_published(role: str) -> None:
    policy, seals_log = statements(STACK, role), role in ("WorkerRole", "StreamRole")
    published = "arn:aws:s3:::HeadBucket/heads/head-1.json"
    assert is_allowed(policy, "s3:PutObject", published, []) == seals_log
    assert is_allowed(policy, "secretsmanager:GetSecretValue", "SealKey", []) == (role == "WorkerRole")
    for action in ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"):
        assert not is_allowed(policy, action, published, [])


def test_the_web_role_adds_to_the_log() -> None:
    assert is_allowed(statements(STACK, "WebRole"), "dynamodb:PutItem", TABLE, [ENTRY])


@pytest.mark.parametrize("key", ["STUDENT#1", "DIRECTORY#students", "TOMBSTONES", "QUEUE#exports"])
@pytest.mark.parametrize("action", ["PutItem", "UpdateItem", "DeleteItem"])
@pytest.mark.parametrize("role", ["StreamRole", "LakeRole", "ExportRole"])
def test_who_counts_and_exports_writes_nothing_about_a_student(role: str, action: str, key: str) -> None:
    policy = statements(STACK, role)
    assert not is_allowed(policy, f"dynamodb:{action}", TABLE, [key])
    assert not is_allowed(policy, f"dynamodb:{action}", TABLE, ["SESSION#1", key])
    assert not is_allowed(policy, f"dynamodb:{action}", TABLE)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "action",
    ["DeleteTable", "UpdateTable", "CreateBackup", "RestoreTableToPointInTime", "Scan", "PutResourcePolicy"],
)
def test_no_role_touches_the_table_itself_or_reads_all_of_it(role: str, action: str) -> None:
    assert not is_allowed(statements(STACK, role), f"dynamodb:{action}", TABLE)


def test_the_lakes_role_reads_and_writes_nothing_in_the_table() -> None:
    policy = statements(STACK, "LakeRole")
    for action in ("GetItem", "Query", "BatchGetItem", "PutItem"):
        assert not is_allowed(policy, f"dynamodb:{action}", TABLE, ["SESSION#1"])
    assert is_allowed(policy, "s3:PutObject", "arn:aws:s3:::LakeBucket/lake/sessions/x.jsonl")
    for action in ("GetObject", "DeleteObject"):
        assert not is_allowed(policy, f"s3:{action}", "arn:aws:s3:::LakeBucket/lake/sessions/x.jsonl")


def test_the_web_role_reaches_neither_lake_nor_exports() -> None:
    policy = statements(STACK, "WebRole")
    for bucket in ("LakeBucket", "ExportBucket"):
        assert not is_allowed(policy, "s3:GetObject", f"arn:aws:s3:::{bucket}/lake/x")
        assert not is_allowed(policy, "s3:ListBucket", f"arn:aws:s3:::{bucket}")


@pytest.mark.parametrize("role", ROLES)
def test_no_statement_allows_any_action_or_any_resource(role: str) -> None:
    for each in statements(STACK, role):
        told = [each[name] for name in ("Action", "Resource")]
        words = [word for value in told for word in ([value] if isinstance(value, str) else value)]
        assert each["Effect"] == "Deny" or not {"*"} & set(words)
        assert each["Effect"] == "Deny" or not any(word.endswith(":*") for word in words)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_taken_by_one_service(role: str) -> None:
    (trust,) = STACK.properties(role)["AssumeRolePolicyDocument"]["Statement"]
    service = "lambda.amazonaws.com" if role in ("StreamRole", "LakeRole") else "ec2.amazonaws.com"
    assert (trust["Effect"], trust["Principal"]) == ("Allow", {"Service": service})


# --- the judge itself


def test_the_judge_refuses_what_nothing_allows_and_what_something_denies() -> None:
    allow = {"Effect": "Allow", "Action": "dynamodb:*Item", "Resource": TABLE}
    deny = {
        "Effect": "Deny",
        "Action": "dynamodb:DeleteItem",
        "Resource": TABLE,
        "Condition": {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": ["AUDIT#*"]}},
    }
    assert is_allowed([allow], "dynamodb:DeleteItem", TABLE, ["AUDIT#1"])
    assert not is_allowed([allow, deny], "dynamodb:DeleteItem", TABLE, ["AUDIT#1"])
    assert is_allowed([allow, deny], "dynamodb:DeleteItem", TABLE, ["SESSION#1"])
    assert not is_allowed([allow], "dynamodb:Query", TABLE)
    assert not is_allowed([allow], "dynamodb:GetItem", f"{TABLE}-other")
