"""What the study runs with, as the table last had it: a change of settings or forms is in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from .audit import log as audit_log
from .models import StudySettings
from .store.transactions import Refused, Transaction

FORM_PREFIX = "form "


def record_changes(values: Mapping[str, str], *, now: datetime) -> list[str]:
    """The names of what changed since the last call; recorded again, the same values change nothing.

    Names that begin with FORM_PREFIX are consent forms. The very first call records everything. Raises Busy,
    or PynamoDB's error when the table cannot be reached.
    """
    known = StudySettings.current()
    before = dict(known.values_in_force) if known else {}
    changed = sorted(name for name in {*before, *values} if before.get(name) != values.get(name))
    if not changed:
        return []
    transaction = Transaction()
    if known is None:
        transaction.create("settings", StudySettings.new(values, now))
    else:
        actions = [StudySettings.values_in_force.set(dict(values)), StudySettings.updated_at.set(now)]
        transaction.update("settings", known, actions, StudySettings.updated_at == known.updated_at)
    forms = [name for name in changed if name.startswith(FORM_PREFIX)]
    for action, names in (("form.publish", forms), ("setting.change", set(changed) - set(forms))):
        if names:
            old, new = ({name: source.get(name) for name in names} for source in (before, values))
            audit_log.note(transaction, action, by=audit_log.SYSTEM, now=now, old=old, new=new)
    with suppress(Refused):  # another worker recorded it at the same moment
        transaction.commit()
    return changed
