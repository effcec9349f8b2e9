"""What the player of a segment tells over HTTP, and what is made of it."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from sessions_app import study
from sessions_app.domain.models.content_delivery import SKIP_REASONS
from sessions_app.domain.session.record import Run
from support.bot import Bot
from support.cast import (
    advance,
    at,
    brought_to,
    close,
    enrolled,
    signed_in,
    started,
    store_away,
    withdraw,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture
def bot(table: str, requests_made: list[str]) -> Bot:
    return Bot(signed_in("facilitator"), requests_made)


@pytest.fixture
def playing(bot: Bot) -> Run:
    run = started("L4-I1-D")
    return brought_to(run, "segment-1")


def tell(bot: Bot, run: Run, stage: str = "segment-1", **counts: Any) -> Any:
    bot.made.clear()
    return bot.client.post(f"{at(run)}{stage}/progress/", counts)


def test_a_report_of_the_player_is_kept_and_never_falls(bot: Bot, playing: Run) -> None:
    assert tell(bot, playing, position=40, played=42.5, pauses=2, rewinds=1).json()["saved"] is True
    assert bot.made == ["Query", "TransactWriteItems"]
    assert tell(bot, playing, position=10, played=12, pauses=0, rewinds=0).status_code == 200
    tracking = Run.load(playing.id).content.segment_tracking[0]
    assert (tracking.position_seconds, tracking.play_time_seconds) == (40, 42.5)
    assert (tracking.pause_count, tracking.rewind_count) == (2, 1)


def test_a_segment_that_nobody_has_played_starts_at_nothing(bot: Bot, playing: Run) -> None:
    html = bot.open(f"{at(playing)}segment-1/").html
    assert all(f'data-{name}="0"' in html for name in ("position", "played", "pauses", "rewinds"))


def test_the_segment_resumes_where_it_was_left(bot: Bot, playing: Run) -> None:
    tell(bot, playing, position=40.3, played=42.5, pauses=2, rewinds=1)
    html = bot.open(f"{at(playing)}segment-1/").html
    assert 'data-position="40.3"' in html
    assert 'data-played="42.5"' in html


@pytest.mark.parametrize(
    "counts",
    [
        {"position": "nan"},
        {"played": "inf"},
        {"played": -1},
        {"position": 1e9},
        {"pauses": "many"},
        {"rewinds": -1},
        {"pauses": 10**9},
        {"heard": "0-1-2"},
        {"heard": "0-1 2..3-4"},
        {"heard": "1.2.3-4"},
        {"muted": -1},
        {"delivered_by": "telepathy"},
        {"skip_reason": "bored"},
    ],
)
def test_counts_that_make_no_sense_are_refused(counts: dict[str, Any], bot: Bot, playing: Run) -> None:
    response = tell(bot, playing, **{"position": 1, "played": 1} | counts)
    assert response.status_code == 422
    assert set(response.json()["errors"]) == set(counts)
    assert Run.load(playing.id).content.segment_tracking == []


def test_what_was_heard_is_kept_and_comes_back_with_the_page(bot: Bot, playing: Run) -> None:
    tell(bot, playing, position=9, played=9, heard="0.0-4.5 6.0-9.0", muted="1.5", delivered_by="recording")
    tracking = Run.load(playing.id).content.segment_tracking[0]
    assert (tracking.heard, tracking.heard_seconds, tracking.muted_seconds) == ("0-4.5 6-9", 7.5, 1.5)
    html = bot.open(f"{at(playing)}segment-1/").html
    assert 'data-muted="1.5" data-heard="0-4.5 6-9"' in html


def test_leaving_a_part_early_asks_why(bot: Bot, playing: Run) -> None:
    page = bot.open(f"{at(playing)}segment-1/")
    assert all(
        f'data-skip="{reason}">{words}' in unescape(page.html) for reason, words in SKIP_REASONS.items()
    )
    page = bot.send(page, position="12", played="12", skip_reason="too_loud")
    assert page.path == f"{at(playing)}questions-1/1/"
    run = Run.load(playing.id)
    assert run.content.segment_tracking[0].skip_reason == "too_loud"
    assert "content_not_delivered" in run.session.metadata.data_quality_flags


def test_counts_that_make_no_sense_do_not_hold_a_student_up(bot: Bot, playing: Run) -> None:
    page = bot.open(f"{at(playing)}segment-1/")
    page = bot.send(page, position="NaN", played="-3", pauses="x", rewinds="")
    assert page.path == f"{at(playing)}questions-1/1/"


def test_no_one_plays_more_than_there_is(bot: Bot, playing: Run) -> None:
    tell(bot, playing, position=5000, played=5000)
    tracking = Run.load(playing.id).content.segment_tracking[0]
    assert tracking.play_time_seconds == study.package().segment(1).duration_seconds


def test_a_report_after_the_end_is_told_so(bot: Bot, playing: Run) -> None:
    bot.send(bot.open(at(playing)), played="150", position="150")
    response = tell(bot, playing, position=20, played=20)
    assert response.status_code == 409
    assert response.json() == {"saved": False, "moved_on": True}


def test_a_report_to_a_closed_session_or_a_segment_to_come_is_told_so(bot: Bot, playing: Run) -> None:
    assert tell(bot, playing, "segment-2", position=1, played=1).status_code == 409
    close(playing)
    assert tell(bot, playing, position=1, played=1).status_code == 409


def test_a_report_without_consent_is_refused(bot: Bot, table: str) -> None:
    student = enrolled()
    run = started("L4-I1-D", student=student)
    brought_to(run, "segment-1")
    withdraw(student.student_id)
    assert tell(bot, run, position=1, played=1).status_code == 403
    assert bot.client.post(f"{at(run)}segment-1/prepare/").status_code == 403
    assert Run.load(run.id).content.segment_tracking == []


@pytest.mark.parametrize("what", ["progress", "prepare"])
def test_only_segments_of_known_sessions_report(what: str, bot: Bot, playing: Run) -> None:
    assert bot.client.post(f"{at(playing)}baseline/{what}/").status_code == 404
    assert bot.client.post(f"/run/nobody/segment-1/{what}/").status_code == 404
    assert bot.client.get(f"{at(playing)}segment-1/{what}/").status_code == 405


@pytest.mark.parametrize("what", ["progress", "prepare"])
def test_a_report_while_the_store_is_away_is_not_saved(what: str, bot: Bot, playing: Run) -> None:
    for operations in ((), ("TransactWriteItems",)):
        with store_away(*operations):
            response = bot.client.post(f"{at(playing)}segment-1/{what}/", {"position": 1, "played": 1})
        assert response.status_code == 503


def test_the_first_question_is_prepared_once(bot: Bot, playing: Run) -> None:
    for _ in range(2):
        bot.made.clear()
        assert bot.client.post(f"{at(playing)}segment-1/prepare/").status_code == 204
        assert bot.made in (["Query", "TransactWriteItems"], ["Query"])
    prepared = Run.load(playing.id).prepared[1]
    page = bot.send(bot.open(at(playing)))
    assert prepared.question in page.text


def test_nothing_is_prepared_where_no_dynamic_question_follows(bot: Bot) -> None:
    run = started("L4-I3-D")
    page = advance(bot, run, "segment-1")
    assert "prepare" not in page.html
    assert bot.client.post(f"{at(run)}segment-1/prepare/").status_code == 204
    assert not Run.load(run.id).prepared
