"""Exports that are made in the background: asked for, claimed, made, given out, and taken back.

Every step is one conditional write, so that a job that is sent twice is stored once, and two workers never
both believe that a job is theirs. Who made a file keeps it; this module knows only its name and digest.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import UpdateError
from pynamodb.expressions.update import Action

from .audit import log as audit_log
from .audit.log import Actor
from .models import ExportJob, ExportRecall, InvalidField, Item, Tombstone, readable
from .store import keys
from .store.transactions import Refused, Transaction

SILENCE = timedelta(minutes=2)
"""A claim without a sign of life for this long belongs to a worker that is no more."""
MAX_TRIES = 3


class NotAllowed(Exception):
    """The account may not have this; the message is for the screen."""


class NoLonger(Exception):
    """The file cannot be downloaded (any more); the message says why and what to do."""


class LostClaim(Exception):
    """Another worker has taken the job over, or it is gone: what was made of it must not be used."""


class Outdated(Exception):
    """Somebody left the study while the export was being made; it has to begin anew."""


# --- asking


def may_have(profile: str, *, by: Actor, reason: str | None) -> None:
    """Raises NotAllowed, or InvalidField for a full export without a reason."""
    roles = set(by.role.split("+"))
    if not roles & {"researcher", "admin", "system"}:
        raise NotAllowed("Exports are for researchers and admins.")
    if profile == "full" and not roles & {"admin", "system"}:
        raise NotAllowed("Only an admin can export everything.")
    if profile == "full" and not (reason or "").strip():
        raise InvalidField("reason", "is missing: say why the coded data are not enough")


def ask(
    *,
    export_id: str,
    profile: str,
    filters: Mapping[str, Any],
    reason: str | None,
    by: Actor,
    now: datetime,
) -> ExportJob:
    """Put an export into the queue; asked again under the same id, it gives back what is there.

    Raises NotAllowed, InvalidField, BadKey, Busy.
    """
    may_have(profile, by=by, reason=reason)
    job = ExportJob(
        PK=keys.EXPORT_JOBS,
        SK=keys.export_job(export_id),
        export_id=export_id,
        state="waiting",
        profile=profile,
        filters=dict(filters),
        reason=(reason or "").strip() or None,
        asked_by=by.name,
        asked_at=now,
        tries=0,
    )
    transaction = Transaction()
    transaction.create("job", job)
    audit_log.note(transaction, "export.ask", by=by, now=now, **told(job))
    try:
        transaction.commit()
    except Refused:
        return ExportJob.by_id(export_id)
    return job


def told(job: ExportJob) -> dict[str, Any]:
    """What the audit log holds of a job."""
    filters = job.filters
    chosen = {
        "profile": job.profile,
        "from": filters.start,
        "to": filters.end,
        "conditions": " ".join(filters.conditions) or None,
        "levels": " ".join(filters.levels) or None,
        "simulated": "included" if filters.simulated else None,
        "sha256": job.file.sha256 if job.file else None,
    }
    return {"subject": job.file.name if job.file else job.export_id, "new": chosen, "reason": job.reason}


# --- making


def jobs() -> Iterator[ExportJob]:
    """All of them, newest first."""
    return readable(ExportJob.newest_first(), ExportJob)


def due(known: Iterable[ExportJob], *, now: datetime) -> list[ExportJob]:
    """Those that wait, and those whose worker has fallen silent, oldest first."""
    open_jobs = [job for job in known if job.state == "waiting" or _is_silent(job, now)]
    return sorted(open_jobs, key=lambda job: str(job.export_id))


def _is_silent(job: ExportJob, now: datetime) -> bool:
    return bool(job.state == "running" and job.claim and job.claim.seen_at <= now - SILENCE)


def claim(job: ExportJob, *, now: datetime) -> bool:
    """Take the job, as it was read; False where another worker was faster.

    What was begun too often and never came to its end is given up.
    """
    unchanged: Any = ExportJob.state == job.state
    if job.claim:
        seen: Any = ExportJob.claim
        unchanged &= (seen.token == job.claim.token) & (seen.seen_at == job.claim.seen_at)
    if job.tries >= MAX_TRIES:
        fault = f"It was begun {MAX_TRIES} times and never came to its end. Choose less, or look at the log."
        _change(job, [*_set(state="failed", fault=fault, finished_at=now)], unchanged)
        return False
    mine = {"token": uuid.uuid4().hex, "begun_at": now, "seen_at": now}
    started = _set(state="running", claim=mine, tries=job.tries + 1, sessions_done=0, sessions_total=0)
    return _change(job, started, unchanged)


def seen(job: ExportJob, *, done: int, total: int, now: datetime) -> None:
    """Tell how far it is, which renews the claim. Raises LostClaim."""
    path: Any = ExportJob.claim
    if not _change(job, [path.seen_at.set(now), *_set(sessions_done=done, sessions_total=total)], _mine(job)):
        raise LostClaim(job.export_id)


def release(job: ExportJob, *, now: datetime, counts: bool) -> None:
    """Give the job back to the queue; `counts`: as a try that failed. A lost claim is let go silently."""
    tries = job.tries if counts else max(job.tries - 1, 0)
    _change(job, [*_set(state="waiting", tries=tries), ExportJob.claim.remove()], _mine(job))


def fail(job: ExportJob, fault: str, *, now: datetime) -> None:
    """End the job with a message for the screen. A lost claim is let go silently."""
    _change(
        job, [*_set(state="failed", fault=fault[:500], finished_at=now), ExportJob.claim.remove()], _mine(job)
    )


def finish(
    job: ExportJob,
    *,
    file: Mapping[str, Any],
    rows: Mapping[str, int],
    excluded: Mapping[str, int],
    lasts: timedelta,
    by: Actor,
    now: datetime,
) -> None:
    """The file is there: say so, with the entry of the audit log, in one transaction.

    Raises LostClaim, Outdated, Busy.
    """
    if departures().concern(job.profile, job.claim.begun_at):
        raise Outdated(job.export_id)
    job.file = dict(file)
    entry = told(job)
    actions = [
        *_set(state="done", file=dict(file), rows=dict(rows), excluded=dict(excluded)),
        *_set(finished_at=now, expires_at=now + lasts),
    ]
    transaction = Transaction()
    transaction.update("job", job, actions, _mine(job))
    audit_log.note(
        transaction, "export", by=by, now=now, **{**entry, "new": {"step": "finished", **entry["new"]}}
    )
    try:
        transaction.commit()
    except Refused:
        raise LostClaim(job.export_id) from None
    job.refresh(consistent_read=True)


def _mine(job: ExportJob) -> Any:
    path: Any = ExportJob.claim
    return (ExportJob.state == "running") & (path.token == job.claim.token)


def _set(**values: Any) -> list[Action]:
    return [getattr(ExportJob, name).set(value) for name, value in values.items()]


def _change(job: ExportJob, actions: Iterable[Action], condition: Any) -> bool:
    """Whether the job was as expected, and is changed now."""
    try:
        job.update(actions=list(actions), condition=condition & Item.PK.exists())
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


# --- giving out, and taking back


@dataclass(frozen=True, slots=True)
class Departures:
    """When a participant was last erased, and when one last withdrew.

    An export does not say who is in it, so whoever left counts: better one file too many is destroyed.
    """

    erased: datetime | None
    withdrawn: datetime | None

    def concern(self, profile: str, begun: datetime) -> bool:
        """Whether an export that was begun then may hold somebody who left at that second or later.

        Full exports are for the study itself, which may keep what a family let it keep when it withdrew.
        """
        if self.erased is not None and self.erased >= begun:
            return True
        return profile != "full" and self.withdrawn is not None and self.withdrawn >= begun


def departures() -> Departures:
    erased = max((tombstone.asked_at for tombstone in Tombstone.all()), default=None)
    return Departures(erased, ExportRecall.last_withdrawal())


def must_go(job: ExportJob, left: Departures) -> bool:
    return bool(job.file and job.claim and left.concern(str(job.profile), job.claim.begun_at))


def state_of(job: ExportJob, *, left: Departures, now: datetime) -> str:
    """The state as it is now, also where the worker has not written it yet."""
    if job.state == "done" and must_go(job, left):
        return "destroyed"
    if job.state == "done" and job.expires_at and job.expires_at <= now:
        return "expired"
    return str(job.state)


def is_for(job: ExportJob, by: Actor) -> bool:
    return job.asked_by == by.name or "admin" in by.role.split("+")


def note_handed_out(job: ExportJob, *, by: Actor, now: datetime) -> None:
    """In the audit log, before the first byte leaves; where this raises, none may."""
    entry = told(job)
    audit_log.record("export", by=by, now=now, **{**entry, "new": {"step": "downloaded", **entry["new"]}})


def may_hand_out(job: ExportJob, *, by: Actor, now: datetime) -> None:
    """Raises NotAllowed, NoLonger."""
    if not is_for(job, by):
        raise NotAllowed("Only who asked for this export, or an admin, can download it.")
    may_have(job.profile, by=by, reason=job.reason)
    match state_of(job, left=departures(), now=now):
        case "done":
            return
        case "destroyed":
            raise NoLonger(
                "A participant left the study after this export was made. Delete every copy and request "
                "a new export."
            )
        case "expired":
            raise NoLonger("The time to download this export is over. Ask for it again.")
        case state:
            raise NoLonger(f"There is no file to download: this export is {state}.")


def over(known: Iterable[ExportJob], *, now: datetime) -> list[tuple[ExportJob, str]]:
    """Those whose file is to be deleted, each with the state that it then has."""
    done = [job for job in known if job.state == "done"]
    if not done:
        return []
    left = departures()
    states = [(job, state_of(job, left=left, now=now)) for job in done]
    return [(job, state) for job, state in states if state != "done"]


def take_back(job: ExportJob, state: str) -> None:
    """Note that the file is deleted; noted before, it changes nothing."""
    still_done: Any = ExportJob.state == "done"
    _change(job, _set(state=state), still_done)
