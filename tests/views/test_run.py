"""The pages of a running session, over HTTP and without JavaScript, on the real engine."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain import flow
from sessions_app.domain.session.record import MAX_ANSWER_LENGTH, Run
from sessions_app.domain.store import keys
from support.bot import Bot, Trip, answers_to, walk, words
from support.cast import (
    advance,
    at,
    close,
    enrolled,
    items_of,
    session_of,
    signed_in,
    started,
    store_away,
    withdraw,
)
from support.fake_anthropic import FakeAnthropic

pytestmark = pytest.mark.django_db

WRITES = {"TransactWriteItems", "PutItem", "UpdateItem"}
HOSTILE = "<script>alert(1)</script> \u202eright to left\u202c 🏭 'quoted' & \"double\""


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


@pytest.fixture(scope="module")
def dynamodb(lasting_dynamodb: Any) -> Any:
    return lasting_dynamodb


@pytest.fixture
def bot(table: str, requests_made: list[str]) -> Bot:
    return Bot(signed_in("facilitator"), requests_made)


def steps(run: Run) -> list[str]:
    return [flow.Step(stage, n).slug for stage in run.stages for n in range(1, stage.steps + 1)]


def assert_cheap(trips: list[Trip]) -> None:
    """One query, and at most one write or transaction."""
    assert trips
    for trip in trips:
        written = [name for name in trip.operations if name in WRITES]
        reading = [name for name in trip.operations if name not in WRITES]
        assert reading == ["Query"], f"{trip.method} {trip.path} makes {trip.operations}"
        assert len(written) <= 1, f"{trip.method} {trip.path} makes {trip.operations}"


def given(run: Run, step: str) -> str | None:
    """The answer that counts, as it is stored."""
    stage, number = step.split("/")
    run = Run.load(run.id)
    if stage in run.assessments:
        answer: str | None = run.assessments[stage].questions[int(number) - 1].student_answer
    else:
        answer = run.interventions[int(stage.split("-")[1])].questions[int(number) - 1].answer
    return answer


def stored_texts(dynamodb: Any, table: str, run: Run) -> str:
    return repr(items_of(dynamodb, table, run.id))


# --- the whole of it


@pytest.mark.parametrize("code", [f"L4-{interval}-{kind}" for interval in keys.INTERVALS for kind in "SD"])
def test_a_session_without_javascript_goes_through_its_plan_and_stays_in_the_budget(
    code: str, bot: Bot
) -> None:
    run = started(code)
    pages = [page.path for page in walk(bot, bot.open(at(run)))]

    assert pages == [f"{at(run)}{step}/" for step in [*steps(run), "done"]]
    assert_cheap(bot.trips)
    session = session_of(run)
    assert session.state == "completed"
    assert session.completion_status.interventions_completed == len(
        flow.SCHEDULE[run.session.condition.interval]
    )


def test_what_was_answered_is_what_is_stored(bot: Bot) -> None:
    run = started("L4-I3-S")
    for _ in walk(bot, bot.open(at(run))):
        pass

    after, package = Run.load(run.id), study.package()
    choices = [item.options[-1] for item in package.assessment if item.options]
    for kind in ("baseline", "final"):
        items = after.assessments[kind].questions
        assert [q.student_answer for q in items if q.question_type == "multiple_choice"] == choices
    said = after.interventions[4].questions
    assert [question.answer for question in said] == [words(n) for n in (16, 17, 18)]
    assert said[0].answer_metadata.word_count == len(words(16).split())
    assert said[0].answer_metadata.character_count == len(words(16))
    assert after.survey.location_experience.location_impact_rating == 5


def test_a_dynamic_question_is_made_behind_a_page_that_says_so(bot: Bot, claude: FakeAnthropic) -> None:
    run = started("L4-I3-D")
    waiting = bot.post(advance(bot, run, "segment-4"))
    shown = bot.client.get(waiting.url)
    assert "The first question is on its way." in shown.content.decode()
    asked = bot.open(waiting.url)
    assert "Think about what you just heard." in asked.text
    again = bot.open(waiting.url)
    assert len(claude.requests) == 1, "a reload asks the model again"
    assert "Think about what you just heard." in again.text
    looks = [trip for trip in bot.trips if trip.path.startswith("/run/")]
    assert {trip.operations.count("Query") for trip in looks} == {1}  # what is written, its maker writes


def test_the_fragment_that_makes_a_question_leads_the_whole_page_on(
    bot: Bot, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started("L4-I3-D")
    waiting = bot.post(advance(bot, run, "segment-4"))
    response = bot.client.get(waiting.url, headers={"HX-Request": "true"})
    assert response.status_code == 204
    assert response.headers["HX-Redirect"] == waiting.url


# --- addresses


@pytest.mark.parametrize(
    "wrong", ["final/1", "baseline/2", "baseline/99", "survey", "questions-1/2", "nowhere"]
)
def test_a_wrong_address_leads_to_the_right_one(wrong: str, bot: Bot) -> None:
    run = started()
    assert bot.open(f"{at(run)}{wrong}/").path == f"{at(run)}baseline/1/"


def test_a_stage_that_this_interval_has_not_leads_to_the_right_one(bot: Bot) -> None:
    run = started("L4-I3-S")
    assert bot.open(f"{at(run)}questions-1/1/").path == f"{at(run)}baseline/1/"


def test_the_last_page_leads_back_while_something_is_left(bot: Bot) -> None:
    run = started()
    assert bot.open(f"{at(run)}done/").path == f"{at(run)}baseline/1/"


@pytest.mark.parametrize("id", ["no-such-session", "x" * 200, "ses_sion"])
@pytest.mark.parametrize("step", ["", "baseline/1/", "done/", "survey/"])
def test_an_unknown_session_is_not_found(id: str, step: str, bot: Bot) -> None:
    assert bot.open(f"/run/{id}/{step}").status == 404


def test_a_step_to_come_cannot_be_sent(bot: Bot, dynamodb: Any, table: str) -> None:
    run = started()
    page = bot.open(at(run))
    page.form().action = f"{at(run)}baseline/5/"
    page = bot.post(page, answer="Iron production")
    assert page.url == f"{at(run)}baseline/1/"
    assert not Run.load(run.id).assessments


@pytest.mark.parametrize("role", ["researcher", "irb"])
def test_other_roles_may_not_run_a_session(role: str, table: str) -> None:
    run, client = started(), signed_in(role)
    for step in ("", "baseline/1/", "done/"):
        assert client.get(f"{at(run)}{step}").status_code == 403
    for step in ("baseline/1/", "segment-1/progress/", "segment-1/prepare/"):
        assert client.post(f"{at(run)}{step}", {"answer": "x"}).status_code == 403


def test_signed_out_leads_to_the_login_and_back(table: str) -> None:
    run = started()
    response = Client().get(f"{at(run)}baseline/1/")
    assert response.status_code == 302
    assert response.headers["Location"] == f"/login/?next={at(run)}baseline/1/"


# --- again, back, and in two tabs


def test_a_reload_repeats_nothing(bot: Bot, dynamodb: Any, table: str) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    before = stored_texts(dynamodb, table, run)
    again = bot.open(page.url)
    assert again.path == page.path
    assert stored_texts(dynamodb, table, run) == before


@pytest.mark.parametrize(
    "step", ["baseline/1", "baseline/3", "format", "segment-1", "questions-4/1", "survey"]
)
def test_sending_an_old_form_again_changes_nothing(step: str, bot: Bot, dynamodb: Any, table: str) -> None:
    run = started("L4-I3-S")
    page = advance(bot, run, step)
    answers = answers_to(page)
    first = bot.post(page, **answers)
    before = stored_texts(dynamodb, table, run)
    again = bot.post(page, **answers)
    assert again.url == first.url
    assert stored_texts(dynamodb, table, run) == before


@pytest.mark.parametrize("step", ["baseline/3", "questions-4/2"])
def test_another_answer_from_a_second_tab_is_kept_beside_the_first(step: str, bot: Bot) -> None:
    run = started("L4-I3-S")
    one = advance(bot, run, step)
    other = bot.open(one.url)
    bot.send(one, answer="The first tab's answer.")
    shown = bot.send(other, answer="The second tab's answer.")

    assert "Both answers are kept; the first counts." in shown.text
    after = Run.load(run.id)
    assert [conflict.text for conflict in after.conflicts] == ["The second tab's answer."]
    assert given(run, step) == "The first tab's answer."


def test_a_second_tabs_answer_sent_twice_is_kept_once(bot: Bot) -> None:
    run = started()
    one = advance(bot, run, "baseline/3")
    other = bot.open(one.url)
    bot.send(one, answer="The first tab's answer.")
    for _ in range(2):
        bot.send(other, answer="The second tab's answer.")
    assert len(Run.load(run.id).conflicts) == 1


def test_other_words_under_a_used_submission_id_are_a_conflict(bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    bot.post(page, answer="The answer.")
    refused = bot.post(page, answer="Other words.")

    assert refused.status == 409
    assert "already sent a different answer" in refused.text
    assert at(run) in refused.links
    assert [conflict.text for conflict in Run.load(run.id).conflicts] == ["Other words."]
    assert_cheap(bot.trips)


# --- what is typed


@pytest.mark.parametrize("nothing", ["", "   \r\n ", "\x00"])
@pytest.mark.parametrize("step", ["baseline/3", "questions-4/1"])
def test_nothing_is_not_an_answer(nothing: str, step: str, bot: Bot) -> None:
    run = started("L4-I3-S")
    page = bot.post(advance(bot, run, step), answer=nothing)
    assert page.status == 422
    assert "Please write something first" in page.text
    assert Run.load(run.id).step.slug == step


def test_no_choice_is_not_an_answer(bot: Bot) -> None:
    run = started()
    page = bot.post(bot.open(at(run)))
    assert page.status == 422
    assert "Please choose one of the answers" in page.text


def test_a_choice_that_was_not_offered_is_refused(bot: Bot) -> None:
    run = started()
    page = bot.post(bot.open(at(run)), answer="All of them")
    assert page.status == 422
    assert "Please choose one of the answers shown." in page.text
    assert not Run.load(run.id).assessments


def test_an_answer_that_is_too_long_is_refused_and_kept_on_the_page(bot: Bot) -> None:
    run = started()
    text = "long " * (MAX_ANSWER_LENGTH // 5) + "."
    page = bot.post(advance(bot, run, "baseline/3"), answer=text)
    assert page.status == 422
    assert "This is too long: at most 10,000 characters fit." in page.text
    assert page.form().values["answer"] == [text]


def test_the_longest_answer_fits_however_its_lines_end(bot: Bot) -> None:
    run = started()
    lines = "\r\n".join(["x" * 99] * (MAX_ANSWER_LENGTH // 100))
    page = bot.post(advance(bot, run, "baseline/3"), answer=lines)
    assert page.status == 302
    assert Run.load(run.id).assessments["baseline"].questions[2].student_answer == lines.replace("\r\n", "\n")


def test_hostile_text_is_stored_as_it_is_and_shown_escaped(bot: Bot) -> None:
    run = started("L4-I3-S")
    page = bot.send(advance(bot, run, "questions-4/1"), answer=f"a\x00b {HOSTILE}")
    assert Run.load(run.id).interventions[4].questions[0].answer == f"ab {HOSTILE}"
    assert "<script>alert" not in page.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.html
    assert HOSTILE in page.text


def test_hostile_text_in_a_faulty_form_stays_text(bot: Bot) -> None:
    run = started()
    text = "</textarea>" + HOSTILE * 300
    page = bot.post(advance(bot, run, "baseline/3"), answer=text)
    assert page.status == 422
    assert "<script>alert" not in page.html
    assert page.form().values["answer"] == [text]


def test_a_hostile_survey_is_stored_as_it_is(bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "survey")
    name = "open_ended_responses__most_valuable_aspect"
    page = bot.post(page, **answers_to(page) | {name: f"\x00{HOSTILE}"})
    assert page.status == 302
    assert Run.load(run.id).survey.open_ended_responses.most_valuable_aspect == HOSTILE


@pytest.mark.parametrize("value", ["", "0", "6", "4.5", "five"])
def test_a_survey_without_a_proper_rating_names_the_question(value: str, bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "survey")
    name = "learning_experience__pacing_rating"
    page = bot.post(page, **answers_to(page) | {name: value})
    assert page.status == 422
    assert "How well did the speed of the session suit you?" in page.text
    assert f'href="#id_{name}_group"' in page.html
    assert Run.load(run.id).survey is None


def test_a_survey_keeps_what_was_filled_in_when_something_is_missing(bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "survey")
    page = bot.post(page, open_ended_responses__most_valuable_aspect="The river.")
    assert page.status == 422
    assert page.form().values["open_ended_responses__most_valuable_aspect"] == ["The river."]


@pytest.mark.parametrize("shown", ["", "forged", "2026-01-01T00:00:00Z:forged"])
def test_a_form_with_a_forged_page_is_refused(shown: str, bot: Bot) -> None:
    run = started()
    page = bot.open(at(run))
    refused = bot.send(page, **answers_to(page), shown=shown)
    assert refused.status == 422
    assert "This page belongs to another step or session. Nothing was stored" in refused.text
    assert not Run.load(run.id).assessments


# --- closed, and stopped


def test_a_stopped_session_shows_its_last_page_and_counts_nothing_more(bot: Bot) -> None:
    run = started()
    page = advance(bot, run, "baseline/3")
    close(run)
    before = len(Run.load(run.id).assessments["baseline"].questions)

    assert bot.open(page.url).path == f"{at(run)}done/"
    sent = bot.send(page, answer="Too late.")
    assert sent.path == f"{at(run)}done/"
    assert "stopped early" in sent.text
    assert len(Run.load(run.id).assessments["baseline"].questions) == before


@pytest.mark.parametrize(
    "step", ["baseline/1", "format", "segment-1", "segment-4", "questions-4/3", "survey"]
)
def test_without_consent_nothing_more_is_stored(step: str, bot: Bot, dynamodb: Any, table: str) -> None:
    student = enrolled()
    run = started("L4-I3-S", student=student)
    page = advance(bot, run, step)
    withdraw(student.student_id)
    before = stored_texts(dynamodb, table, run)

    sent = bot.post(page, **answers_to(page))
    assert sent.status == 403
    assert "We stop here" in sent.text
    assert stored_texts(dynamodb, table, run) == before


def test_without_consent_a_second_tabs_answer_is_not_kept_either(bot: Bot, dynamodb: Any, table: str) -> None:
    student = enrolled()
    run = started(student=student)
    page = advance(bot, run, "baseline/3")
    bot.post(page, answer="The answer.")
    withdraw(student.student_id)
    before = stored_texts(dynamodb, table, run)
    assert bot.post(page, answer="Other words.").status == 403
    assert stored_texts(dynamodb, table, run) == before


def test_without_consent_no_question_is_made_and_the_page_says_why(bot: Bot) -> None:
    student = enrolled()
    run = started("L4-I3-D", student=student)
    page = bot.post(advance(bot, run, "segment-4"))
    withdraw(student.student_id)
    assert bot.open(page.url).status == 403
    fragment = bot.client.get(page.url, headers={"HX-Request": "true"})
    assert fragment.headers["HX-Redirect"] == f"{page.url}?wait=1"


# --- the store is away


@pytest.mark.parametrize("operations", [(), ("TransactWriteItems",)])
@pytest.mark.parametrize("step", ["baseline/3", "questions-4/1"])
def test_while_the_store_is_away_the_words_stay_on_the_page(
    operations: tuple[str, ...], step: str, bot: Bot
) -> None:
    run = started("L4-I3-S")
    page = advance(bot, run, step)
    with store_away(*operations):
        kept = bot.post(page, answer=HOSTILE)
    assert kept.status == 503
    assert 'data-state="failed"' in kept.html
    assert "Not saved: try again" in kept.text
    assert kept.form().values["answer"] == [HOSTILE]
    assert kept.form().values["submission_id"] == page.form().values["submission_id"]

    sent = bot.send(kept)
    assert sent.status == 200
    assert sent.path != page.path
    assert given(run, step) == HOSTILE


@pytest.mark.parametrize("operations", [(), ("TransactWriteItems",)])
@pytest.mark.parametrize("step", ["baseline/1", "format", "segment-1", "survey"])
def test_while_the_store_is_away_choices_stay_on_the_page(
    operations: tuple[str, ...], step: str, bot: Bot
) -> None:
    run = started("L4-I3-S")
    page = advance(bot, run, step)
    with store_away(*operations):
        kept = bot.post(page, **answers_to(page))
    assert kept.status == 503
    assert 'data-state="failed"' in kept.html
    assert bot.send(kept).path != page.path


def test_while_the_store_is_away_a_page_says_so(bot: Bot) -> None:
    run = started()
    page = bot.open(at(run))
    with store_away():
        for address in (at(run), page.url, f"{at(run)}done/"):
            shown = bot.open(address)
            assert shown.status == 503
            assert "Everything you sent before is safe." in shown.text


def test_a_question_that_cannot_be_stored_is_not_shown(bot: Bot) -> None:
    run = started("L4-I3-D")
    page = bot.post(advance(bot, run, "segment-4"))
    with store_away("TransactWriteItems"):
        assert bot.open(page.url).status == 503
        fragment = bot.client.get(page.url, headers={"HX-Request": "true"})
    assert fragment.headers["HX-Redirect"] == f"{page.url}?wait=1"
    assert bot.open(page.url).status == 200
