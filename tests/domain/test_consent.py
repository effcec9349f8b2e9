"""Consent after enrolment: texts that stay, reviews, new versions, a second yes, a later no."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app.domain.audit.log import Actor
from sessions_app.domain.consent import decisions as consent_decisions
from sessions_app.domain.consent import form_texts, reconsent
from sessions_app.domain.consent.agreement import AgeOutsideStudy, ConsentNotInForce, FormChanged
from sessions_app.domain.models import (
    AuditEntry,
    ConsentEvent,
    DirectoryEntry,
    FormText,
    InvalidField,
    RenewalDecision,
    Student,
)
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from sessions_app.domain.store.items import count_up_to
from tests.domain.cast import (
    ADMIN,
    AGES,
    FACILITATOR,
    IRB,
    NOON,
    PACKAGE,
    Participant,
    agreements,
    at_once,
    consent_events,
    enrol,
    reason_of,
    start,
    with_new_form,
)

Items = Callable[..., list[dict[str, Any]]]
Everything = Callable[[], list[dict[str, Any]]]

NEW_PERMISSION = with_new_form("parental_permission")
NEW_ASSENT = with_new_form("assent")


def fresh(student: Student) -> Student:
    return Student.by_id(student.student_id)


def seen(student: Student) -> float | None:
    return fresh(student).consent_data.version


def review(student: Student, outcome: str = "accepted", **changes: Any) -> Student:
    told: dict[str, Any] = {
        "student_id": student.student_id,
        "outcome": outcome,
        "reason": "the signature is missing" if outcome == "returned" else "",
        "by": IRB,
        "now": NOON,
        "seen": changes["seen"] if "seen" in changes else seen(student),
    }
    told |= changes
    return consent_decisions.review(**told)


def renew(student: Student, *, age: int = 16, forms: Any = PACKAGE.forms, **changes: Any) -> Student:
    told: dict[str, Any] = {
        "student_id": student.student_id,
        "age": age,
        "agreements": agreements(age, forms=forms),
        "data_sharing": None,
        "forms": forms,
        "ages": AGES,
        "by": FACILITATOR,
        "now": NOON,
    }
    told |= changes
    return consent_decisions.renew(**{"seen": seen(student), **told})


def require(forms: Any, kind: str = "parental_permission", *, most: int = 25) -> RenewalDecision:
    form = next(form for form in forms if form.kind == kind)
    decision = reconsent.decide(form=form, reason="new risks", by=IRB, now=NOON)
    while not decision.is_finished:
        decision = reconsent.carry_on(form=form, by=IRB, now=NOON, most=most)
    return decision


def listed(found: Any) -> list[str]:
    return [entry.student_id for entry in found if isinstance(entry, DirectoryEntry)]


def actions(student: Student) -> list[str]:
    return [str(event.action) for event in consent_events(student.student_id)]


def told(student: Student) -> list[str]:
    """The audit entries about a student, oldest first."""
    about = [entry.action for entry in AuditEntry.about_student(student.student_id)]
    return [action for action in reversed(about) if action != "student.enrol"]


# --- the texts


def test_the_text_is_stored_before_the_first_consent_to_it(table: str, stored: Items) -> None:
    student = enrol()
    for kind in ("parental_permission", "assent"):
        record, form = consent_decisions.record_for(student, kind), PACKAGE.form(kind)
        assert record.is_about(form.sha256)
        (kept,) = stored(keys.form(form.sha256))
        assert kept["text"] == form.text
        assert (kept["kind"], kept["version"]) == (kind, record.version)


def test_a_text_stays_as_it_was_whatever_the_package_holds_later(table: str) -> None:
    old = enrol()
    renew(old, forms=NEW_PERMISSION)
    texts = {text.version: text for text in FormText.all() if text.kind == "parental_permission"}
    assert texts["1.0"].text == PACKAGE.form("parental_permission").text
    assert texts["2.0"].text.endswith("New in 2.0.")
    assert all(text.is_genuine for text in texts.values())


def test_a_text_that_another_process_stored_is_kept_as_it_is(table: str, everything: Everything) -> None:
    form_texts.keep(PACKAGE.forms, now=NOON)
    before = everything()
    form_texts.KEPT.clear()
    form_texts.keep(PACKAGE.forms, now=NOON + timedelta(days=9))
    assert everything() == before


def test_a_text_that_was_tampered_with_is_not_genuine(table: str, raw: Any) -> None:
    enrol()
    form = PACKAGE.form("assent")
    raw.update_item(
        Key={"PK": keys.form(form.sha256), "SK": keys.FORM_TEXT},
        UpdateExpression="SET #t = :t",
        ExpressionAttributeNames={"#t": "text"},
        ExpressionAttributeValues={":t": "Something else."},
    )
    kept = FormText.of(form.sha256)
    assert kept
    assert not kept.is_genuine


def test_the_students_of_a_text_are_counted_once_each(table: str) -> None:
    first, _ = enrol(), enrol()
    form = PACKAGE.form("assent")
    renew(first)
    assert actions(first) == ["granted", "granted", "renewed", "renewed"]
    assert ConsentEvent.students_of_form(form.sha256, 1000) == 2


# --- the review


def test_a_new_student_awaits_a_review(table: str) -> None:
    student = enrol()
    assert student.review_state == "awaiting"
    assert listed(DirectoryEntry.in_review("awaiting")) == [student.student_id]


def test_a_consent_that_was_never_reviewed_awaits_it(table: str, raw: Any) -> None:
    student = enrol()
    raw.update_item(
        Key={"PK": student.PK, "SK": "PROFILE"},
        UpdateExpression="REMOVE consent_data.#r, consent_data.version",
        ExpressionAttributeNames={"#r": "review"},
    )
    assert fresh(student).review_state == "awaiting"
    assert review(student, seen=None).review_state == "accepted"


def test_a_profile_is_paid_with_one_unit_by_each_write_that_checks_consent(
    table: str, shared_table: Any
) -> None:
    """A minor's with both forms, reviewed, after three sessions; in a transaction it costs twice this."""
    learning = {
        "depth_preference": "overview",
        "learning_style": "visual-auditory",
        "prior_knowledge_topics": ["civil_war", "richmond_history"],
    }
    student = enrol(learning_profile=learning)
    review(student)
    profile = shared_table.get_item(Key={"PK": student.PK, "SK": "PROFILE"})["Item"]
    profile["metadata"]["conditions_completed"] = ["L1-I1-D", "L2-I2-S", "L3-I3-D"]
    paid = shared_table.put_item(Item=profile, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    assert paid["Table"]["CapacityUnits"] == 1


def test_an_accepted_consent_leaves_the_queue(table: str) -> None:
    student = enrol()
    after = review(student)
    assert (after.review_state, after.consent_data.review.by) == ("accepted", "irb")
    assert listed(DirectoryEntry.in_review("awaiting")) == []
    assert listed(DirectoryEntry.in_state("complete")) == [student.student_id]
    assert actions(student)[-1] == "reviewed"
    assert told(student) == ["consent.review"]


def test_a_returned_consent_is_told_with_its_reason(table: str, stored: Items) -> None:
    student = enrol()
    review(student, "returned")
    assert listed(DirectoryEntry.in_review("returned")) == [student.student_id]
    event = consent_events(student.student_id)[-1]
    assert isinstance(event, ConsentEvent)
    assert (event.kind, event.outcome, event.reason) == (
        "participation",
        "returned",
        "the signature is missing",
    )
    (entry,) = stored(keys.audit_day(NOON.date()))
    assert (entry["old"], entry["new"]) == ({"review": "awaiting"}, {"review": "returned"})
    assert reason_of(entry) == "the signature is missing"


@pytest.mark.parametrize("reason", ["", "   "])
def test_returning_needs_a_reason(table: str, everything: Everything, reason: str) -> None:
    student = enrol()
    before = everything()
    with pytest.raises(InvalidField, match="reason is missing"):
        review(student, "returned", reason=reason)
    assert everything() == before


def test_an_outcome_is_one_of_two(table: str, everything: Everything) -> None:
    student = enrol()
    before = everything()
    with pytest.raises(InvalidField, match="outcome must be one of accepted, returned"):
        review(student, "maybe")
    assert everything() == before


def test_of_two_reviewers_one_wins_and_the_other_is_told(table: str) -> None:
    student = enrol()
    version = seen(student)
    reviewers = [("accepted", Actor("ann", "irb")), ("returned", Actor("bob", "irb"))]

    def give(number: int) -> Student:
        outcome, by = reviewers[number]
        return review(student, outcome, by=by, seen=version)

    answers = at_once(2, give)
    assert sorted(type(answer).__name__ for answer in answers) == ["ChangedMeanwhile", "Student"]
    winner = next(number for number, answer in enumerate(answers) if isinstance(answer, Student))
    assert fresh(student).review_state == reviewers[winner][0]
    assert actions(student).count("reviewed") == told(student).count("consent.review") == 1


def test_a_review_of_what_was_shown_before_a_change_is_refused(table: str) -> None:
    student = enrol()
    version = seen(student)
    renew(student)
    with pytest.raises(consent_decisions.ChangedMeanwhile):
        review(student, seen=version)


def test_a_withdrawn_consent_is_not_reviewed_any_more(table: str, withdraw: Callable[[str], None]) -> None:
    student = enrol()
    withdraw(student.student_id)
    with pytest.raises(consent_decisions.ConsentWithdrawn):
        review(student)
    assert actions(student) == ["granted", "granted"]


def test_a_withdrawal_in_the_middle_of_a_review_wins(
    table: str, withdraw: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    student = enrol()
    commit = consent_decisions.Transaction.commit

    def withdrawn_first(transaction: Any) -> None:
        withdraw(student.student_id)
        commit(transaction)

    monkeypatch.setattr(consent_decisions.Transaction, "commit", withdrawn_first)
    with pytest.raises(consent_decisions.ConsentWithdrawn):
        review(student)
    assert fresh(student).review_state == "awaiting"


def test_a_consent_that_is_not_complete_is_not_reviewed(table: str) -> None:
    student = enrol()
    require(NEW_PERMISSION)
    with pytest.raises(consent_decisions.NothingToReview):
        review(student)


# --- what it allows


def test_no_session_starts_on_a_returned_consent(table: str) -> None:
    student = enrol()
    review(student, "returned")
    with pytest.raises(ConsentNotInForce, match="The review board returned this consent"):
        start(student)
    assert fresh(student).metadata.total_sessions == 0


def test_no_session_starts_before_the_new_form_was_agreed_to(table: str) -> None:
    student = enrol()
    require(NEW_PERMISSION)
    with pytest.raises(ConsentNotInForce, match="A form has a new version"):
        start(student)
    renew(student, forms=NEW_PERMISSION)
    assert start(student).is_open


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda student: review(student, "returned"), "The review board returned"),
        (lambda student: require(NEW_PERMISSION), "A form has a new version"),
    ],
)
def test_the_start_is_refused_inside_the_write_as_well(
    table: str, monkeypatch: pytest.MonkeyPatch, change: Any, says: str
) -> None:
    """The board returns it between the reading of the profile and the write."""
    student = enrol()
    had_consent = fresh(student)
    change(student)
    monkeypatch.setattr(Student, "with_sessions", lambda student_id: [had_consent])
    with pytest.raises(ConsentNotInForce, match=says):
        start(student)
    assert fresh(student).metadata.total_sessions == 0


