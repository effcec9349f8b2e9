import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from pynamodb.exceptions import TransactWriteError

from sessions_app.domain import models
from sessions_app.domain.models import InvalidField, School
from sessions_app.domain.store.transactions import Busy, Refused, Transaction
from tests.faulty_store import cancelled, failure, reply

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


# --- other writers, throttling, lost replies: one layer tries again, and it knows what it did


def a_transaction() -> Transaction:
    transaction = Transaction()
    transaction.create("one", school("One"))
    transaction.create("two", school("Two"))
    return transaction


@dataclass
class Answers:
    """Stands between client and engine and gives these answers to the next tries, then lets them through."""

    queue: list[Callable[[Any], Any]]
    tokens: list[str] = field(default_factory=list)

    def __call__(self, request: Any, **_: Any) -> Any:
        self.tokens.append(json.loads(request.body).get("ClientRequestToken", ""))
        return self.queue.pop(0)(request) if self.queue else None


@pytest.fixture
def answering(table: str) -> Iterator[Callable[..., Answers]]:
    events = models.connection().client.meta.events
    registered: list[Answers] = []

    def answer(*answers: Callable[[Any], Any]) -> Answers:
        registered.append(Answers(list(answers)))
        events.register_first("before-send.dynamodb.*", registered[-1])
        return registered[-1]

    yield answer
    for each in registered:
        events.unregister("before-send.dynamodb.*", each)


def conflict(request: Any) -> Any:
    return cancelled(request, "None", "TransactionConflict")


def throttled(request: Any) -> Any:
    return failure(request, "ProvisionedThroughputExceededException")


def throttled_inside(request: Any) -> Any:
    return cancelled(request, "ThrottlingError")


def server_error(request: Any) -> Any:
    return reply(request, 500, {"__type": "InternalServerError"})


def lost(request: Any) -> Any:
    """Applied; the reply never came."""
    assert models.connection().client._endpoint.http_session.send(request).status_code == 200
    raise ReadTimeoutError(endpoint_url=request.url)


def silent(request: Any) -> Any:
    raise ReadTimeoutError(endpoint_url=request.url)


@pytest.mark.parametrize("passing", [conflict, throttled, throttled_inside, server_error, silent])
def test_a_passing_trouble_is_tried_again_with_the_same_token(
    raw: Any, answering: Callable[..., Answers], passing: Any
) -> None:
    answers = answering(passing)
    a_transaction().commit()
    assert names(raw) == ["One", "Two"]
    assert len(answers.tokens) == 2
    assert len(set(answers.tokens)) == 1
    assert answers.tokens[0]


def test_a_transaction_whose_reply_was_lost_is_recognised_as_done(
    raw: Any, answering: Callable[..., Answers]
) -> None:
    """Without the token the second try would be refused, as its items exist by then."""
    answers = answering(lost)
    a_transaction().commit()
    assert names(raw) == ["One", "Two"]
    assert len(answers.tokens) == 2


def test_each_transaction_has_a_token_of_its_own(raw: Any, answering: Callable[..., Answers]) -> None:
    answers = answering()
    a_transaction().commit()
    with pytest.raises(Refused):
        a_transaction().commit()
    assert len(set(answers.tokens)) == 2


@pytest.mark.parametrize(
    ("lasting", "raised", "tries"),
    [
        (conflict, Busy, 8),
        (throttled, TransactWriteError, 8),
        (server_error, TransactWriteError, 8),
        (silent, TransactWriteError, 2),
    ],
)
def test_a_lasting_trouble_is_told_after_bounded_tries(
    raw: Any, answering: Callable[..., Answers], lasting: Any, raised: type[Exception], tries: int
) -> None:
    answers = answering(*[lasting] * 12)
    with pytest.raises(raised):
        a_transaction().commit()
    assert len(answers.tokens) == tries
    assert names(raw) == []


def test_a_refusal_beside_a_conflict_is_a_refusal(raw: Any, answering: Callable[..., Answers]) -> None:
    answers = answering(lambda request: cancelled(request, "TransactionConflict", "ConditionalCheckFailed"))
    with pytest.raises(Refused) as refused:
        a_transaction().commit()
    assert refused.value.names == {"two"}
    assert len(answers.tokens) == 1


def test_a_fault_of_ours_is_neither_tried_again_nor_hidden(
    raw: Any, answering: Callable[..., Answers]
) -> None:
    answers = answering(lambda request: failure(request, "ValidationException"))
    with pytest.raises(TransactWriteError):
        a_transaction().commit()
    assert len(answers.tokens) == 1


def test_a_query_is_tried_again_in_the_same_layer(raw: Any, answering: Callable[..., Answers]) -> None:
    a_transaction().commit()
    answers = answering(throttled, server_error)
    assert len(list(models.Item.query(school("One").PK))) == 2
    assert len(answers.tokens) == 3


def test_all_models_share_one_connection(table: str) -> None:
    shared = models.connection()
    for model in (models.Student, models.Session, models.AllocationTally, models.GradingTask):
        assert model._get_connection().connection is shared
