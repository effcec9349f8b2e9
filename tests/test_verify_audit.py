"""`verify_audit` finds and names whatever was done to the log behind the application's back.

Every test tampers with plain boto3, past the models.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessions_app import study
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit import seals, verification
from sessions_app.domain.models import AuditHead, Item, connection
from sessions_app.domain.models.audit import stored_entries, stored_seals
from sessions_app.domain.store import keys
from tests.domain.cast import ADMIN, FACILITATOR, NOON

DAY = NOON.date()
DAYS = [DAY, DAY + timedelta(days=1)]
HEAD = {"PK": {"S": keys.AUDIT_CHAIN}, "SK": {"S": keys.CHAIN_HEAD}}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day after the log's last entry."""
    monkeypatch.setattr(study, "now", lambda: NOON + timedelta(days=2))


@pytest.fixture
def log(table: str) -> list[dict[str, Any]]:
    """Six entries of two days, sealed in two goes; the raw entries, in order."""
    for number in range(4):
        audit_log.record(
            "consent.review",
            by=FACILITATOR,
            now=NOON + timedelta(minutes=number),
            student_id=f"s-{number}",
            old={"state": "complete"},
            new={"state": "withdrawn", "form": f"version {number}"},
            reason="a parent called",
        )
    seals.sweep(DAYS, now=NOON)
    for number in range(2):
        audit_log.record("export", by=ADMIN, now=NOON + timedelta(days=1, minutes=number), subject="all.csv")
    seals.sweep(DAYS, now=NOON + timedelta(days=1))
    return entries()


def entries() -> list[Any]:
    return [entry for day in DAYS for entry in stored_entries(day)]


def sealed() -> list[Any]:
    return [seal for day in DAYS for seal in stored_seals(day)]


def put(item: dict[str, Any]) -> None:
    connection().client.put_item(TableName=Item.Meta.table_name, Item=item)


def delete(item: dict[str, Any]) -> None:
    key = {"PK": item["PK"], "SK": item["SK"]}
    connection().client.delete_item(TableName=Item.Meta.table_name, Key=key)


def verify(*arguments: str) -> tuple[str, str]:
    """What is printed, and the fault that ends it; empty where it passes."""
    told = io.StringIO()
    try:
        call_command("verify_audit", *arguments, stdout=told)
    except CommandError as error:
        return told.getvalue(), f"{error} (exit {error.returncode})"
    return told.getvalue(), ""


def lines() -> list[str]:
    """The faults, one a line."""
    printed, fault = verify()
    assert bool(fault) == ("No fault" not in printed)
    return [line for line in printed.splitlines() if re.match(r"\d{4}-|sequence|the whole log", line)]


def forged(seal: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A seal that says something else, with the digest that fits what it says."""
    told = {**seal, **changes}
    digest = seals.seal_digest(
        sequence=int(told["sequence"]["N"]),
        partition=told["PK"]["S"],
        **{name: told[name]["S"] for name in ("entry_key", "entry_sha256", "previous", "sealed_at")},
    )
    return {**told, "sha256": {"S": digest}}


# --- a sound log


def test_a_sound_log_passes_and_tells_its_head(log: list[Any]) -> None:
    printed, fault = verify()
    assert fault == ""
    assert "6 entries, 0 of them not sealed" in printed
    assert f"head 6:{sealed()[-1]['sha256']['S']}" in printed
    assert "No fault" in printed


def test_an_empty_log_passes(table: str) -> None:
    assert verify() == ("0 entries, 0 of them not sealed\nhead: nothing is sealed yet\nNo fault\n", "")


def test_entries_that_wait_are_counted_and_are_no_fault(log: list[Any]) -> None:
    audit_log.record("sign_in", by=ADMIN, now=study.now() - timedelta(seconds=12))
    printed, fault = verify()
    assert fault == ""
    assert "7 entries, 1 of them not sealed, the oldest for 12 s" in printed


def test_seal_first_seals_what_waits_on_any_day(log: list[Any]) -> None:
    audit_log.record("sign_in", by=ADMIN, now=NOON - timedelta(days=1))
    assert "7 entries, 1 of them" not in verify("--seal")[0]
    printed, fault = verify("--seal", "--since", "2026-03-01")
    assert fault == ""
    assert "1 entries sealed now\n7 entries, 0 of them not sealed" in printed
    assert "7 entries, 0 of them" in verify()[0]  # its day is the first one now


def test_what_is_written_and_sealed_meanwhile_is_no_fault(log: list[Any]) -> None:
    walk, more = verification.Walk(head=AuditHead.read()), iter(range(10))

    def meanwhile() -> None:
        audit_log.record("sign_in", by=ADMIN, now=NOON + timedelta(days=1, hours=1, seconds=next(more)))
        seals.sweep(DAYS, now=NOON)

    assert list(walk.faults(DAYS, meanwhile)) == []
    assert list(verification.Walk(head=AuditHead.read()).faults(DAYS)) == []


# --- entries


def texts(image: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all texts in an item."""
    for name, value in image.items():
        if "S" in value:
            yield (*path, name)
        elif "M" in value:
            yield from texts(value["M"], (*path, name))


def changed(image: Any, path: tuple[str, ...], place: int, character: str) -> Any:
    """The item with one character of one text replaced."""
    if len(path) > 1:
        return {**image, path[0]: {"M": changed(image[path[0]]["M"], path[1:], place, character)}}
    text = image[path[0]]["S"]
    place %= len(text)
    return {**image, path[0]: {"S": f"{text[:place]}{character}{text[place + 1 :]}"}}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(data=st.data())
def test_one_changed_character_anywhere_in_any_entry_is_named(log: list[Any], data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(log))
    path = data.draw(st.sampled_from(sorted(texts(entry))))
    character = data.draw(st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=["Cc"]))
    other = changed(entry, path, data.draw(st.integers(0, 200)), character)
    if other == entry:
        return
    delete(entry)
    put(other)
    try:
        found = [fault for fault in verification.Walk(head=AuditHead.read()).faults(DAYS) if fault.sequence]
    finally:
        delete(other)
        put(entry)
    assert [fault.key for fault in found] == [entry["SK"]["S"]]
    assert list(verification.Walk(head=AuditHead.read()).faults(DAYS)) == []