@pytest.mark.parametrize("change", [lambda s: review(s, "returned"), lambda s: require(NEW_PERMISSION)])
def test_a_running_session_goes_on(table: str, change: Any) -> None:
    student = enrol()
    participant = Participant(start(student))
    participant.answer_item("baseline", 1)
    change(student)
    participant.walk()
    assert Run.load(participant.run.id).session.state == "completed"


def test_a_profile_by_another_writer_may_start(table: str, raw: Any) -> None:
    """The schema knows neither state nor review nor version."""
    student = enrol()
    raw.update_item(
        Key={"PK": student.PK, "SK": "PROFILE"},
        UpdateExpression="REMOVE consent_data.#s, consent_data.#r, consent_data.version",
        ExpressionAttributeNames={"#s": "state", "#r": "review"},
    )
    assert start(student).is_open


def exported(student: Student, unreviewed: bool = False) -> str | None:
    return consent_decisions.may_export(fresh(student), unreviewed=unreviewed)


def test_data_go_out_only_when_reviewed_unless_the_study_says_otherwise(table: str) -> None:
    student = enrol()
    assert (exported(student), exported(student, True)) == ("unreviewed", None)
    review(student)
    assert (exported(student), exported(student, True)) == (None, None)


def test_each_reason_keeps_data_in_whatever_the_study_says(
    table: str, withdraw: Callable[[str], None]
) -> None:
    returned, renewed, gone, refused = (enrol() for _ in range(4))
    unshared = enrol(data_sharing=False)
    review(returned, "returned")
    withdraw(gone.student_id)
    consent_decisions.refuse(
        student_id=refused.student_id, form=PACKAGE.form("assent"), seen=1, by=FACILITATOR, now=NOON
    )
    assert {exported(student, True) for student in (returned, gone, refused, unshared)} == {
        "returned",
        "withdrawn",
        "consent_missing",
        "not_shared",
    }
    require(NEW_ASSENT, "assent")
    assert exported(renewed, True) == "needs_reconsent"


