"""The forms of class lists: import, and consent on paper for a whole class."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from ..domain.participants import roster_csv
from .staff import StaffForm


class ImportForm(StaffForm):
    """The list itself is in `list` once it was previewed; `file` and `pasted` are two ways to send it."""

    name = forms.CharField(
        label="Class", max_length=60, help_text="Such as “Period 3”. No teacher's or student's name."
    )
    school = forms.CharField(
        label="School",
        max_length=120,
        widget=forms.TextInput(attrs={"list": "schools", "autocomplete": "off"}),
    )
    file = forms.FileField(
        label="A CSV file",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,text/csv,text/plain"}),
    )
    pasted = forms.CharField(
        label="Or paste or type the list",
        required=False,
        strip=False,
        help_text="The first line names the columns, then one student a line.",
        widget=forms.Textarea(
            attrs={"rows": 8, "spellcheck": "false", "placeholder": "age,grade,richmond\n16,10,yes"}
        ),
    )
    confirmed = forms.BooleanField(label="Yes, I have checked this. Import it anyway.", required=False)

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        if not any(each.isalnum() for each in name):
            raise ValidationError("Please name the class.")
        return name

    def clean_school(self) -> str:
        school = " ".join(self.cleaned_data["school"].split())
        if not any(each.isalnum() for each in school):
            raise ValidationError("Please write the school's name.")
        return school

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        upload = cleaned.get("file")
        if "file" in self.errors:
            return cleaned
        try:
            text = (
                roster_csv.decoded(upload.read(roster_csv.MAX_BYTES + 1))
                if upload
                else cleaned.get("pasted", "")
            )
        except roster_csv.NotAList as error:
            self.add_error("file", str(error))
            return cleaned
        if not text.strip():
            self.add_error("pasted", "Choose a file, or paste the list.")
        cleaned["text"] = text
        return cleaned


def near_school(name: str, known: Iterable[str]) -> str | None:
    """A known school that may be meant by this other spelling."""
    by_plain = {each.casefold(): each for each in known}
    plain = name.casefold()
    if plain in by_plain:
        return None
    near = get_close_matches(plain, by_plain, n=1, cutoff=0.85)
    return by_plain[near[0]] if near else None
