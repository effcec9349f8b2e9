from collections.abc import Callable
from io import StringIO
from typing import Any

import boto3
import pytest
from django.core.management import CommandError, call_command

from sessions_app.domain.session.record import Run
from sessions_app.domain.simulation import cohort as simulated_cohort
from socratic_site.local.dynamodb_local import REGION, Engine
from tests.domain.cast import enrol


@pytest.fixture
def sessions(engine: Engine, table: str) -> Callable[[], dict[str, Any]]:
    """The sessions of the table by id."""

    def found() -> dict[str, Any]:
        resource = boto3.resource("dynamodb", region_name=REGION, endpoint_url=engine.endpoint)
        items = resource.Table(table).scan(ConsistentRead=True)["Items"]
        return {item["session_id"]: item for item in items if item["entity_type"] == "session"}

    return found


def simulate(*words: str) -> str:
    out = StringIO()
    call_command("simulate", *words, stdout=out)
    return out.getvalue()


def test_it_says_in_one_line_what_it_did_and_shows_its_progress(
    table: str, sessions: Callable[[], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    told = simulate("--students", "3", "--seed", "5", "--workers", "2")
    assert told.startswith("3 sessions (")
    assert "0 errors" in told
    assert told.count("\n") == 1
    assert "3/3" in capsys.readouterr().err
    assert {item["state"] for item in sessions().values()} <= {"completed", "stopped"}


def test_the_same_seed_again_makes_nothing_new(table: str, sessions: Callable[[], dict[str, Any]]) -> None:
    simulate("--students", "2", "--seed", "5")
    once = sessions()
    told = simulate("--students", "2", "--seed", "5", "--workers", "1", "--days", "3")
    assert sessions() == once
    assert "2 sessions" in told
    simulate("--students", "1", "--seed", "6")
    assert len(sessions()) == 3


def test_a_table_with_real_students_is_refused_unless_told_so(
    table: str, sessions: Callable[[], dict[str, Any]]
) -> None:
    enrol(realm="practice")
    simulate("--students", "1", "--seed", "5")
    enrol()
    with pytest.raises(CommandError, match="--beside-real"):
        simulate("--students", "1", "--seed", "6")
    assert len(sessions()) == 1
    simulate("--students", "1", "--seed", "6", "--beside-real")
    assert len(sessions()) == 2


def test_one_condition_for_all_is_an_override_and_flagged(
    table: str, sessions: Callable[[], dict[str, Any]]
) -> None:
    simulate("--students", "2", "--condition", "L3-I3-S", "--label", "demo")
    for item in sessions().values():
        assert item["experimental_condition"]["condition_code"] == "L3-I3-S"
        assert "condition_override" in item["metadata"]["data_quality_flags"]
        assert item["facilitator"] == "demo"


def test_no_model_is_asked_even_where_a_key_is_set(table: str, settings: Any) -> None:
    settings.ANTHROPIC_API_KEY = "a key"  # and the tests' sockets lead nowhere
    assert "0 errors" in simulate("--students", "1", "--condition", "L4-I3-D")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--students", "0"], "at least 1 student"),
        (["--students", "-4"], "at least 1 student"),
        (["--students", "many"], "invalid int value"),
        (["--students", "1", "--condition", "L9-I1-D"], "L9-I1-D"),
        (["--students", "1", "--days", "0"], "at least 1 day"),
        (["--students", "1", "--workers", "0"], "--workers must be at least 1"),
        ([], "--students"),
    ],
)
def test_it_names_what_is_wrong_with_its_arguments(words: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        simulate(*words)


def test_it_says_how_to_make_a_table_that_is_not_there(engine: Engine, settings: Any) -> None:
    settings.SOCRATIC_TABLE = "NotThere"
    with pytest.raises(CommandError, match="no table NotThere: make it with"):
        simulate("--students", "1")


def test_a_session_that_fails_does_not_stop_the_others_and_is_told(
    table: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = simulated_cohort.walk

    def broken(cohort: simulated_cohort.Cohort, index: int, run: Run) -> Run:
        if index == 0:
            raise ConnectionError("the table went away")
        return whole(cohort, index, run)

    monkeypatch.setattr(simulated_cohort, "walk", broken)
    out = StringIO()
    with pytest.raises(CommandError, match="1 x ConnectionError"):
        call_command("simulate", "--students", "2", stdout=out)
    assert out.getvalue().startswith("1 sessions (")
    assert "1 errors" in out.getvalue()
    assert "student 1: ConnectionError" in capsys.readouterr().err