# --- a new version for everybody


def test_only_those_who_agreed_to_another_text_must_agree_again(table: str) -> None:
    old, adult, new = (
        enrol(),
        enrol(18),
        enrol(forms=NEW_PERMISSION, agreements=agreements(16, forms=NEW_PERMISSION)),
    )
    decision = require(NEW_PERMISSION)
    assert (decision.looked_at, decision.marked) == (3, 1)
    assert [fresh(student).consent_data.state for student in (old, adult, new)] == [
        "needs_reconsent",
        "complete",
        "complete",
    ]
    assert listed(DirectoryEntry.in_state("needs_reconsent")) == [old.student_id]
    assert set(listed(DirectoryEntry.in_review("awaiting"))) == {adult.student_id, new.student_id}
    assert fresh(old).consent_data.required == ["parental_permission"]


def test_it_is_told_once_as_a_decision_and_once_for_each_student(table: str, everything: Everything) -> None:
    students = [enrol() for _ in range(3)]
    require(NEW_PERMISSION, most=2)
    entries = [item for item in everything() if item.get("action") == "consent.require_renewal"]
    assert len(entries) == 4
    assert {item.get("student_id") for item in entries} == {None, *(s.student_id for s in students)}
    assert all(actions(student)[-1] == "renewal_required" for student in students)


