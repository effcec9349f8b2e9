"""Class lists are stored whole or not at all; a refusal is counted, and nothing says whose it was."""

from __future__ import annotations

import random
import uuid
from datetime import datetime

from ..audit import log as audit_log
from ..audit.log import Actor
from ..models import DirectoryEntry, Roster, RosterEntry, School, readable
from ..store import keys
from ..store.transactions import Busy, Refused, Transaction
from .codes import new_code
from .roster_csv import Row, Sheet

TRIES = 20


class NameTaken(ValueError):
    """The school has another list of this name; nothing was stored."""


class CodesTaken(ValueError):
    """Codes that were given belong to other students; nothing was stored."""


def same_rows(school: str, sheet: Sheet) -> Roster | None:
    """A list of this school with exactly these rows."""
    lists = readable(Roster.of_site(keys.school_id(school), limit=100), Roster)
    return next((roster for roster in lists if roster.rows_sha256 == sheet.sha256), None)


def store(sheet: Sheet, *, name: str, school: str, source: random.Random, by: Actor, now: datetime) -> Roster:
    """The list and its entries, in one transaction; stored again, the same list changes nothing.

    Raises NameTaken, CodesTaken, Busy.
    """
    given = {row.code for row in sheet.rows if row.code}
    for _ in range(TRIES):
        roster, transaction = _roster(sheet, name, school, by, now), Transaction()
        transaction.create("roster", roster)
        _add_entries(transaction, roster, sheet.rows, source)
        known = School.named(school)
        transaction.upsert("school", known, [School.name.set(known.name), School.entity_type.set(School)])
        audit_log.note(
            transaction,
            "roster.import",
            by=by,
            now=now,
            subject=roster.roster_id,
            new={"students": roster.size},
        )
        try:
            transaction.commit()
        except Refused as refused:
            if "roster" in refused.names:
                return _stored(roster)
            taken = sorted(refused.names & given)
            if taken:
                raise CodesTaken(f"{', '.join(taken)}: taken by other students.") from None
            continue  # a drawn code is taken: draw others
        return roster
    raise CodesTaken("No free codes were found. Please try again.")


def _roster(sheet: Sheet, name: str, school: str, by: Actor, now: datetime) -> Roster:
    return Roster.new(
        roster_id=keys.roster_id(school, name),
        site=keys.school_id(school),
        created_at=now,
        name=name,
        school=school,
        rows_sha256=sheet.sha256,
        size=len(sheet.rows),
        refusals=0,
        created_by=by.name,
    )


def _add_entries(transaction: Transaction, roster: Roster, rows: list[Row], source: random.Random) -> None:
    used = {row.code for row in rows if row.code}
    for number, row in enumerate(rows, 1):
        code = row.code
        while not code or (not row.code and code in used):
            code = new_code(source)
        used.add(code)
        entry = RosterEntry.new(
            student_code=code,
            roster_id=str(roster.roster_id),
            number=number,
            student_id=str(uuid.uuid4()),
            age=row.age,
            grade_level=row.grade_level,
            richmond_resident=row.richmond_resident,
            learning_profile=row.learning_profile or None,
        )
        transaction.create(code, entry)
        unused = DirectoryEntry.PK.does_not_exist()
        transaction.check(code, DirectoryEntry, keys.STUDENT_DIRECTORY, code, unused)


def _stored(wanted: Roster) -> Roster:
    found = Roster.by_id(str(wanted.roster_id))
    if found.rows_sha256 != wanted.rows_sha256:
        raise NameTaken("The school has a list of this name with other students. Choose another name.")
    return found


def count_refusal(roster: Roster, entry: RosterEntry, *, by: Actor, now: datetime) -> bool:
    """The entry goes and one more refusal is counted; False where it went before. Raises Busy."""
    transaction = Transaction()
    transaction.delete("entry", entry, RosterEntry.enrolled_at.does_not_exist())
    transaction.update("roster", roster, [Roster.refusals.set(Roster.refusals + 1)])
    audit_log.note(transaction, "roster.refuse", by=by, now=now, subject=str(roster.roster_id))
    try:
        transaction.commit()
    except Refused:
        return False
    return True


def remove_unenrolled(roster: Roster, *, by: Actor, now: datetime) -> int:
    """How many entries went: those of students who are not enrolled. Raises Busy.

    The list itself goes, too, unless somebody enrolled from it or a refusal was counted.
    """
    for _ in range(TRIES):
        roster, entries = Roster.by_id(str(roster.roster_id)), roster.entries()
        gone = [entry for entry in entries if entry.enrolled_at is None]
        transaction = Transaction()
        for entry in gone:
            transaction.delete("entry", entry, RosterEntry.enrolled_at.does_not_exist())
        if len(gone) == len(entries) and not roster.refusals:
            transaction.delete("roster", roster, Roster.refusals == 0)
        details = {"students": len(gone)}
        audit_log.note(
            transaction, "roster.remove", by=by, now=now, subject=str(roster.roster_id), old=details
        )
        try:
            transaction.commit()
        except Refused:
            continue  # somebody enrolled or refused meanwhile
        return len(gone)
    raise Busy("other writes were in the way; nothing was removed")
