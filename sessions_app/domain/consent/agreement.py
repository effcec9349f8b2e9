"""What has to be agreed to: the ages of the study, the forms each age needs, and consent to exact texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..audit.log import Actor
from ..models import ConsentEvent

if TYPE_CHECKING:  # it needs pydantic, which the functions in the cloud lack
    from ..content.package import ConsentForm

ADULT_AGE = 18
TEEN_AGE = 14


class ConsentNotInForce(Exception):
    """Consent is missing or was withdrawn; nothing was stored."""


class AgeOutsideStudy(ValueError):
    """The student is younger or older than this study takes."""


class FormChanged(ValueError):
    """The text that was on screen is not the one in force any more: show it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What a person said to a form that was in front of them. `sha256` is of the text that was shown.

    `signed_on` is the date on a paper.
    """

    kind: str
    sha256: str
    relation: str
    method: str
    agrees: bool
    signed_on: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """The ages that the study takes."""

    least: int
    most: int

    def check(self, age: int) -> None:
        if not self.least <= age <= self.most:
            raise AgeOutsideStudy(f"This study takes students from {self.least} to {self.most} years old.")


def forms_needed(age: int) -> tuple[str, ...]:
    """The kinds of form a student of this age needs: adults consent alone, children assent in plain words."""
    if age >= ADULT_AGE:
        return ("adult_consent",)
    return ("parental_permission", "assent" if age >= TEEN_AGE else "child_assent")


def agreed(
    kinds: Iterable[str],
    *,
    action: str,
    student_id: str,
    agreements: Iterable[Agreement],
    forms: Iterable[ConsentForm],
    data_sharing: bool | None,
    by: Actor,
    now: datetime,
    change: int = 1,
) -> list[ConsentEvent]:
    """One event for each of these kinds of form, if every one was agreed to as it stands in `forms`.

    `change` numbers the change of consent, so that the events of two in one second have two ids.
    Raises ConsentNotInForce for a form without a yes, FormChanged for a yes to another text.
    """
    given = {agreement.kind: agreement for agreement in agreements}
    current = {str(form.kind): form for form in forms}
    events = []
    for kind in kinds:
        agreement, form = given.get(kind), current[kind]
        if agreement is None or not agreement.agrees:
            raise ConsentNotInForce(f"{kind} was not given; nothing was stored")
        if agreement.sha256 != form.sha256:
            raise FormChanged("The form has changed since it was shown. Please read it again.")
        events.append(
            ConsentEvent.new(
                student_id=student_id,
                event_id=kind if change == 1 else f"{kind}-{change}",
                at=now,
                kind=kind,
                action=action,
                form_id=form.form_id,
                form_version=form.version,
                form_sha256=form.sha256,
                relation=agreement.relation,
                method=agreement.method,
                signed_on=agreement.signed_on,
                affirmed=True,
                data_sharing=data_sharing,
                attested_by=by.name,
            )
        )
    return events
