"""The forms of class lists: import, and consent on paper for a whole class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from ..domain.consent.agreement import ADULT_AGE
from ..domain.content.package import ConsentForm
from ..domain.models import RosterEntry
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


SIGNERS = (("mother", "Mother"), ("father", "Father"), ("guardian", "Guardian"), ("no", "Refused"))
ADULT_SIGNERS = (("self", "Student, 18 or older"), ("no", "Refused"))


class PapersForm(StaffForm):
    """What the papers of a class have in common: the date, and the version of each kind of form."""

    signed_on = forms.DateField(
        label="Date of the signatures",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": "Write a day like 2026-01-31."},
    )

    def __init__(self, data: Any, *, versions: Mapping[str, Iterable[ConsentForm]], today: date) -> None:
        super().__init__(data)
        self.today = today
        self.papers = {kind: {form.sha256: form for form in texts} for kind, texts in versions.items()}
        for kind, texts in self.papers.items():
            choices = [(sha256, f"version {form.version}") for sha256, form in texts.items()]
            self.fields[kind] = forms.ChoiceField(
                label=f"Version of the paper: {next(iter(texts.values())).title}",
                choices=[("", "Choose the version printed on the paper"), *choices],
                error_messages={"required": "Please choose the version."},
            )

    def clean_signed_on(self) -> date:
        return not_in_future(self.cleaned_data["signed_on"], self.today)

    def forms_chosen(self) -> list[ConsentForm]:
        return [texts[self.cleaned_data[kind]] for kind, texts in self.papers.items()]


def not_in_future(day: date, today: date) -> date:
    if not date(2000, 1, 1) <= day <= today:
        raise ValidationError("A paper is signed on a day that has passed.")
    return day


class RowForm(forms.Form):
    """One student's papers. Nothing is chosen beforehand; a row left alone changes nothing."""

    signer = forms.ChoiceField(label="Who signed?", required=False, widget=forms.RadioSelect)
    sharing = forms.ChoiceField(
        label="Sharing allowed?",
        required=False,
        choices=(("yes", "Yes"), ("no", "No")),
        widget=forms.RadioSelect,
    )
    signed_on = forms.DateField(
        label="Other date",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )

    def __init__(self, data: Any, *, entry: RosterEntry, today: date) -> None:
        super().__init__(data, prefix=str(entry.student_code))
        self.entry, self.today = entry, today
        field: Any = self.fields["signer"]
        field.choices = ADULT_SIGNERS if entry.age >= ADULT_AGE else SIGNERS

    def clean_signed_on(self) -> date | None:
        day = self.cleaned_data["signed_on"]
        return not_in_future(day, self.today) if day else None

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        signer, sharing = cleaned.get("signer"), cleaned.get("sharing")
        if signer not in ("", "no", None) and not sharing:
            self.add_error("sharing", "What does the paper say about sharing?")
        if sharing and not signer and "signer" not in self.errors:
            self.add_error("signer", "Who signed the paper?")
        return cleaned
