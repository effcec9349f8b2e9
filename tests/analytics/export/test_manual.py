"""What docs/exports.md tells analysts to type works on a real export."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from django.core.management import call_command

from analytics_app.export import tables
from tests.analytics.record_pages import whole

MANUAL = (Path(__file__).parents[3] / "docs" / "exports.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", MANUAL, re.DOTALL)


@pytest.fixture(scope="module")
def unpacked(module_table: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    whole()
    out = tmp_path_factory.mktemp("manual")
    words = ["--include-simulated", "--unpack", "--quiet", "--labels"]
    call_command("export", "--profile", "coded", "--out", str(out), *words, stdout=io.StringIO())
    (folder,) = [each for each in out.iterdir() if each.is_dir()]
    return folder


def test_every_one_liner_for_duckdb_finds_something(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(unpacked)
    lines = [line for block in fenced("sql") for line in block.splitlines() if line]
    assert len(lines) > 4
    for line in lines:
        assert duckdb.sql(line).fetchall(), line


def test_what_it_tells_for_pandas_works(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(unpacked)
    names: dict[str, Any] = {}
    (program,) = fenced("python")
    exec(program, names)
    assert len(names["wide"]) == 1
    assert str(names["wide"]["session_start"].dtype).startswith("datetime64")
    assert names["questions"]["answer"].str.len().min() > 0
    assert names["questions"]["answer_depth"].dtype == float


def test_it_names_every_table_and_every_file(unpacked: Path) -> None:
    assert [level for level in tables.LEVELS if f"`{level}`" not in MANUAL] == []
    assert sorted(os.listdir(unpacked)) == ["codebook.csv", "csv", "csv_labels", "manifest.json", "parquet"]
