"""Whatever is replayed, shuffled, delayed, re-scored, withdrawn or erased: the statistics equal a recount."""

import random
import statistics as plain
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from analytics_app.charts import sources
from analytics_app.statistics import queries, rebuild, updates
from analytics_app.statistics.contributions import contribution
from analytics_app.statistics.sums import MEANS, NORMALIZED, POINT
from sessions_app.domain.models import (
    Assessment,
    ConditionStatistics,
    Contribution,
    CountedStudent,
    Item,
    Session,
)
from sessions_app.domain.session import abandoned
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from tests.analytics import cohort
from tests.domain.cast import FACILITATOR, Participant

CELL = keys.Condition.from_code("L1-I1-D")
SEPTEMBER = cohort.NOON - timedelta(days=40)


def differences(*cells: keys.Condition) -> list[str]:
    """Between what is stored and a recount, for these cells (default: both of CELL) and all days."""
    shares, found = [], []
    for condition in cells or (CELL, keys.cell(CELL.code, "simulated")):
        cell = rebuild.read(condition, rebuild.sessions_of(condition), lambda: None)
        found += list(rebuild.differences(cell))
        shares += list(cell.shares.values())
    for realm in keys.COUNTED_REALMS:
        found += rebuild.day_differences(rebuild.stored_days(realm), shares, realm)
    return [str(difference) for difference in found]


def apply(session_id: str) -> bool:
    return updates.apply(session_id, now=cohort.NOON)


def aggregate(month: str = cohort.MONTH, condition: keys.Condition = CELL) -> ConditionStatistics:
    (found,) = queries.condition_aggregates(condition, queries.Months.of(month))
    return found


def rescore(session_id: str, kind: str, percent: float) -> None:
    """As grading does: other results, a higher version."""
    record = Run.load(session_id).assessments[kind]
    made = cohort.assessment(Run.load(session_id).session, kind, percent)
    metadata: Any = Assessment.metadata
    record.update(
        actions=[
            Assessment.assessment_results.set(made.assessment_results),
            metadata.version.set(metadata.version + 1),
        ]
    )


def move(session_id: str, state: str) -> None:
    run = Run.load(session_id)
    status, metadata = run.session.completion_status, run.session.metadata
    status.completed = state == "completed"
    metadata.version += 1
    run.session.update(
        actions=[
            Session.state.set(state),
            Session.completion_status.set(status),
            Session.metadata.set(metadata),
        ]
    )


# --- what one session adds


def test_a_running_session_is_one_session_and_nothing_more() -> None:
    share = contribution(Run.of([*cohort.whole()[1:], cohort.session()]))
    assert dict(share.sums.counts) == {"sessions": 1}
    assert share.sums.histograms == {}


def test_a_completed_session_adds_whole_numbers_only() -> None:
    share = contribution(Run.of(cohort.whole(baseline=40.0, final=74.0, segments=2)))
    counts = share.sums.counts
    assert all(isinstance(n, int) for n in counts.values())
    scores = tuple(counts[f"{name}_sum"] for name in ("baseline", "final", "gain"))
    assert scores == (40 * POINT, 74 * POINT, 34 * POINT)
    assert counts["gain_squares"] == (34 * POINT) ** 2
    assert counts["normalized_sum"] == round(Fraction(34, 60) * NORMALIZED)
    assert (counts["depth_sum"], counts["quality_sum"]) == (7 * MEANS, 8.5 * MEANS)
    assert counts["interventions"] == 2
    assert (counts["generated"], counts["latency_ms"], counts["within_1500"]) == (6, 7500, 6)
    assert share.sums.histograms["latency"] == {12: 6}


@pytest.mark.parametrize(("baseline", "final"), [(None, 50.0), (50.0, None), (None, None)])
def test_a_missing_score_is_left_out_and_never_zero(baseline: float | None, final: float | None) -> None:
    counts = contribution(Run.of(cohort.whole(baseline=baseline, final=final))).sums.counts
    assert counts.get("baseline_n", 0) == (baseline is not None)
    assert counts.get("final_n", 0) == (final is not None)
    assert "gain_n" not in counts
    assert counts["completed"] == 1


