"""Numbers and names of the study as they are read on a page."""

from __future__ import annotations

NAMES = {
    "on-site": "on site",
    "learning-space": "learning space",
    "baseline_score": "baseline score",
    "type": "intervention type",
}


def number(value: float | None, places: int = 1) -> str:
    """`1,234.5`, with a proper minus, never -0; a dash for none."""
    if value is None:
        return "–"
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if not any(c in "123456789" for c in text) else text.replace("-", "−")


def signed_number(value: float | None, places: int = 1) -> str:
    text = number(value, places)
    return f"+{text}" if value is not None and value > 0 and any(c in "123456789" for c in text) else text


def p_value(p: float) -> str:
    """`0.041`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def term_words(name: str) -> str:
    """A row of the analysis: `location x type` -> `location × intervention type`."""
    return " × ".join(NAMES.get(part, part) for part in name.split(" x "))


def contrast_words(label: str) -> str:
    """`on-site - other locations` -> `on site − other locations`."""
    text = label.replace(" - ", " − ")
    for key, words in NAMES.items():
        if key not in ("type", "baseline_score"):
            text = text.replace(key, words)
    return text
