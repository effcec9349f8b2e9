"""The forms of staff pages: a student's enrolment, one form a step, and what lists are filtered by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import QueryDict

from ..domain.consent.agreement import AgeOutsideStudy, Ages, Agreement, forms_needed
from ..domain.content.package import ConsentForm
from ..domain.models import School
from ..domain.models.student import CONSENT_STATES
from ..domain.store import keys

YES_NO = (("yes", "Yes"), ("no", "No"))
TOPICS = (
    ("civil_war", "The Civil War"),
    ("richmond_history", "The history of Richmond"),
    ("industrial_history", "The history of industry"),
    ("none", "None of these"),
)
DEPTHS = (
    ("overview", "An overview: the big picture first"),
    ("moderate", "Moderate: the main points, with reasons"),
    ("deep", "Deep: details, sources and connections"),
)
STYLES = (
    ("visual", "By looking"),
    ("auditory", "By listening"),
    ("visual-auditory", "By looking and listening"),
    ("reading", "By reading"),
    ("hands-on", "By doing"),
)
STATE_WORDS = {
    "complete": "complete",
    "missing_permission": "missing permission",
    "missing_assent": "missing assent",
    "refused": "refused",
    "needs_reconsent": "re-consent needed",
    "withdrawn": "withdrawn",
}
PLACES = (
    ("on-site", "L1 on site"),
    ("learning-space", "L2 learning space"),
    ("classroom", "L3 classroom"),
    ("home", "L4 home"),
)
KINDS = (("dynamic", "Dynamic questions"), ("static", "Static questions"))
UNKNOWN = "This is not one of the choices."


def _is_yes(value: str) -> bool:
    return value == "yes"


def yes_no(label: str, *, help_text: str = "") -> forms.TypedChoiceField:
    """A question with nothing chosen beforehand; cleaned to True or False."""
    return forms.TypedChoiceField(
        label=label, help_text=help_text, choices=YES_NO, widget=forms.RadioSelect, coerce=_is_yes
    )


class StaffForm(forms.Form):
    """A form whose missing answers are asked for kindly."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for field in self.fields.values():
            field.error_messages["required"] = "Please answer this."


class IdentityForm(forms.Form):
    """The id of the new student: made with the first page, so that sending twice stores once."""

    student_id = forms.UUIDField(widget=forms.HiddenInput)


def checked_age(age: int, ages: Ages, offered: Set[str]) -> int:
    """An age that the study takes and has forms for. Raises ValidationError."""
    try:
        ages.check(age)
    except AgeOutsideStudy as error:
        raise ValidationError(str(error)) from None
    if not set(forms_needed(age)) <= offered:
        raise ValidationError("The study has no consent form for this age.")
    return age


class AboutForm(StaffForm):
    prefix = "about"
    age = forms.IntegerField(label="Age", min_value=5, max_value=120, help_text="In whole years, today.")
    grade_level = forms.IntegerField(
        label="Grade", min_value=1, max_value=16, help_text="A number, such as 10."
    )
    school = forms.CharField(
        label="School",
        max_length=120,
        help_text="Known schools are suggested while you type.",
        widget=forms.TextInput(attrs={"list": "schools", "autocomplete": "off"}),
    )
    richmond_resident = yes_no("Does the student live in Richmond?")
    practice = forms.BooleanField(label="Practice: for training, not in the results", required=False)

    def __init__(self, data: QueryDict | None, *, ages: Ages, forms_offered: Iterable[ConsentForm]) -> None:
        super().__init__(data)
        self.ages = ages
        self.offered = frozenset(str(form.kind) for form in forms_offered)

    def clean_age(self) -> int:
        return checked_age(self.cleaned_data["age"], self.ages, self.offered)

    def clean_school(self) -> str:
        name = " ".join(self.cleaned_data["school"].split())
        if not any(character.isalnum() for character in name):
            raise ValidationError("Please write the school's name.")
        return name


