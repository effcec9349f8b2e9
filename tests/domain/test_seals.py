"""Entries of the audit log are sealed once each into one chain, whoever seals, how often and how late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit import seals, verification
from sessions_app.domain.models import AuditHead
from sessions_app.domain.models.audit import stored_entries, stored_seals
from sessions_app.domain.store import keys
from tests.domain.cast import FACILITATOR, NOON, at_once

DAY = NOON.date()
LATER = NOON + timedelta(hours=1)

Items = Callable[..., list[dict[str, Any]]]


def write(count: int, *, minutes: int = 0) -> None:
    for number in range(count):
        at = NOON + timedelta(minutes=minutes, seconds=number)
        audit_log.record("consent.view", by=FACILITATOR, now=at, student_id=f"s-{number}")


def entries() -> list[Any]:
    return list(stored_entries(DAY))


def sequences(stored: Items) -> list[int]:
    return [int(seal["sequence"]) for seal in stored(keys.audit_day(DAY), keys.SEAL_PREFIX)]


def faults() -> list[str]:
    return [str(fault) for fault in verification.Walk(head=AuditHead.read()).faults([DAY])]


def test_a_batch_is_sealed_in_its_order_and_the_head_stands_at_its_end(table: str, stored: Items) -> None:
    write(3)
    assert seals.seal(entries(), now=LATER) == 3
    assert sequences(stored) == [1, 2, 3]
    head, last = AuditHead.read(), stored(keys.audit_day(DAY), keys.SEAL_PREFIX)[-1]
    assert head is not None
    assert (head.sequence, head.sha256) == (3, last["sha256"])
    assert (head.first_day, head.last_day) == ("2026-03-03", "2026-03-03")


def test_more_than_one_transaction_holds_makes_one_chain(table: str, stored: Items) -> None:
    write(seals.BATCH + 5)
    assert seals.seal(entries(), now=LATER) == seals.BATCH + 5
    assert sequences(stored) == list(range(1, seals.BATCH + 6))
    assert faults() == []


def test_what_is_delivered_again_is_not_sealed_again(table: str, stored: Items) -> None:
    write(3)
    first = entries()
    seals.seal(first[:2], now=LATER)
    assert seals.seal([*first, first[2]], now=LATER) == 1
    assert seals.seal(first, now=LATER) == 0
    assert sequences(stored) == [1, 2, 3]


def test_sealers_at_the_same_moment_make_one_chain(table: str, stored: Items) -> None:
    write(24)
    held = entries()
    sealed = at_once(6, lambda n: sum(seals.seal([each], now=LATER) for each in held[n * 3 : n * 3 + 9]))
    assert sum(sealed) == 24
    assert sorted(sequences(stored)) == list(range(1, 25))
    assert faults() == []


def test_a_sweep_seals_what_was_left_and_nothing_else(table: str, stored: Items) -> None:
    write(4)
    seals.seal(entries()[1:3], now=LATER)
    days = list(seals.days_from(DAY - timedelta(days=1), DAY + timedelta(days=1)))
    assert [seals.sweep(days, now=LATER) for _ in range(2)] == [2, 0]
    assert sequences(stored) == [3, 1, 2, 4]
    assert faults() == []


def test_an_older_entry_moves_the_first_day_back(table: str) -> None:
    write(1)
    seals.seal(entries(), now=LATER)
    audit_log.record("export", by=FACILITATOR, now=NOON - timedelta(days=9), subject="a.csv")
    seals.sweep([DAY - timedelta(days=9)], now=LATER)
    head = AuditHead.read()
    assert head is not None
    assert (head.first_day, head.last_day) == ("2026-02-22", "2026-03-03")


def test_the_digest_is_of_every_attribute_in_canonical_form(table: str) -> None:
    one = {"b": {"S": "é"}, "a": {"M": {"y": {"N": "1"}, "x": {"S": " "}}}}
    other = {"a": {"M": {"x": {"S": " "}, "y": {"N": "1"}}}, "b": {"S": "é"}}
    assert seals.canonical(one) == '{"a":{"M":{"x":{"S":" "},"y":{"N":"1"}}},"b":{"S":"é"}}'.encode()
    assert seals.entry_digest(one) == seals.entry_digest(other)


def test_entries_are_paired_with_their_seals_and_both_are_found_alone(table: str, raw: Any) -> None:
    write(3)
    held = entries()
    seals.seal(held[1:], now=LATER)
    raw.delete_item(Key={"PK": held[2]["PK"]["S"], "SK": held[2]["SK"]["S"]})
    assert [(entry is not None, seal is not None) for entry, seal in seals.pairs(DAY)] == [
        (True, False),
        (True, True),
        (False, True),
    ]


def test_a_day_longer_than_a_page_is_read_to_its_end(table: str, raw: Any) -> None:
    with raw.batch_writer() as batch:
        for number in range(4):
            at = keys.stamp(NOON + timedelta(seconds=number))
            batch.put_item(Item={"PK": keys.audit_day(DAY), "SK": f"{at}#x", "reason": "x" * 390_000})
    assert len(entries()) == 4
    assert seals.sweep([DAY], now=LATER) == 4
    assert len(list(stored_seals(DAY))) == 4


# --- how things stand


def test_nothing_written_stands_well(table: str) -> None:
    assert seals.standing(now=LATER) == seals.Standing(0, 0, None, None, None)


def test_it_says_how_many_wait_and_up_to_where_all_is_sealed(table: str) -> None:
    write(5)
    held = entries()
    seals.seal([held[0], held[1], held[3]], now=LATER)
    now = seals.standing(now=LATER)
    assert (now.looked_at, now.unsealed) == (5, 2)
    assert now.oldest_unsealed == NOON + timedelta(seconds=2)
    assert now.sealed_to == NOON + timedelta(seconds=1)
    seals.seal(held, now=LATER)
    assert seals.standing(now=LATER).sealed_to == NOON + timedelta(seconds=4)


def test_it_looks_at_yesterday_too_and_at_no_more_than_it_may(table: str, requests_made: list[str]) -> None:
    write(seals.LOOKED_AT)
    requests_made.clear()
    assert seals.standing(now=LATER).looked_at == seals.LOOKED_AT
    assert requests_made == ["Query", "BatchGetItem", "GetItem"]
    assert seals.standing(now=LATER + timedelta(days=1)).looked_at == seals.LOOKED_AT
    assert seals.standing(now=LATER + timedelta(days=2)).looked_at == 0
