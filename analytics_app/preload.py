"""What the first dashboard of a web process would wait for, done before anybody opens one.

Importing pandas, scipy and Altair takes most of a second. Starting the converter's JavaScript engine takes
half a second, in which no other thread of the process runs: right after the start that holds up few or none.
"""

from __future__ import annotations

import gc
from threading import Thread
from typing import Final

# The least that has axes and marks, so that all that charts share is ready.
ROWS: Final = [{"condition": "L1-I1-S", "n": 1, "expected": 1.0}]


def begin() -> Thread:
    """Beside the first requests. A fault goes to the log; sessions need none of this.

    Call it once in each process, after it was forked: neither the thread nor the engine is there in a child.
    The process ends only when this has, as a thread must not be left in foreign code.
    """
    thread = Thread(target=_warm, name="warming")
    thread.start()
    return thread


def _warm() -> None:
    from . import charts
    from .dashboards import chart_cards, tables  # noqa: F401 - imported so that they are there

    charts.render("allocation_balance", ROWS)
    gc.freeze()  # 300,000 objects that stay: each full collection would hold up every thread to look at them
