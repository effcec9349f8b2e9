"""Closes a gap of DynamoDB Local: it acknowledges a transaction some milliseconds before its commit.

Seen with engine 3.3.0: killed right after the acknowledgement it lost the whole transaction, each time (never
a part of one); with a file system slowed down on purpose the gap grew with it. Any request that follows is
answered after the commit only, so one is sent before the caller hears of the success. Single writes, updates
and batches are committed when they are acknowledged, as all are on AWS, where nothing of this happens.
"""

import os
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config

LOCAL = {"127.0.0.1", "localhost", "::1"}


def wait_for_local_commits(session: botocore.session.Session) -> None:
    """For botocore.register_initializer: every client of every session made from now on."""
    session.register("after-call.dynamodb.TransactWriteItems", _wait)


def _wait(**event: Any) -> None:
    """An error here reaches the caller: whether the transaction was committed is unknown then."""
    http_response = event["http_response"]
    address = urlsplit(http_response.url)
    if address.hostname in LOCAL and http_response.status_code == 200:
        _client(f"{address.scheme}://{address.netloc}", os.environ.get("AWS_ACCESS_KEY_ID", "")).list_tables(
            Limit=1
        )


@cache
def _client(endpoint: str, access_key: str) -> Any:
    """A client of its own, so that counts of the application's requests stay what they are on AWS.

    The access key is the name of the database, so that a commit is awaited where it happens.
    """
    return botocore.session.Session().create_client(
        "dynamodb",
        region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        endpoint_url=endpoint,
        config=Config(
            connect_timeout=2, read_timeout=30, retries={"max_attempts": 0}, max_pool_connections=32
        ),
    )
