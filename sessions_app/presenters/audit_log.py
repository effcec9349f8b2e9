"""The audit log as the review board reads it: what is looked for, and each entry in words.

Who may not see scores sees that one was given, and not which: `Row` is the one place where that is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial, reduce
from itertools import islice
from operator import and_
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from .. import paging, study
from ..access import field_policy
from ..access.roles import ROLES
from ..domain.audit.seals import Standing, days_from
from ..domain.models import AuditEntry, AuditReason, AuditSeal, DirectoryEntry, Item, Student, readable
from ..domain.models.audit import ACTIONS
from ..domain.store import keys
from . import session_timeline

MAX_DAYS = 31
DAYS_SHOWN = 7
AWAY_AFTER = timedelta(minutes=2)
READ_PER_ENTRY = 8
"""How many entries are read for each that a filter lets through, so that a page takes few requests."""
HELD_BACK = frozenset({"score.give"})
"""Actions whose values tell of an answer or a score."""

WORDS = {
    "safeguarding.call": "called staff after an answer",
    "student.enrol": "enrolled a student",
    "student.adopt": "adopted a student enrolled by another program",
    "student.erase": "erased a student's data",
    "roster.import": "imported a class list",
    "roster.refuse": "counted a refusal in a class",
    "roster.remove": "removed who had not enrolled from a class",
    "consent.list": "viewed the list of consents",
    "consent.view": "looked at a consent record",
    "consent.review": "reviewed a consent",
    "consent.renew": "recorded a renewed consent",
    "consent.refuse": "recorded a refusal",
    "consent.withdraw": "recorded a withdrawal",
    "consent.require_renewal": "required re-consent",
    "form.publish": "put a form text into use",
    "session.start": "started a session",
    "session.stop": "stopped a session",
    "session.reopen": "reopened a session",
    "session.void": "marked a session void",
    "session.unvoid": "removed the void mark of a session",
    "session.hand_over": "handed the tablet over",
    "session.take_back": "took the tablet back",
    "take_back.failed": "failed to take the tablet back",
    "transcript.view": "viewed a session with its answers",
    "link.create": "made a participant's link",
    "link.revoke": "revoked a participant's link",
    "device.join": "joined a session on their own device",
    "place_code.show": "displayed a location code",
    "note.send": "sent a note to the participant",
    "note.read": "dismissed a note",
    "call.make": "called for help",
    "call.answer": "acknowledged a call for help",
    "score.give": "gave a score",
    "grading.view": "viewed an answer to grade",
    "chart.view": "viewed the chart of one student",
    "record.view": "viewed a raw record",
    "position.view": "viewed a raw position",
    "audit.view": "viewed the audit log",
    "access.denied": "was denied a page",
    "export": "exported data",
    "export.ask": "requested an export",
    "sign_in": "signed in",
    "sign_in.failed": "failed to sign in",
    "sign_out": "signed out",
    "lockout": "was locked out",
    "factor.enrol": "set up a second factor",
    "factor.reset": "reset a second factor",
    "account.create": "made an account",
    "account.change": "changed an account",
    "account.delete": "deleted an account",
    "site.change": "changed who belongs to a site",
    "setting.change": "changed a setting",
    "plan.sign": "signed the analysis plan",
    "results.look": "viewed the confirmatory page before its results were unlocked",
    "plan.unlock": "signed to unlock the confirmatory results",
    "dead_letter.retry": "retried a dead letter",
    "dead_letter.dismiss": "dismissed a dead letter",
    "audit.acknowledge": "acknowledged a doubt about the audit log",
}


# --- what is looked for


class LogFilter(forms.Form):
    """All fields together; `first` and `last` are days of the study's time zone."""

    first = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    last = forms.DateField(label="To", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    account = forms.CharField(label="Account", required=False, max_length=150)
    action = forms.ChoiceField(
        label="What",
        required=False,
        choices=[("", "Anything"), *((action, WORDS[action].capitalize()) for action in ACTIONS)],
    )
    role = forms.ChoiceField(
        label="Role",
        required=False,
        choices=[("", "Any"), *((role, role) for role in (*ROLES, "participant", "system"))],
    )
    student = forms.CharField(
        label="Student code",
        required=False,
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    student_id = ""

    @classmethod
    def of(cls, sent: Any) -> LogFilter:
        """Of what was sent; a day that was left out is that of the last week."""
        today = study.now().astimezone(study.zone()).date()
        start = {"first": today - timedelta(days=DAYS_SHOWN - 1), "last": today}
        told = {name: sent.get(name) or start.get(name, "") for name in cls.base_fields}
        return cls(told)

    def clean_student(self) -> str:
        """A code leads to the id; an id is taken as well, for erased students have no code."""
        code = "-".join(self.cleaned_data["student"].lower().split())
        if not code:
            return ""
        try:
            self.student_id = DirectoryEntry.get(keys.STUDENT_DIRECTORY, code).student_id
        except DirectoryEntry.DoesNotExist:
            if not _is_id(code):
                raise ValidationError("No student has this code.") from None
            self.student_id = code
        return code

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        first, last = told.get("first"), told.get("last")
        if first and last:
            if first > last:
                self.add_error("last", "The last day lies before the first.")
            elif (last - first).days >= MAX_DAYS:
                self.add_error("last", f"At most {MAX_DAYS} days at a time.")
        return told

    @property
    def told(self) -> dict[str, str]:
        """What is looked for, without what is left open."""
        return {name: str(value) for name, value in self.cleaned_data.items() if value}


def _is_id(text: str) -> bool:
    try:
        keys.student(text)
    except keys.BadKey:
        return False
    return len(text) > 20 and "-" in text


def listing(sought: LogFilter) -> paging.Listing:
    """Newest first. Of a student by the index, else by days."""
    first, last = _moments(sought.cleaned_data["first"], sought.cleaned_data["last"])
    condition = _condition(sought.cleaned_data)
    paged: dict[str, Any] = {"first": first, "last": last, "filter_condition": condition}
    parts: tuple[Callable[..., Iterable[Item]], ...]
    if sought.student_id:
        parts = (partial(AuditEntry.about_student, sought.student_id, **paged),)
    else:
        days = reversed(list(days_from(first.date(), last.date())))
        parts = tuple(partial(AuditEntry.on_day, day, **paged) for day in days)
    return paging.Listing(
        name=f"audit/{sorted(sought.told.items())}",
        index=2 if sought.student_id else None,
        parts=parts,
        read_per_item=READ_PER_ENTRY if condition is not None else 1,
    )


def _moments(first: date, last: date) -> tuple[datetime, datetime]:
    """The first and the last second of these days of the study's time zone, in UTC."""
    start, end = (
        keys.moment(keys.stamp(datetime.combine(day, time(), study.zone())))
        for day in (first, last + timedelta(days=1))
    )
    return start, end - timedelta(seconds=1)


def _condition(told: dict[str, Any]) -> Any:
    wanted: list[Any] = []
    if told["account"]:
        wanted.append(AuditEntry.by == told["account"])
    if told["action"]:
        wanted.append(AuditEntry.action == told["action"])
    if told["role"]:
        wanted.append(AuditEntry.role.contains(told["role"]))
    return reduce(and_, wanted) if wanted else None


# --- an entry in words


@dataclass(frozen=True, slots=True)
class Row:
    """`sequence` is None while the entry is not sealed; `changes` are (name, before, after).

    `reason_gone` says why a reason that was given is not shown, or is not to be trusted.
    """

    entry: AuditEntry
    what: str
    student_code: str
    changes: tuple[tuple[str, str, str], ...]
    reason: str
    reason_gone: str
    held_back: bool
    sequence: int | None


def rows(entries: Iterable[Item], roles: frozenset[str]) -> list[Row]:
    """Of at most 50 entries: one or two requests more, for their seals, reasons and the codes of students."""
    listed = [field_policy.masked(item, roles) for item in readable(entries, AuditEntry)]
    if not listed:
        return []
    wanted = [(entry.PK, keys.seal(entry.SK)) for entry in listed]
    wanted += sorted({(keys.student(entry.student_id), keys.PROFILE) for entry in listed if entry.student_id})
    wanted += [entry.reason_key for entry in listed if entry.reason_sha256]
    found = list(Item.batch_get(wanted, consistent_read=True))
    sealed = {(item.PK, item.entry_key): int(item.sequence) for item in readable(found, AuditSeal)}
    codes = {item.student_id: item.student_code or "" for item in found if isinstance(item, Student)}
    reasons = {item.entry_id: item for item in readable(found, AuditReason)}
    return [
        _row(entry, roles, codes, reasons.get(entry.entry_id), sealed.get((entry.PK, entry.SK)))
        for entry in listed
    ]


def _row(
    entry: AuditEntry,
    roles: frozenset[str],
    codes: dict[str, str],
    reason: AuditReason | None,
    sequence: int | None,
) -> Row:
    held_back = entry.action in HELD_BACK and "admin" not in roles
    old, new = ({}, {}) if held_back else (entry.old or {}, entry.new or {})
    return Row(
        entry=entry,
        what=WORDS.get(entry.action, entry.action),
        student_code=codes.get(entry.student_id or "", ""),
        changes=tuple((name, old.get(name, ""), new.get(name, "")) for name in sorted({**old, **new})),
        reason="" if held_back else (reason.reason if reason else entry.reason) or "",
        reason_gone="" if held_back else _reason_gone(entry, reason, is_erased=entry.student_id not in codes),
        held_back=held_back,
        sequence=sequence,
    )


def _reason_gone(entry: AuditEntry, reason: AuditReason | None, *, is_erased: bool) -> str:
    if not entry.reason_sha256:
        return ""
    if reason is None:
        if entry.student_id and is_erased:
            return "A reason was given. It was erased with the student's data."
        return "A reason was given. It is missing, although nobody erased it."
    return "" if reason.digest() == entry.reason_sha256 else "The reason is not the one that was sealed."


# --- how the seals stand


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence, its tone, and what to do; empty where there is nothing to do."""

    sentence: str
    tone: str
    action: str = ""


def told(standing: Standing, *, now: datetime) -> Told:
    if not standing.looked_at:
        sealed = standing.head.sequence if standing.head else 0
        return Told(f"Nothing was written since yesterday; {sealed} entries are sealed.", "ok")
    if standing.oldest_unsealed is None:
        newest = standing.sealed_to.astimezone(study.zone()) if standing.sealed_to else now
        return Told(f"All sealed up to {newest:%Y-%m-%d %H:%M:%S}.", "ok")
    waited = now - standing.oldest_unsealed
    oldest = session_timeline.span(waited.total_seconds())
    sentence = f"{_entries(standing.unsealed)} unsealed, the oldest for {oldest}."
    if waited < AWAY_AFTER:
        return Told(sentence, "info")
    return Told(
        sentence,
        "warn",
        "The worker that seals them seems to be away: start it again (manage.py run_worker). Nothing is "
        "lost, and it seals what has waited. After more than three days run manage.py verify_audit --seal.",
    )


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


# --- as a file

COLUMNS = (
    "time_utc",
    "time_study",
    "account",
    "role",
    "action",
    "what",
    "student_code",
    "student_id",
    "session_id",
    "subject",
    "old",
    "new",
    "reason",
    "sealed_as",
)


def table(sought: LogFilter, roles: frozenset[str]) -> Iterator[tuple[object, ...]]:
    """Heading and rows of everything that is looked for, read as it is written out."""
    yield COLUMNS
    found = (item for part in listing(sought).parts for item in part())
    while batch := list(islice(found, 50)):
        yield from map(_cells, rows(batch, roles))


def _cells(row: Row) -> tuple[object, ...]:
    entry = row.entry
    return (
        keys.stamp(entry.at),
        f"{entry.at.astimezone(study.zone()):%Y-%m-%d %H:%M:%S %Z}",
        entry.by,
        entry.role,
        entry.action,
        row.what,
        row.student_code,
        entry.student_id or "",
        entry.session_id or "",
        entry.subject or "",
        "; ".join(f"{name}: {old}" for name, old, _ in row.changes if old),
        "; ".join(f"{name}: {new}" for name, _, new in row.changes if new),
        row.reason or row.reason_gone,
        row.sequence or "",
    )
