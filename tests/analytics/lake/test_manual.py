"""What docs/lake.md tells works on a real cohort, from the table to DuckDB; erasure included."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from django.core.management import call_command
from django.test import override_settings

from analytics_app.export.pseudonyms import Coder
from analytics_app.lake import tables
from sessions_app.domain import models
from sessions_app.domain.store import table as dynamodb_table
from socratic_site.local.dynamodb_local import REGION, Engine

MANUAL = (Path(__file__).parents[3] / "docs" / "lake.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sql\n(.*?)```", MANUAL, re.DOTALL)
ONE_LINERS = [line for block in BLOCKS for line in block.splitlines()]


def run(*words: str, **options: Any) -> None:
    call_command(*words, stdout=io.StringIO(), **options)


@pytest.fixture(scope="module")
def lake(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two simulated students, worked on and compacted."""
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)
    folder = tmp_path_factory.mktemp("manual")
    dynamodb_table.create(client, name="Test-manual-of-the-lake")
    models.configure(table_name="Test-manual-of-the-lake", region=REGION)
    with override_settings(
        SOCRATIC_TABLE="Test-manual-of-the-lake",
        EXPORT_KEY="the study's",
        VAR_DIR=folder / "var",
        LAKE_URL=str(folder / "lake"),
    ):
        run("simulate", students=2, seed=3, condition="L1-I3-D", verbosity=0)
        run("run_worker", once=True)
        shutil.copytree(folder / "lake", folder / "lines")
        run("compact_lake", quiet=True)
        yield folder / "lake"
    client.delete_table(TableName="Test-manual-of-the-lake")


def sessions(lake: Path) -> int:
    (told,) = duckdb.sql(f"SELECT count(*) FROM '{lake}/sessions/month=*/*.parquet'").fetchall()
    return int(told[0])


def test_every_one_liner_for_duckdb_finds_something(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lake)
    assert len(ONE_LINERS) > 5
    for line in ONE_LINERS[:-1]:
        assert duckdb.sql(line).fetchall(), line


def test_lines_and_parquet_together_count_nothing_twice(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = tmp_path / "both"
    shutil.copytree(lake, both)
    shutil.copytree(lake.parent / "lines", both, dirs_exist_ok=True)
    monkeypatch.chdir(both)
    assert sum(count for _, count in duckdb.sql(ONE_LINERS[-1]).fetchall()) == sessions(lake) == 2


def test_it_names_every_table(lake: Path) -> None:
    assert [name for name in tables.NAMES if f"`{name}`" not in MANUAL] == []
    assert {path.name for path in lake.iterdir() if path.is_dir()} == set(tables.NAMES)


def test_nothing_of_an_erased_student_is_in_the_lake_after_the_next_compaction(lake: Path) -> None:
    entry = next(iter(models.DirectoryEntry.all()))
    assert isinstance(entry, models.DirectoryEntry)
    code = Coder(b"the study's", "coded").code("student_id", entry.student_id)
    (theirs,) = duckdb.execute(
        f"SELECT session_id FROM '{lake}/sessions/month=*/*.parquet' WHERE student_id = ?", [code]
    ).fetchall()
    run("erase_student", entry.student_id, reason="asked for")
    run("run_worker", once=True)
    run("compact_lake", quiet=True)
    assert sessions(lake) == 1
    for name in tables.NAMES:
        files = f"{lake}/{name}/month=*/*.parquet"
        (left,) = duckdb.execute(
            f"SELECT count(*) FROM '{files}' WHERE student_id = ? OR session_id = ?", [code, theirs[0]]
        ).fetchall()
        assert left == (0,), name
    lines = [path for path in lake.rglob("*.jsonl") if path.relative_to(lake).parts[0] != "removals"]
    assert lines == []
