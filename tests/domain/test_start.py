import hashlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from sessions_app.domain import allocation
from sessions_app.domain.consent.agreement import ConsentNotInForce
from sessions_app.domain.models import InvalidField, Student, StudentAllocation
from sessions_app.domain.session import start as session_start
from sessions_app.domain.session import survey as session_survey
from sessions_app.domain.session.record import Run, SessionNotFound
from sessions_app.domain.store import keys

from .cast import FACILITATOR, GPS, HONOR, NOON, PACKAGE, Participant, at_once, enrol, new_id, start, start_in

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]


def sessions_of(student: Student) -> int:
    return int(Student.by_id(student.student_id).metadata.total_sessions)


def stopped(student: Student, **changes: Any) -> Run:
    return session_survey.stop(start(student, **changes), by=FACILITATOR, now=NOON, reason="a test")


def change_consent(raw: Any, student: Student, **flags: Any) -> None:
    for name, value in flags.items():
        raw.update_item(
            Key={"PK": student.PK, "SK": "PROFILE"},
            UpdateExpression=f"SET consent_data.{name} = :value",
            ExpressionAttributeValues={":value": value},
        )


def test_session_verification_counter_and_allocation_are_stored_together(table: str, stored: Items) -> None:
    student = enrol()
    run = start_in("L1-I1-D", student)
    session, *_ = stored(keys.session(run.id), "METADATA")
    at = "2026-03-03T17:00:00Z"
    assert {name: session[name] for name in session if name.startswith("GSI")} == {
        "GSI1PK": "CONDITION#on-site#2.5#dynamic",
        "GSI1SK": at,
        "GSI2PK": f"STUDENT#{student.student_id}",
        "GSI2SK": f"SESSION#{at}",
        "GSI3PK": "LOCATION#on-site",
        "GSI3SK": at,
        "GSI4PK": "INTERVENTION#dynamic",
        "GSI4SK": at,
        "GSI5PK": "DATE#2026-03-03",
        "GSI5SK": at,
    }
    assert session["completion_status"]["location_verified"] is True
    assert session["student_metadata"] == {"age": 16, "grade": 10, "richmond_resident": True}
    verification, *_ = stored(keys.session(run.id), "LOCATION_VERIFICATION")
    assert verification["verification"]["method"] == "GPS"
    assert float(verification["gps_data"]["latitude"]) == GPS["latitude"]
    log = stored("ALLOCATION#on-site", "2026")
    assert [entry["condition_code"] for entry in log] == ["L1-I1-D"]
    assert sessions_of(student) == 1


def test_what_was_started_reads_back_alike(table: str) -> None:
    run = start_in("L3-I2-S")
    fresh = Run.load(run.id)
    assert fresh.session.serialize() == run.session.serialize()
    assert fresh.verification is not None
    assert run.verification is not None
    assert fresh.verification.serialize() == run.verification.serialize()
    assert fresh.step is not None
    assert fresh.step.slug == "baseline/1"


def test_the_same_session_id_starts_once(table: str, everything: Everything) -> None:
    student, session_id = enrol(), new_id()
    first = start(student, session_id=session_id)
    once = everything()
    again = start(student, session_id=session_id, choose=random.Random(99).choice)
    assert again.session.condition == first.session.condition
    assert everything() == once
    assert sessions_of(student) == 1


def test_the_same_session_id_from_five_tabs_starts_once(table: str, stored: Items) -> None:
    student, session_id = enrol(), new_id()
    runs = at_once(5, lambda _: start(student, session_id=session_id))
    assert {run.id for run in runs} == {session_id}
    assert len({run.session.condition for run in runs}) == 1
    assert sessions_of(student) == 1
    assert len(stored("ALLOCATION#home", "2026")) == 1


