"""How the texts of the codebook are written on pages."""

from __future__ import annotations

import re

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.filter
def prose(markdown: str | None) -> SafeString:
    """`code` becomes code; a link, which leads inside the data dictionary, is left as its words."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", conditional_escape(markdown or ""))
    return mark_safe(re.sub(r"`([^`]*)`", r"<code>\1</code>", text))  # noqa: S308 - escaped above