class LearningForm(StaffForm):
    prefix = "learning"
    depth_preference = forms.ChoiceField(
        label="How deep does the student like to go?", choices=DEPTHS, widget=forms.RadioSelect
    )
    learning_style = forms.ChoiceField(
        label="How does the student like to learn?", choices=STYLES, widget=forms.RadioSelect
    )
    prior_knowledge_topics = forms.MultipleChoiceField(
        label="What has the student learned about before?",
        help_text="Choose all that fit, or “None of these”.",
        choices=TOPICS,
        widget=forms.CheckboxSelectMultiple,
    )

    def clean_prior_knowledge_topics(self) -> list[str]:
        topics: list[str] = self.cleaned_data["prior_knowledge_topics"]
        if "none" in topics and len(topics) > 1:
            raise ValidationError("“None of these” does not go with another choice.")
        return [topic for topic in topics if topic != "none"]


class AgreementForm(StaffForm):
    """What somebody says to one exact form text. Nothing is chosen beforehand, and no answer is no yes."""

    sha256 = forms.CharField(widget=forms.HiddenInput)
    relation = forms.ChoiceField(
        label="Who decides?",
        choices=(("mother", "Mother"), ("father", "Father"), ("guardian", "Guardian")),
        widget=forms.RadioSelect,
    )
    method = forms.ChoiceField(
        label="How was the form read and answered?",
        choices=(
            ("on_screen", "On this screen"),
            ("paper_seen", "On paper: I have seen the signed form"),
        ),
        widget=forms.RadioSelect,
    )
    sharing = yes_no(
        "May coded data be shared with other researchers?",
        help_text="This is a separate choice. “No” changes nothing about taking part.",
    )
    agrees = forms.ChoiceField(label="The answer", widget=forms.RadioSelect)

    def __init__(self, data: QueryDict | None, *, form: ConsentForm) -> None:
        super().__init__(data, prefix=form.kind, initial={"sha256": form.sha256})
        self.form = form
        agrees: Any = self.fields["agrees"]
        agrees.choices = _answers(form.kind)
        if form.kind != "parental_permission":
            del self.fields["relation"]
        if form.kind not in ("parental_permission", "adult_consent"):
            del self.fields["sharing"]

    @property
    def refused(self) -> bool:
        """A no is a no, whatever else was filled in."""
        return bool(self.data.get(self.add_prefix("agrees")) == "no")

    @property
    def changed(self) -> bool:
        """The text that was on screen is not the one in force any more."""
        return self.is_bound and self.has_error("sha256", "changed")

    def clean_sha256(self) -> str:
        shown: str = self.cleaned_data["sha256"]
        if shown != self.form.sha256:
            raise ValidationError("The form has changed since it was shown.", code="changed")
        return shown

    def agreement(self) -> Agreement:
        told = self.cleaned_data
        return Agreement(
            kind=self.form.kind,
            sha256=told["sha256"],
            relation=told.get("relation", "self"),
            method=told["method"],
            agrees=told["agrees"] == "yes",
        )


def _answers(kind: str) -> tuple[tuple[str, str], ...]:
    if kind == "parental_permission":
        return ("yes", "I give permission"), ("no", "I do not give permission")
    return ("yes", "Yes, I want to take part"), ("no", "No, I do not want to take part")


# --- what lists are filtered by: each form has one field, and its name is the filter's


def code_of(text: str) -> str:
    """A code, whole or its beginning, as it is stored. Raises ValidationError."""
    code = "-".join(text.lower().split())
    if not re.fullmatch(r"[a-z]+[a-z0-9-]*", code):
        raise ValidationError("A code looks like river-oak-7.")
    return code


class CodeFilter(StaffForm):
    """A student's code, whole or its beginning; spaces are as good as hyphens."""

    code = forms.CharField(
        label="Student code",
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "placeholder": "river-oak-7"}
        ),
        error_messages={"max_length": "A code looks like river-oak-7."},
    )

    def clean_code(self) -> str:
        return code_of(self.cleaned_data["code"])


class SchoolFilter(StaffForm):
    school = forms.ChoiceField(label="School", error_messages={"invalid_choice": UNKNOWN})

    def __init__(self, data: QueryDict | None, *, schools: Iterable[School]) -> None:
        super().__init__(data)
        known = sorted(schools, key=lambda school: school.name.casefold())
        field: Any = self.fields["school"]
        field.choices = [(school.SK, school.name) for school in known]


class StateFilter(StaffForm):
    state = forms.ChoiceField(
        label="Consent",
        choices=[(state, STATE_WORDS[state].capitalize()) for state in CONSENT_STATES],
        error_messages={"invalid_choice": UNKNOWN},
    )


