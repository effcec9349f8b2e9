"""What the lake's tables hold: columns of the exports, nothing direct, known without Django."""

import subprocess
import sys
from pathlib import Path

import pytest

from analytics_app.export import profiles
from analytics_app.export.columns import ID
from analytics_app.lake import tables

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", tables.NAMES)
def test_a_column_is_what_coded_exports_call_so(name: str) -> None:
    exported = {each.name: each for each in profiles.columns_of(tables.TABLES[name].level, "coded")}
    shared = [each for each in tables.schema(name) if each.name not in ("entity_key", "version")]
    assert len(shared) > 5
    for each in shared:
        assert (each.name, each.kind) == (exported[each.name].name, exported[each.name].kind)


@pytest.mark.parametrize("name", tables.NAMES)
def test_no_column_is_direct_and_every_id_is_coded(name: str) -> None:
    columns = tables.schema(name)
    assert [each.name for each in columns if "coded" not in each.exports] == ["entity_key", "version"]
    assert [each.name for each in columns if each.form == ID] == ["session_id", "student_id"]


@pytest.mark.parametrize("name", tables.NAMES)
def test_names_are_unique_and_every_kind_has_a_type_in_glue(name: str) -> None:
    names = [each.name for each in tables.schema(name)]
    assert len(names) == len(set(names))
    assert all(tables.GLUE[each.kind] for each in tables.schema(name))
    assert [(each.name, each.kind) for each in tables.labelled(name)] == [
        (each.name, each.kind) for each in tables.schema(name)
    ]


def test_what_lambda_imports_needs_neither_django_nor_data_frames() -> None:
    unwanted = ("django", "pandas", "pyarrow", "numpy", "pydantic", "scipy")
    program = (
        "import sys; from analytics_app.lake import tables, write; "
        "[tables.schema(name) for name in tables.NAMES]; "
        f"print([name for name in {unwanted!r} if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr
