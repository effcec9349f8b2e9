"""When the wait for a commit of DynamoDB Local happens, and when not."""

from types import SimpleNamespace
from typing import Any

import pytest

from socratic_site.local import commit_wait


class Asked:
    def __init__(self) -> None:
        self.endpoints: list[str] = []

    def __call__(self, endpoint: str, access_key: str) -> Any:
        return SimpleNamespace(list_tables=lambda Limit: self.endpoints.append(endpoint))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(commit_wait, "_client", asked)
    return asked


def answer(url: str, status: int) -> Any:
    return SimpleNamespace(url=url, status_code=status)


def test_a_transaction_on_this_machine_is_followed_by_one_request(asked: Asked) -> None:
    commit_wait._wait(http_response=answer("http://127.0.0.1:7001/", 200))
    assert asked.endpoints == ["http://127.0.0.1:7001"]


def test_on_aws_nothing_is_added(asked: Asked) -> None:
    commit_wait._wait(http_response=answer("https://dynamodb.us-east-1.amazonaws.com/", 200))
    assert asked.endpoints == []


def test_a_refused_transaction_has_nothing_to_wait_for(asked: Asked) -> None:
    commit_wait._wait(http_response=answer("http://127.0.0.1:7001/", 400))
    assert asked.endpoints == []


def test_the_wait_is_not_among_the_applications_requests(dynamodb: Any, table: str) -> None:
    made: list[str] = []
    dynamodb.meta.events.register("before-call.dynamodb", lambda model, **_: made.append(model.name))
    item = {"PK": {"S": "A"}, "SK": {"S": "B"}}
    dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item}}])
    assert made == ["TransactWriteItems"]
