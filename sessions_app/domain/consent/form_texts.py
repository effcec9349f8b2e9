"""The exact texts that people agree to, kept in the table: each stays readable whatever a package holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pynamodb.exceptions import PutError

from ..content.package import ConsentForm
from ..models import FormText, Item

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
