"""What docs/operations.md says of costs and limits is the arithmetic over what was measured."""

from __future__ import annotations

import json
import math

import pytest

from infra import costs
from infra.lambda_package import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
UNITS = json.loads(costs.UNITS.read_text(encoding="utf-8"))
SESSION = UNITS["a session"]


def test_the_documented_costs_are_those_computed() -> None:
    assert costs.report(UNITS) in OPERATIONS


def test_the_parts_of_the_measured_units_add_up() -> None:
    parts = sum(SESSION[f"write of {part}"] for part in ("the table", *(f"GSI{n}" for n in range(1, 6))))
    assert parts == pytest.approx(SESSION["write"], abs=0.5)
    by_whom = sum(UNITS[who]["write"] for who in ("students", "worker"))
    assert by_whom == pytest.approx(SESSION["write"], abs=0.2)


@pytest.mark.parametrize(("index", "keys"), [("GSI1", 24), ("GSI3", 4), ("GSI4", 2), ("GSI5", 1)])
def test_the_documented_limits_of_keys_are_those_computed(index: str, keys: int) -> None:
    units = SESSION[f"write of {index}"]
    (line,) = [line for line in OPERATIONS.splitlines() if line.startswith(f"| {index} |")]
    assert f"| {keys} | {units} |" in line
    assert line.endswith(f"= {keys * 1000 / units:.0f} |")


def test_the_documented_figures_for_ten_million_are_those_computed() -> None:
    writes = costs.costs(UNITS)["million write units, on demand"][0] * 1000
    a_second = 10_000_000 / (200 * 6 * 3600)
    together = sum(dollars for _, dollars in costs.costs(UNITS).values())
    table = SESSION["write of the table"] + (costs.REPORTS - 4) * costs.UNITS_A_REPORT
    for told in (
        f"{writes:,.0f} units in some 40 minutes, {writes / 2400:.2f} a second",
        f"are {100 * writes / 2400:.0f} write units",
        f"carries {10 * 2400 / table:.0f} at once",
        f"at 100 units {100 * 2400 / table:.0f}.",
        f"are {a_second:.1f} a second: {round(a_second * writes, -2):,.0f} write units",
        f"{a_second * SESSION['write of GSI5']:.0f} a second on a day's key",
        f"{a_second * SESSION['write of GSI4'] / 2:.0f} on a kind's",
        f"{round(together * 10_000, -2):,.0f} dollars",
        f"{SESSION['bytes'] / 100:.0f} GB",
        f"so {math.ceil(100 * SESSION['write of GSI5'] / 700)} for GSI5",
        f"so {math.ceil(100 * SESSION['write of GSI4'] / 1400)} for\n  GSI4",
    ):
        assert told in OPERATIONS, told
