"""Signs of danger in what students write: the lists of safeguarding.toml, and the calls that come of them."""

from __future__ import annotations

import time
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sessions_app.domain.models import AuditEntry, Item, OpenCall, Session
from sessions_app.domain.participants import erasure
from sessions_app.domain.session import messages as session_messages
from sessions_app.domain.session.record import Run
from sessions_app.domain.session.safeguarding import signs, signs_in
from sessions_app.domain.store import keys
from tests.domain.cast import ADMIN, FACILITATOR, NOON, PACKAGE, enrol, start

LISTS: dict[str, dict[str, dict[str, list[str]]]] = tomllib.loads(
    (Path(__file__).parent / "safeguarding.toml").read_text(encoding="utf-8")
)
KINDS = ("self", "harm", "stop")
MAX_FALSE_ALARMS = 0.02
LATER = NOON + timedelta(minutes=5)
SECRET = "my dad hits me when i get bad grades"


def texts(part: str, kind: str) -> list[str]:
    return LISTS[part][kind]["texts"]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind in KINDS for text in texts("listed", kind)])
def test_a_true_text_is_found(kind: str, text: str) -> None:
    assert kind in signs(text)


def test_the_war_and_slavery_of_the_lesson_set_nothing_off() -> None:
    harmless = texts("listed", "harmless")
    alarms = [text for text in harmless if signs(text)]
    assert len(alarms) <= MAX_FALSE_ALARMS * len(harmless), alarms


def test_the_rates_of_both_lists(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for part in ("listed", "held_out"):
        true = [(kind, text) for kind in KINDS for text in texts(part, kind)]
        hits = sum(kind in signs(text) for kind, text in true)
        harmless = texts(part, "harmless")
        alarms = sum(bool(signs(text)) for text in harmless)
        lines.append(
            f"safeguarding, {part}: {hits} of {len(true)} true texts found,"
            f" {alarms} false alarms in {len(harmless)} harmless texts"
        )
        assert hits >= (1 if part == "listed" else 0.5) * len(true)
        assert alarms <= (MAX_FALSE_ALARMS if part == "listed" else 0.05) * len(harmless)
    assert sum(len(texts("listed", kind)) for kind in KINDS) >= 100
    assert len(texts("listed", "harmless")) >= 200
    with capsys.disabled():
        print("", *lines, sep="\n")


def test_the_lesson_itself_sets_nothing_off() -> None:
    assert [line for line in PACKAGE.lesson_text.splitlines() if signs(line)] == []


def test_case_apostrophes_and_stretched_words_do_not_hide_a_sign() -> None:
    for text in (
        "I DON’T WANT TO LIVE",
        "i dont want to liveeee",
        "i don't want to live!!!",
        "I don`t want to live",
    ):
        assert signs(text) == ("self",)


def test_a_sign_in_a_long_answer_is_found_and_the_gravest_comes_first() -> None:
    text = "The river gave power. i want to stop. My dad hits me. And I want to die\nThe canal was useful."
    assert signs(text) == ("self", "harm", "stop")
    assert signs("and then " * 800 + "my dad hits me " + "and so on " * 200) == ("harm",)
    assert signs_in(["The canal", "", "my dad hits me"]) == ("harm",)
    assert signs("") == ()


def test_no_text_takes_long() -> None:
    for text in ("my dad " * 1400, "i want to " * 1000, "mi papa me " * 900, "a" * 10_000):
        begun = time.process_time()
        signs(text)
        assert time.process_time() - begun < 2


# --- calls


def entries() -> list[AuditEntry]:
    day = Item.query(keys.audit_day(LATER.date()))
    return [item for item in day if isinstance(item, AuditEntry) and item.action == "safeguarding.call"]


def check(run: Run, text: str, *, step: str = "questions-1/1", now: Any = LATER) -> Any:
    return session_messages.check_answer(run, [text], step=step, now=now)


def test_a_sign_calls_staff_flags_the_session_and_keeps_no_words(table: str, everything: Any) -> None:
    run = start(enrol())
    call = check(run, SECRET)
    fresh = Run.load(run.id)
    assert [(each.kind, each.sign, each.step) for each in fresh.calls] == [
        ("safeguarding", "harm", "questions-1/1")
    ]
    assert fresh.session.metadata.data_quality_flags == ["safeguarding"]
    assert [pointer.call_id for pointer in OpenCall.all()] == [call.call_id]
    (entry,) = entries()
    assert (entry.by, entry.session_id, entry.new) == ("system", run.id, {"step": "questions-1/1"})
    assert "bad grades" not in repr(everything())


def test_the_same_answer_again_makes_no_second_call_also_when_it_was_seen_to(table: str) -> None:
    run = start(enrol())
    call = check(run, SECRET)
    check(Run.load(run.id), SECRET)
    check(run, SECRET)  # a process that had not heard of the call
    session_messages.answer(Run.load(run.id).calls, call_id=call.call_id, by=FACILITATOR, now=LATER)
    assert OpenCall.all() == []
    check(Run.load(run.id), SECRET)
    assert len(Run.load(run.id).calls) == len(entries()) == 1


def test_another_step_calls_again_and_the_flag_stands_once(table: str) -> None:
    run = start(enrol())
    check(run, SECRET)
    check(Run.load(run.id), "i want to die", step="survey")
    fresh = Run.load(run.id)
    assert sorted(call.sign for call in fresh.calls) == ["harm", "self"]
    assert fresh.session.metadata.data_quality_flags == ["safeguarding"]


def test_the_wish_to_stop_calls_and_is_no_flag(table: str) -> None:
    run = start(enrol())
    call = check(run, "I want to stop")
    assert (call.sign, call.is_alarm) == ("stop", False)
    assert Run.load(run.id).session.metadata.data_quality_flags == []


def test_a_session_that_moved_on_meanwhile_is_flagged_all_the_same(table: str) -> None:
    run = start(enrol())
    stale = Run.load(run.id)
    run.session.update(actions=[Session.metadata.version.set(7)])
    assert check(stale, SECRET) is not None
    fresh = Run.load(run.id)
    assert fresh.session.metadata.data_quality_flags == ["safeguarding"]
    assert fresh.session.metadata.version == 8


def test_harmless_words_write_nothing(table: str) -> None:
    run = start(enrol())
    assert check(run, "Tredegar was killing its workers") is None
    assert Run.load(run.id).calls == []
    assert entries() == []


def test_a_store_that_fails_loses_no_answer(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(enrol())

    def fail(*_: Any) -> None:
        raise session_messages.Busy("away")

    monkeypatch.setattr(session_messages, "_raise_alarm", fail)
    assert check(run, SECRET) is None


def test_no_pointer_is_left_of_an_erased_student(table: str) -> None:
    run = start(enrol())
    check(run, SECRET)
    assert len(OpenCall.all()) == 1
    erasure.erase(run.session.student_id, by=ADMIN, now=LATER, wait=lambda _: None)
    assert OpenCall.all() == []
