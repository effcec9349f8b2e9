"""The parts of the bench: a new one is a module here with `measure(bench) -> Outcome`, and one line below."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from .environment import Bench
from .results import Measured, Outcome


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    module: str
    title: str


PARTS: Final = (
    Part(1, "cost", "What actions cost"),
    Part(2, "analyses", "The schema's four analyses"),
    Part(3, "data_layer", "The data layer against raw botocore"),
    Part(4, "pages", "Pages under load"),
    Part(5, "throughput", "Export and stream worker"),
    Part(6, "web_vitals", "Page weight and Core Web Vitals"),
    Part(7, "growth", "Growth with the number of sessions"),
)


def run(part: Part, bench: Bench) -> Measured:
    """What a part found, or how it failed: the others go on."""
    begun, outcome, fault = time.monotonic(), Outcome(), None
    try:
        outcome = import_module(f"bench.{part.module}").measure(bench)
    except Exception as error:
        traceback.print_exc()
        fault = f"{type(error).__name__}: {error}"
    seconds = round(time.monotonic() - begun, 1)
    return Measured(part.number, part.title, seconds, outcome, fault)
