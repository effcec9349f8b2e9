"""What an attacker with every right on the table, and all of our code, but without the key, cannot do unseen.

The forgeries use our own functions on stored items (`seals`, `audit.record`), and plain boto3 where models
refuse.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.core.management import CommandError, call_command
from moto import mock_aws

from sessions_app import study
from sessions_app.domain.audit import acknowledgments, published_heads, seals
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit.seal_keys import BadSealKey, SealKeyMissing, SealKeys
from sessions_app.domain.consent import decisions as consent_decisions
from sessions_app.domain.models import AuditHead, ConsentEvent, Item, connection
from sessions_app.domain.models.audit import stored_entries, stored_seals
from sessions_app.domain.participants import erasure as erasing
from sessions_app.domain.participants import withdrawal
from sessions_app.domain.store import keys
from tests.domain.cast import ADMIN, FACILITATOR, IRB, NOON, enrol

KEY, OTHER_KEY = "k" * 40, "x" * 40
DAY = NOON.date()
DAYS = [DAY - timedelta(days=3), DAY, DAY + timedelta(days=1)]
HEAD = {"PK": {"S": keys.AUDIT_CHAIN}, "SK": {"S": keys.CHAIN_HEAD}}
Image = dict[str, Any]


@pytest.fixture
def heads(table: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place for published heads, a key in the environment, and a clock a day after the log."""
    settings.AUDIT_HEAD_URL = str(tmp_path / "heads")
    monkeypatch.setenv("AUDIT_SEAL_KEY", KEY)
    monkeypatch.setenv("AUDIT_HEAD_URL", settings.AUDIT_HEAD_URL)
    monkeypatch.setattr(study, "now", lambda: NOON + timedelta(days=1))
    return str(settings.AUDIT_HEAD_URL)


@pytest.fixture
def signing(heads: str) -> SealKeys:
    return SealKeys((KEY,), heads)


@pytest.fixture
def log(signing: SealKeys) -> list[Image]:
    """Six entries, sealed a minute after, their head published; the raw entries."""
    return written(6, signing)


def written(count: int, signing: SealKeys | None, *, minutes: int = 0) -> list[Image]:
    for number in range(count):
        at = NOON + timedelta(minutes=minutes, seconds=number)
        audit_log.record("consent.review", by=FACILITATOR, now=at, student_id=f"s-{number}")
    now = NOON + timedelta(minutes=minutes + 1)
    seals.sweep(DAYS, now=now, signing=signing)
    if signing:
        published_heads.publish_when_due(now=now, url=signing.head_url, signing=signing, at_once=True)
    return entries()


def entries() -> list[Any]:
    return [entry for day in DAYS for entry in stored_entries(day)]


def sealed() -> list[Any]:
    found = [seal for day in DAYS for seal in stored_seals(day)]
    return sorted(found, key=lambda seal: int(seal["sequence"]["N"]))


def put(item: Image) -> None:
    connection().client.put_item(TableName=Item.Meta.table_name, Item=item)


def delete(item: Image) -> None:
    key = {name: item[name] for name in ("PK", "SK")}
    connection().client.delete_item(TableName=Item.Meta.table_name, Key=key)


def stored_head() -> Image:
    found: Image = connection().client.get_item(TableName=Item.Meta.table_name, Key=HEAD)["Item"]
    return found


def verify(*arguments: str) -> str:
    """What is printed, with the fault that ends it."""
    printed = io.StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=printed)
    except CommandError as error:
        return f"{printed.getvalue()}{error}"
    return printed.getvalue()


def is_sound() -> bool:
    return "No fault" in verify()


# --- sound


def test_a_signed_log_passes_and_says_what_was_compared(log: list[Image]) -> None:
    printed = verify()
    assert "signatures from sequence 1 on checked" in printed
    assert "1 published heads, the newest of 2026-03-03T17:01:00Z" in printed
    assert printed.endswith("No fault\n")


