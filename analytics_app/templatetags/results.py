"""How arms and locations are named on the confirmatory page."""

from __future__ import annotations

from django import template

from ..dashboards.format import NAMES

register = template.Library()


@register.filter
def arm(arms: dict[str, str], kind: str) -> str:
    """The name that the page gives to a question type, which may hide it."""
    return arms[kind]


@register.filter
def place_words(location: str | None) -> str:
    """`on-site` -> `On site`; none are all of them."""
    if location is None:
        return "All locations"
    return NAMES.get(location, location).capitalize()


@register.filter
def size(value: float) -> float:
    """A difference without its sign."""
    return abs(value)
