import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sessions_app.domain.consent import form_texts
from sessions_app.domain.models import Item
from sessions_app.domain.session.record import Run
from sessions_app.domain.simulation import cohort as simulated_cohort
from sessions_app.domain.simulation import persona as mind
from sessions_app.domain.store import keys
from sessions_app.domain.tutor.scripted import ScriptedTutor

from .cast import PACKAGE

Everything = Callable[[], list[dict[str, Any]]]
EASTERN = ZoneInfo("America/New_York")
NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
ITEMS = {
    "METADATA",
    "LOCATION_VERIFICATION",
    "CONTENT_DELIVERY",
    "POST_SURVEY",
    "ASSESSMENT",
    "INTERVENTION",
    "EVENT",
}


def cohort(size: int = 24, seed: int = 1, **changes: Any) -> simulated_cohort.Cohort:
    told: dict[str, Any] = {"package": PACKAGE, "tutor": ScriptedTutor(), "now": NOW, "zone": EASTERN}
    return simulated_cohort.Cohort(size=size, seed=seed, **(told | changes))


def staying(of: simulated_cohort.Cohort, how_many: int) -> list[int]:
    """The first students who stay to the end."""
    indices = (index for index in range(of.size) if of.persona(index).quits_after is None)
    return [next(indices) for _ in range(how_many)]


def go(of: simulated_cohort.Cohort, index: int) -> Run:
    return simulated_cohort.walk(of, index, simulated_cohort.admit(of, index))


# --- the mind


def test_a_persona_is_of_the_studys_age_and_grade() -> None:
    personas = [mind.drawn(random.Random(n)) for n in range(300)]
    assert {persona.age for persona in personas} == {14, 15, 16, 17, 18}
    assert all(9 <= persona.demographics["grade_level"] <= 12 for persona in personas)
    assert {persona.format for persona in personas} == {"audio", "text", "video"}
    assert 2 <= sum(persona.quits_after is not None for persona in personas) <= 40


def test_what_was_known_before_is_known_afterwards() -> None:
    item, condition = PACKAGE.assessment[0], keys.Condition.from_code("L1-I1-D")
    for n in range(200):
        persona = mind.drawn(random.Random(n))
        before, after = (
            mind.answer(item, persona, gained=gained, known=random.Random(n), chance=random.Random(-n))
            for gained in (0, mind.learned(persona, condition))
        )
        assert before != item.correct_answer or after == item.correct_answer


def test_on_site_and_dynamic_teach_most_as_invented() -> None:
    persona = mind.drawn(random.Random(1))
    gains = {cell.code: mind.learned(persona, cell) for cell in keys.CONDITIONS}
    assert max(gains, key=gains.__getitem__) == "L1-I2-D"
    assert min(gains, key=gains.__getitem__) == "L4-I3-S"


def test_answers_are_never_empty_and_take_time() -> None:
    for n in range(300):
        persona, chance = mind.drawn(random.Random(n)), random.Random(n)
        said = [
            mind.answer(item, persona, gained=0, known=chance, chance=chance) for item in PACKAGE.assessment
        ] + [mind.reply(PACKAGE.segment(2), persona, keys.CONDITIONS[n % 24], chance)]
        assert all(text.strip() for text in said)
        assert all(mind.seconds(text, persona, chance, chosen=False) >= 2 for text in said)


# --- the cohort


@pytest.mark.parametrize(
    ("told", "message"), [({"size": 0}, "at least 1 student"), ({"days": 0}, "at least 1 day")]
)
def test_a_cohort_that_cannot_be_is_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(simulated_cohort.BadCohort, match=message):
        cohort(**told)


def test_sessions_begin_on_school_days_after_noon_and_end_before_now() -> None:
    many = cohort(200)
    begins = [many.begins(index).astimezone(EASTERN) for index in range(200)]
    assert all(begin.weekday() < 5 and 13 <= begin.hour <= 15 for begin in begins)
    assert max(begins) < NOW - timedelta(hours=2)
    assert min(begins) > NOW - timedelta(days=29)
    assert [begin.date() for begin in begins] == sorted(begin.date() for begin in begins)


def test_a_weekend_alone_will_do() -> None:
    sunday = datetime(2026, 3, 8, 18, 0, tzinfo=UTC)
    assert cohort(1, now=sunday, days=1).begins(0).astimezone(EASTERN).date().isoformat() == "2026-03-07"


def test_all_conditions_come_in_turn() -> None:
    assert Counter(cohort(48).wanted(index) for index in range(48)) == dict.fromkeys(keys.CONDITIONS, 2)


def test_a_seed_makes_the_same_students_and_another_seed_others() -> None:
    def told(of: simulated_cohort.Cohort) -> list[Any]:
        return [(of.id(n, "session"), of.persona(n), of.begins(n)) for n in range(5)]

    assert told(cohort(seed=7)) == told(cohort(seed=7))
    assert not {each[0] for each in told(cohort(seed=7))} & {each[0] for each in told(cohort(seed=8))}