def test_it_goes_on_where_it_stopped(table: str) -> None:
    for _ in range(5):
        enrol()
    form = next(form for form in NEW_PERMISSION if form.kind == "parental_permission")
    reconsent.decide(form=form, reason="new risks", by=IRB, now=NOON)
    steps = [reconsent.carry_on(form=form, by=ADMIN, now=NOON, most=2) for _ in range(4)]
    assert [(step.looked_at, step.marked, step.is_finished) for step in steps] == [
        (2, 2, False),
        (4, 4, False),
        (5, 5, True),
        (5, 5, True),
    ]


def test_carried_out_by_two_at_once_every_student_is_marked_once(table: str, everything: Everything) -> None:
    students = [enrol() for _ in range(6)]
    form = next(form for form in NEW_PERMISSION if form.kind == "parental_permission")
    reconsent.decide(form=form, reason="new risks", by=IRB, now=NOON)
    answers = at_once(3, lambda _: reconsent.carry_on(form=form, by=IRB, now=NOON))
    assert all(isinstance(answer, RenewalDecision) for answer in answers)
    assert [actions(student).count("renewal_required") for student in students] == [1] * 6
    assert RenewalDecision.about(form.sha256).looked_at == 6  # type: ignore[union-attr]


def test_decided_twice_while_it_is_carried_out_it_is_one_decision(table: str, everything: Everything) -> None:
    enrol()
    form = NEW_PERMISSION[[f.kind for f in NEW_PERMISSION].index("parental_permission")]
    reconsent.decide(form=form, reason="new risks", by=IRB, now=NOON)
    before = everything()
    again = reconsent.decide(form=form, reason="other words", by=ADMIN, now=NOON)
    assert (again.reason, everything()) == ("new risks", before)