def test_a_changed_entry_is_named_with_day_key_and_sequence(log: list[Any]) -> None:
    put({**log[1], "by": {"S": "somebody-else"}})
    assert lines() == [
        f"2026-03-03, {log[1]['SK']['S']}, sequence 2: the entry was changed after it was sealed"
    ]


@pytest.mark.parametrize(
    "addition", [{"note": {"S": "x"}}, {"note": {"B": b"x"}}, {"entity_type": {"S": "hologram"}}]
)
def test_an_entry_with_something_added_or_of_another_kind_was_changed(
    log: list[Any], addition: dict[str, Any]
) -> None:
    put({**log[4], **addition})
    assert [line.partition(": ")[2] for line in lines()] == ["the entry was changed after it was sealed"]


def test_a_missing_entry_is_named(log: list[Any]) -> None:
    delete(log[2])
    assert lines() == [
        f"2026-03-03, {log[2]['SK']['S']}, sequence 3: the entry is missing; its seal is there"
    ]


def test_entries_that_change_places_are_named(log: list[Any]) -> None:
    for one, other in ((log[0], log[1]), (log[1], log[0])):
        put({**other, "PK": one["PK"], "SK": one["SK"]})
    assert [line.partition(",")[2] for line in lines()] == [
        f" {log[n]['SK']['S']}, sequence {n + 1}: the entry was changed after it was sealed" for n in (0, 1)
    ]


# --- seals


def test_an_entry_that_is_gone_with_its_seal_leaves_a_gap(log: list[Any]) -> None:
    delete(log[2])
    delete(sealed()[2])
    (line,) = lines()
    assert line.startswith(f"2026-03-03, {log[3]['SK']['S']}, sequence 4: no sound seal has sequence 3")


def test_a_whole_day_that_is_gone_leaves_a_gap_at_the_beginning(log: list[Any]) -> None:
    for item in [*log[:4], *sealed()[:4]]:
        delete(item)
    (line,) = lines()
    assert line.startswith(f"2026-03-04, {log[4]['SK']['S']}, sequence 5: no sound seal has sequence 1 to 4")


def test_a_seal_that_was_changed_is_named(log: list[Any]) -> None:
    put({**sealed()[1], "sealed_at": {"S": "2026-03-03T17:00:01Z"}})
    first, second = lines()
    assert (
        first == f"2026-03-03, {log[1]['SK']['S']}, sequence 2: its seal was changed: the digest does not fit"
    )
    assert "sequence 3: no sound seal has sequence 2" in second


@pytest.mark.parametrize(
    "change", [{"sequence": {"S": "two"}}, {"sequence": {"N": "-1"}}, {"previous": {"NULL": True}}]
)
def test_a_seal_that_is_none_any_more_is_named(log: list[Any], change: dict[str, Any]) -> None:
    put({**sealed()[1], **change})
    first, second = lines()
    assert first == f"2026-03-03, {log[1]['SK']['S']}: its seal cannot be read: it was changed"
    assert "no sound seal has sequence 2" in second


def test_an_entry_that_was_changed_and_sealed_anew_breaks_the_chain(log: list[Any]) -> None:
    """The seal fits the changed entry; but the seal after it holds the digest that was."""
    entry = {**log[1], "by": {"S": "somebody-else"}}
    put(entry)
    put(forged(sealed()[1], entry_sha256={"S": seals.entry_digest(entry)}))
    (line,) = lines()
    assert line.startswith(
        f"2026-03-03, {log[2]['SK']['S']}, sequence 3: it does not follow on the seal before"
    )


def test_seals_that_change_places_in_the_chain_are_named(log: list[Any]) -> None:
    one, other = sealed()[1:3]
    put(forged(one, sequence=other["sequence"]))
    put(forged(other, sequence=one["sequence"]))
    assert {"sequence 2", "sequence 3", "sequence 4"} == set(re.findall(r"sequence \d", "\n".join(lines())))


