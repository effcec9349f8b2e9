"""The exact texts that people agree to, kept in the table: each stays readable whatever a package holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pynamodb.exceptions import PutError

from ..content.package import ConsentForm
from ..models import FormText, Item, RenewalDecision

# What this process has seen stored, by table: a text under its SHA-256 never changes.
KEPT: set[tuple[str, str]] = set()


def keep(forms: Iterable[ConsentForm], *, now: datetime) -> None:
    """Make sure that these texts are in the table, before anybody's consent to them is.

    One write a text and process. Raises PynamoDB's error when the table cannot be reached.
    """
    for form in forms:
        known = (str(Item.Meta.table_name), form.sha256)
        if known not in KEPT:
            _keep(form, now)
            KEPT.add(known)


def versions(current: ConsentForm) -> list[ConsentForm]:
    """The texts that a paper of this kind may hold: today's first, then earlier ones, newest first.

    Where re-consent was required, texts older than that are no choice.
    """
    texts = [text for text in FormText.all() if text.kind == current.kind and text.sha256 != current.sha256]
    found = [current]
    for text in reversed(texts):
        if RenewalDecision.about(found[-1].sha256) is not None:
            break
        found.append(
            ConsentForm(
                kind=current.kind,
                form_id=text.form_id,
                version=text.version,
                title=text.title,
                text=text.text,
            )
        )
    return found


def _keep(form: ConsentForm, now: datetime) -> None:
    text = FormText.new(
        sha256=form.sha256,
        kind=form.kind,
        form_id=form.form_id,
        version=form.version,
        title=form.title,
        text=form.text,
        first_used=now,
    )
    try:
        text.save(condition=Item.PK.does_not_exist())
    except PutError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
