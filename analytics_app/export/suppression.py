"""Which of a participant's circumstances a public export may tell: those that enough others share.

Whoever sat beside a participant knows the place, the week, perhaps the kind of questions. So rows are put
into classes, split by one circumstance after the other, and a class of 1 to 10 participants is not told
apart: its value becomes empty. As it could be found by subtraction, the smallest of the classes beside it is
made empty too (complementary suppression). In the end every class, told or not, holds at
least 11 participants, and so does every sum and every difference of classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

Value = str | int | float | bool | None
Cell = tuple[Value, ...]

SMALLEST_CLASS: Final = 11
CIRCUMSTANCES: Final = ("location", "type", "interval", "age_band", "week", "resident")
"""In the order in which they are split, those that analysts need most first."""


def told(counts: Mapping[Cell, int], *, smallest: int = SMALLEST_CLASS) -> dict[Cell, Cell]:
    """For each cell the circumstances that may be told of it; without an entry its rows stay out altogether.

    `counts` are participants. A participant of several cells may be counted in only one of them.
    """
    if sum(counts.values()) < smallest:
        return {}
    found: dict[Cell, Cell] = {}
    width = len(next(iter(counts)))
    _split(list(counts), (), width, counts, smallest, found)
    return found


def _split(
    cells: Iterable[Cell],
    prefix: Cell,
    width: int,
    counts: Mapping[Cell, int],
    smallest: int,
    found: dict[Cell, Cell],
) -> None:
    cells = list(cells)
    if len(prefix) == width:
        found.update(dict.fromkeys(cells, prefix))
        return
    children: dict[Value, list[Cell]] = defaultdict(list)
    for cell in cells:
        children[cell[len(prefix)]].append(cell)
    sizes = {value: sum(counts[cell] for cell in inside) for value, inside in children.items()}
    hidden = _hidden(sizes, smallest)
    if hidden:
        together = [cell for value in hidden for cell in children[value]]
        _split(together, (*prefix, None), width, counts, smallest, found)
    for value in sizes.keys() - hidden:
        _split(children[value], (*prefix, value), width, counts, smallest, found)


def _hidden(sizes: Mapping[Value, int], smallest: int) -> set[Value]:
    """The values that are not told: the small ones, and at least one that is not small.

    So whoever knows this rule cannot tell which of the hidden are the small ones; values of the same size are
    hidden together, as the choice between them would tell. What is unknown anyway looks like what is hidden.
    """
    hidden = {value for value, size in sizes.items() if size < smallest}
    if not hidden:
        return hidden
    hidden |= {None} & sizes.keys()
    for size in sorted({sizes[value] for value in sizes.keys() - hidden}):
        hidden |= {value for value in sizes if sizes[value] == size}
        if sum(sizes[value] for value in hidden) >= smallest:
            break
    return hidden