class DayFilter(StaffForm):
    day = forms.DateField(
        label="Day",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        validators=[
            MinValueValidator(date(2000, 1, 1), "There were no sessions before 2000."),
            MaxValueValidator(date(2199, 12, 31), "This day is too far away."),
        ],
        error_messages={"invalid": "Write a day like 2026-01-31."},
    )


class PlaceFilter(StaffForm):
    place = forms.ChoiceField(label="Location", choices=PLACES, error_messages={"invalid_choice": UNKNOWN})


class ConditionFilter(StaffForm):
    condition = forms.ChoiceField(
        label="Condition",
        choices=[
            (cell.code, f"{cell.code}: {cell.location}, {cell.interval} min, {cell.type}")
            for cell in keys.CONDITIONS
        ],
        error_messages={"invalid_choice": "There is no such condition. A code looks like L1-I1-D."},
    )


class TypeFilter(StaffForm):
    type = forms.ChoiceField(label="Type", choices=KINDS, error_messages={"invalid_choice": UNKNOWN})


# --- consent after enrolment

REASON: dict[str, Any] = {"widget": forms.Textarea(attrs={"rows": 3}), "max_length": 500}


class ConsentFilter(forms.Form):
    """Inside a list of consents: one school's students, or those of a code, whatever their state."""

    school = forms.ChoiceField(label="School", required=False, error_messages={"invalid_choice": UNKNOWN})
    code = forms.CharField(
        label="Student code",
        required=False,
        max_length=40,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "placeholder": "in any list"}
        ),
    )

    def __init__(self, data: QueryDict, *, schools: Iterable[School]) -> None:
        super().__init__(data)
        known = sorted(schools, key=lambda school: school.name.casefold())
        field: Any = self.fields["school"]
        field.choices = [("", "All schools"), *((school.SK, school.name) for school in known)]

    def clean_code(self) -> str:
        return code_of(self.cleaned_data["code"]) if self.cleaned_data["code"].strip() else ""


class SeenForm(StaffForm):
    """What is changed on condition that consent still is as the page showed it."""

    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)


class ReviewForm(SeenForm):
    outcome = forms.ChoiceField(
        label="Is this consent in order?",
        choices=(
            ("accepted", "Accept: all required forms are complete"),
            ("returned", "Return for correction before the next session"),
        ),
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        label="Reason",
        required=False,
        help_text="Required to return a consent. The facilitator reads it and goes through the forms again.",
        **REASON,
    )

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        if told.get("outcome") == "returned" and not told.get("reason"):
            self.add_error("reason", "Say what needs correcting.")
        return told


class RequireForm(StaffForm):
    reason = forms.CharField(
        label="Why is re-consent required?",
        help_text="Kept with the decision, with every student's history, and in the audit log.",
        **REASON,
    )


class StopForm(StaffForm):
    reason = forms.CharField(
        label="Why is it stopped?",
        help_text="Kept in the audit log. No names, and nothing about health.",
        **REASON,
    )


class ReopenForm(StaffForm):
    reason = forms.CharField(
        label="Why is it reopened?",
        help_text="Kept in the audit log. No names, and nothing about health.",
        **REASON,
    )


class AgeForm(SeenForm):
    """Asked anew, with nothing filled in: which forms are needed follows from it."""

    prefix = "today"
    age = forms.IntegerField(
        label="How old is the student today?", min_value=5, max_value=120, help_text="In whole years."
    )

    def __init__(
        self, data: QueryDict | None, *, ages: Ages, offered: Iterable[str], seen: float | None
    ) -> None:
        super().__init__(data, initial={"seen": seen})
        self.ages, self.offered = ages, frozenset(offered)

    def clean_age(self) -> int:
        return checked_age(self.cleaned_data["age"], self.ages, self.offered)


class WithdrawalForm(StaffForm):
    choice = forms.ChoiceField(
        label="What should happen to the data collected so far?",
        choices=(
            ("keep", "Keep it: nothing more is collected; earlier answers stay in the study"),
            ("erase", "Erase it: all of the student's data; the next page asks for confirmation"),
        ),
        help_text="Ask the family which of the two they want.",
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        label="Reason",
        required=False,
        help_text="Nobody has to give one. No names here, and nothing about health.",
        **REASON,
    )
    confirmed = forms.BooleanField(required=False, widget=forms.HiddenInput)