def test_a_second_seal_of_a_sequence_is_named(log: list[Any]) -> None:
    other = {**log[1], "SK": {"S": log[1]["SK"]["S"] + "0"}}
    put(other)
    told = {"entry_key": other["SK"], "entry_sha256": {"S": seals.entry_digest(other)}}
    put(forged({**sealed()[1], "SK": {"S": keys.seal(other["SK"]["S"])}}, **told))
    line, _ = lines()  # the other is that the forged entry has no reason
    assert line.endswith("another seal has the same sequence: one of them is forged")
    assert "sequence 2" in line


# --- the end


def test_an_end_that_was_cut_off_is_told_by_the_head(log: list[Any]) -> None:
    delete(log[5])
    delete(sealed()[5])
    (line,) = lines()
    assert line == (
        f"2026-03-04, {log[4]['SK']['S']}, sequence 5: "
        "the chain ends at 5, its head says 6: the end was cut off"
    )


def test_all_that_was_cut_off_is_told_by_the_head(log: list[Any]) -> None:
    for item in [*log, *sealed()]:
        delete(item)
    assert lines() == ["the whole log: the chain ends before it begins, its head says 6: the end was cut off"]


def cut_off_with_the_head(log: list[Any], last: int) -> None:
    """Everything after the seal with this sequence, and the head put back to it."""
    for item in [*log[last:], *sealed()[last:]]:
        delete(item)
    head = connection().client.get_item(TableName=Item.Meta.table_name, Key=HEAD)["Item"]
    end = sealed()[-1]
    put({**head, "sequence": end["sequence"], "sha256": end["sha256"]})


def test_an_end_that_was_cut_off_with_the_head_is_told_by_a_head_written_down(log: list[Any]) -> None:
    written = re.search(r"head (\S+)", verify()[0])
    assert written is not None
    cut_off_with_the_head(log, 4)
    assert verify()[1] == ""
    printed, fault = verify("--expect", written[1])
    assert "sequence 6: no sound seal has this sequence and the expected digest" in printed
    assert fault == "1 fault in the audit log (exit 1)"


def test_a_chain_that_was_made_anew_is_told_by_a_head_written_down(log: list[Any]) -> None:
    written = f"5:{sealed()[4]['sha256']['S']}"
    assert verify("--expect", written)[1] == ""
    for item in [log[0], *sealed(), HEAD]:
        delete(item)
    verify("--seal")
    assert verify()[1] == ""
    assert "sequence 5: no sound seal has this sequence" in verify("--expect", written)[0]


def test_a_head_with_another_digest_is_named(log: list[Any]) -> None:
    head = connection().client.get_item(TableName=Item.Meta.table_name, Key=HEAD)["Item"]
    put({**head, "sha256": {"S": "0" * 64}})
    assert lines()[0].endswith("the head holds another digest than the newest seal")


@pytest.mark.parametrize("back", [True, False])
def test_seals_beyond_the_head_are_named(log: list[Any], back: bool) -> None:
    head = connection().client.get_item(TableName=Item.Meta.table_name, Key=HEAD)["Item"]
    delete(head)
    if back:
        put({**head, "sequence": {"N": "3"}, "sha256": sealed()[2]["sha256"]})
    (line,) = lines()
    assert f"there is a seal beyond the head, which {'says 3' if back else 'is missing'}" in line


def test_a_head_that_is_not_whole_is_named(log: list[Any]) -> None:
    put(HEAD | {"entity_type": {"S": "audit_head"}})
    assert verify()[1] == "The head of the audit log is not whole: it was changed. (exit 1)"


@pytest.mark.parametrize("text", ["", "6", "x:y", "6:abc", f"6.5:{'0' * 64}"])
def test_a_head_that_is_none_is_refused(log: list[Any], text: str) -> None:
    assert "is not a head like 1204:" in verify("--expect", text)[1]


# --- memory


def test_seals_read_in_the_order_of_the_chain_are_let_go_of() -> None:
    made = verification.Chain()
    previous = seals.GENESIS
    for sequence in range(1, 1001):
        seal = verification.Seal("2026-03-03", "k", sequence, "k", "", previous, f"{sequence}", "")
        assert list(made.add(seal)) == []
        previous = seal.sha256
    assert (len(made.ends), len(made.starts), list(made.gaps())) == (1, 0, [])


@pytest.fixture
def shuffled() -> Callable[[], list[verification.Seal]]:
    return lambda: [
        verification.Seal("2026-03-03", "k", n, "k", "", f"{n - 1}" if n > 1 else seals.GENESIS, f"{n}", "")
        for n in range(1, 41)
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order_of_reading_gives_the_same_gaps(
    shuffled: Callable[[], list[verification.Seal]], data: st.DataObject
) -> None:
    whole = shuffled()
    gone = data.draw(st.sets(st.integers(2, 39), max_size=4))
    made = verification.Chain()
    for seal in data.draw(st.permutations([seal for seal in whole if seal.sequence not in gone])):
        assert list(made.add(seal)) == []
    last = made.last()
    assert last is not None
    assert last.sequence == 40
    firsts = [n + 1 for n in sorted(gone) if n + 1 not in gone]
    assert [gap.sequence for gap in made.gaps()] == firsts