def test_decided_anew_it_looks_at_everybody_again(table: str) -> None:
    require(NEW_PERMISSION)
    late = enrol()
    decision = require(NEW_PERMISSION)
    assert (decision.looked_at, decision.marked) == (1, 1)
    assert fresh(late).consent_data.state == "needs_reconsent"


def test_a_decision_needs_a_reason_and_carrying_out_needs_a_decision(
    table: str, everything: Everything
) -> None:
    form = PACKAGE.form("assent")
    with pytest.raises(InvalidField, match="reason is missing"):
        reconsent.decide(form=form, reason=" ", by=IRB, now=NOON)
    with pytest.raises(reconsent.NotDecided):
        reconsent.carry_on(form=form, by=IRB, now=NOON)
    assert everything() == []


def test_whoever_withdrew_or_refused_is_not_asked(table: str, withdraw: Callable[[str], None]) -> None:
    gone, refused = enrol(), enrol()
    withdraw(gone.student_id)
    consent_decisions.refuse(
        student_id=refused.student_id, form=PACKAGE.form("assent"), seen=1, by=FACILITATOR, now=NOON
    )
    assert require(NEW_PERMISSION).marked == 0
    assert fresh(refused).consent_data.state == "refused"


# --- a second yes


def test_only_the_form_that_is_required_is_asked_for(table: str) -> None:
    student = enrol()
    require(NEW_PERMISSION)
    assert consent_decisions.forms_to_renew(fresh(student), 16, NEW_PERMISSION) == ["parental_permission"]
    after = renew(student, forms=NEW_PERMISSION)
    assert (after.consent_data.state, after.consent_data.required) == ("complete", None)
    assert after.consent_data.permission.version == "2.0"
    assert after.consent_data.assent.version == "1.0"
    assert actions(student).count("renewed") == 1
    assert listed(DirectoryEntry.in_state("needs_reconsent")) == []


def test_after_a_return_every_form_is_asked_for_and_the_board_looks_again(table: str) -> None:
    student = enrol()
    review(student, "returned")
    assert consent_decisions.forms_to_renew(fresh(student), 16, PACKAGE.forms) == [
        "parental_permission",
        "assent",
    ]
    assert renew(student).review_state == "awaiting"
    assert listed(DirectoryEntry.in_review("awaiting")) == [student.student_id]
    assert listed(DirectoryEntry.in_review("returned")) == []


