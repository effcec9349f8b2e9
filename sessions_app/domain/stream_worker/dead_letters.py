"""Records that a duty of the worker could not process. Each becomes a letter, and the duty goes on.

A letter names the record and the reason and holds nothing of the record's contents: a reason is made of the
type of an error and the path of an attribute, never of a value.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from pynamodb.exceptions import DoesNotExist, PynamoDBException, TransactWriteError

from ..audit import log as audit_log
from ..audit.log import Actor
from ..models import DeadLetter, InvalidField, Item, connection
from ..models.cleaned import without_value
from ..session.record import SessionUnreadable
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction

log = logging.getLogger(__name__)

FIRST_WAIT = timedelta(minutes=1)
MAX_WAIT = timedelta(hours=1)
MAX_COUNTED = 1000
OF_THE_RECORD = frozenset(
    {"ValidationException", "SerializationException", "ItemCollectionSizeLimitExceededException"}
)
"""Refusals of the table that no waiting mends."""


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed later without any change of the record: the table is away or busy."""
    match error:
        case ClientError():
            return error.response.get("Error", {}).get("Code") not in OF_THE_RECORD
        case TransactWriteError() if error.cancellation_reasons:
            codes = {reason.code for reason in error.cancellation_reasons if reason}
            return "ValidationError" not in codes
        case DoesNotExist() | ParamValidationError():
            return False
        case PynamoDBException():
            return error.cause_response_code not in OF_THE_RECORD
    return isinstance(error, BotoCoreError | OSError)


def describe(error: BaseException) -> str:
    """What is wrong, without a value of the record: `timeline.session_start cannot be read`."""
    name = type(error).__name__
    if isinstance(error, InvalidField):
        return f"{error.field} cannot be read ({name})"[:200]
    if isinstance(error, keys.BadKey):
        return f"an id, a code or a time cannot be used in a key ({name})"
    if isinstance(error, SessionUnreadable):
        return without_value(str(error))
    if isinstance(error, Busy):
        return "the statistics it belongs to kept moving or do not add up (Busy)"
    return str(getattr(error, "reason", name))[:200]


# --- written and cleared by the worker


def write(
    duty: str, pk: str, sk: str, error: BaseException, *, now: datetime, may_retry: bool = True
) -> None:
    """Note a failure. Raises PynamoDB's error when the table is away, so that nothing is lost in silence."""
    key, reason = keys.dead_letter(duty, pk, sk), describe(error)
    log.error("%s passes over a record (dead letter %s): %s", duty, key, reason)
    letter = _get(key)
    tries = int(letter.tries) + 1 if letter else 1
    wait = min(FIRST_WAIT * 2 ** min(tries - 1, 10), MAX_WAIT)
    same = letter is not None and letter.reason == reason
    DeadLetter(
        PK=keys.DEAD_LETTERS,
        SK=key,
        duty=duty,
        record_pk=pk,
        record_sk=sk,
        reason=reason,
        first_at=letter.first_at if letter else now,
        last_at=now,
        tries=tries,
        retry_at=now + wait if may_retry else None,
        dismissed=letter.dismissed if letter and same else None,
    ).save()


def clear(duty: str, pk: str, sk: str) -> None:
    """The record was processed, or is gone. Without a letter this does nothing."""
    DeadLetter(PK=keys.DEAD_LETTERS, SK=keys.dead_letter(duty, pk, sk)).delete()


def forget_gone() -> int:
    """Delete the letters of records that are gone, such as those of a student who was erased; how many."""
    gone = [letter for letter in letters() if stored(letter.record_pk, letter.record_sk) is None]
    for letter in gone:
        letter.delete()
    return len(gone)


def stored(pk: str, sk: str) -> Mapping[str, Any] | None:
    """A record as it is stored, whatever it holds, past the models."""
    client: Any = connection().client
    key = {"PK": {"S": pk}, "SK": {"S": sk}}
    answer = client.get_item(TableName=Item.Meta.table_name, Key=key, ConsistentRead=True)
    found: Mapping[str, Any] | None = answer.get("Item")
    return found


# --- reading


def letters() -> Iterator[DeadLetter]:
    return (item for item in DeadLetter.all() if isinstance(item, DeadLetter))


def open_letters() -> list[DeadLetter]:
    """Those that nobody has dismissed, at most 1,000 of them, newest failure first."""
    found: list[DeadLetter] = []
    for letter in letters():
        if letter.is_open:
            found.append(letter)
        if len(found) == MAX_COUNTED:
            break
    return sorted(found, key=lambda letter: letter.last_at, reverse=True)


def by_key(key: str) -> DeadLetter:
    """Raises DeadLetter.DoesNotExist."""
    return DeadLetter.get(keys.DEAD_LETTERS, key, consistent_read=True)


def exists(letter: DeadLetter) -> bool:
    return _get(str(letter.SK)) is not None


def _get(key: str) -> DeadLetter | None:
    try:
        return by_key(key)
    except DeadLetter.DoesNotExist:
        return None


# --- what an administrator does


def note_retry(letter: DeadLetter, *, by: Actor, now: datetime) -> None:
    """In the audit log, before the record is tried again."""
    audit_log.record("dead_letter.retry", by=by, now=now, subject=_subject(letter))


def dismiss(letter: DeadLetter, *, reason: str, by: Actor, now: datetime) -> None:
    """Count the letter no longer. It opens again when the record fails for another reason.

    Raises InvalidField, Busy, DeadLetter.DoesNotExist when the letter is gone.
    """
    reason = reason.strip()
    if not reason:
        raise InvalidField("reason", "is missing: say why this record may stay out")
    transaction = Transaction()
    dismissal = {"by": by.name, "at": now, "reason": reason}
    actions = [DeadLetter.dismissed.set(dismissal), DeadLetter.retry_at.remove()]
    transaction.update("letter", letter, actions, DeadLetter.reason == letter.reason)
    audit_log.note(
        transaction, "dead_letter.dismiss", by=by, now=now, subject=_subject(letter), reason=reason
    )
    try:
        transaction.commit()
    except Refused:
        raise DeadLetter.DoesNotExist from None


def _subject(letter: DeadLetter) -> str:
    return f"{letter.duty}: {letter.record_pk} / {letter.record_sk}"[:200]
