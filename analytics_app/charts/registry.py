"""The registry of charts, and what is done with one: draw, render, tell its numbers and its words."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Literal, TypeAlias

import altair as alt
import pandas as pd  # type: ignore[import-untyped]
import vl_convert

from .theme import Look

Data: TypeAlias = "pd.DataFrame | Iterable[Mapping[str, Any]]"
Source: TypeAlias = "Data | Callable[[], Data]"
Form = Literal["svg", "png"]
Drawn: TypeAlias = Any  # an Altair chart of any kind; most of Altair's own methods are typed no closer

MEDIA: Final[Mapping[str, str]] = {"svg": "image/svg+xml", "png": "image/png"}
PNG_SCALE = 2
# Text is laid out this much larger than it is drawn: where a browser has no font as narrow as the one that is
# measured here, labels are up to a fifth wider (DejaVu Sans, and a quarter in bold).
FONT_ALLOWANCE: Final = 1.22


class UnknownChart(LookupError):
    """No chart has this name."""


class MissingColumns(ValueError):
    """The data lack columns that the chart needs."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A chart. `columns` are what its data must have, with what they mean; no others are shown or given out.

    `tell` puts the data in a sentence or two for those who do not see the picture.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    draw: Callable[[pd.DataFrame, Look], Drawn]
    tell: Callable[[pd.DataFrame], str]
    empty: str

    def is_empty(self, data: pd.DataFrame) -> bool:
        return data.empty or ("n" in self.columns and not data["n"].fillna(0).sum() > 0)


@dataclass(frozen=True, slots=True)
class Picture:
    """`empty` pictures say so in themselves; a page rather shows `alt` as its empty state."""

    name: str
    title: str
    alt: str
    media_type: str
    content: bytes
    empty: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a chart. Missing values are None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


KINDS: Final[dict[str, Kind]] = {}


def chart(
    name: str,
    *,
    title: str,
    columns: Mapping[str, str],
    tell: Callable[[pd.DataFrame], str],
    empty: str = "No data yet.",
) -> Callable[[Callable[[pd.DataFrame, Look], Drawn]], Callable[[pd.DataFrame, Look], Drawn]]:
    """Register a drawing function. `empty` says why there may be nothing to show."""

    def register(function: Callable[[pd.DataFrame, Look], Drawn]) -> Callable[[pd.DataFrame, Look], Drawn]:
        KINDS[name] = Kind(name, title, columns, function, tell, empty)
        return function

    return register


def kind(name: str) -> Kind:
    """Raises UnknownChart."""
    try:
        return KINDS[name]
    except KeyError:
        raise UnknownChart(name) from None


def prepare(name: str, data: Source) -> pd.DataFrame:
    """The data as a frame of exactly the chart's columns. Raises UnknownChart or MissingColumns."""
    wanted = kind(name).columns
    given = data() if callable(data) else data
    frame = given if isinstance(given, pd.DataFrame) else pd.DataFrame(list(given))
    if frame.empty and not len(frame.columns):
        return pd.DataFrame(columns=list(wanted))
    lacking = [column for column in wanted if column not in frame.columns]
    if lacking:
        raise MissingColumns(f"{name} needs {', '.join(lacking)}")
    return frame[list(wanted)].reset_index(drop=True)


# --- what comes out


def draw(name: str, data: Source, look: Look | None = None, *, titled: bool = False) -> Drawn:
    """The Altair chart, in its look."""
    frame, look = prepare(name, data), look or Look()
    return _drawn(kind(name), frame, look, titled)


def _drawn(one: Kind, frame: pd.DataFrame, look: Look, titled: bool) -> Drawn:
    drawn = _nothing(one, look) if one.is_empty(frame) else one.draw(frame, look)
    if titled:
        drawn = drawn.properties(title=one.title)
    return drawn.configure(**look.config())


def _nothing(one: Kind, look: Look) -> Drawn:
    lines = pd.DataFrame({"line": [f"No data yet. {one.empty}"]})
    text = alt.Chart(lines).mark_text(fontSize=16, color=look.muted, limit=look.width).encode(text="line:N")
    return text.properties(width=look.width, height=80)


def render(
    name: str,
    data: Source,
    *,
    version: str | None = None,
    form: Form = "svg",
    look: Look | None = None,
    titled: bool | None = None,
) -> Picture:
    """A picture; kept by name, `version` of the data, form and look, so that `data` may be a function that
    is called only when the picture has to be drawn. Without a version nothing is kept.

    A PNG carries its title unless told otherwise, an SVG does not: the page has one.
    """
    look = look or Look()
    with_title = form == "png" if titled is None else titled
    key = (name, version, form, look, with_title)
    if version is not None and (kept := cache.get(key)) is not None:
        return kept
    one, frame = kind(name), prepare(name, data)
    spec = _drawn(one, frame, look, with_title).to_dict(validate=False)
    words = _words(one, frame)
    content = _svg(spec, words) if form == "svg" else _png(spec)
    picture = Picture(name, one.title, words, MEDIA[form], content, one.is_empty(frame))
    if version is not None:
        cache.put(key, picture)
    return picture


def _svg(spec: dict[str, Any], words: str) -> bytes:
    """The picture with its words inside, for whoever opens it alone."""
    text = vl_convert.vegalite_to_svg(_with_room_for_text(spec), allowed_base_urls=[])
    text = re.sub(
        r'font-size="([\d.]+)px"', lambda size: f'font-size="{float(size[1]) / FONT_ALLOWANCE:.4g}px"', text
    )
    start = text.index(">") + 1
    told = f"<title>{escape(words, quote=False)}</title>"
    return (text[: start - 1] + ' role="img">' + told + text[start:]).encode()


def _with_room_for_text(spec: Any) -> Any:
    if isinstance(spec, list):
        return [_with_room_for_text(part) for part in spec]
    if not isinstance(spec, dict):
        return spec
    return {
        key: value * FONT_ALLOWANCE
        if key.endswith(("ontSize", "Limit")) and isinstance(value, (int, float))
        else _with_room_for_text(value)
        for key, value in spec.items()
    }


def _png(spec: dict[str, Any]) -> bytes:
    return bytes(vl_convert.vegalite_to_png(spec, scale=PNG_SCALE, allowed_base_urls=[]))


def alt_text(name: str, data: Source) -> str:
    """What the chart shows, in words."""
    return _words(kind(name), prepare(name, data))


def _words(one: Kind, frame: pd.DataFrame) -> str:
    if one.is_empty(frame):
        return f"{one.title}: no data yet. {one.empty}"
    return f"{one.title}. {one.tell(frame)}"


def table(name: str, data: Source) -> Table:
    frame = prepare(name, data)
    rows = frame.astype(object).where(frame.notna(), None)
    return Table(tuple(frame.columns), tuple(tuple(row) for row in rows.itertuples(index=False)))


def csv(name: str, data: Source) -> str:
    """The numbers behind a chart; a missing value is an empty field."""
    text: str = prepare(name, data).to_csv(index=False, lineterminator="\r\n")
    return text


# --- pictures that were drawn


class Cache:
    """The pictures used last, at most `most` of them. Threads may share it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._pictures: OrderedDict[Any, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pictures)

    def get(self, key: Any) -> Picture | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def put(self, key: Any, picture: Picture) -> None:
        with self._lock:
            self._pictures[key] = picture
            self._pictures.move_to_end(key)
            while len(self._pictures) > self.most:
                self._pictures.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._pictures.clear()


cache: Final = Cache(256)