def test_without_the_key_the_chain_is_verified_and_signatures_are_not(
    log: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIT_SEAL_KEY")
    assert "signatures from sequence 1 on not checked" in verify()
    assert is_sound()


def test_a_key_can_be_replaced(log: list[Image], heads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written(2, SealKeys((OTHER_KEY, KEY), heads), minutes=5)
    monkeypatch.setenv("AUDIT_SEAL_KEY", f"{OTHER_KEY},{KEY}")
    assert is_sound()
    monkeypatch.setenv("AUDIT_SEAL_KEY", KEY)
    assert "its seal was not signed with our key: forged" in verify()


# --- (a) rewritten, and everything sealed anew


@pytest.mark.parametrize("attacker", [None, SealKeys((OTHER_KEY,))])
def test_a_rewritten_entry_with_all_seals_made_anew_by_our_own_code(
    log: list[Image], attacker: SealKeys | None
) -> None:
    put({**log[1], "by": {"S": "somebody-else"}})
    for item in (*sealed(), HEAD):
        delete(item)
    assert seals.sweep(DAYS, now=NOON + timedelta(minutes=1), signing=attacker) == len(log)
    printed = verify()
    assert ("is not signed" in printed) or ("was not signed with our key" in printed)
    assert "6:" in printed
    assert "this is not the log of that time (published 2026-03-03T17:01:00Z)" in printed
    assert "No fault" not in printed


def test_the_sealer_that_goes_on_from_a_forged_chain_does_not_make_it_sound(
    log: list[Image], signing: SealKeys
) -> None:
    put({**log[1], "by": {"S": "somebody-else"}})
    for item in (*sealed(), HEAD):
        delete(item)
    seals.sweep(DAYS, now=NOON + timedelta(minutes=1))
    written(1, signing, minutes=9)
    assert stored_head()["signed_from"]["N"] == "1"  # as was published, not where the forged chain ends
    assert "its seal is not signed, as all are from 1 on: forged" in verify()


# --- (b) cut off, and the head moved back


def test_a_cut_tail_with_the_genuine_head_of_before(log: list[Image], signing: SealKeys) -> None:
    before = stored_head()
    more = written(3, signing, minutes=5)
    for item in (*more[6:], *sealed()[6:]):
        delete(item)
    put(before)
    printed = verify()
    assert "sequence 9: no sound seal has this sequence and the expected digest" in printed
    written(4, signing, minutes=30)  # the log goes on, and covers the cut
    assert "sequence 9: no sound seal has this sequence and the expected digest" in verify()


def test_a_cut_tail_is_told_by_the_head_in_an_exports_manifest(log: list[Image], heads: str) -> None:
    written_down = f"6:{sealed()[-1]['sha256']['S']}"
    for path in Path(heads).iterdir():
        path.unlink()
    for item in (log[5], sealed()[5]):
        delete(item)
    last = sealed()[-1]
    put({**stored_head(), "sequence": last["sequence"], "sha256": last["sha256"]})
    assert "the head was not signed with our key: forged" in verify()
    assert "sequence 6: no sound seal" in verify("--expect", written_down)


# --- (c) forged or back-dated, and sealed later


def test_a_back_dated_entry_that_the_sealer_seals_is_named(log: list[Image], signing: SealKeys) -> None:
    for minute in range(6):
        seals.at_work(now=NOON + timedelta(minutes=10 * minute), signing=signing)
    audit_log.record("consent.review", by=IRB, now=NOON + timedelta(seconds=30), student_id="s-1")
    assert seals.sweep(DAYS, now=NOON + timedelta(minutes=51), signing=signing) == 1
    printed = verify()
    assert "sequence 7: sealed 50 minutes after its own time, and the sealer was at work" in printed


def test_what_was_written_while_the_sealer_was_away_is_late_for_a_reason(
    log: list[Image], signing: SealKeys
) -> None:
    seals.at_work(now=NOON + timedelta(minutes=2), signing=signing)
    audit_log.record("consent.review", by=IRB, now=NOON + timedelta(minutes=40), student_id="s-1")
    back = NOON + timedelta(hours=5)
    seals.at_work(now=back, signing=signing)
    seals.at_work(now=back + timedelta(minutes=1), signing=signing)
    assert seals.sweep(DAYS, now=back + timedelta(minutes=1), signing=signing) == 1
    assert sealed()[-1]["outage_to"]["S"] == keys.stamp(back)
    assert is_sound()
    # The same outage explains nothing that is dated before it.
    audit_log.record("consent.review", by=IRB, now=NOON - timedelta(hours=3), student_id="s-1")
    seals.sweep(DAYS, now=back + timedelta(minutes=2), signing=signing)
    assert "and the sealer was at work: back-dated?" in verify()


def test_an_outage_that_nobody_signed_explains_nothing(log: list[Image], signing: SealKeys) -> None:
    seals.at_work(now=NOON - timedelta(days=1), signing=SealKeys((OTHER_KEY,)))  # the attacker's note
    audit_log.record("consent.review", by=IRB, now=NOON - timedelta(hours=3), student_id="s-1")
    seals.sweep(DAYS, now=NOON + timedelta(minutes=2), signing=signing)
    assert "sealed 182 minutes after its own time" in verify()


def test_an_outage_that_is_written_into_a_seal_afterwards_breaks_it(
    log: list[Image], signing: SealKeys
) -> None:
    audit_log.record("consent.review", by=IRB, now=NOON - timedelta(hours=3), student_id="s-1")
    seals.sweep(DAYS, now=NOON + timedelta(minutes=2), signing=signing)
    outage = {
        "outage_from": {"S": keys.stamp(NOON - timedelta(days=1))},
        "outage_to": {"S": keys.stamp(NOON)},
    }
    put({**sealed()[-1], **outage})
    assert "its seal was changed: the digest does not fit" in verify()


def test_an_entry_that_is_dated_ahead_is_named(log: list[Image], signing: SealKeys) -> None:
    audit_log.record("consent.review", by=IRB, now=NOON + timedelta(hours=3), student_id="s-1")
    seals.sweep(DAYS, now=NOON + timedelta(minutes=2), signing=signing)
    assert "its own time lies after that of its seal" in verify()


# --- doubts that an operator explains


@pytest.fixture
def late(log: list[Image], signing: SealKeys) -> int:
    """The sequence of an entry that was sealed late."""
    for minute in range(6):
        seals.at_work(now=NOON + timedelta(minutes=10 * minute), signing=signing)
    audit_log.record("consent.review", by=IRB, now=NOON + timedelta(seconds=30), student_id="s-1")
    seals.sweep(DAYS, now=NOON + timedelta(minutes=51), signing=signing)
    return 7


def acknowledge(sequence: int, reason: str = "the clock was wrong") -> str:
    return verify("--acknowledge", str(sequence), "--reason", reason, "--by", "ola")


def test_an_acknowledged_late_seal_is_named_and_fails_nothing(late: int, signing: SealKeys) -> None:
    assert "counts as soon as that entry is sealed" in acknowledge(late)
    assert not is_sound()  # the acknowledgment itself is not sealed yet
    seals.sweep(DAYS, now=study.now(), signing=signing)
    printed = verify()
    assert "acknowledged: " in printed
    assert f"sequence {late}: sealed 50 minutes after its own time" in printed
    assert "No fault" in printed
    made = entries()[-1]
    assert (made["action"]["S"], made["by"]["S"]) == ("audit.acknowledge", "ola")
    assert "clock" not in str(made)  # the reason lies beside the log


def test_an_acknowledgment_speaks_for_one_seal_only(late: int, signing: SealKeys) -> None:
    acknowledge(late)
    seals.sweep(DAYS, now=study.now(), signing=signing)
    audit_log.record("consent.review", by=IRB, now=NOON + timedelta(seconds=40), student_id="s-1")
    seals.sweep(DAYS, now=study.now(), signing=signing)
    assert "sequence 9: sealed " in verify()


def test_an_acknowledgment_of_another_digest_counts_for_nothing(late: int, signing: SealKeys) -> None:
    acknowledgments.acknowledge(
        sequence=late, sha256="0" * 64, what="late", reason="a forger's", by=IRB, now=study.now()
    )
    seals.sweep(DAYS, now=study.now(), signing=signing)
    assert not is_sound()


def test_an_acknowledgment_that_is_late_itself_counts_for_nothing(late: int, signing: SealKeys) -> None:
    seal = next(seal for seal in sealed() if int(seal["sequence"]["N"]) == late)
    acknowledgments.acknowledge(
        sequence=late,
        sha256=seal["sha256"]["S"],
        what="late",
        reason="back-dated too",
        by=IRB,
        now=NOON + timedelta(minutes=1),
    )
    seals.sweep(DAYS, now=NOON + timedelta(minutes=52), signing=signing)
    assert f"sequence {late}: sealed 50 minutes" in verify()


def test_only_doubts_can_be_acknowledged(log: list[Image], signing: SealKeys) -> None:
    put({**log[2], "by": {"S": "somebody else"}})
    assert "Sequence 3 is neither sealed late nor without its reason" in acknowledge(3)
    assert "needs --reason" in verify("--acknowledge", "3")
    assert "the entry was changed after it was sealed" in verify()


# --- (e) typed reasons


def a_reason(signing: SealKeys, **about: str) -> Image:
    """The stored reason of an entry that is sealed in time."""
    at = NOON + timedelta(minutes=2)
    audit_log.record("consent.review", by=IRB, now=at, reason="Zora's mother called", **about)
    seals.sweep(DAYS, now=at, signing=signing)
    partition = keys.student(about["student_id"]) if "student_id" in about else keys.REASONS
    found: Any = connection().client.query(
        TableName=Item.Meta.table_name,
        KeyConditionExpression="PK = :pk AND begins_with(SK, :reason)",
        ExpressionAttributeValues={":pk": {"S": partition}, ":reason": {"S": keys.reason("")}},
    )
    (reason,) = found["Items"]
    return reason  # type: ignore[no-any-return]


@pytest.mark.parametrize("about", [{"student_id": "s-1"}, {"subject": "all.csv"}])
@pytest.mark.parametrize("name", ["reason", "salt", "entry_id"])
def test_a_changed_reason_is_named(log: list[Image], signing: SealKeys, about: Image, name: str) -> None:
    reason = a_reason(signing, **about)
    assert is_sound()
    put({**reason, name: {"S": "f" * 64}})
    assert "its reason is not the one that was typed" in verify()
    put({key: value for key, value in reason.items() if key != name})
    assert "its reason is not the one that was typed" in verify()
    assert not [line for line in verify().splitlines() if "Zora" in line]


def test_a_missing_reason_is_named_unless_its_student_was_erased(log: list[Image], signing: SealKeys) -> None:
    delete(a_reason(signing, student_id="s-1"))
    assert "sequence 7: its reason is missing, and the student was not erased" in verify()
    erasing.bury("s-1", by=ADMIN, now=NOON)
    assert is_sound()


def test_a_missing_reason_about_no_student_can_be_acknowledged(log: list[Image], signing: SealKeys) -> None:
    delete(a_reason(signing, subject="all.csv"))
    assert "sequence 7: its reason is missing" in acknowledge(7, "it named a student")
    seals.sweep(DAYS, now=study.now(), signing=signing)
    assert is_sound()


# --- (d) consent events


@pytest.fixture
def student(signing: SealKeys) -> Any:
    """Enrolled three days ago, whose consent was reviewed; all of it sealed in time."""
    enrolled_at = NOON - timedelta(days=3)
    made = enrol(now=enrolled_at)
    seen = made.consent_data.version
    consent_decisions.review(
        student_id=made.student_id, outcome="accepted", seen=seen, by=IRB, now=enrolled_at
    )
    seals.sweep(DAYS, now=enrolled_at + timedelta(minutes=1), signing=signing)
    return made


def events(student: Any) -> list[Any]:
    pages = connection().client.query(
        TableName=Item.Meta.table_name,
        KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)",
        ExpressionAttributeValues={
            ":pk": {"S": keys.student(student.student_id)},
            ":sk": {"S": keys.CONSENT_PREFIX},
        },
    )
    return list(pages["Items"])


def test_a_student_whose_consent_is_as_it_was_passes(student: Any) -> None:
    assert len(events(student)) == 3
    assert is_sound()


@pytest.mark.parametrize(
    "change", [{"affirmed": {"BOOL": False}}, {"relation": {"S": "guardian"}}, {"x": {"S": "y"}}]
)
def test_a_changed_consent_event_is_named(student: Any, change: Image) -> None:
    event = events(student)[0]
    put({**event, **change})
    printed = verify()
    assert f"{event['SK']['S']}: a consent event was changed after it was written" in printed
    assert "1 fault in the audit log" in printed


def test_a_consent_event_that_was_taken_away_is_named(student: Any) -> None:
    event = events(student)[1]
    delete(event)
    assert f"{event['SK']['S']}: a consent event is missing, and the student was not erased" in verify()


def test_a_consent_event_that_the_log_does_not_know_is_named(
    student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions_app.domain.audit.consent_chain.RECHECK_SECONDS", 0)
    forged = ConsentEvent.new(
        student_id=student.student_id,
        event_id="assent-9",
        at=NOON - timedelta(days=4),
        action="granted",
        kind="assent",
        affirmed=True,
        attested_by="facilitator",
    )
    forged.save()
    assert f"{forged.SK}: no audit entry knows of this consent event: forged" in verify()


def test_withdrawal_and_erasure_leave_a_sound_log(student: Any, signing: SealKeys) -> None:
    withdrawal.withdraw(student.student_id, keep=True, by=ADMIN, reason="they move", now=NOON)
    seals.sweep(DAYS, now=NOON + timedelta(minutes=1), signing=signing)
    assert is_sound()
    erasing.erase(student.student_id, by=ADMIN, reason="asked", now=NOON, wait=lambda _: None)
    seals.sweep(DAYS, now=NOON + timedelta(minutes=2), signing=signing)
    assert events(student) == []
    assert is_sound()


# --- where signing begins


def test_a_log_from_before_the_key_goes_on_signed_and_passes(signing: SealKeys) -> None:
    written(3, None)
    written(2, signing, minutes=5)
    assert stored_head()["signed_from"]["N"] == "4"
    assert ["mac" in seal for seal in sealed()] == [False] * 3 + [True] * 2
    assert is_sound()


def test_nothing_passes_itself_off_as_older_than_the_key(signing: SealKeys) -> None:
    written(3, None)
    written(3, signing, minutes=5)
    fifth = sealed()[4]
    put({name: value for name, value in fifth.items() if name not in ("mac", "key_id")})
    assert "sequence 5: its seal is not signed, as all are from 4 on: forged" in verify()
    put({**stored_head(), "signed_from": {"N": "6"}})
    printed = verify()
    assert "the head was not signed with our key: forged" in printed
    assert "the head does not say that seals are signed from 4 on, as was published" in printed


def test_a_process_without_the_key_does_not_seal_a_signed_log(log: list[Image]) -> None:
    audit_log.record("sign_in", by=ADMIN, now=NOON + timedelta(minutes=3))
    with pytest.raises(SealKeyMissing):
        seals.sweep(DAYS, now=NOON + timedelta(minutes=4))
    assert len(sealed()) == 6


def test_a_log_that_lost_every_signature_is_named(log: list[Image], heads: str) -> None:
    for seal in sealed():
        put({name: value for name, value in seal.items() if name not in ("mac", "key_id")})
    gone = ("mac", "key_id", "signed_from")
    put({name: value for name, value in stored_head().items() if name not in gone})
    assert "its seal is not signed" in verify()
    for path in Path(heads).iterdir():
        path.unlink()
    assert "the head is not signed, though there is a key" in verify()


# --- keys


@pytest.mark.parametrize("environment", [{"AUDIT_SEAL_KEY": "short"}, {"AUDIT_SEAL_KEY_FILE": "/nowhere"}])
def test_a_key_that_is_none_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(BadSealKey):
        SealKeys.from_environment(environment)


def test_a_key_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    by_file = SealKeys.from_environment({"AUDIT_SEAL_KEY_FILE": f"{tmp_path / 'key'}"})
    assert by_file == SealKeys.from_environment({"AUDIT_SEAL_KEY": KEY}) == SealKeys((KEY,))
    assert SealKeys.from_environment({}) is None
    assert KEY not in str(by_file.sign("seal", "x")) if by_file else False


# --- publishing


def test_a_head_is_published_daily_at_the_end_and_read_only(log: list[Image], signing: SealKeys) -> None:
    def publish(hours: float, **how: Any) -> bool:
        now = NOON + timedelta(hours=hours)
        return published_heads.publish_when_due(now=now, url=signing.head_url, signing=signing, **how)

    assert not publish(30)  # nothing new
    seals.seal([], now=NOON)
    audit_log.record("sign_in", by=ADMIN, now=NOON + timedelta(minutes=2))
    seals.sweep(DAYS, now=NOON + timedelta(minutes=3), signing=signing)
    assert [publish(1), publish(1, at_once=True), publish(30)] == [False, True, False]
    audit_log.record("sign_in", by=ADMIN, now=NOON + timedelta(hours=1))
    seals.sweep(DAYS, now=NOON + timedelta(hours=1), signing=signing)
    assert [publish(10), publish(26)] == [False, True]
    files = sorted(Path(signing.head_url).iterdir())
    assert len(files) == 3
    assert {os.stat(file).st_mode & 0o777 for file in files} == {0o440}
    assert all(each.is_signed_by(signing) for each in published_heads.read(signing.head_url))
    assert set(json.loads(files[0].read_text())) == {
        "at",
        "sequence",
        "sha256",
        "signed_from",
        "key_id",
        "mac",
    }


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(published_heads, "Config", lambda **_: None)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="heads", ObjectLockEnabledForBucket=True)
        yield client


def test_in_a_bucket_a_head_is_locked(bucket: Any) -> None:
    head = AuditHead(sequence=7, sha256="a" * 64, signed_from=1)
    made = published_heads.publish(head, now=NOON, url="s3://heads/study", signing=SealKeys((KEY,)))
    assert published_heads.read("s3://heads/study") == [made]
    (stored,) = bucket.list_objects_v2(Bucket="heads")["Contents"]
    assert stored["Key"] == "study/head-2026-03-03T170000Z-7.json"
    lock = bucket.head_object(Bucket="heads", Key=stored["Key"])
    assert lock["ObjectLockMode"] == "COMPLIANCE"
    assert lock["ObjectLockRetainUntilDate"] >= NOON + timedelta(days=365)


def test_a_place_that_cannot_be_read_is_named_and_nothing_passes(log: list[Image], heads: str) -> None:
    (Path(heads) / "head-x.json").write_text("{}")
    assert "head-x.json is no published head: it was changed" in verify()
