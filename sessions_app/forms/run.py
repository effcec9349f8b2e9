"""The forms of a running session. Each carries what makes sending it twice harmless."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django import forms
from django.core import signing

from ..domain.content.package import AssessmentItem, Package, SurveyField
from ..domain.models.content_delivery import DELIVERED_BY, FORMATS, SKIP_REASONS
from ..domain.models.survey import MAX_TEXT_LENGTH
from ..domain.session.content_delivery import Report
from ..domain.session.record import MAX_ANSWER_LENGTH
from ..domain.store import keys

SHOWN_SALT = "shown-at"
OTHER_PAGE = (
    "belongs to another step or session. Nothing was stored: open the step again and send it from there."
)
NO_NUMBER = "has no number, so nothing was stored: open the step again and send it from there."


class StepForm(forms.Form):
    """`submission_id` names this sending; `shown` signs for which page, and when, the form was made."""

    submission_id = forms.UUIDField(widget=forms.HiddenInput, error_messages={"required": NO_NUMBER})
    shown = forms.CharField(
        label="This page", widget=forms.HiddenInput, error_messages={"required": OTHER_PAGE}
    )
    page = ""

    @classmethod
    def fresh(
        cls, *arguments: Any, now: datetime, page: str, initial: Mapping[str, Any] | None = None
    ) -> StepForm:
        """`page` names session and step: the form of another one is not taken for this."""
        shown = signing.dumps([page, keys.stamp(now)], salt=SHOWN_SALT)
        start = {"submission_id": uuid.uuid4(), "shown": shown, **(initial or {})}
        options: dict[str, Any] = {"initial": start}
        form = cls(*arguments, **options)
        form.page = page
        return form

    def clean_shown(self) -> datetime:
        try:
            page, shown = signing.loads(self.cleaned_data["shown"], salt=SHOWN_SALT)
        except (signing.BadSignature, ValueError, TypeError):
            raise forms.ValidationError(OTHER_PAGE) from None
        if page != self.page:
            raise forms.ValidationError(OTHER_PAGE)
        return keys.moment(shown)

    def shown_at(self) -> datetime:
        at: datetime = self.cleaned_data["shown"]
        return at

    def texts(self) -> list[str]:
        """What was written in words of one's own."""
        own = [name for name, field in self.fields.items() if isinstance(field, Words)]
        return [str(self.cleaned_data.get(name) or "") for name in own]

    def faults(self) -> list[dict[str, str]]:
        """What is wrong, in the order of the form; `target` is the id to lead to, if the page shows one."""
        general = [
            {"field": "", "label": "", "target": "", "text": str(text)} for text in self.non_field_errors()
        ]
        return general + [
            {
                "field": field.name,
                "label": str(field.label),
                "target": f"{field.auto_id}_group" if field.use_fieldset else str(field.id_for_label),
                "text": str(text),
            }
            for field in self
            for text in field.errors
        ]


def set_choices(form: forms.Form, name: str, choices: Sequence[tuple[str, str]]) -> None:
    """Offer choices that are only known with the form."""
    cast("forms.ChoiceField", form.fields[name]).choices = list(choices)


