"""What dashboards are filtered by. Addresses hold the filters, so that what is seen can be shared."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.http import urlencode

from sessions_app.domain.store import keys
from sessions_app.forms.staff import PLACES, UNKNOWN

from ..statistics import items as statistics_items
from ..statistics.queries import Months
from . import selection
from .selection import Chosen

UNITS = (("day", "Day"), ("week", "Week"), ("month", "Month"))
REALMS = [(realm, realm.capitalize()) for realm in keys.COUNTED_REALMS]
FLAGGED = (("all", "With flagged sessions"), ("clean", "Without flagged sessions"))


class MonthField(forms.CharField):
    """A calendar month in UTC, as text like 2026-01."""

    widget = forms.TextInput(attrs={"type": "month", "placeholder": "2026-01"})

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        try:
            first = statistics_items.first_day(text)
        except ValueError:
            raise ValidationError("Write a month like 2026-01.") from None
        if not 2000 <= first.year <= 2199:
            raise ValidationError("Choose a month from 2000 to 2199.")
        return selection.month_of(first)


def _choice(label: str, choices: Iterable[tuple[str, str]], every: str = "All") -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        choices=[("", every), *choices],
        required=False,
        error_messages={"invalid_choice": UNKNOWN},
    )


FIELDS: dict[str, Any] = {
    "location": lambda: _choice("Location", PLACES),
    "interval": lambda: _choice(
        "Interval", [(text, f"{float(text):g} minutes") for text in keys.INTERVALS.values()]
    ),
    "type": lambda: _choice("Type", [(kind, kind) for kind in keys.TYPES.values()]),
    "unit": lambda: _choice("By", UNITS[:2], every="Month"),
    "flagged": lambda: _choice("Flags", FLAGGED[1:], every=FLAGGED[0][1]),
}


class ChosenForm(forms.Form):
    """Months (the last 12) and realm (real), unless said otherwise, and those of FIELDS that a page names."""

    def __init__(self, sent: QueryDict, *, names: Iterable[str] = (), today: date) -> None:
        self.sent = sent
        super().__init__(self._filled(sent, today))
        self.fields["from"] = MonthField(label="From")
        self.fields["to"] = MonthField(label="To")
        self.fields["realm"] = forms.ChoiceField(
            label="Sessions", choices=REALMS, error_messages={"invalid_choice": UNKNOWN}
        )
        for name in names:
            self.fields[name] = FIELDS[name]()
        for field in self.fields.values():
            field.required = False  # what is missing was filled in

    @staticmethod
    def _filled(sent: QueryDict, today: date) -> dict[str, str]:
        data = {name: str(value) for name, value in sent.items()}
        this = selection.month_of(today)
        data["to"] = data.get("to") or this
        data["realm"] = data.get("realm") or "real"
        if not data.get("from"):
            try:
                data["from"] = selection.months_before(data["to"], selection.USUAL_MONTHS - 1)
            except ValueError:
                data["from"] = this  # the other month is at fault, and says so
        return data

    def clean(self) -> dict[str, Any]:
        told = self.cleaned_data
        first, last = told.get("from"), told.get("to")
        if first and last and first > last:
            self.add_error("to", "The last month lies before the first.")
        elif first and last and selection.length(Months(first, last)) > selection.MAX_MONTHS:
            self.add_error("from", f"Choose at most {selection.MAX_MONTHS} months at a time.")
        return told

    def chosen(self) -> Chosen:
        """Of a valid form."""
        told = self.cleaned_data
        conditions = {name: told.get(name) or None for name in ("location", "interval", "type")}
        return Chosen(Months(told["from"], told["to"]), told["realm"], **conditions)

    def value(self, name: str) -> str:
        return str(self.cleaned_data.get(name) or "")

    @property
    def query(self) -> str:
        """What was asked for as it stands in an address, without what was filled in."""
        return urlencode({name: self.value(name) for name in self.fields if self.sent.get(name)})

    def query_in(self, realm: str) -> str:
        """The same choice in another realm."""
        chosen = {name: self.value(name) for name in self.fields if self.sent.get(name)}
        return urlencode(chosen | {"realm": realm})

    @property
    def whole_query(self) -> str:
        """The same with the months, whatever day it is read on."""
        return urlencode({name: self.value(name) for name in self.fields if self.value(name)})

    @property
    def months_query(self) -> str:
        """What all dashboards share."""
        return urlencode({name: self.value(name) for name in ("from", "to", "realm") if self.sent.get(name)})