@pytest.mark.parametrize(
    "flags",
    [
        {"parent_consent": False},
        {"student_assent": False},
        {"withdrawn_at": "2026-03-01T00:00:00Z"},
    ],
)
def test_no_session_starts_without_consent_in_force(
    table: str, raw: Any, everything: Everything, flags: dict[str, Any]
) -> None:
    student = enrol()
    change_consent(raw, student, **flags)
    before = everything()
    with pytest.raises(ConsentNotInForce):
        start(student)
    assert everything() == before


def test_consent_is_checked_inside_the_write_as_well(
    table: str, raw: Any, everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = enrol()
    change_consent(raw, student, withdrawn_at="2026-03-01T00:00:00Z")
    before = everything()
    monkeypatch.setattr(Student, "has_consent", lambda self: True)  # as if it was read a moment too early
    with pytest.raises(ConsentNotInForce):
        start(student)
    assert everything() == before


def test_an_adult_needs_no_parental_permission(table: str) -> None:
    adult = enrol(18)
    assert adult.consent_data.parent_consent is False
    assert start(adult).step is not None


@pytest.mark.parametrize("student_id", ["nobody", "not a key#", ""])
def test_an_unknown_student_starts_nothing(table: str, everything: Everything, student_id: str) -> None:
    with pytest.raises(session_start.StudentNotFound):
        start(Student(student_id=student_id))
    assert everything() == []


@pytest.mark.parametrize("session_id", ["nothing", "not a key#", ""])
def test_an_unknown_session_is_not_found(table: str, session_id: str) -> None:
    with pytest.raises(SessionNotFound):
        Run.load(session_id)


def test_many_starts_keep_the_arms_of_a_location_balanced(table: str, stored: Items) -> None:
    for number in range(1, 25):
        start(enrol(), choose=None)
        tally = stored("ALLOCATION#home", "TALLY")[0]["counts"]
        most, fewest = max(tally.values()), min(tally.values()) if len(tally) == 6 else 0
        assert sum(tally.values()) == number
        assert most - fewest <= allocation.TOLERANCE


def test_sixteen_starts_at_once_keep_the_arms_balanced_and_every_one_is_logged(
    table: str, stored: Items, everything: Everything
) -> None:
    students = [enrol() for _ in range(16)]
    runs = at_once(16, lambda number: start(students[number], choose=random.Random(number).choice))
    assert [run for run in runs if not isinstance(run, Run)] == []
    drawn = Counter(run.session.condition.arm for run in runs)
    assert max(drawn.values()) - min(drawn[arm.arm] for arm in allocation.arms("home")) <= 3
    assert stored("ALLOCATION#home", "TALLY")[0]["counts"] == dict(drawn)
    log = stored("ALLOCATION#home", "2026")
    assert {entry["session_id"] for entry in log} == {run.id for run in runs}
    assert len([item for item in everything() if item["entity_type"] == "session"]) == 16


def test_stopping_every_static_session_never_changes_the_arm(table: str, stored: Items) -> None:
    """A facilitator who wants dynamic questions stops what is static and starts again."""
    student, codes, attempts = enrol(), list[str](), list[int]()
    first = start_in("L4-I2-S", student, by=FACILITATOR, override=None, choose=static)
    run = first
    for _ in range(200):
        run = session_survey.stop(run, by=FACILITATOR, now=NOON, reason="static again")
        run = start(student, choose=None)
        codes.append(run.session.condition.code)
        attempts.append(run.session.allocation.attempt)
    assert set(codes) == {first.session.condition.code}
    assert attempts == list(range(2, 202))
    assert run.session.condition.type == "static"
    assert stored("ALLOCATION#home", "TALLY")[0]["counts"] == {run.session.condition.arm: 1}


def static(candidates: Any) -> Any:
    return next(condition for condition in candidates if condition.type == "static")


def test_what_the_student_has_seen_before_is_stored(table: str) -> None:
    student = enrol()
    first = Participant(start(student)).walk_to("format").run
    assert told(first) == ("balanced", 1, 0, None)
    session_survey.stop(first, by=FACILITATOR, now=NOON, reason="the bell")
    second = start(student)
    assert told(second) == ("continued", 2, 1, "baseline")
    Participant(second).walk()
    third = start(student, "classroom")
    assert told(third) == ("balanced", 1, 2, "survey")


def told(run: Run) -> tuple[Any, ...]:
    allocation = run.session.allocation
    return allocation.method, allocation.attempt, allocation.earlier_sessions, allocation.farthest_stage


def test_at_another_location_an_arm_that_the_student_had_is_avoided(table: str) -> None:
    student = enrol()
    arms = [
        stopped(student, location=location, choose=lambda offered: offered[0]).session.condition.arm
        for location in ("home", "classroom", "learning-space", "on-site")
    ]
    assert len(set(arms)) == 4


def test_an_administrator_may_set_a_condition_later_and_the_first_stays(table: str, stored: Items) -> None:
    student = enrol()
    first = stopped(student).session.condition
    other = next(arm for arm in allocation.arms("home") if arm != first)
    session_survey.stop(start_in(other.code, student), by=FACILITATOR, now=NOON, reason="a test")
    assert start(student).session.condition == first
    assert stored("ALLOCATION#home", "TALLY")[0]["counts"] == {first.arm: 1}


def test_a_condition_set_by_hand_is_continued_with_its_flag(table: str) -> None:
    student = enrol()
    session_survey.stop(start_in("L4-I3-S", student), by=FACILITATOR, now=NOON, reason="a test")
    again = start(student).session
    assert (again.condition.code, again.allocation.method) == ("L4-I3-S", "continued")
    assert again.metadata.data_quality_flags == ["condition_override"]


def test_a_session_from_before_allocations_were_stored_is_continued(table: str, stored: Items) -> None:
    student = enrol()
    first = stopped(student)
    stored_allocation = StudentAllocation.of(student.student_id, "home")
    assert stored_allocation is not None
    stored_allocation.delete()
    again = start(student).session
    assert (again.condition, again.allocation.attempt) == (first.session.condition, 2)
    assert stored("ALLOCATION#home", "TALLY")[0]["counts"] == {again.condition.arm: 1}
    held = StudentAllocation.of(student.student_id, "home")
    assert held is not None
    assert (held.session_id, held.attempts, held.places) == (first.id, 2, 2)


def test_eight_restarts_at_once_continue_one_arm_and_count_it_once(table: str, stored: Items) -> None:
    student = enrol()
    first = stopped(student)
    runs = at_once(8, lambda number: start(student, choose=random.Random(number).choice))
    started = [run for run in runs if isinstance(run, Run)]
    assert {run.session.condition for run in started} == {first.session.condition}
    assert len(started) == 1
    held = StudentAllocation.of(student.student_id, "home")
    assert held is not None
    assert (held.attempts, held.places) == (2, 2)
    assert stored("ALLOCATION#home", "TALLY")[0]["counts"] == {first.session.condition.arm: 1}


def test_a_log_entry_lets_the_draw_be_repeated(table: str, stored: Items, everything: Everything) -> None:
    for _ in range(8):
        start(enrol(), choose=None)
    for entry in stored("ALLOCATION#home", "2026"):
        candidates = allocation.candidates(location="home", counts=entry["counts"])
        assert [condition.code for condition in candidates] == entry["candidates"]
        assert allocation.by_seed(entry["seed"])(candidates).code == entry["condition_code"]
        assert (entry["method"], entry["by"], entry["attempt"]) == ("balanced", "facilitator", 1)
        (audited,) = [
            item
            for item in everything()
            if item.get("action") == "session.start" and item["session_id"] == entry["session_id"]
        ]
        assert audited["new"]["candidates"] == ", ".join(entry["candidates"])
        assert audited["new"]["seed_sha256"] == hashlib.sha256(entry["seed"].encode()).hexdigest()
        assert entry["seed"] not in str(audited)


def test_strata_have_tallies_of_their_own(table: str, stored: Items) -> None:
    for school in ("Fall Line High School", "Armory High School"):
        student = enrol()
        path: Any = Student.demographics.school
        student.update(actions=[path.set(school)])
        start(student, strata=("location", "school"), choose=lambda offered: offered[0])
    tallies = stored("ALLOCATION#home", "TALLY#school-")
    assert [tally["counts"] for tally in tallies] == [{"I1-S": 1}, {"I1-S": 1}]
    assert stored("ALLOCATION#home", "TALLY")[0]["SK"] != "TALLY"


def test_an_override_is_logged_and_flagged(table: str, stored: Items) -> None:
    run = start_in("L4-I3-S")
    session, *_ = stored(keys.session(run.id), "METADATA")
    assert session["metadata"]["data_quality_flags"] == ["condition_override"]
    allocation = {"method": "override", "reason": "a test", "by": "admin"}
    assert session["allocation"] == allocation | {"attempt": 1, "earlier_sessions": 0}
    entry, *_ = stored("ALLOCATION#home", "2026")
    assert (entry["method"], entry["reason"], entry["by"]) == ("override", "a test", "admin")


def test_an_override_to_another_place_than_the_verified_one_is_refused(
    table: str, everything: Everything
) -> None:
    student = enrol()
    before = everything()
    elsewhere = session_start.Override(condition=keys.Condition.from_code("L1-I1-D"), reason="x")
    with pytest.raises(session_start.OtherPlace):
        start(student, "home", override=elsewhere)
    assert everything() == before


def test_a_place_that_was_vouched_for_is_flagged(table: str, stored: Items) -> None:
    vouched = session_start.Verified(
        method="manual", confidence="low", override_reason="no position", attested_by="facilitator"
    )
    run = start(enrol(), "on-site", verified=vouched)
    assert run.session.metadata.data_quality_flags == ["location_override"]
    verification, *_ = stored(keys.session(run.id), "LOCATION_VERIFICATION")
    assert verification["verification"]["override_reason"] == "no position"


@pytest.mark.parametrize(
    ("field", "location", "bad"),
    [
        ("gps_data", "home", session_start.Verified(method="honor_system", confidence="medium", gps=GPS)),
        ("verification.override_reason", "home", session_start.Verified(method="manual", confidence="low")),
        ("verification.method", "home", session_start.Verified(method="telepathy", confidence="low")),
        (
            "gps_data.latitude",
            "on-site",
            session_start.Verified(method="GPS", confidence="high", gps=GPS | {"latitude": 91.0}),
        ),
    ],
)
def test_a_verification_that_cannot_be_is_refused_with_the_whole_start(
    table: str, everything: Everything, field: str, location: str, bad: session_start.Verified
) -> None:
    student = enrol()
    before = everything()
    with pytest.raises(InvalidField) as refused:
        start(student, location, verified=bad)
    assert refused.value.field == field
    assert everything() == before


def test_a_start_is_a_query_a_read_and_one_transaction(table: str, requests_made: list[str]) -> None:
    student = enrol()
    requests_made.clear()
    start(student)
    assert requests_made == ["Query", "BatchGetItem", "TransactWriteItems"]


def test_a_session_is_read_whole_in_one_query(table: str, requests_made: list[str]) -> None:
    participant = Participant.in_condition("L4-I3-S").walk_to("final/1")
    requests_made.clear()
    Run.load(participant.run.id)
    assert requests_made == ["Query"]


def test_simulated_sessions_say_so_and_others_do_not(table: str, stored: Items) -> None:
    flags = []
    for simulated in (True, False):
        run = session_start.start(
            session_id=new_id(),
            student_id=enrol(realm="simulated" if simulated else "real").student_id,
            location=PACKAGE.location("home"),
            verified=HONOR,
            package=PACKAGE,
            by=FACILITATOR,
            choose=random.Random(1).choice,
            now=NOON,
        )
        session, *_ = stored(keys.session(run.id), "METADATA")
        flags.append(session["metadata"].get("simulated"))
    assert flags == [True, None]
