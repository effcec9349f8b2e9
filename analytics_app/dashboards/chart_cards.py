"""A chart on a page: its words, its numbers and the version of its data; and the data kept by version.

A version is a digest of the rows themselves, so a picture with the right version is right for ever, and
pages hand their charts' rows over without a second reading of the statistics.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from .. import charts
from ..charts.sources import Rows
from ..charts.theme import NARROW, WIDE

MAX_CACHED = 256
MAX_SHOWN = 150  # rows of the table beside a chart; all are in the CSV
WIDTHS: Final = {"wide": WIDE, "narrow": NARROW}
SIZES: Final = {
    "gain_by_condition": (705, 787),
    "condition_cells": (725, 292),
    "score_distribution": (718, 373),
    "before_after": (538, 544),
    "student_sessions": (713, 423),
    "participant_flow": (686, 329),
    "allocation_balance": (704, 274),
    "sessions_over_time": (694, 344),
    "gain_over_time": (704, 313),
    "question_quality": (651, 201),
    "ai_latency": (713, 308),
    "ai_cost": (708, 298),
    "primary_forest": (700, 420),
    "power_curve": (700, 300),
}
"""Pixels at the wide size, to within a few: room for the picture until it is there."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a page needs to show a chart. `query` is that of the picture's address, with the version."""

    name: str
    title: str
    alt: str
    version: str
    query: str
    table: charts.Table
    meanings: tuple[tuple[str, str], ...]
    empty: bool
    why_empty: str
    width: int
    height: int
    rows_left_out: int


def figure(name: str, rows: Rows, query: str) -> Figure:
    """`query` is what the rows were chosen by, as it stands in an address."""
    kind = charts.KINDS[name]
    version = keep(name, rows)
    whole = charts.table(name, rows)
    joint = "&" if query else ""
    return Figure(
        name=name,
        title=kind.title,
        alt=charts.alt_text(name, rows),
        version=version,
        query=f"{query}{joint}v={version}",
        table=charts.Table(whole.columns, whole.rows[:MAX_SHOWN]),
        meanings=tuple(kind.columns.items()),
        empty=kind.is_empty(charts.registry.prepare(name, rows)),
        why_empty=kind.empty,
        width=SIZES[name][0],
        height=SIZES[name][1],
        rows_left_out=max(len(whole.rows) - MAX_SHOWN, 0),
    )


def version_of(rows: Rows) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:20]


# --- rows of pages that were shown lately

_kept: OrderedDict[tuple[str, str], Rows] = OrderedDict()
_lock = Lock()


def keep(name: str, rows: Rows) -> str:
    """The version under which the rows are kept."""
    version = version_of(rows)
    with _lock:
        _kept[name, version] = rows
        _kept.move_to_end((name, version))
        while len(_kept) > MAX_CACHED:
            _kept.popitem(last=False)
    return version


def kept(name: str, version: str) -> Rows | None:
    with _lock:
        return _kept.get((name, version))


def forget() -> None:
    """For tests."""
    with _lock:
        _kept.clear()


# --- pictures


def drawn(name: str, rows: Rows, *, version: str, form: str, theme: Any, size: str) -> tuple[bytes, str]:
    """The file and its media type."""
    if form == "csv":
        return charts.csv(name, rows).encode(), "text/csv; charset=utf-8"
    look = charts.Look(theme=theme, width=WIDTHS[size])
    shape: Any = form
    picture = charts.render(name, rows, version=version, form=shape, look=look)
    return picture.content, picture.media_type
