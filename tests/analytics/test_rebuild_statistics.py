"""`rebuild_statistics` puts right whatever is wrong, and `--check` names it."""

import io
import threading
from typing import Any

import boto3
import pytest
from django.core.management import CommandError, call_command

from analytics_app.management.commands import run_worker
from analytics_app.statistics import items as statistics_items
from analytics_app.statistics import queries, updates
from analytics_app.statistics import rebuild as statistics_rebuild
from sessions_app.domain.models import (
    ConditionMonth,
    ConditionStatistics,
    Contribution,
    DayCounts,
    Item,
)
from sessions_app.domain.store import keys
from tests.analytics import cohort

CELL = keys.Condition.from_code("L1-I1-D")


@pytest.fixture
def table(own_table: str) -> str:
    """These tests follow the table's stream: it must hold nothing of others."""
    return own_table


@pytest.fixture
def counted(table: str) -> list[list[Item]]:
    """Two completed sessions of a condition and one that runs, counted."""
    made = [cohort.whole(final=60.0), cohort.whole(final=80.0), [cohort.session()]]
    for items in made:
        cohort.store(*items)
        updates.apply(items[0].session_id, now=cohort.NOON)
    return made


def check(condition: str | None = CELL.code) -> str:
    told = io.StringIO()
    try:
        call_command(
            "rebuild_statistics", check=True, no_stream=True, patience=0, condition=condition, stdout=told
        )
    except CommandError as error:
        told.write(str(error))
    return told.getvalue()


def rebuild(condition: str | None = CELL.code) -> None:
    call_command("rebuild_statistics", no_stream=True, condition=condition, stdout=io.StringIO())


def stored() -> ConditionStatistics:
    (found,) = queries.condition_aggregates(CELL)
    return found


def test_statistics_that_are_right_pass(counted: list[list[Item]]) -> None:
    assert check() == "3 sessions, no difference\n"


def test_each_difference_is_named(counted: list[list[Item]]) -> None:
    item = stored()
    outcomes: Any = ConditionStatistics.learning_outcomes
    item.update(actions=[outcomes.final_assessment.mean_score.set(99.9)])
    assert check().splitlines()[0] == (
        "L1-I1-D 2025-10 learning_outcomes.final_assessment.mean_score: stored 99.9, recomputed 70"
    )
    assert "1 differences" in check()


def test_a_difference_makes_the_command_fail(counted: list[list[Item]]) -> None:
    stored().delete()
    with pytest.raises(CommandError):
        call_command("rebuild_statistics", check=True, no_stream=True, patience=0, stdout=io.StringIO())


def damage_aggregate(session_id: str) -> None:
    sums = dict(stored().sums) | {"final_sum": 1, "sessions": 70}
    stored().update(actions=[ConditionStatistics.sums.set(sums)])


def lose_aggregate(session_id: str) -> None:
    stored().delete()


def lose_contribution(session_id: str) -> None:
    Item.get(keys.session(session_id), keys.CONTRIBUTION).delete()


def damage_contribution(session_id: str) -> None:
    item = Item.get(keys.session(session_id), keys.CONTRIBUTION)
    item.update(actions=[Contribution.sums.set({"sessions": 1, "final_sum": 3})])


def lose_compact(session_id: str) -> None:
    for item in list(Item.query(keys.statistics_by_month())):
        item.delete()


def lose_tallies(session_id: str) -> None:
    for item in list(Item.query(keys.counted(CELL))):
        item.delete()


def damage_day(session_id: str) -> None:
    (day,) = list(Item.query(keys.statistics_by_day()))
    day.update(actions=[DayCounts.started.set({"L1-I1-D": 9, "L4-I1-D": 1})])


def lose_session(session_id: str) -> None:
    cohort.erase(session_id)


def change_scores(session_id: str) -> None:
    for item in cohort.whole(final=95.0, session_id=session_id, student_id=cohort.new_id()):
        item.save()


@pytest.mark.parametrize(
    "harm",
    [
        damage_aggregate,
        lose_aggregate,
        lose_contribution,
        damage_contribution,
        lose_compact,
        lose_tallies,
        damage_day,
        lose_session,
        change_scores,
    ],
)
def test_a_rebuild_puts_right_what_was_harmed(counted: list[list[Item]], harm: Any) -> None:
    harm(counted[0][0].session_id)
    assert "no difference" not in check()
    rebuild()
    assert "no difference" in check()
    updates.apply(counted[0][0].session_id, now=cohort.NOON)
    assert "no difference" in check()


def test_a_rebuild_counts_what_no_worker_ever_saw(table: str) -> None:
    for code in ("L1-I1-D", "L2-I3-S", "L4-I2-D"):
        cohort.store(*cohort.whole(code))
    rebuild(condition=None)
    assert {c.code for c, found in cohort.figures_by_condition().items() if found.completed} == {
        "L1-I1-D",
        "L2-I3-S",
        "L4-I2-D",
    }
    assert check(condition=None) == "3 sessions, no difference\n"