def test_a_full_baseline_has_a_gain_but_no_normalised_one() -> None:
    counts = contribution(Run.of(cohort.whole(baseline=100.0, final=100.0))).sums.counts
    assert (counts["gain_n"], counts["unchanged"]) == (1, 1)
    assert "normalized_n" not in counts


@pytest.mark.parametrize("state", ["withdrawn", "abandoned", "stopped"])
def test_a_session_that_ended_early_has_no_outcomes(state: str) -> None:
    items = cohort.whole()[1:]
    counts = contribution(Run.of([*items, cohort.session(state=state)])).sums.counts
    assert dict(counts) == {"sessions": 1, state: 1}


def test_real_and_simulated_sessions_of_a_condition_share_no_statistic(table: str) -> None:
    for simulated, score in ((False, 80.0), (True, 20.0)):
        items = cohort.whole(CELL.code, simulated=simulated)
        cohort.store(*items)
        rescore(items[0].session_id, "final", score)
        assert apply(items[0].session_id)
    real, simulated_cell = CELL, keys.cell(CELL.code, "simulated")
    found = [queries.condition_figures(cell) for cell in (real, simulated_cell)]
    assert [(one.sessions, one.students, one.final.mean) for one in found] == [(1, 1, 80.0), (1, 1, 20.0)]
    day = cohort.NOON.date()
    for realm in keys.COUNTED_REALMS:
        assert sum(one.sums["sessions"] for one in queries.months_of_all_conditions(realm=realm)) == 1
        assert [dict(each.started) for each in queries.days(day, day, realm)] == [{CELL.code: 1}]
    assert differences() == []


def test_a_session_that_turns_out_to_be_simulated_moves_to_those_figures(table: str) -> None:
    items = cohort.whole(CELL.code)
    cohort.store(*items)
    apply(items[0].session_id)
    Session.get(items[0].PK, keys.METADATA).update(actions=[Session.metadata.realm.set("simulated")])
    apply(items[0].session_id)
    assert queries.condition_figures(CELL).sessions == 0
    assert queries.condition_figures(keys.cell(CELL.code, "simulated")).sessions == 1
    assert differences() == []


@pytest.mark.parametrize("state", ["stopped", "abandoned", "withdrawn"])
def test_days_tell_the_ways_of_ending_early_apart(table: str, state: str) -> None:
    session = cohort.session(CELL.code, state=state)
    cohort.store(session)
    apply(session.session_id)
    (day,) = queries.days(cohort.NOON.date(), cohort.NOON.date())
    early = {name: dict(getattr(day, name)) for name in ("stopped", "abandoned", "withdrawn")}
    assert early == {name: {CELL.code: 1} if name == state else {} for name in early}
    assert day.running == 0
    rows = sources.sessions_by_day([day], "day")
    assert [(row["state"], row["n"]) for row in rows] == [(state, 1)]


# --- moving the statistics