@pytest.mark.parametrize("place", PACKAGE.locations)
def test_places_are_verified_as_for_real(place: Any) -> None:
    ways = Counter(
        simulated_cohort.verified(place, random.Random(n), now=NOW, by="simulation").method
        for n in range(300)
    )
    assert ways.most_common(1)[0][0] == place.method
    assert set(ways) <= {place.method, "manual"}
    assert ("manual" in ways) is (place.method == "GPS")


def test_positions_are_inside_the_fence() -> None:
    for n in range(300):
        told = simulated_cohort.verified(
            PACKAGE.location("on-site"), random.Random(n), now=NOW, by="simulation"
        )
        if told.gps is not None:
            assert told.gps["geofence_validated"] is True
            assert told.gps["distance_from_target_meters"] <= 100


# --- walking


def test_all_24_conditions_run_through_and_every_item_is_valid(table: str, everything: Everything) -> None:
    many = cohort(24)
    admitted = [simulated_cohort.admit(many, index) for index in range(24)]
    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda index: simulated_cohort.walk(many, index, admitted[index]), range(24)))
    assert {run.session.condition for run in runs} == set(keys.CONDITIONS)
    assert {run.session.state for run in runs} <= {"completed", "stopped"}
    assert not any("condition_override" in run.session.metadata.data_quality_flags for run in runs)
    items = everything()
    for item in items:
        Item.get(item["PK"], item["SK"]).serialize()  # every check of every attribute, once more
    kinds = Counter(item["entity_type"] for item in items)
    assert kinds["session"] == kinds["student_profile"] == kinds["allocation"] == 24
    assert kinds["grading_task"] == kinds["answer_conflict"] == 0
    marked = [item["metadata"] for item in items if item["entity_type"] in ("student_profile", "session")]
    assert all(metadata["simulated"] is True for metadata in marked)


def test_a_whole_session_leaves_every_entity_graded(table: str) -> None:
    of = cohort(condition=keys.Condition.from_code("L1-I1-D"))
    run = Run.load(go(of, staying(of, 1)[0]).id)
    assert run.session.state == "completed"
    assert {item.SK.split("#")[0] for item in Item.query(keys.session(run.id))} >= ITEMS
    assert run.assessments["final"].learning_gain is not None
    assert len(run.interventions) == 4
    assert all(record.grading is not None for record in run.interventions.values())
    assert "condition_override" in run.session.metadata.data_quality_flags


def test_a_cohort_that_runs_again_writes_nothing_even_on_another_day(
    table: str, everything: Everything
) -> None:
    for index in range(2):
        go(cohort(2), index)
    once = everything()
    for index in range(2):
        go(cohort(2, now=NOW + timedelta(days=1)), index)
    assert everything() == once


def test_the_same_seed_says_the_same_on_another_table(table: str, everything: Everything, raw: Any) -> None:
    of = cohort(2)
    go(of, 0)
    first = everything()
    with raw.batch_writer() as batch:
        for item in first:
            batch.delete_item(Key={"PK": item["PK"], "SK": item["SK"]})
    form_texts.KEPT.clear()
    go(of, 0)
    assert without_times(everything()) == without_times(first)


def without_times(items: list[dict[str, Any]]) -> list[Any]:
    """Without how long the tutor took, which is measured, and the audit log's ids: the rest is made up."""
    kept = [
        repr({**item, "ai_metadata": None} | ({"SK": "", "entry_id": ""} if "entry_id" in item else {}))
        for item in items
        if item["entity_type"] != "prepared_question"
    ]
    return sorted(text for text in kept if "generation_time_ms" not in text)


def test_one_that_was_broken_off_goes_on_where_it_stood(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of = cohort(condition=keys.Condition.from_code("L4-I3-S"))
    index = staying(of, 1)[0]
    whole = simulated_cohort.Walk.take
    steps = iter(range(15))

    def broken(walk: simulated_cohort.Walk, run: Run, step: Any) -> Run:
        if next(steps, None) is None:
            raise ConnectionError
        return whole(walk, run, step)

    monkeypatch.setattr(simulated_cohort.Walk, "take", broken)
    with pytest.raises(ConnectionError):
        go(of, index)
    monkeypatch.setattr(simulated_cohort.Walk, "take", whole)
    run = Run.load(go(of, index).id)
    assert run.session.state == "completed"
    assert run.session.timeline.session_end > run.session.start


def test_one_who_quits_is_stopped_with_what_was_stored(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of = cohort()
    quitter = replace(of.persona(0), quits_after=12)
    monkeypatch.setattr(simulated_cohort.Cohort, "persona", lambda self, index: quitter)
    run = Run.load(go(of, 0).id)
    assert run.session.state == "stopped"
    assert sum(run.done.values()) == 12
    assert run.assessments["baseline"].is_graded
