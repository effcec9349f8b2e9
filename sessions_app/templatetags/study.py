"""How the study's values are written on staff pages."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.template import Context
from django.urls import reverse
from django.utils import formats
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from .. import study
from ..domain.models import Item, Session
from ..forms.staff import STATE_WORDS
from ..presenters import audit_log as audit_words
from ..presenters import session_timeline

register = template.Library()

SESSION_TONES = {
    "completed": "ok",
    "running": "info",
    "stopped": "warn",
    "abandoned": "warn",
    "withdrawn": "bad",
}
CONSENT_TONES = {"complete": "ok", "refused": "bad", "withdrawn": "bad"}
REVIEW_WORDS = {"awaiting": "awaiting review", "accepted": "accepted", "returned": "returned"}
REVIEW_TONES = {"awaiting": "info", "accepted": "ok", "returned": "bad"}
PART_READERS = ("researcher",)
RAW_READERS = {
    "student_profile": ("researcher", "irb"),
    "student_directory_entry": ("researcher", "irb"),
    "consent_event": ("researcher", "irb"),
    "audit_entry": (),
}
"""Who opens the raw record of a kind beside administrators; the record's own page has the last word."""
DAY = "M j, Y"
TIME = "H:i"


@register.filter
def local(moment: datetime | None, how: str = f"{DAY}, {TIME}") -> str:
    """A moment in the study's time zone, in Django's date format; empty for none."""
    return formats.date_format(moment.astimezone(study.zone()), how) if moment else ""


@register.filter
def span(seconds: float | None) -> str:
    return "" if seconds is None else session_timeline.span(seconds)


@register.simple_tag(takes_context=True)
def raw_record(context: Context, item: Item) -> str:
    """The address of an item's raw record; empty for readers who may not see it."""
    kind = item.kind
    readers = {"admin", *RAW_READERS.get(kind, PART_READERS if kind else ())}
    if readers.isdisjoint(context.get("roles") or ()):
        return ""
    query = urlencode({"pk": item.PK, "sk": item.SK})
    return f"{reverse('record_item', args=[kind or 'other'])}?{query}"


@register.filter
def signed(number: float | None, decimals: int = 1) -> str:
    """A difference with its sign; a dash for none."""
    if number is None:
        return "–"
    return f"{round(number, decimals) + 0:+.{decimals}f}".replace("-", "−")  # + 0: no minus before a zero


@register.filter
def words(name: str | None) -> str:
    return name.replace("_", " ") if name else session_timeline.UNKNOWN


ERASURE_STEPS = {
    "table": "items of the table that writers under way or other software put back",
    "statistics": "the session's part in the statistics",
    "web_sessions": "browsers that are bound to a session of this student",
    "exports": "files of exports that may hold this student",
    "lake": "the lake, which waits a minute for its reader",
}


@register.filter
def erasure_step(name: str) -> str:
    """What a step of an erasure takes away."""
    return ERASURE_STEPS.get(name, name)


@register.filter
def deed(action: str) -> str:
    """What an entry of the audit log says was done."""
    return audit_words.WORDS.get(action, action)


@register.filter
def progress(session: Session) -> session_timeline.Progress:
    return session_timeline.progress(session)


@register.filter
def state(session: Session) -> str:
    return session_timeline.state_of(session)


@register.filter
def state_words(state: str) -> str:
    return session_timeline.words(state)


@register.filter
def consent_words(state: str | None) -> str:
    return STATE_WORDS.get(state or "", state or "not known")


@register.filter
def review_words(state: str | None) -> str:
    return REVIEW_WORDS.get(state or "awaiting", state or "")


@register.simple_tag
def chip(text: object, tone: str = "") -> SafeString:
    """A short state, with the sign and color of its tone: ok, warn, bad, info or none."""
    return format_html('<span class="{}">{}</span>', f"chip {tone}".strip(), text)


@register.simple_tag
def state_chip(state: str) -> SafeString:
    return chip(state_words(state), SESSION_TONES.get(state, ""))


@register.simple_tag
def consent_chip(state: str | None, prefix: str = "") -> SafeString:
    return chip(prefix + consent_words(state), CONSENT_TONES.get(state or "", "warn"))


@register.simple_tag
def review_chip(state: str | None) -> SafeString:
    return chip(review_words(state), REVIEW_TONES.get(state or "awaiting", ""))


US_ZONES = {
    "America/New_York": "Eastern Time",
    "America/Chicago": "Central Time",
    "America/Denver": "Mountain Time",
    "America/Phoenix": "Mountain Time",
    "America/Los_Angeles": "Pacific Time",
}


@register.simple_tag
def zone_name() -> str:
    """The study's time zone, as people there call it."""
    zone = str(study.zone())
    return US_ZONES.get(zone, zone)


@register.filter
def in_feet(meters: float) -> str:
    """`164 ft (50 m)`."""
    return f"{meters / 0.3048:.0f} ft ({meters:.0f} m)"


@register.filter
def flag_meaning(flag: str) -> str:
    return session_timeline.FLAG_MEANINGS.get(flag, "This flag is not one of the study's.")
