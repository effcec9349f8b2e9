"""`manage.py export`: what it leaves in the folder, what it says, and what stops it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from django.core.management import CommandError, call_command

from analytics_app.export import read
from analytics_app.export.request import Choice
from sessions_app import study
from sessions_app.domain import export_jobs
from sessions_app.domain.models import AuditEntry
from tests.analytics import cohort
from tests.analytics.export import participants
from tests.analytics.export.participants import profile, took_part
from tests.analytics.export.test_writing import room_for
from tests.analytics.record_pages import whole
from tests.domain.cast import reason_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def table(module_table: str) -> str:
    return module_table


@pytest.fixture(scope="module", autouse=True)
def some(module_table: str) -> None:
    """A simulated session and three that are not."""
    whole()
    for code in ("L1-I1-D", "L4-I3-S", "L4-I3-D"):
        student = profile()
        participants.store((student, took_part(student, code)))


def export(out: Path, *words: str) -> str:
    told = io.StringIO()
    call_command("export", "--out", str(out), "--quiet", *words, stdout=told)
    return told.getvalue()


def test_after_a_simulated_cohort_it_leaves_one_zip_and_says_what_is_in_it(tmp_path: Path) -> None:
    told = export(tmp_path, "--profile", "coded", "--include-simulated")
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("coded-")
    assert file.stat().st_mode & 0o777 == 0o600
    assert f"{file}: 4 sessions" in told
    assert "left out: none" in told
    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read("manifest.json"))["filters"]["simulated"] == "included"
        assert "csv_labels/sessions.csv" not in archive.namelist()


def test_simulated_sessions_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    assert "3 sessions" in (told := export(tmp_path))
    assert "left out: 1 simulated" in told


def test_where_only_simulated_ones_are_left_it_says_how_to_have_them(tmp_path: Path) -> None:
    told = export(tmp_path, "--condition", "L1-I2-D")
    assert "0 sessions" in told
    assert "--include-simulated has simulated sessions in the export too" in told


def test_the_same_again_is_the_same_file(tmp_path: Path) -> None:
    export(tmp_path, "--labels")
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()
    export(tmp_path, "--labels")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [before]


def test_unpacked_it_can_be_asked_by_duckdb(tmp_path: Path) -> None:
    export(tmp_path, "--unpack", "--level", "sessions", "--condition", "L1-I1-D")
    (folder,) = [each for each in tmp_path.iterdir() if each.is_dir()]
    found = duckdb.sql(f"SELECT condition, count(*) FROM '{folder}/parquet/sessions.parquet' GROUP BY ALL")
    assert found.fetchall() == [("L1-I1-D", 1)]
    assert not (folder / "csv" / "surveys.csv").exists()


def test_the_audit_log_tells_of_it_before_the_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    replace = os.replace

    def watched(source: Any, target: Any) -> None:
        told = [each for each in AuditEntry.exports(cohort.NOON) if isinstance(each, AuditEntry)]
        seen.append([each for each in told if each.subject == Path(target).name])
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    export(tmp_path, "--profile", "full", "--reason", "a check of the consent forms")
    entry = seen[0][-1]
    assert (entry.action, reason_of(entry)) == ("export", "a check of the consent forms")
    assert entry.new["profile"] == "full"
    (file,) = tmp_path.iterdir()
    assert entry.subject == file.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "2026-03-02", "--to", "2026-03-01"], "--to: The last day lies before the first"),
        (["--from", "yesterday"], "--from: 'yesterday' is not a day like 2026-03-01"),
        (["--condition", "L9-I1-D"], "--condition: L9-I1-D is no condition"),
        (["--level", "secrets"], "--level: secrets is no table; there are sessions_wide, students"),
        (["--profile", "secret"], "invalid choice: 'secret'"),
        (["--profile", "full"], "--reason is missing"),
        (["--profile", "public", "--from", "2026-03-01"], "of the whole study"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        export(tmp_path, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_nothing_half_made_is_kept(tmp_path: Path) -> None:
    with room_for(8_000), pytest.raises(CommandError, match="Nothing half-made was kept"):
        export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match=r"could not be written to .*file"):
        export(tmp_path / "file")


def test_a_table_that_is_not_there_is_named(tmp_path: Path, settings: Any) -> None:
    settings.SOCRATIC_TABLE = "NotThere"
    with pytest.raises(CommandError, match="no table NotThere"):
        export(tmp_path)


def test_a_table_that_falls_silent_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: Any, **__: Any) -> Any:
        raise read.Overloaded("too much")

    monkeypatch.setattr(read, "whole", silent)
    with pytest.raises(CommandError, match=r"does not answer \(Overloaded\); nothing was kept"):
        export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_departure_meanwhile_makes_it_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    future = study.now() + timedelta(days=1)
    monkeypatch.setattr(export_jobs, "departures", lambda: export_jobs.Departures(None, future))
    with pytest.raises(CommandError, match="left the study meanwhile; nothing was kept"):
        export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_killed_it_leaves_no_file_and_the_next_one_cleans_up(tmp_path: Path, table: str) -> None:
    """SIGKILL in the middle of the making, in a process of its own."""
    program = (
        "import os, signal, django; django.setup(); "
        "from analytics_app.export import write; "
        "write.pack = lambda *a: os.kill(os.getpid(), signal.SIGKILL); "
        "from django.core.management import call_command; "
        f"call_command('export', '--quiet', '--out', {str(tmp_path)!r})"
    )
    environment = os.environ | {
        "SOCRATIC_TABLE": table,
        "DJANGO_SETTINGS_MODULE": "socratic_site.settings",
        "EXPORT_KEY": "the study's",
    }
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [each.suffix for each in tmp_path.iterdir()] == [".partial"]
    export(tmp_path)
    assert [each.suffix for each in tmp_path.iterdir()] == [".zip"]


def test_the_choice_is_checked_before_anything_is_read(tmp_path: Path, requests_made: list[str]) -> None:
    with pytest.raises(CommandError):
        export(tmp_path, "--condition", "L9")
    assert requests_made == []
    assert Choice(levels=("sessions",)).tables == ("sessions",)