class Words(forms.CharField):
    """Free text as it will be stored: no NUL, and a line end is one character, as the browser counts it."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            value = value.replace("\x00", "").replace("\r\n", "\n")
        return super().to_python(value)


class AnswerForm(StepForm):
    """A free answer."""

    answer = Words(
        label="Your answer",
        max_length=MAX_ANSWER_LENGTH,
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off"}),
        error_messages={
            "required": "Please write something first, even a short thought.",
            "max_length": f"This is too long: at most {MAX_ANSWER_LENGTH:,} characters fit.",
        },
    )


class ChoiceForm(StepForm):
    """A multiple-choice answer."""

    answer = forms.ChoiceField(
        label="Your answer",
        widget=forms.RadioSelect,
        error_messages={
            "required": "Please choose one of the answers. A guess is fine.",
            "invalid_choice": "Please choose one of the answers shown.",
        },
    )

    def __init__(self, item: AssessmentItem, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        set_choices(self, "answer", [(option, option) for option in item.options])


class FormatForm(StepForm):
    """How the student follows the content. Nothing is preselected but speed."""

    format_chosen = forms.ChoiceField(
        label="How would you like to follow the story?",
        widget=forms.RadioSelect,
        choices=[(name, name) for name in FORMATS],
        error_messages={"required": "Please choose one way. You can read the words in each of them."},
    )
    speed = forms.TypedChoiceField(
        label="Speed",
        coerce=float,
        initial="1.0",
        widget=forms.RadioSelect,
        choices=[("0.8", "Slower"), ("1.0", "Normal"), ("1.2", "Faster")],
    )
    captions = forms.BooleanField(label="Show the words while listening", required=False)

    def __init__(self, package: Package, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        set_choices(self, "format_chosen", formats(package))


def formats(package: Package) -> list[tuple[str, str]]:
    """What is offered: video only where the package has one for every segment."""
    offered = [("audio", "Listen to it"), ("text", "Read it")]
    if all(segment.video for segment in package.segments):
        offered.append(("video", "Watch it"))
    return offered


class ReportForm(forms.Form):
    """What the player counted. Without JavaScript nothing is, and the server's clock stands in."""

    position = forms.FloatField(min_value=0, max_value=86_400, required=False)
    played = forms.FloatField(min_value=0, max_value=86_400, required=False)
    pauses = forms.IntegerField(min_value=0, max_value=10_000, required=False)
    rewinds = forms.IntegerField(min_value=0, max_value=10_000, required=False)
    muted = forms.FloatField(min_value=0, max_value=86_400, required=False)
    heard = forms.RegexField(r"^[0-9.]+-[0-9.]+( [0-9.]+-[0-9.]+)*$", max_length=2000, required=False)
    delivered_by = forms.ChoiceField(choices=[(name, name) for name in DELIVERED_BY], required=False)
    skip_reason = forms.ChoiceField(choices=list(SKIP_REASONS.items()), required=False)

    def clean_heard(self) -> list[tuple[float, float]]:
        """Pairs of seconds in the segment, as in "0-37.5 40-150"."""
        try:
            pairs = [part.split("-") for part in self.cleaned_data["heard"].split()]
            return [(float(first), float(last)) for first, last in pairs]
        except ValueError:
            raise forms.ValidationError("is not a list of seconds") from None

    def report(self, *, otherwise: float) -> Report:
        """`otherwise` is how many seconds have gone by, for a page that counts nothing or nonsense."""
        told = self.cleaned_data
        played = otherwise if told.get("played") is None else told["played"]
        position = played if told.get("position") is None else told["position"]
        pauses, rewinds = told.get("pauses") or 0, told.get("rewinds") or 0
        return Report(
            position=position,
            played=played,
            pauses=pauses,
            rewinds=rewinds,
            muted=told.get("muted") or 0,
            heard=tuple(told.get("heard") or ()),
            delivered_by=told.get("delivered_by") or None,
            skip_reason=told.get("skip_reason") or None,
            as_sent=", ".join(self._as_sent()),
        )

    def _as_sent(self) -> Iterator[str]:
        for name, value in self.cleaned_data.items():
            if isinstance(value, (int, float)):
                yield f"{name} {value:g}"
            elif value:
                yield f"{name} {self.data[name]}"


class SurveyForm(StepForm):
    """One field for each of the package's survey, named `<group>__<field>`."""

    def __init__(self, package: Package, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.package = package
        for group in package.survey:
            for field in group.fields:
                self.fields[f"{group.name}__{field.name}"] = survey_field(field)

    def groups(self) -> list[tuple[str, list[tuple[forms.BoundField, SurveyField]]]]:
        """Titles with their bound fields, for the template."""
        return [
            (group.title, [(self[f"{group.name}__{field.name}"], field) for field in group.fields])
            for group in self.package.survey
        ]

    def answers(self) -> dict[str, dict[str, Any]]:
        """By group, then field. What was left empty is left out, so that it is missing and not blank."""
        answers: dict[str, dict[str, Any]] = {group.name: {} for group in self.package.survey}
        for group in self.package.survey:
            for field in group.fields:
                value = self.cleaned_data[f"{group.name}__{field.name}"]
                if value not in ("", None):
                    answers[group.name][field.name] = value
        return answers


def survey_field(field: SurveyField) -> forms.Field:
    missing = {"required": "Please choose one."}
    if field.kind == "text":
        return Words(
            label=field.label,
            required=field.required,
            max_length=MAX_TEXT_LENGTH,
            widget=forms.Textarea(attrs={"rows": 2}),
        )
    if field.kind == "rating":
        choices: list[tuple[str, str]] = [(str(n), str(n)) for n in range(1, 6)]
        coerce: Any = int
    elif field.kind == "yes_no":
        choices, coerce = [("yes", "Yes"), ("no", "No")], lambda said: said == "yes"
    else:
        choices, coerce = [(option.value, option.label) for option in field.options], str
    return forms.TypedChoiceField(
        label=field.label,
        required=field.required,
        choices=choices,
        coerce=coerce,
        empty_value=None,
        widget=forms.RadioSelect,
        error_messages=missing,
    )