def test_a_student_who_turned_18_consents_alone(table: str) -> None:
    student = enrol(17)
    require(NEW_PERMISSION)
    assert consent_decisions.forms_to_renew(fresh(student), 18, NEW_PERMISSION) == ["adult_consent"]
    with pytest.raises(ConsentNotInForce, match="adult_consent was not given"):
        renew(student, age=18, forms=NEW_PERMISSION, agreements=agreements(17, forms=NEW_PERMISSION))
    after = renew(student, age=18, forms=NEW_PERMISSION)
    assert (after.demographics.age, after.consent_data.parent_consent) == (18, False)
    assert after.consent_data.permission is None
    assert after.consent_data.assent.kind == "adult_consent"
    assert start(after).is_open


def test_silence_is_no_second_yes(table: str, everything: Everything) -> None:
    student = enrol()
    require(NEW_PERMISSION)
    before = everything()
    for silent in ([], agreements(16, agrees=False, forms=NEW_PERMISSION)):
        with pytest.raises(ConsentNotInForce, match="nothing was stored"):
            renew(student, forms=NEW_PERMISSION, agreements=silent)
    with pytest.raises(FormChanged):
        renew(student, forms=NEW_PERMISSION, agreements=agreements(16))
    assert everything() == before


def test_the_choice_on_sharing_stays_unless_it_is_made_again(table: str) -> None:
    student = enrol()
    assert renew(student).consent_data.data_sharing_consent is True
    assert renew(student, data_sharing=False).consent_data.data_sharing_consent is False


@pytest.mark.parametrize("age", [13, 19])
def test_an_age_outside_the_study_is_refused_at_renewal_too(table: str, age: int) -> None:
    with pytest.raises(AgeOutsideStudy):
        renew(enrol(), age=age, agreements=[])


def test_sent_twice_a_renewal_is_stored_once(table: str) -> None:
    student = enrol()
    version = seen(student)
    answers = at_once(2, lambda _: renew(student, seen=version))
    assert sorted(type(answer).__name__ for answer in answers) == ["ChangedMeanwhile", "Student"]
    assert actions(student).count("renewed") == 2  # one a form


def test_a_withdrawn_consent_is_not_renewed(table: str, withdraw: Callable[[str], None]) -> None:
    student = enrol()
    withdraw(student.student_id)
    with pytest.raises(consent_decisions.ConsentWithdrawn):
        renew(student)


# --- a later no


@pytest.mark.parametrize("kind", ["parental_permission", "assent"])
def test_a_no_takes_consent_out_of_force_at_once(table: str, kind: str) -> None:
    student = enrol()
    participant = Participant(start(student))
    consent_decisions.refuse(
        student_id=student.student_id, form=PACKAGE.form(kind), seen=seen(student), by=FACILITATOR, now=NOON
    )
    with pytest.raises(ConsentNotInForce):
        participant.answer_item("baseline", 1)
    with pytest.raises(ConsentNotInForce, match="was refused"):
        start(student)
    assert listed(DirectoryEntry.in_state("refused")) == [student.student_id]
    assert (actions(student)[-1], set(told(student))) == ("refused", {"session.start", "consent.refuse"})


def test_who_said_no_can_come_back_by_a_yes_to_that_form(table: str) -> None:
    student = enrol()
    consent_decisions.refuse(
        student_id=student.student_id, form=PACKAGE.form("assent"), seen=1, by=FACILITATOR, now=NOON
    )
    assert consent_decisions.forms_to_renew(fresh(student), 16, PACKAGE.forms) == ["assent"]
    renew(student)
    assert start(student).is_open


# --- what it costs


def test_a_change_is_one_read_one_write_and_one_read(table: str, requests_made: list[str]) -> None:
    student = enrol()
    requests_made.clear()
    review(student, seen=1)
    assert requests_made == ["GetItem", "TransactWriteItems", "GetItem"]


def test_a_count_stops_one_beyond_its_limit(table: str, requests_made: list[str]) -> None:
    for _ in range(4):
        enrol(source=random.Random())
    requests_made.clear()
    state = keys.consent_state("complete")
    assert [count_up_to(most, state, index=3) for most in (2, 4, 9)] == [3, 4, 4]
    assert requests_made == ["Query"] * 3
