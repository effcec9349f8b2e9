"""The one layer in which a request to the table is tried again.

botocore sends a request again, with the same body, when its `needs-retry` event is given a delay. This
module answers it and nothing else does: botocore's own retries are off (`Item.Meta`), PynamoDB has none, and
`Transaction` sends once. So all troubles of a request share one budget, and a transaction that is sent again
carries its token: one whose reply was lost is recognised by DynamoDB and not applied twice.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import Any

from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import ConnectTimeoutError, HTTPClientError, ReadTimeoutError

MAX_TRIES = 8
"""With a fifth of all requests throttled one in 400,000 still fails; the delays add up to 2 s on average."""
MAX_TIMEOUTS = 2
"""Tries without any reply take the whole time-out each, and a student waits: there is one more, no third."""
FIRST_DELAY_SECONDS = 0.025
MAX_DELAY_SECONDS = 1.0

BUSY = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "ThrottlingError",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""Codes that say: later. They come as the error itself or as the reason of a cancelled transaction."""
CANCELLED = "TransactionCanceledException"


def take_over(client: Any) -> None:
    """Let this module alone decide on the retries of a DynamoDB client; twice does nothing more."""
    client.meta.events.register_first("needs-retry.dynamodb", delay, unique_id="socratic-retries")


def delay(
    *,
    attempts: int,
    response: tuple[Any, Mapping[str, Any]] | None,
    caught_exception: Exception | None,
    request_dict: dict[str, Any],
    **event: Any,
) -> float | None:
    """Seconds until the next try, or None for none. Full jitter, so that writers in each other's way part."""
    if attempts >= MAX_TRIES or not _may_pass(response, caught_exception):
        return None
    if _silences(request_dict["context"], caught_exception) >= MAX_TIMEOUTS:
        return None
    longest = min(FIRST_DELAY_SECONDS * 2**attempts, MAX_DELAY_SECONDS)
    return random.uniform(0, longest)  # noqa: S311 - spreads writers, hides nothing


def _silences(context: dict[str, Any], fault: Exception | None) -> int:
    """How many tries of this request had no reply at all, this one counted."""
    silent = isinstance(fault, ReadTimeoutError | ConnectTimeoutError)
    context["socratic_silences"] = context.get("socratic_silences", 0) + silent
    return int(context["socratic_silences"])


def _may_pass(response: tuple[Any, Mapping[str, Any]] | None, fault: Exception | None) -> bool:
    if fault is not None:
        return isinstance(fault, HTTPClientError | NotConnected)
    if response is None:
        return False
    http, parsed = response
    code = parsed.get("Error", {}).get("Code")
    if code == CANCELLED:
        return only_busy([reason.get("Code") for reason in parsed.get("CancellationReasons", ())])
    return http.status_code >= 500 or code in BUSY


def only_busy(codes: Collection[str | None]) -> bool:
    """Whether a transaction was cancelled for nothing but the traffic, and no condition of it was refused."""
    told = {code for code in codes if code and code != "None"}
    return bool(told) and told <= BUSY
