from datetime import UTC, datetime
from typing import Any

import pytest
from pynamodb.exceptions import TransactWriteError

from sessions_app.domain import models
from sessions_app.domain.models import InvalidField, School
from sessions_app.domain.models.transaction import Busy, Refused, Transaction

from ..cast import at_once

NOW = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)


def school(name: str) -> School:
    return School.named(name)


def names(raw: Any) -> list[str]:
    return sorted(item["name"] for item in raw.scan(ConsistentRead=True)["Items"])


def test_all_is_written(table: str, raw: Any) -> None:
    transaction = Transaction()
    transaction.create("one", school("One"))
    transaction.create("two", school("Two"))
    transaction.commit()
    assert names(raw) == ["One", "Two"]


def test_or_nothing_and_the_refusal_says_what_was_in_the_way(table: str, raw: Any) -> None:
    school("Two").save()
    transaction = Transaction()
    transaction.create("one", school("One"))
    transaction.create("two", school("Two"))
    with pytest.raises(Refused) as refused:
        transaction.commit()
    assert refused.value.names == {"two"}
    assert names(raw) == ["Two"]


def test_every_part_that_refused_is_named_whatever_the_order_of_calls(table: str, raw: Any) -> None:
    school("There").save()
    transaction = Transaction()
    missing = school("Missing")
    transaction.update("update", missing, [School.name.set("x")])
    transaction.create("free", school("Free"))
    transaction.create("put", school("There"))
    transaction.delete("delete", school("Gone"))
    transaction.check("check", School, "DIRECTORY#schools", "nowhere", models.Item.PK.exists())
    with pytest.raises(Refused) as refused:
        transaction.commit()
    assert refused.value.names == {"check", "delete", "put", "update"}
    assert names(raw) == ["There"]


def test_an_update_never_makes_an_item_and_an_upsert_may(table: str, raw: Any) -> None:
    transaction = Transaction()
    transaction.update("update", school("Missing"), [School.name.set("x")])
    with pytest.raises(Refused):
        transaction.commit()
    transaction = Transaction()
    transaction.upsert("upsert", school("Made"), [School.name.set("Made"), School.entity_type.set(School)])
    transaction.commit()
    assert names(raw) == ["Made"]


def test_a_condition_of_an_update_holds_beside_its_existence(table: str, raw: Any) -> None:
    kept = school("Kept")
    kept.save()
    for expected, ends in (("Other", "Kept"), ("Kept", "Changed")):
        transaction = Transaction()
        transaction.update("update", kept, [School.name.set("Changed")], School.name == expected)
        if expected == "Other":
            with pytest.raises(Refused):
                transaction.commit()
        else:
            transaction.commit()
        assert names(raw) == [ends]


def test_a_bad_value_stops_the_whole_before_it_is_sent(
    table: str, raw: Any, requests_made: list[str]
) -> None:
    transaction = Transaction()
    transaction.create("good", school("Good"))
    transaction.create("bad", school("x" * 121))
    with pytest.raises(InvalidField):
        transaction.commit()
    assert requests_made == []
    assert names(raw) == []


def test_of_ten_creators_at_once_one_wins(table: str, raw: Any) -> None:
    def create(_: int) -> None:
        transaction = Transaction()
        transaction.create("school", school("One"))
        transaction.commit()

    ended = at_once(10, create)
    assert ended.count(None) == 1
    assert {type(end) for end in ended if end is not None} == {Refused}
    assert names(raw) == ["One"]


class Reason:
    def __init__(self, code: str) -> None:
        self.code = code
        self.message = None


def failing(monkeypatch: pytest.MonkeyPatch, *rounds: list[str | None]) -> list[int]:
    """A table that answers with these reasons, one list a try, and with success after them."""
    answers, tries = list(rounds), list[int]()

    def send(self: Transaction) -> None:
        tries.append(1)
        if answers:
            error = TransactWriteError("cancelled")
            reasons = [Reason(code) if code else None for code in answers.pop(0)]
            monkeypatch.setattr(TransactWriteError, "cancellation_reasons", reasons)
            raise error

    monkeypatch.setattr(Transaction, "_send", send)
    monkeypatch.setattr("sessions_app.domain.models.transaction.time.sleep", lambda seconds: None)
    return tries


def a_transaction() -> Transaction:
    transaction = Transaction()
    transaction.create("one", school("One"))
    transaction.create("two", school("Two"))
    return transaction


def test_a_conflict_with_another_writer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = failing(monkeypatch, [None, "TransactionConflict"], ["TransactionConflict", None])
    a_transaction().commit()
    assert len(tries) == 3


def test_a_conflict_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = failing(monkeypatch, *[["TransactionConflict", None]] * 9)
    with pytest.raises(Busy):
        a_transaction().commit()
    assert len(tries) == 5


def test_a_refusal_beside_a_conflict_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = failing(monkeypatch, ["TransactionConflict", "ConditionalCheckFailed"])
    with pytest.raises(Refused) as refused:
        a_transaction().commit()
    assert refused.value.names == {"two"}
    assert len(tries) == 1


def test_an_error_without_reasons_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, [])
    with pytest.raises(TransactWriteError):
        a_transaction().commit()


def test_all_models_share_one_connection(table: str) -> None:
    shared = models.connection()
    for model in (models.Student, models.Session, models.AllocationTally, models.GradingTask):
        assert model._get_connection().connection is shared
