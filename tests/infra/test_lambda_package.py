"""What the template's functions run: small, the same every time, whole where nothing else is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from analytics_app.statistics import queries
from infra import lambda_package as package
from sessions_app.domain.models import AuditHead
from sessions_app.domain.store import keys
from socratic_site.local.dynamodb_local import Engine

RECORDED = json.loads(Path(__file__).with_name("recorded_event.json").read_text(encoding="utf-8"))
NOT_NEEDED = ("django", "pandas", "numpy", "pyarrow", "scipy", "anthropic", "pydantic")
PROGRAM = f"""
import json, sys
folder, handler = sys.argv[1:]
sys.path.insert(0, folder)
event = json.load(sys.stdin)
module, _, name = handler.rpartition(".")
answer = getattr(__import__(module, fromlist=[name]), name)(event, None)
foreign = sorted({{f for m in sys.modules.values() if (f := getattr(m, "__file__", None) or "")
                  and not f.startswith((folder, sys.base_prefix + "/lib/python"))}})
found = [name for name in {NOT_NEEDED} if name in sys.modules]
print(json.dumps([answer, found, foreign]))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lambda")
    ran = subprocess.run(
        [str(package.ROOT / "infra" / "build_lambda"), "--out", str(out)],
        env={"PATH": os.environ["PATH"], "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    (path,) = out.iterdir()
    assert str(path) in ran.stdout
    return path


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder)
    return folder


def invoked(folder: Path, handler: str, event: Any, **environment: str) -> list[Any]:
    """The answer, what it loaded without need, and what it loaded from elsewhere."""
    names = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(folder), handler],
        input=json.dumps(event),
        env={**{name: os.environ[name] for name in names}, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer: list[Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def store(dynamodb: Any, table: str) -> None:
    """What the recorded event tells of."""
    for record in RECORDED["Records"]:
        dynamodb.put_item(TableName=table, Item=record["dynamodb"]["NewImage"])


def test_it_counts_and_seals_what_a_recorded_event_tells(
    engine: Engine, table: str, dynamodb: Any, unpacked: Path
) -> None:
    store(dynamodb, table)
    answer = invoked(unpacked, "analytics_app.streams.dispatch.handler", RECORDED, SOCRATIC_TABLE=table)
    assert answer == [{"batchItemFailures": []}, [], []]
    (counted,) = queries.condition_aggregates(keys.Condition.from_code("L1-I3-D"))
    assert counted.sums["completed"] == 1
    assert counted.learning_outcomes.final_assessment.mean_score == 80
    head = AuditHead.read()
    assert head is not None
    assert head.sequence == 1


def test_it_brings_a_recorded_event_into_the_lake(engine: Engine, unpacked: Path, tmp_path: Path) -> None:
    """With no right on the table: nobody listens where it would be."""
    answer = invoked(
        unpacked,
        "analytics_app.lake.write.handler",
        RECORDED,
        AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9",
        LAKE_URL=str(tmp_path),
        EXPORT_KEY="a key of this test",
    )
    assert answer == [{"batchItemFailures": []}, [], []]
    (lines,) = tmp_path.glob("sessions/date=2025-10-23/*.jsonl")
    assert [json.loads(line)["condition"] for line in lines.read_text().splitlines()] == ["L1-I3-D"]
    assert not list(tmp_path.glob("dead-letters/**/*.jsonl"))


def test_it_names_what_is_to_be_sent_again(engine: Engine, unpacked: Path) -> None:
    event = {"Records": [each for each in RECORDED["Records"] if "SESSION#" in str(each["dynamodb"]["Keys"])]}
    answer, _, _ = invoked(
        unpacked,
        "analytics_app.streams.dispatch.handler",
        event,
        AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9",
        SOCRATIC_TABLE="Nowhere",
    )
    first = event["Records"][0]["dynamodb"]["SequenceNumber"]
    assert answer == {"batchItemFailures": [{"itemIdentifier": first}]}


def test_the_sweeper_is_in_it(engine: Engine, table: str, dynamodb: Any, unpacked: Path) -> None:
    answer = invoked(unpacked, "analytics_app.streams.dispatch.sweeper", {}, SOCRATIC_TABLE=table)
    assert answer == [answer[0], [], []]
    assert answer[0]["sealed"] == 0


def test_the_same_files_make_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = package.build(tmp_path)
    assert again.name == built.name
    assert again.read_bytes() == built.read_bytes()


def test_it_is_far_below_what_lambda_takes(built: Path) -> None:
    assert built.stat().st_size < 10_000_000


def test_it_holds_no_tests_no_settings_and_no_content(built: Path) -> None:
    names = zipfile.ZipFile(built).namelist()
    ours = [name for name in names if name.startswith(("sessions_app", "analytics_app", "socratic_site"))]
    assert not [name for name in ours if "views" in name or "management" in name or "settings" in name]
    assert [name for name in names if name.endswith((".pyc", ".so")) or ".." in name] == []


def test_the_licences_of_others_go_with_it(built: Path) -> None:
    names = zipfile.ZipFile(built).namelist()
    for distribution in package.distributions().values():
        folder = f"{distribution.name.replace('-', '_')}-{distribution.version}.dist-info"
        assert [name for name in names if name.startswith(folder)], folder


def test_a_version_that_is_not_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "_pinned", lambda: {"pynamodb": "1.0"})
    with pytest.raises(package.CannotBuild, match=r"pynamodb is installed as .*, constraints.txt says 1.0"):
        package.distributions(["pynamodb"])


def test_compiled_code_is_refused_with_the_way_to_fetch_it() -> None:
    found = package.distributions(["pyarrow"])["pyarrow"]
    with pytest.raises(package.CannotBuild, match=r"pip download --platform manylinux2014_aarch64"):
        list(package._installed("pyarrow", found))


def test_a_zip_too_large_for_lambda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "LIMIT", 100)
    with pytest.raises(package.CannotBuild, match="bytes, Lambda takes 100"):
        package.packed({"a.py": os.urandom(200)})


def test_a_folder_that_cannot_be_written_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setattr(sys, "argv", ["build_lambda", "--out", str(tmp_path / "taken")])
    assert package.main() == 1
    assert capsys.readouterr().err.startswith("Nothing was made: ")
