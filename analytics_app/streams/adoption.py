"""The worker's duty towards students whom another client enrolled: apart from `stream`, which the cloud's
functions run without what adoption needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessions_app.domain import adoption
from sessions_app.domain.models.cleaned import without_value
from sessions_app.domain.store import keys
from sessions_app.domain.stream_worker import dead_letters

from . import dispatch

ADOPTION = "adoption"


class NotAdopted(ValueError):
    """`reason` holds no value of the profile."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def take(records: list[dict[str, Any]], shard_id: str) -> None:
    """Seals, statistics, and what the lists need of students that another client enrolled."""
    for record in records:
        if is_new_profile(record):
            adopt(record["dynamodb"]["Keys"]["PK"]["S"], keys.PROFILE)
    dispatch.count(records, shard_id)


def is_new_profile(record: Mapping[str, Any]) -> bool:
    """Whether the record tells of a profile that no list knows: ours have a code from the start."""
    change = record["dynamodb"]
    new = change.get("NewImage") or {}
    is_profile = change["Keys"]["SK"]["S"] == keys.PROFILE
    return (
        is_profile
        and dispatch.text(new, "entity_type") == "student_profile"
        and not dispatch.text(new, "student_code")
    )


def adopt(pk: str, sk: str) -> None:
    """Raises only what waiting mends."""
    try:
        adoption.adopt(pk.removeprefix(keys.STUDENT_PREFIX), now=dispatch.now())
    except Exception as error:
        if dispatch.comes_again(error):
            raise
        if dead_letters.stored(pk, sk) is not None:
            refused = isinstance(error, adoption.CannotAdopt)
            reason = NotAdopted(without_value(str(error))) if refused else error
            dispatch.give_up(ADOPTION, pk, sk, reason)
            return
    dispatch.settled(ADOPTION, pk, sk)


dispatch.RETRIES[ADOPTION] = adopt
