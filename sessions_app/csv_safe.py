"""CSV that a spreadsheet shows as text, whatever somebody wrote into it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator

FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n")
FORMULA = re.compile(rf"\s*[{re.escape(''.join(FORMULA_BEGINS))}]")


class _Line:
    """Stands where csv wants a file, and gives back what is written."""

    def write(self, text: str) -> str:
        return text


def lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Each row as a line. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    writer = csv.writer(_Line())
    return (writer.writerow([_safe(cell) for cell in row]) for row in rows)


def _safe(cell: object) -> object:
    if isinstance(cell, str) and FORMULA.match(cell):
        return f"'{cell}"
    return cell
