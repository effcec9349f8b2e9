"""The look of charts: colours of both themes, marks of places and types, what all charts have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sessions_app.domain.store import keys

Theme = Literal["light", "dark"]

# Text is measured here with Liberation Sans. Fonts of the same widths come first, so that what is laid out
# here fits in the reader's browser, too.
FONT: Final = "Arial, Helvetica, Liberation Sans, sans-serif"
WIDE, NARROW = 720, 340  # pixels: a column of a page, a phone

# Names, marks and colours always come together, so that nothing is told by colour alone.
PLACES: Final[Mapping[str, str]] = {
    "on-site": "L1 on site",
    "learning-space": "L2 space",
    "classroom": "L3 classroom",
    "home": "L4 home",
}
MARKS: Final[Mapping[str, str]] = {
    "on-site": "circle",
    "learning-space": "square",
    "classroom": "triangle-up",
    "home": "diamond",
}
ARMS: Final = tuple((interval, kind) for interval in keys.INTERVALS.values() for kind in keys.TYPES.values())


def minutes(interval: str) -> str:
    """`2.5`, `5`, `10`."""
    return f"{float(interval):g}"


def arm(interval: str, kind: str) -> str:
    return f"{minutes(interval)} min, {kind}"


ARM_ORDER: Final = [arm(*one) for one in ARMS]


@dataclass(frozen=True, slots=True)
class Look:
    """A theme and a width in pixels of the drawing area and its labels together, as near as can be."""

    theme: Theme = "light"
    width: int = WIDE

    @property
    def narrow(self) -> bool:
        return self.width < 520

    def __getattr__(self, name: str) -> str:
        """A colour token: `look.ink`."""
        try:
            return _COLOURS[self.theme][name]
        except KeyError:
            raise AttributeError(name) from None

    def place(self, key: str) -> str:
        return _PLACES[self.theme][key]

    @property
    def tint(self) -> list[str]:
        """From nothing to much, always pale enough for ink on top; darker is more, also in grey."""
        return ["#FFFFFF", "#8FBAD8"] if self.theme == "light" else ["#1B222A", "#3A6C90"]

    @property
    def ratings(self) -> list[str]:
        """1 to 5: warm to blue around a pale middle."""
        if self.theme == "light":
            return ["#B5562B", "#E3B08F", "#E4E1DA", "#9CC3DE", "#2F7AAC"]
        return ["#D9794B", "#8A5A40", "#3A434D", "#3A6C90", "#6FB3E3"]

    @property
    def on_ratings(self) -> list[str]:
        """Text that can be read on each of `ratings`."""
        if self.theme == "light":
            return ["#FFFFFF", "#1B1F24", "#1B1F24", "#1B1F24", "#FFFFFF"]
        return ["#12161B", "#F2EFE8", "#F2EFE8", "#F2EFE8", "#12161B"]

    def config(self) -> dict[str, Any]:
        """Vega-Lite's configuration."""
        text = {"labelColor": self.ink, "titleColor": self.ink, "labelFontSize": 14, "titleFontSize": 14}
        return {
            "background": self.surface,
            "font": FONT,
            "aria": False,
            "padding": 8,
            "view": {"stroke": None},
            "axis": {
                **text,
                "titleFontWeight": 600,
                "titlePadding": 10,
                "gridColor": self.grid,
                "domainColor": self.line,
                "tickColor": self.line,
                "labelPadding": 5,
                "labelFlush": False,
                "labelOverlap": True,
                "labelLimit": 260,
                "titleLimit": 700,
            },
            "legend": {
                **text,
                "orient": "top",
                "title": None,
                "labelLimit": 300,
                "symbolSize": 130,
                "symbolStrokeWidth": 2,
                "symbolOpacity": 1,
                "columnPadding": 18,
                "columns": 2 if self.narrow else 0,
            },
            "header": {**text, "labelFontWeight": 600, "title": None},
            "title": {"color": self.ink, "fontSize": 18, "fontWeight": 600, "anchor": "start", "offset": 14},
            "text": {"color": self.ink, "fontSize": 14},
        }


_COLOURS: Final[Mapping[str, Mapping[str, str]]] = {
    "light": {
        "surface": "#FFFFFF",
        "ink": "#1B1F24",
        "muted": "#4A5058",
        "line": "#8C8A84",
        "grid": "#E4E1DA",
        "accent": "#0B4F7A",
        "ok": "#0F5C3A",
        "warn": "#6E4300",
        "bad": "#8F1D1D",
        "pale": "#C9DCE8",
    },
    "dark": {
        "surface": "#1B222A",
        "ink": "#F2EFE8",
        "muted": "#B9BEC6",
        "line": "#6B7480",
        "grid": "#313A44",
        "accent": "#8CCBF5",
        "ok": "#7FD6A8",
        "warn": "#F0C36D",
        "bad": "#F5A3A3",
        "pale": "#34506A",
    },
}
_PLACES: Final[Mapping[str, Mapping[str, str]]] = {
    "light": {
        "on-site": "#A63D12",
        "learning-space": "#0B5A96",
        "classroom": "#00664F",
        "home": "#6B5400",
    },
    "dark": {
        "on-site": "#F0976B",
        "learning-space": "#8CC4F5",
        "classroom": "#6FD0B5",
        "home": "#E0C44F",
    },
}
