"""The analysis plan through its life: signed and locked by two roles, amended with a reason, unlocked by two.

The plan itself is part of the content package. The table holds the versions that somebody signed: the
newest one is that of the package, or the package has changed since and is an amendment to be signed. Two
accounts sign: a researcher, and for the review somebody of the review board or an administrator.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from .audit import log as audit_log
from .audit.log import Actor
from .content.package import AnalysisPlan
from .models import InvalidField, Item, PlanVersion, Session, readable
from .models.plan import REVIEW_ROLES, TwoSignatures
from .store import keys
from .store.transactions import Busy, Refused, Transaction

Slot = Literal["researcher", "review"]


class NotAllowed(Exception):
    """The account may not sign here; nothing was changed. The message says why."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The plan of the package beside the signed versions, oldest first."""

    plan: AnalysisPlan
    versions: tuple[PlanVersion, ...]

    @property
    def newest(self) -> PlanVersion | None:
        return self.versions[-1] if self.versions else None

    @property
    def signed(self) -> PlanVersion | None:
        """The version that has exactly this plan; None while nobody has signed it."""
        newest = self.newest
        return newest if newest is not None and newest.sha256 == self.plan.sha256 else None

    @property
    def is_locked(self) -> bool:
        return self.signed is not None and self.signed.locked_at is not None

    @property
    def is_unlocked(self) -> bool:
        """Whether the confirmatory results may be read: the plan is locked, and two roles said so."""
        return self.is_locked and self.signed is not None and self.signed.unlocked_at is not None

    @property
    def is_amendment(self) -> bool:
        """Whether signing this plan changes one that was locked."""
        signed = self.signed
        earlier = [version for version in self.versions if version is not signed]
        return any(version.locked_at for version in earlier)

    def open_slots(self, purpose: Literal["lock", "unlock"]) -> list[Slot]:
        signatures = getattr(self.signed, purpose, None) or TwoSignatures()
        slots: tuple[Slot, ...] = ("researcher", "review")
        return [slot for slot in slots if not getattr(signatures, slot)]


def standing(plan: AnalysisPlan) -> Standing:
    return Standing(plan, tuple(PlanVersion.all()))


def slots_of(by: Actor) -> list[Slot]:
    """What this account's roles let it sign as."""
    roles = set(by.role.split("+"))
    found: list[Slot] = ["researcher"] if "researcher" in roles else []
    return [*found, "review"] if roles & set(REVIEW_ROLES) else found


def sign(plan: AnalysisPlan, slot: Slot, *, reason: str = "", by: Actor, now: datetime) -> None:
    """Sign the plan of the package; the second signature locks it. Signed again it stays as it is.

    `reason` is needed by the first signature under an amendment. Raises NotAllowed, InvalidField, Busy.
    """
    there = standing(plan)
    _check(there, "lock", slot, by)
    if slot not in there.open_slots("lock"):
        return
    transaction = Transaction()
    version = there.signed
    if version is None:
        reason = reason.strip()
        if there.is_amendment and not reason:
            raise InvalidField("reason", "is missing: say why the locked plan was changed")
        number = int(there.newest.version) + 1 if there.newest else 1
        version = _new(plan, number, reason or None, now)
        _fill(version.lock, slot, by, now)
        transaction.create("version", version)
    else:
        actions, condition = _signing(version, "lock", slot, by, now)
        if first := first_real_session():
            fields: Any = PlanVersion
            actions.append(fields.first_real_session.set(first))
        transaction.update("version", version, actions, condition)
    _commit(transaction, "plan.sign", version, slot, by, now)


def unlock(plan: AnalysisPlan, slot: Slot, *, by: Actor, now: datetime) -> None:
    """Sign to unlock the confirmatory results; the second signature unlocks them, for good.

    Raises NotAllowed, Busy.
    """
    there = standing(plan)
    if not there.is_locked or there.signed is None:
        raise NotAllowed("The plan is not locked. Both signatures under the plan come first.")
    _check(there, "unlock", slot, by)
    if slot not in there.open_slots("unlock"):
        return
    transaction = Transaction()
    transaction.update("version", there.signed, *_signing(there.signed, "unlock", slot, by, now))
    _commit(transaction, "plan.unlock", there.signed, slot, by, now)


def first_real_session() -> datetime | None:
    """The start of the earliest real session that is not void."""
    starts = []
    for location in keys.LOCATIONS.values():
        found = readable(Item.by_location.query(keys.location(location), page_size=100), Session)
        real = (one.start for one in found if one.realm == "real" and not one.is_void)
        if first := next(real, None):
            starts.append(first)
    return min(starts, default=None)


def _check(there: Standing, purpose: Literal["lock", "unlock"], slot: Slot, by: Actor) -> None:
    if slot not in slots_of(by):
        needed = "a researcher" if slot == "researcher" else "the review board or an administrator"
        raise NotAllowed(f"This signature is that of {needed}.")
    other = "review" if slot == "researcher" else "researcher"
    if getattr(getattr(there.signed, purpose, None), other, None) == by.name:
        raise NotAllowed("You gave the other signature. The second one is for another account.")


def _new(plan: AnalysisPlan, number: int, reason: str | None, now: datetime) -> PlanVersion:
    return PlanVersion(
        PK=keys.PLAN,
        SK=keys.plan_version(number),
        version=number,
        sha256=plan.sha256,
        text=plan.text,
        plan_version=plan.plan_version,
        reason=reason,
        created_at=now,
        lock=TwoSignatures(),
    )


def _fill(signatures: TwoSignatures, slot: Slot, by: Actor, now: datetime) -> dict[str, Any]:
    """The values of the slot, set on the local copy."""
    values: dict[str, Any] = {slot: by.name, f"{slot}_at": now}
    if slot == "review":
        values["review_role"] = next(role for role in REVIEW_ROLES if role in by.role.split("+"))
    for name, value in values.items():
        setattr(signatures, name, value)
    return values


def _signing(
    version: PlanVersion, purpose: str, slot: Slot, by: Actor, now: datetime
) -> tuple[list[Any], Any]:
    """Actions and condition; the second signature sets the moment of the lock or of the unlocking."""
    fields: Any = getattr(PlanVersion, purpose)
    signatures = getattr(version, purpose)
    if signatures is None:
        signatures = TwoSignatures()
        _fill(signatures, slot, by, now)
        return [fields.set(signatures)], fields.does_not_exist()
    other = "review" if slot == "researcher" else "researcher"
    actions = [getattr(fields, name).set(value) for name, value in _fill(signatures, slot, by, now).items()]
    actions.append(getattr(PlanVersion, f"{purpose}ed_at").set(now))
    return actions, getattr(fields, slot).does_not_exist() & getattr(fields, other).exists()


def _commit(
    transaction: Transaction, action: str, version: PlanVersion, slot: Slot, by: Actor, now: datetime
) -> None:
    details = {"version": version.version, "sha256": version.sha256, "as": slot}
    audit_log.note(transaction, action, by=by, now=now, subject=f"plan {version.version}", new=details)
    try:
        transaction.commit()
    except Refused:
        raise Busy("somebody else signed at the same moment; check the plan and sign again") from None