def test_a_condition_that_is_none_is_refused(table: str) -> None:
    with pytest.raises(CommandError, match="L9"):
        rebuild(condition="L9-I1-D")


def test_an_aggregate_of_another_writer_is_replaced(table: str) -> None:
    items = cohort.whole()
    cohort.store(*items)
    raw = boto3.resource("dynamodb", region_name="us-east-1").Table(table)
    updates.apply(items[0].session_id, now=cohort.NOON)
    key = {"PK": stored().PK, "SK": stored().SK}
    raw.update_item(Key=key, UpdateExpression="REMOVE sums, histograms, revision")
    assert queries.condition_aggregates(CELL) == []
    rebuild()
    assert queries.condition_figures(CELL).completed == 1


def test_a_session_counted_during_a_rebuild_is_not_lost(
    counted: list[list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = cohort.whole(final=100.0)
    cohort.store(*late)
    real, rounds = statistics_rebuild._write_months, []

    def meanwhile(cell: statistics_rebuild.Cell, now: Any) -> None:
        if not rounds:
            updates.apply(late[0].session_id, now=cohort.NOON)
        rounds.append(len(cell.shares))
        real(cell, now)

    monkeypatch.setattr(statistics_rebuild, "_write_months", meanwhile)
    known = [items[0].session_id for items in counted]
    statistics_rebuild.rebuild(CELL, known, now=cohort.NOON, tick=lambda: None)
    assert rounds == [3, 4]
    assert check() == "4 sessions, no difference\n"


def test_a_check_beside_running_writers_gives_no_false_alarm(table: str) -> None:
    """Sessions start, end and are scored again in one condition the whole time; a worker counts them late."""
    made = [cohort.whole(final=50.0 + number) for number in range(6)]
    for items in made:
        cohort.store(*items)
        updates.apply(items[0].session_id, now=cohort.NOON)
    done, errors = threading.Event(), []

    def write(number: int) -> None:
        try:
            while not done.is_set():
                items = cohort.whole(final=60.0, session_id=made[number][0].session_id)
                cohort.store(*[item for item in items if item.SK != keys.METADATA])
                fresh = cohort.whole(final=70.0)
                cohort.store(*fresh)
                done.wait(0.05)
                for session_id in (made[number][0].session_id, fresh[0].session_id):
                    updates.apply(session_id, now=cohort.NOON)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        told = io.StringIO()
        call_command(
            "rebuild_statistics", check=True, no_stream=True, patience=5, condition=CELL.code, stdout=told
        )
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert "no difference" in told.getvalue()
    assert errors == []


def test_statistics_of_an_older_layout_are_rebuilt_by_the_worker(counted: list[list[Item]]) -> None:
    (month,) = list(Item.query(keys.statistics_by_month()))
    right = queries.condition_figures(CELL).gain
    month.update(actions=[ConditionMonth.layout.set(1)])
    stored().update(actions=[ConditionStatistics.layout.remove()])
    for items in counted:
        contribution = Contribution.of_session(items[0].session_id)
        assert contribution is not None
        contribution.update(actions=[Contribution.layout.remove(), Contribution.sums.set({"sessions": 9})])
    (day,) = list(Item.query(keys.statistics_by_day()))
    day.update(actions=[DayCounts.layout.remove()])
    assert cohort.figures_by_condition()[CELL].sessions == 0
    with pytest.raises(statistics_items.Outdated):
        updates.apply(counted[0][0].session_id, now=cohort.NOON)
    assert "layout" in check()
    run_worker.migrate()
    assert queries.condition_figures(CELL).gain == right
    assert cohort.figures_by_condition()[CELL].sessions == 3
    assert "no difference" in check()


def test_a_score_that_cannot_be_read_is_left_out_and_a_session_without_a_start_is_named(
    counted: list[list[Item]], table: str
) -> None:
    raw = boto3.resource("dynamodb", region_name="us-east-1").Table(table)
    for record, path in ((counted[0][1], "assessment_results.score_percentage"), (counted[1][0], "timeline")):
        raw.update_item(
            Key={"PK": record.PK, "SK": record.SK},
            UpdateExpression=f"SET {path} = :s",
            ExpressionAttributeValues={":s": "a secret answer"},
        )
    with pytest.raises(CommandError, match=counted[1][0].session_id) as caught:
        rebuild()
    assert "secret" not in str(caught.value)
    figures = queries.condition_figures(CELL)
    assert (figures.sessions, figures.completed, figures.baseline.n, figures.final.n) == (2, 1, 0, 1)
