"""How figures are written on dashboards: a dash for none, a proper minus, intervals in brackets."""

from __future__ import annotations

from typing import Any

from django import template

from ..dashboards.format import contrast_words, number, p_value, signed_number, term_words

register = template.Library()


@register.filter
def dec(value: float | None, places: int = 1) -> str:
    return number(value, places)


@register.filter
def plus(value: float | None, places: int = 1) -> str:
    """With its sign."""
    return signed_number(value, places)


@register.filter
def between(interval: Any, places: int = 1) -> str:
    """`[19.8, 23.0]`; empty for no interval."""
    if interval is None:
        return ""
    return f"[{number(interval.low, places)}, {number(interval.high, places)}]"


@register.filter
def p(value: float) -> str:
    return p_value(value)


@register.filter
def term(name: str) -> str:
    return term_words(name)


@register.filter
def contrast(label: str) -> str:
    return contrast_words(label)


@register.filter
def as_cell(value: Any) -> str:
    """A value of a chart's table: numbers as they are, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return number(value, 2).removesuffix(".00")
    return f"{value:,}" if isinstance(value, int) else str(value)


@register.filter
def is_number(value: Any) -> bool:
    return isinstance(value, int | float)


@register.filter
def of(figures: Any, name: str) -> str:
    """A count of a group's sums."""
    return number(figures.sums[name], 0)


@register.filter
def usd(tutor: Any) -> str:
    return number(tutor.question_usd + tutor.grading_usd, 2)
