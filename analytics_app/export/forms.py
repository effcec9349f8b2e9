"""What is asked for on the exports page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from sessions_app.domain.models.export import PROFILES
from sessions_app.domain.store import keys
from sessions_app.forms.staff import KINDS, PLACES, UNKNOWN

from . import tables
from .read import BadChoice, Chosen
from .request import Choice

LABELS = {
    "coded": "Coded: codes in place of ids, nothing that identifies a person or a location",
    "public": "Public: one table of scores and ratings as means of groups, conditions whole",
    "full": "Full: everything, for the study itself",
}
FIELDS = {"to": "end", "conditions": "location"}
"""Fields of the form by those that a BadChoice names."""


def _every(label: str, choices: Iterable[tuple[str, str]]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=[("", "All"), *choices],
        required=False,
        error_messages={"invalid_choice": UNKNOWN},
    )


def _day(label: str) -> forms.DateField:
    return forms.DateField(
        label=label,
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"invalid": "Write a day like 2026-03-01."},
    )


class ExportForm(forms.Form):
    """`export_id` is made with the page, so that sending it twice asks once."""

    export_id = forms.RegexField(r"\A\d{8}T\d{6}Z-[0-9a-f]{8}\Z", widget=forms.HiddenInput)
    profile = forms.ChoiceField(
        label="Profile",
        widget=forms.RadioSelect,
        error_messages={"required": "Please choose one.", "invalid_choice": UNKNOWN},
    )
    reason = forms.CharField(
        label="Reason",
        required=False,
        max_length=500,
        help_text="For a full export: why the coded data are not enough. It is kept in the audit log.",
    )
    start = _day("From")
    end = _day("To")
    location = _every("Location", PLACES)
    interval = _every("Interval", [(text, f"{float(text):g} minutes") for text in keys.INTERVALS.values()])
    type = _every("Question type", KINDS)
    levels = forms.MultipleChoiceField(
        label="Tables",
        help_text="Leave blank for all tables.",
        choices=[(level, level.replace("_", " ")) for level in tables.LEVELS],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": UNKNOWN},
    )
    labels = forms.BooleanField(label="Include a CSV with value labels", required=False)
    simulated = forms.BooleanField(label="Include simulated sessions", required=False)

    def __init__(self, data: Mapping[str, Any] | None, *, roles: Iterable[str], export_id: str) -> None:
        super().__init__(data, initial={"profile": "coded", "labels": True, "export_id": export_id})
        offered = [name for name in PROFILES if name != "full" or "admin" in roles]
        profile: Any = self.fields["profile"]
        profile.choices = [(name, LABELS[name]) for name in offered]
        if "full" not in offered:
            del self.fields["reason"]

    def clean(self) -> dict[str, Any]:
        told = self.cleaned_data
        if told.get("profile") == "full" and not told.get("reason", "").strip():
            self.add_error("reason", "Say why the coded data are not enough.")
        if not self.errors:
            try:
                self.choice().check()
            except BadChoice as error:
                self.add_error(FIELDS.get(error.field, error.field), ValidationError(str(error)))
        return told

    def conditions(self) -> tuple[str, ...]:
        """Codes of the chosen conditions; empty for all."""
        told = self.cleaned_data
        wanted = (told["location"], told["interval"], told["type"])
        if not any(wanted):
            return ()
        return tuple(
            cell.code
            for cell in keys.CONDITIONS
            if all(
                part in ("", own)
                for part, own in zip(wanted, (cell.location, cell.interval, cell.type), strict=True)
            )
        )

    def choice(self) -> Choice:
        told = self.cleaned_data
        return Choice(
            profile=told["profile"],
            chosen=Chosen(told["start"], told["end"], self.conditions()),
            levels=tuple(told["levels"]),
            labels=told["labels"],
            simulated=told["simulated"],
        )

    def filters(self) -> dict[str, Any]:
        """As the job keeps them."""
        told = self.cleaned_data
        return {
            "start": told["start"].isoformat() if told["start"] else None,
            "end": told["end"].isoformat() if told["end"] else None,
            "conditions": list(self.conditions()),
            "levels": list(told["levels"]),
            "labels": told["labels"],
            "simulated": told["simulated"],
        }
