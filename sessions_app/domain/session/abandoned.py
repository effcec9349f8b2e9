"""Closes abandoned sessions by the clock; their data stay. A late answer reopens them (submissions.py)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from .. import flow
from ..audit.log import SYSTEM
from ..models import Assessment, ContentDelivery, Intervention, Item, Session
from ..store import keys
from ..store.items import same_version
from ..store.transactions import Refused, Transaction
from . import survey as session_survey
from .record import Run, SessionNotFound

REASON = "nobody went on with it"


def left_behind(*, now: datetime, after: timedelta, days: int) -> Iterator[Session]:
    """Stale sessions that began in the last `days` days and longer ago than `after`: one query a day."""
    newest = now - after
    only: Any = (Session.state == "running") & (Session.completion_status.completed == False)  # noqa: E712
    for back in range(days + 1):
        for item in Session.on_day((newest - timedelta(days=back)).date(), filter_condition=only):
            if isinstance(item, Session) and item.is_readable and _is_stale(item, now=now, after=after):
                yield item


def _is_stale(session: Session, *, now: datetime, after: timedelta) -> bool:
    """A session that cannot be read is nobody's to close; its dead letter names it."""
    try:
        return session_survey.is_stale(session, now=now, after=after)
    except (AttributeError, TypeError, ValueError):
        return False


def close(session_id: str, *, now: datetime, after: timedelta) -> bool:
    """Whether it was closed. One that is closed already, or moves, even in this moment, is left alone."""
    try:
        run = Run.load(session_id)
    except SessionNotFound:
        return False
    if not run.is_open or now - run.last_seen <= after:
        return False
    step = run.step
    end = run.last_seen  # the hours in which nobody did anything are no part of the session
    transaction = session_survey.closing(run, state="abandoned", end=end, by=SYSTEM, now=now, reason=REASON)
    _unmoved(transaction, run, step)
    try:
        transaction.commit()
    except Refused:
        return False
    return True


def _unmoved(transaction: Transaction, run: Run, step: flow.Step | None) -> None:
    """Refuse when the stage that runs stores anything meanwhile: its record changes, or comes to be."""
    if step is None:
        return
    record, changes = _record_of(run, step.stage.name)
    if record is not None:
        transaction.check("record", type(record), record.PK, record.SK, changes)
    elif step.stage.name in ("baseline", "final"):
        key = keys.assessment(step.stage.name, run.stage_start(step.stage.name))
        transaction.check("record", Assessment, run.session.PK, key, Item.PK.does_not_exist())
    elif step.stage.kind == "format":
        key = keys.CONTENT_DELIVERY
        transaction.check("record", ContentDelivery, run.session.PK, key, Item.PK.does_not_exist())


def _record_of(run: Run, stage: str) -> tuple[Item | None, Any]:
    """The record that this stage writes, and the condition that it is as it was read."""
    if stage.startswith("segment-") and run.content:
        return run.content, ContentDelivery.metadata.updated_at == run.content.metadata.updated_at
    if stage.startswith("questions-"):
        asked = run.interventions.get(int(stage.removeprefix("questions-")))
        return asked, asked and same_version(Intervention.metadata.version, asked.metadata.version)
    record = run.assessments.get(stage)
    return record, record and same_version(Assessment.metadata.version, record.metadata.version)
