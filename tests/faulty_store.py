"""Faults between the application and DynamoDB Local, which has none of its own, by events of botocore.

    with FaultyStore(seed=1, throttled=0.2, conflicts=0.1, lost_replies=0.1) as faults:
        ...
    assert faults.counted["throttled"] > 0

`throttled` of all tries are refused before they reach the store; `conflicts` of all transactions are
cancelled by another writer; `lost_replies` of all writes are APPLIED, and the client is told of a time-out;
`lag_seconds` hides what was written in the last seconds of `clock` from the indexes, as a slow index does.
All follows from the seed.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Self

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from urllib3.response import HTTPResponse

from sessions_app.domain import models

WRITES = ("TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem")
Key = tuple[str, str]


class FaultyStore:
    def __init__(
        self,
        *,
        seed: int,
        throttled: float = 0,
        conflicts: float = 0,
        lost_replies: float = 0,
        lag_seconds: float = 0,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.chance = random.Random(seed)
        self.throttled, self.conflicts, self.lost_replies = throttled, conflicts, lost_replies
        self.lag = timedelta(seconds=lag_seconds)
        self.clock = clock
        self.written: dict[Key, datetime] = {}
        self.counted: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self.client: Any = models.connection().client
        self.client.meta.events.register_first("before-send.dynamodb", self._send)
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.meta.events.unregister("before-send.dynamodb", self._send)

    def _send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        """None lets the request pass untouched."""
        operation = event_name.rsplit(".", 1)[1]
        self.counted["tries"] += 1
        if self._strikes("throttled", self.throttled):
            return failure(request, "ProvisionedThroughputExceededException")
        if operation == "TransactWriteItems" and self._strikes("conflicts", self.conflicts):
            return cancelled(request, "TransactionConflict")
        if operation in WRITES:
            return self._write(request)
        return self._index_query(request) if operation == "Query" and self.lag else None

    def _strikes(self, name: str, share: float) -> bool:
        struck = self.chance.random() < share
        self.counted[name] += struck
        return struck

    def _write(self, request: Any) -> AWSResponse | None:
        if self.clock:
            self.written |= dict.fromkeys(keys_written(json.loads(request.body)), self.clock())
        if not self._strikes("lost_replies", self.lost_replies):
            return None
        self._pass_on(request)
        raise ReadTimeoutError(endpoint_url=request.url)

    def _pass_on(self, request: Any) -> AWSResponse:
        answer: AWSResponse = self.client._endpoint.http_session.send(request)
        return answer

    def _index_query(self, request: Any) -> AWSResponse | None:
        if "IndexName" not in json.loads(request.body):
            return None
        answer = self._pass_on(request)
        told = json.loads(answer.content)
        shown = [item for item in told["Items"] if self._has_arrived(item)]
        self.counted["hidden"] += len(told["Items"]) - len(shown)
        return reply(request, 200, {**told, "Items": shown, "Count": len(shown)})

    def _has_arrived(self, item: dict[str, Any]) -> bool:
        assert self.clock
        at = self.written.get((item["PK"]["S"], item["SK"]["S"]))
        return at is None or self.clock() - at >= self.lag


def keys_written(body: dict[str, Any]) -> Iterator[Key]:
    parts = [part for item in body.get("TransactItems", [{"": body}]) for part in item.values()]
    for part in parts:
        key = part.get("Item") or part.get("Key")
        if key and "ConditionCheck" not in part:
            yield key["PK"]["S"], key["SK"]["S"]


def reply(request: Any, status: int, body: dict[str, Any]) -> AWSResponse:
    """As the HTTP session would give it, so that all of botocore above it runs."""
    content = json.dumps(body).encode()
    headers = {"content-type": "application/x-amz-json-1.0", "content-length": str(len(content))}
    raw = HTTPResponse(body=content, headers=headers, status=status, preload_content=True)
    answer = AWSResponse(request.url, status, headers, raw)
    answer._content = content
    return answer


def failure(request: Any, code: str, **more: Any) -> AWSResponse:
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return reply(request, 400, {"__type": kind, "message": code, **more})


def cancelled(request: Any, *codes: str) -> AWSResponse:
    """A cancelled transaction whose first parts have these reasons."""
    parts = len(json.loads(request.body)["TransactItems"])
    told = [*codes, *["None"] * (parts - len(codes))]
    return failure(request, "TransactionCanceledException", CancellationReasons=[{"Code": c} for c in told])