def test_the_schemas_figures_are_worked_out(table: str) -> None:
    scores = [(33.3, 60.0), (58.7, 86.7), (86.7, 86.6), (60.0, 100.0)]
    for baseline, final in scores:
        items = cohort.whole(baseline=baseline, final=final, segments=4)
        cohort.store(*items)
        apply(items[0].session_id)
    left = cohort.session(state="abandoned")
    cohort.store(left)
    apply(left.session_id)

    raw = boto3.resource("dynamodb", region_name="us-east-1").Table(table)
    item = raw.get_item(
        Key={"PK": "STATS#CONDITION#on-site#2.5#dynamic", "SK": "AGGREGATE#2025-10-01_2025-10-31"}
    )["Item"]
    assert item["entity_type"] == "condition_statistics"
    assert item["condition"] == {"location": "on-site", "interval": 2.5, "intervention": "dynamic"}
    assert item["date_range"] == {"start_date": "2025-10-01", "end_date": "2025-10-31", "days_elapsed": 30}
    assert item["sample_statistics"] == {
        "total_sessions": 5,
        "completed_sessions": 4,
        "completion_rate": 80,
        "unique_students": 5,
        "avg_session_duration_seconds": 2520,
    }
    for kind, column in (("baseline", 0), ("final", 1)):
        values = [pair[column] for pair in scores]
        told = {name: float(value) for name, value in item["learning_outcomes"][f"{kind}_assessment"].items()}
        assert told == {
            "mean_score": round(plain.mean(values), 1),
            "median_score": round(plain.median(values), 2),
            "std_dev": round(plain.stdev(values), 1),
            "min_score": min(values),
            "max_score": max(values),
            "n": 4,
        }
    gain = {name: float(value) for name, value in item["learning_outcomes"]["learning_gain"].items()}
    # means 59.675 and 83.325; variances with n-1 475.0825 and 281.1825: 23.65 / sqrt(378.1325) = 1.216
    assert gain["effect_size_cohens_d"] == pytest.approx(1.22)
    assert (gain["mean_absolute_gain"], gain["median_absolute_gain"]) == (23.6, 27.35)
    assert (gain["students_with_gains"], gain["students_with_losses"]) == (3, 1)
    metrics = {name: float(value) for name, value in item["intervention_metrics"].items()}
    assert metrics == {
        "avg_interventions_per_session": 4,
        "avg_intervention_duration_seconds": 150,
        "avg_questions_per_intervention": 3,
        "avg_response_time_seconds": 40,
        "avg_question_quality_score": 4.25,
        "avg_answer_depth_score": 3.5,
    }
    assert float(item["engagement_metrics"]["avg_content_completion_rate"]) == 99.2
    assert item["survey_results"]["would_recommend_pct"] == 100
    assert item["metadata"]["auto_generated"] is True


def test_an_attribute_that_someone_added_to_an_aggregate_survives(table: str) -> None:
    items = cohort.whole()
    cohort.store(*items)
    apply(items[0].session_id)
    raw = boto3.resource("dynamodb", region_name="us-east-1").Table(table)
    key = {"PK": aggregate().PK, "SK": aggregate().SK}
    raw.update_item(Key=key, UpdateExpression="SET note = :n", ExpressionAttributeValues={":n": "mine"})
    rescore(items[0].session_id, "final", 80.0)
    apply(items[0].session_id)
    item = raw.get_item(Key=key)["Item"]
    assert (item["note"], float(item["learning_outcomes"]["final_assessment"]["mean_score"])) == (
        "mine",
        80.0,
    )


def test_applied_again_nothing_is_written(table: str, requests_made: list[str]) -> None:
    items = cohort.whole()
    cohort.store(*items)
    assert apply(items[0].session_id) is True
    requests_made.clear()
    assert apply(items[0].session_id) is False
    assert requests_made == ["GetItem", "Query"]


def test_a_session_counted_costs_four_reads_and_one_transaction(table: str, requests_made: list[str]) -> None:
    for items in (cohort.whole(), cohort.whole()):
        cohort.store(*items)
        requests_made.clear()
        apply(items[0].session_id)
    assert requests_made == ["GetItem", "Query", "GetItem", "GetItem", "TransactWriteItems"]


def test_a_session_of_a_student_who_comes_again_counts_the_student_once(table: str) -> None:
    student = cohort.new_id()
    starts = [cohort.NOON, SEPTEMBER, cohort.NOON + timedelta(days=1)]
    made = [cohort.whole(student_id=student, start=start) for start in starts]
    for items in made:
        cohort.store(*items)
        apply(items[0].session_id)
    assert queries.condition_figures(CELL).students == 1
    assert cohort.figures_by_condition()[CELL].students == 1
    assert aggregate().sample_statistics.unique_students == 1
    assert aggregate("2025-09").sample_statistics.unique_students == 1
    assert differences() == []
    cohort.erase(made[1][0].session_id)  # September's: October's visit becomes the student's first
    rebuild.rebuild(CELL, rebuild.sessions_of(CELL), now=cohort.NOON, tick=lambda: None)
    assert queries.condition_figures(CELL).students == 1


