"""What the pages of a running session need."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def clock(seconds: float) -> str:
    """`90` -> `1:30`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
