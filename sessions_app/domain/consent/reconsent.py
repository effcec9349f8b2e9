"""A new form text that everybody must agree to: decided once, then marked student by student.

The marking goes through the directory in batches. It can stop anywhere and go on later, by whomever; a
student who is looked at twice is marked once.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from pynamodb.exceptions import UpdateError

from ..audit import log as audit_log
from ..audit.log import Actor
from ..content.package import ConsentForm
from ..models import DirectoryEntry, InvalidField, Item, RenewalDecision, Student, readable
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction
from . import decisions as consent_decisions
from . import form_texts

BATCH = 25
TRIES = 3


class NotDecided(LookupError):
    """Nobody decided that this form must be agreed to again."""


def decide(*, form: ConsentForm, reason: str, by: Actor, now: datetime) -> RenewalDecision:
    """Whoever agreed to another text of this kind must agree to this one before the next session.

    Decided again while it is being carried out, it changes nothing; after that it begins anew. Raises
    InvalidField, Busy.
    """
    if not reason.strip():
        raise InvalidField("reason", "is missing: say why the new text must be agreed to")
    form_texts.keep([form], now=now)
    before = RenewalDecision.about(form.sha256)
    if before is not None and not before.is_finished:
        return before
    decision = RenewalDecision(
        PK=keys.form(form.sha256),
        SK=keys.RENEWAL,
        kind=form.kind,
        form_version=form.version,
        reason=reason.strip(),
        decided_by=by.name,
        decided_at=now,
        looked_at=0,
        marked=0,
    )
    decision.serialize()
    transaction = Transaction()
    if before is None:
        transaction.create("decision", decision)
    else:
        transaction.update("decision", decision, _anew(decision), RenewalDecision.finished_at.exists())
    told = {"kind": form.kind, "version": form.version}
    audit_log.note(
        transaction,
        "consent.require_renewal",
        by=by,
        now=now,
        subject=form.sha256,
        new=told,
        reason=decision.reason,
    )
    with suppress(Refused):  # somebody decided the same at the same moment
        transaction.commit()
    return _read(form)


def _anew(decision: RenewalDecision) -> list[Any]:
    fields: Any = RenewalDecision
    names = ("reason", "decided_by", "decided_at", "looked_at", "marked")
    setting = [getattr(fields, name).set(getattr(decision, name)) for name in names]
    return [*setting, fields.last_code.remove(), fields.finished_at.remove()]


def _read(form: ConsentForm) -> RenewalDecision:
    decision = RenewalDecision.about(form.sha256)
    if decision is None:
        raise NotDecided(f"nobody required re-consent to {form.kind} version {form.version}")
    return decision


def carry_on(*, form: ConsentForm, by: Actor, now: datetime, most: int = BATCH) -> RenewalDecision:
    """Look at the next students, at most so many, and mark those who agreed to another text.

    Done, it changes nothing. Raises NotDecided, Busy.
    """
    decision = _read(form)
    if decision.is_finished:
        return decision
    page = DirectoryEntry.behind(decision.last_code, limit=most, page_size=most, consistent_read=True)
    entries = list(readable(page, DirectoryEntry))
    marked = sum(_mark(entry.student_id, form, decision, by, now) for entry in entries)
    try:
        decision.update(
            actions=_progress(decision, entries, marked, now, done=len(entries) < most),
            condition=_unmoved(decision),
        )
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        # Somebody else carried it on from the same place: the marks are the same, the count is theirs.
    return _read(form)


def _unmoved(decision: RenewalDecision) -> Any:
    same_place: Any = RenewalDecision.last_code
    at_start = same_place.does_not_exist()
    same = at_start if decision.last_code is None else same_place == decision.last_code
    return same & (RenewalDecision.decided_at == decision.decided_at)


def _progress(
    decision: RenewalDecision, entries: Iterable[DirectoryEntry], marked: int, now: datetime, *, done: bool
) -> list[Any]:
    codes = [entry.student_code for entry in entries]
    fields: Any = RenewalDecision
    actions = [
        fields.looked_at.set(int(decision.looked_at) + len(codes)),
        fields.marked.set(int(decision.marked) + marked),
    ]
    if codes:
        actions.append(fields.last_code.set(codes[-1]))
    if done:
        actions.append(fields.finished_at.set(now))
    return actions


def _mark(student_id: str, form: ConsentForm, decision: RenewalDecision, by: Actor, now: datetime) -> bool:
    for _ in range(TRIES):
        try:
            student = Student.by_id(student_id)
        except Student.DoesNotExist:
            return False  # erased
        if not concerns(student, form):
            return False
        try:
            consent_decisions.require_renewal(student, form=form, reason=decision.reason, by=by, now=now)
        except consent_decisions.ChangedMeanwhile:
            continue  # look again: it may not concern the student any more
        except consent_decisions.ConsentWithdrawn:
            return False
        return True
    raise Busy("a student's consent kept changing; carry on once more")


def concerns(student: Student, form: ConsentForm) -> bool:
    """Whether consent is in force by another text of this kind, and its renewal is not required already."""
    record = consent_decisions.record_for(student, form.kind)
    required = student.consent_data.required or ()
    other_text = record and not record.is_about(form.sha256)
    return bool(other_text and form.kind not in required and student.has_consent())


def decisions(forms: Iterable[ConsentForm]) -> dict[str, RenewalDecision]:
    """The decisions about these forms, by kind."""
    wanted = [(keys.form(form.sha256), keys.RENEWAL) for form in forms]
    found = RenewalDecision.batch_get(wanted, consistent_read=True) if wanted else ()
    return {str(item.kind): item for item in found if isinstance(item, Item)}