def test_an_unreadable_session_is_named_without_its_texts(table: str) -> None:
    items = cohort.whole()
    cohort.store(*items)
    raw = boto3.resource("dynamodb", region_name="us-east-1").Table(table)
    apply(items[0].session_id)
    raw.update_item(
        Key={"PK": items[0].PK, "SK": items[0].SK},
        UpdateExpression="SET timeline.session_start = :s",
        ExpressionAttributeValues={":s": "a secret answer"},
    )
    with pytest.raises(updates.Unreadable) as caught:
        apply(items[0].session_id)
    assert caught.value.session_id == items[0].session_id
    assert caught.value.reason == "timeline.session_start cannot be read"
    assert queries.condition_figures(CELL).sessions == 0  # it was counted before
    with pytest.raises(updates.Unreadable):
        apply(items[0].session_id)


# --- replayed, shuffled, delayed, re-scored, withdrawn, erased

STEP = st.tuples(
    st.sampled_from(["rescore", "withdraw", "abandon", "reopen", "erase", "deliver", "deliver", "deliver"]),
    st.integers(0, 3),
    st.integers(0, 1000),
)


@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking would take as long as the whole suite
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEP, min_size=1, max_size=12), seed=st.integers(0, 10**6))
def test_any_order_of_events_ends_where_a_recount_does(
    table: str, steps: list[tuple[str, int, int]], seed: int
) -> None:
    chance = random.Random(seed)
    made = [
        cohort.whole(start=start, baseline=chance.randrange(1001) / 10, final=chance.randrange(1001) / 10)
        for start in (cohort.NOON, cohort.NOON, SEPTEMBER, cohort.NOON)
    ]
    waiting: list[dict[str, Any]] = []
    for items in made:
        cohort.store(*items)
        waiting += [cohort.record(new=item) for item in items]
    for what, which, value in steps:
        session_id = made[which][0].session_id
        gone = Contribution.of_session(session_id)
        change(what, session_id, value, chance, waiting)
        waiting.append(
            cohort.record(erased=made[which][0]) if what == "erase" else cohort.record(made[which][0])
        )
        if what == "erase" and gone is not None:
            waiting.append(cohort.record(erased=gone))
    for items in made:
        waiting.append(cohort.record(new=items[0]))
    again = chance.sample(waiting, len(waiting) // 3)
    late = waiting + again
    chance.shuffle(late)
    for record in late:
        cohort.handle(record)
    assert differences() == []
    for items in made:
        cohort.erase(items[0].session_id, spare=keys.CONTRIBUTION)
        apply(items[0].session_id)


def change(what: str, session_id: str, value: int, chance: random.Random, waiting: list[Any]) -> None:
    exists = bool(Session.whole(session_id)) and any(
        isinstance(item, Session) for item in Session.whole(session_id)
    )
    if what == "deliver" and waiting:
        cohort.handle(chance.choice(waiting))
    elif what == "erase":
        cohort.erase(session_id)
    elif exists and what == "rescore":
        rescore(session_id, "final", value / 10)
    elif exists and what in ("withdraw", "abandon", "reopen"):
        states = {"withdraw": "withdrawn", "abandon": "abandoned", "reopen": "completed"}
        move(session_id, states[what])


def test_the_statistics_follow_a_session_that_late_answers_open_and_complete(table: str) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("final/10")
    run, cell = participant.run, keys.Condition.from_code("L4-I3-S")
    closed = participant.now + timedelta(hours=25)
    assert abandoned.close(run.id, now=closed, after=timedelta(hours=24))

    def counted() -> dict[str, int]:
        apply(run.id)
        assert differences(cell) == []
        sums = queries.condition_figures(cell).sums
        return {name: sums[name] for name in ("sessions", "completed", "stopped", "abandoned", "did_final")}

    nothing = {"sessions": 1, "completed": 0, "stopped": 0, "abandoned": 0, "did_final": 0}
    assert counted() == {**nothing, "abandoned": 1}
    participant.run, participant.now = Run.load(run.id), closed
    participant.answer_item("final", 10)
    assert counted() == {**nothing, "did_final": 1}
    session_survey.stop(participant.run, by=FACILITATOR, now=closed, reason="the bell rang")
    assert counted() == {**nothing, "did_final": 1, "stopped": 1}
    participant.run = session_survey.reopen(Run.load(run.id), by=FACILITATOR, now=closed, reason="a mistake")
    participant.survey()
    assert counted() == {**nothing, "did_final": 1, "completed": 1}


@pytest.mark.parametrize("keeps_contribution", [True, False])
def test_an_erased_session_leaves_nothing_behind(table: str, keeps_contribution: bool) -> None:
    items, other = cohort.whole(final=50.0), cohort.whole(final=90.0)
    cohort.store(*items, *other)
    for made in (items, other):
        apply(made[0].session_id)
    session_id, gone = items[0].session_id, Contribution.of_session(items[0].session_id)
    cohort.erase(session_id)
    if keeps_contribution and gone is not None:
        gone.save()
    records = [cohort.record(erased=items[0]), *([] if keeps_contribution else [cohort.record(erased=gone)])]
    for record in [*records, *records]:
        cohort.handle(record)
    assert list(Item.query(keys.session(session_id))) == []
    assert [tally.student_id for tally in CountedStudent.query(keys.counted(CELL))] == [other[0].student_id]
    assert aggregate().sums["final_sum"] == 90 * POINT
    assert differences() == []


def test_a_session_moved_to_another_condition_leaves_the_first(table: str) -> None:
    items = cohort.whole("L1-I1-D")
    cohort.store(*items)
    apply(items[0].session_id)
    for item in cohort.whole("L1-I1-S", session_id=items[0].session_id, student_id=items[0].student_id):
        item.save()
    apply(items[0].session_id)
    other = keys.Condition.from_code("L1-I1-S")
    assert differences(CELL, other) == []
    assert queries.condition_figures(CELL).sessions == 0
    assert queries.condition_figures(other).sessions == 1


# --- at once


def at_once(*calls: Callable[[], object]) -> None:
    barrier, faults = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_workers_on_the_same_sessions_at_once_count_each_once(table: str) -> None:
    made = [cohort.whole(final=50.0 + number) for number in range(5)]
    for items in made:
        cohort.store(*items)

    def worker(seed: int) -> Callable[[], None]:
        order = random.Random(seed).sample(made, len(made))
        return lambda: [apply(items[0].session_id) for items in order] and None

    at_once(*(worker(seed) for seed in range(4)))
    assert aggregate().sample_statistics.total_sessions == 5
    assert differences() == []


def test_scores_that_change_while_workers_count_end_up_right(table: str) -> None:
    made = [cohort.whole() for _ in range(3)]
    for items in made:
        cohort.store(*items)
    ids = [items[0].session_id for items in made]

    def grader() -> None:
        for number in range(8):
            session_id = ids[number % 3]
            rescore(session_id, "final", 60.0 if number % 2 else 70.0)
            apply(session_id)

    at_once(grader, *[lambda: [apply(session_id) for session_id in ids * 2]] * 2)
    assert differences() == []


def test_a_contribution_that_moved_on_before_its_aggregate_was_read_is_read_again(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """{50, 70} became {90, 70}: taking the 50 that was read earlier out of that leaves sums of no values."""
    moved, other = cohort.whole(final=50.0), cohort.whole(final=70.0)
    for items in (moved, other):
        cohort.store(*items)
        apply(items[0].session_id)
    session_id, count = moved[0].session_id, updates.recount

    def overtaken(session_id: str) -> Any:
        monkeypatch.setattr(updates, "recount", count)
        rescore(session_id, "final", 90.0)
        assert apply(session_id)
        return count(session_id)

    monkeypatch.setattr(updates, "recount", overtaken)
    assert not apply(session_id)  # another had counted it
    assert aggregate().sums["final_sum"] == 160 * POINT
    assert differences() == []


def test_days_are_counted_by_condition(table: str) -> None:
    for code, day in (("L1-I1-D", 0), ("L4-I3-S", 0), ("L4-I3-S", 1)):
        items = cohort.whole(
            code, start=datetime.fromisoformat("2025-10-23T23:59:59+00:00") + timedelta(days=day)
        )
        cohort.store(*items)
        apply(items[0].session_id)
    found = queries.days(cohort.NOON.date(), cohort.NOON.date() + timedelta(days=5))
    assert [(day.day.isoformat(), dict(day.started)) for day in found] == [
        ("2025-10-23", {"L1-I1-D": 1, "L4-I3-S": 1}),
        ("2025-10-24", {"L4-I3-S": 1}),
    ]
    assert found[0].gain_units == {code: round(33.3 * POINT) for code in found[0].started}
