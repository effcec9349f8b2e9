"""What a part of the bench gives back: headline figures with their goals, and tables with all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Cell = str | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the printed table. `beside`: in words, what the value stands next to.

    `why` tells why a goal is missed, where that is known.
    """

    what: str
    value: float
    unit: str
    beside: str = ""
    goal: float | None = None
    sense: Literal["at most", "at least"] = "at most"
    why: str = ""

    @property
    def met(self) -> bool | None:
        """None for a figure without a goal."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.sense == "at most" else self.value >= self.goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`columns` carry their units; `note` says how the figures came about."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`left_out`: in a sentence each, what could not be compared here, and why."""

    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Measured:
    number: int
    title: str
    seconds: float
    outcome: Outcome
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "title": self.title,
            "seconds": self.seconds,
            "fault": self.fault,
            "figures": [{**asdict(figure), "met": figure.met} for figure in self.outcome.figures],
            "tables": [asdict(table) for table in self.outcome.tables],
            "left_out": self.outcome.left_out,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Measured:
        figures = [
            Figure(**{name: value for name, value in each.items() if name != "met"})
            for each in told["figures"]
        ]
        tables = [Table(**{**each, "columns": tuple(each["columns"])}) for each in told["tables"]]
        outcome = Outcome(figures, tables, told["left_out"])
        return cls(told["number"], told["title"], told["seconds"], outcome, told["fault"])
