"""What the records pages know of an entity: what a list shows, and by which queries it is read.

Titles, meanings, units and types come from the codebook; keys from `keys`; who sees what from `field_policy`.
A source is one query of one index: what has no query has no list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

from sessions_app.access import field_policy
from sessions_app.domain.models import Item
from sessions_app.domain.models.student import CONSENT_STATES
from sessions_app.domain.store import keys
from sessions_app.forms.staff import KINDS, PLACES, STATE_WORDS, UNKNOWN

from .raw_items import Span

READERS: Final = ("researcher", "irb", "admin")


# --- what is asked for


class DayField(forms.DateField):
    def __init__(self, label: str, **options: Any) -> None:
        super().__init__(
            label=label,
            widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            input_formats=["%Y-%m-%d"],
            validators=[
                MinValueValidator(date(2000, 1, 1), "There were no sessions before 2000."),
                MaxValueValidator(date(2199, 12, 31), "This day is too far away."),
            ],
            error_messages={"invalid": "Write a day like 2026-01-31."},
            **options,
        )


class IdField(forms.CharField):
    """Text that may stand in a key; `pattern` narrows it."""

    def __init__(
        self, label: str, *, pattern: str = r"[A-Za-z0-9_.-]{1,64}", like: str, **options: Any
    ) -> None:
        super().__init__(label=label, widget=forms.TextInput(attrs={"autocomplete": "off"}), **options)
        self.pattern, self.like = pattern, like

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if text and not re.fullmatch(self.pattern, text):
            raise ValidationError(f"Not valid. It looks like {self.like}.")
        return text


def _chosen(label: str, choices: Any) -> Callable[[], forms.Field]:
    """The first choice is taken until another one is."""
    first = choices[0][0]
    errors = {"invalid_choice": UNKNOWN}
    return lambda: forms.ChoiceField(label=label, choices=choices, initial=first, error_messages=errors)


CELLS = [
    (cell.code, f"{cell.code}: {cell.location}, {cell.interval} min, {cell.type}") for cell in keys.CONDITIONS
]
STATES = [(state, STATE_WORDS[state].capitalize()) for state in CONSENT_STATES]


def _today() -> date:
    return datetime.now(UTC).date()


Fields = Mapping[str, Callable[[], forms.Field]]

DAY: Final[Fields] = {"day": lambda: DayField("Day (UTC)", initial=_today)}
CONDITION: Final[Fields] = {"condition": _chosen("Condition", CELLS)}
PLACE: Final[Fields] = {"place": _chosen("Location", PLACES)}
REVIEWED: Final[Fields] = {"kind": _chosen("Answers", (("short", "Short answers"), ("dialogue", "Dialogue")))}
TYPE: Final[Fields] = {"type": _chosen("Type", KINDS)}
STATE: Final[Fields] = {"state": _chosen("Consent", STATES)}
SESSION: Final[Fields] = {
    "session": lambda: IdField("Session id", like="7f3e8b2a-1c4d-4e9f-b2a1-9d8e7c6b5a4f")
}
STUDENT: Final[Fields] = {
    "student": lambda: IdField("Student id", like="550e8400-e29b-41d4-a716-446655440000")
}
CODE: Final[Fields] = {
    "code": lambda: IdField("Code, or its beginning", pattern=r"[a-z][a-z0-9-]{0,39}", like="river-oak-7")
}
DAYS: Final[Fields] = {
    "start": lambda: DayField("From (UTC)", required=False),
    "end": lambda: DayField("To (UTC)", required=False),
}
MONTH: Final[Fields] = {
    "month": lambda: IdField("Month", pattern=r"\d{4}-(0[1-9]|1[0-2])", like="2026-03", required=False)
}
WORKER: Final[Fields] = {"worker": lambda: IdField("Worker", like="stream")}


# --- what is declared


@dataclass(frozen=True, slots=True)
class Source:
    """One way to list an entity: a query whose partition, and part of it, follow from what is asked for.

    `only`: other entities share the partition, so others are filtered; `read` is then how many items it holds
    for each that is shown. `orders` are the words for the index's order and its reverse.
    """

    name: str
    title: str
    fields: Fields = field(default_factory=dict)
    _: KW_ONLY
    index: int | None = None
    partition: Callable[..., str]
    span: Callable[..., Span] = lambda **_: Span()
    only: bool = False
    read: int = 1
    reverse: bool = False
    orders: tuple[str, str] = ("Oldest first", "Newest first")


@dataclass(frozen=True, slots=True)
class Column:
    """A path of the codebook; label and unit are the codebook's unless given. `link`: opens the item."""

    path: str
    label: str = ""
    link: bool = False
    show: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """A link from an item, by the text at `path`: to an item, to a list of an entity, or to a page."""

    title: str
    path: str
    entity: str = ""
    key: Callable[[str], tuple[str, str]] | None = None
    source: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """`find`: the key of an item by its id or code, for the search. `actions` lead to pages of the site."""

    title: str
    group: str
    model: type[Item]
    columns: Sequence[Column]
    sources: Sequence[Source]
    find: Callable[[str], tuple[str, str]] | None = None
    related: Sequence[Related] = ()
    actions: Sequence[Related] = ()

    @property
    def name(self) -> str:
        """The `entity_type` of its items, which also stands in addresses."""
        discriminator: Any = Item.get_attributes()["entity_type"]
        return str(discriminator.get_discriminator(self.model))

    @property
    def roles(self) -> frozenset[str]:
        """Who opens its records: whoever sees anything of it."""
        return field_policy.readers(self.name) & frozenset(READERS)

    def source(self, name: str) -> Source | None:
        return next((source for source in self.sources if source.name == name), None)


# --- the parts that declarations share


def days_between(start: date | None, end: date | None, **_: Any) -> Span:
    """Days without their times: a stamp of a day sorts behind the day, and before the next."""
    after = (end or date(2199, 12, 31)) + timedelta(days=1)
    return Span(low=f"{start or date(2000, 1, 1)}", high=f"{after}")


def in_session(prefix: str) -> Source:
    """The items of one session whose sort key begins so."""
    return Source(
        "session",
        "By session",
        SESSION,
        partition=lambda session, **_: keys.session(session),
        span=lambda **_: Span(prefix=prefix),
        orders=("First to last", "Last to first"),
    )


def by_student(prefix: str) -> Source:
    """The items under a student's own key whose sort key begins so."""
    return Source(
        "student",
        "By student",
        STUDENT,
        partition=lambda student, **_: keys.student(student),
        span=lambda **_: Span(prefix=prefix),
    )


def profile_key(student_id: str) -> tuple[str, str]:
    return keys.student(student_id), keys.PROFILE


def session_key(session_id: str) -> tuple[str, str]:
    return keys.session(session_id), keys.METADATA


def directory_key(code: str) -> tuple[str, str]:
    return keys.STUDENT_DIRECTORY, code


SESSION_PAGE = Related(title="Open the session page", path="session_id", page="session")
STUDENT_PAGE = Related(title="Open the student page", path="student_id", page="student")

# Whatever has such an attribute is linked so.
EVERYWHERE: Final = (
    Related(title="Session", path="session_id", entity="session", key=session_key),
    Related(title="Student profile", path="student_id", entity="student_profile", key=profile_key),
    Related(title="Sessions of this student", path="student_id", entity="session", source="student"),
    Related(
        title="Directory entry", path="student_code", entity="student_directory_entry", key=directory_key
    ),
    Related(
        title="Statistics of the condition",
        path="condition_code",
        entity="condition_statistics",
        source="condition",
    ),
)
