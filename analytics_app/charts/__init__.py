"""Named charts, drawn with Altair and turned into SVG or PNG on the server, with their numbers beside them.

    from analytics_app import charts
    picture = charts.render("gain_by_condition", rows, version="2025-10-23T14:30:00Z")

`charts.KINDS` names every chart with the columns it needs. A page shows a picture by `<img>` with
`picture.alt`, or its own empty state where `picture.empty`. A chart is one function in this package.
"""

from importlib import import_module

from .registry import (
    KINDS,
    Kind,
    MissingColumns,
    Picture,
    Table,
    UnknownChart,
    alt_text,
    cache,
    csv,
    draw,
    render,
    table,
)
from .theme import Look

for _module in (
    "learning",
    "participants",
    "time",
    "dialogue",
    "results",
):  # importing them registers their charts, in this order
    import_module(f"{__name__}.{_module}")

__all__ = [
    "KINDS",
    "Kind",
    "Look",
    "MissingColumns",
    "Picture",
    "Table",
    "UnknownChart",
    "alt_text",
    "cache",
    "csv",
    "draw",
    "render",
    "table",
]
