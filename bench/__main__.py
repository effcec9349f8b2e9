"""All figures in one run, side by side with what a user would do instead.

    make bench          about 21 minutes on 2 cores: writes bench/results.json, a plot, docs/performance.md
    make bench-quick    about 3 minutes, smaller sizes: writes to var/bench/ only
    .venv/bin/python -m bench [--quick] [--part N ...] [--seed S]
    .venv/bin/python -m bench --document    the tables of docs/performance.md anew from bench/results.json

Exit code 1 when a part could not be measured. A goal that is missed is told, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from . import environment, parts, report


def main() -> int:
    told = _options()
    if told.document:
        _write_document(json.loads(report.RESULTS.read_text(encoding="utf-8")))
        return 0
    chosen = [part for part in parts.PARTS if not told.part or part.number in told.part]
    is_kept = not told.quick and len(chosen) == len(parts.PARTS)
    plot = report.PLOT if is_kept else report.QUICK / report.PLOT.name
    with environment.prepared(quick=told.quick, seed=told.seed, plot=plot) as bench:
        measured = []
        for part in chosen:
            print(f"{part.number}. {part.title} ...", file=sys.stderr, flush=True)
            measured.append(parts.run(part, bench))
    results = report.results(measured, quick=told.quick, seed=told.seed)
    report.write(results, report.RESULTS if is_kept else report.QUICK / "results.json")
    if is_kept:
        _write_document(results)
    print(report.printed(results))
    return int(any(each.fault for each in measured))


def _options() -> argparse.Namespace:
    numbers = [part.number for part in parts.PARTS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, about 3 minutes")
    parser.add_argument(
        "--part", type=int, action="append", choices=numbers, help="this one; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the simulated sessions (default: 1)")
    parser.add_argument("--document", action="store_true", help="measure nothing, write the tables anew")
    return parser.parse_args()


def _write_document(results: dict[str, Any]) -> None:
    text = report.DOCUMENT.read_text(encoding="utf-8")
    report.DOCUMENT.write_text(report.document(results, text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
