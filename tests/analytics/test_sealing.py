"""The worker seals the audit log: as the stream brings entries, and by a sweep what the stream forgot."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from django.core.management import call_command

from analytics_app.management.commands import run_worker
from analytics_app.streams import dispatch
from sessions_app import study
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit import seals
from sessions_app.domain.models import AuditEntry, AuditHead, AuditSeal
from sessions_app.domain.store import keys
from tests.analytics import cohort
from tests.domain.cast import ADMIN


def verified() -> str:
    told = io.StringIO()
    call_command("verify_audit", stdout=told)
    return told.getvalue()


def entry(seconds: int = 0) -> AuditEntry:
    """An entry of today, stored."""
    made = audit_log.entry("sign_in", by=ADMIN, now=study.now() - timedelta(seconds=seconds))
    made.save(AuditEntry.PK.does_not_exist())
    return made


def sealed(*entries: AuditEntry) -> list[int]:
    """The sequences of those that are sealed."""
    return [seal.sequence for seal in AuditSeal.of(entries).values()]


# --- the stream


def test_after_a_cohort_and_the_worker_every_entry_is_sealed_and_the_log_verifies(own_table: str) -> None:
    call_command("simulate", students=3, seed=7, verbosity=0, stdout=io.StringIO())
    call_command("run_worker", once=True)
    told = verified()
    assert "8 entries, 0 of them not sealed" in told  # three enrolments, three starts, settings and forms
    assert "head 8:" in told
    assert "No fault" in told


def test_the_handler_seals_new_entries_and_once(table: str) -> None:
    made = [entry(2), entry(1)]
    event = {"Records": [cohort.record(new=each, sequence=n) for n, each in enumerate(made, 1)]}
    for _ in range(2):
        assert dispatch.handler(event, None) == {"batchItemFailures": []}
    assert sorted(sealed(*made)) == [1, 2]
    assert "2 entries, 0 of them not sealed" in verified()


def test_what_was_written_is_sealed_not_what_was_made_of_it_since(table: str, dynamodb: Any) -> None:
    made = entry()
    record = cohort.record(new=made)
    dynamodb.put_item(TableName=table, Item={**made.serialize(), "by": {"S": "somebody-else"}})
    dispatch.handler({"Records": [record]}, None)
    with pytest.raises(Exception, match="1 fault in the audit log"):
        verified()


def test_a_touched_entry_a_seal_and_an_erased_entry_are_nothing_to_seal(table: str) -> None:
    made = entry()
    seals.sweep([made.at.date()], now=study.now())
    seal = AuditSeal.of([made])[made.SK]
    records = [
        cohort.record(new=made, old=made),
        cohort.record(new=seal),
        cohort.record(erased=made),
        cohort.record(new=cohort.session()),
    ]
    assert [dispatch.is_new_entry(each) for each in [*records, cohort.record(new=made)]] == [
        *[False] * 4,
        True,
    ]


def test_the_handler_asks_again_from_the_first_entry_on_and_still_counts(
    table: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counted = []

    def failing(*_: Any, **__: Any) -> int:
        raise ClientError({"Error": {"Code": "ThrottlingException"}}, "TransactWriteItems")

    monkeypatch.setattr(seals, "seal", failing)
    monkeypatch.setattr(dispatch, "_count_session", lambda session_id, lost: counted.append(session_id))
    made = cohort.session()
    records = [cohort.record(new=each, sequence=n) for n, each in enumerate([made, entry(1), entry()], 4)]
    assert dispatch.handler({"Records": records}, None) == {
        "batchItemFailures": [{"itemIdentifier": "5".zfill(21)}]
    }
    assert counted == [made.session_id]
    assert "sealing failed (ClientError)" in caplog.text


# --- the sweep


def test_a_sweep_seals_the_last_days(table: str) -> None:
    old = entry(dispatch.SWEPT_DAYS * 86_400)
    recent, ancient = entry(), entry((dispatch.SWEPT_DAYS + 1) * 86_400)
    assert dispatch.sweeper({}, None) == {"sealed": 2, "retried": 0, "gone": 0}
    assert (len(sealed(old, recent)), sealed(ancient)) == (2, [])
    assert dispatch.sweep() == 0


def test_the_worker_sweeps_at_its_start_and_then_every_hour(
    table: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    begun, minutes = study.now(), [0]
    monkeypatch.setattr(study, "now", lambda: begun + timedelta(minutes=minutes[0]))
    sweep = run_worker.Sealing()
    audit_log.record("sign_in", by=ADMIN, now=begun)
    assert sweep.step() is True
    audit_log.record("sign_in", by=ADMIN, now=begun)
    minutes[0] = 59
    assert sweep.step() is False
    minutes[0] = 60
    assert sweep.step() is True
    assert caplog.text.count("sealed 1 entries") == 2


def test_a_sweep_that_fails_is_due_again_at_once(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = run_worker.Sealing()
    with monkeypatch.context() as broken:
        broken.setattr(dispatch, "sweep", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sweep.step()
    entry()
    assert sweep.step() is True
    head = AuditHead.read()
    assert head is not None
    assert (head.PK, head.sequence) == (keys.AUDIT_CHAIN, 1)
