"""The grading pages: what a grader sees and when, what is stored, and what is said of a conflict."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from analytics_app.inference import rater_pairs
from analytics_app.statistics import updates
from analytics_app.statistics.sums import POINT
from sessions_app import study
from sessions_app.domain.grading import automated as automated_scoring
from sessions_app.domain.grading import human as human_scoring
from sessions_app.domain.models import Contribution, Review, Student
from sessions_app.domain.session import voiding
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from support.cast import signed_in
from tests.domain.cast import ADMIN, NOON, PACKAGE, Participant

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script> {{ 7|add:7 }}"


@pytest.fixture
def twice(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Decides who is drawn for a second score: twice(1) everybody, twice(0) nobody."""

    def share(value: float) -> None:
        monkeypatch.setattr("sessions_app.domain.models.human_scoring.SECOND_SHARE", value)

    share(0)
    return share


@pytest.fixture
def client(table: str, twice: Any) -> Client:
    return signed_in("researcher")


def scored(code: str = "L1-I3-D", *, final: str = "", at: Any = NOON) -> Run:
    """A whole session, scored by the scripted tutor."""
    participant = Participant.in_condition(code, now=at)
    participant.now = at
    participant.walk_to("final/1")
    for number, item in enumerate(PACKAGE.assessment, 1):
        short = item.question_type == "short_answer"
        participant.answer_item("final", number, final if short and final else None)
    participant.walk()
    for task in list(automated_scoring.due(participant.now)):
        assert automated_scoring.work(task, package=PACKAGE, tutor=study.tutor(), now=participant.after())
    return Run.load(participant.run.id)


def address(run: Run, what: str = "final", question: str = "q3", more: str = "") -> str:
    return f"/grading/{run.id}/{human_scoring.mark_of(run.id, what)}/{question}/{more}"


def text(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", response.content.decode()))


def filled(client: Client, url: str, value: Any = 0.5, **changes: Any) -> dict[str, Any]:
    """The form of a page with this number everywhere."""
    html = client.get(url).content.decode()
    names = re.findall(r'<input type="number" name="([^"]+)"', html)
    (seen,) = re.findall(r'name="seen" value="([^"]*)"', html)
    return {"seen": seen, "note": "", **dict.fromkeys(names, value), **changes}


def addresses(client: Client, query: str = "") -> list[str]:
    """Every answer of a list, over all its pages, in order."""
    found, page = [], f"/grading/{query}"
    while page:
        html = client.get(page).content.decode()
        found += [unescape(each) for each in re.findall(r'row-link" href="([^"]+)"', html)]
        older = re.search(r'href="([^"]*)" rel="next"', html)
        page = f"/grading/{unescape(older[1])}" if older else ""
    return found


# --- one answer


def test_the_answer_stands_beside_the_rubric_and_the_models_reasons(client: Client) -> None:
    run = scored(final=HOSTILE)
    html = client.get(address(run)).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7|add:7 }}" in html
    assert "<script>alert" not in html
    page = unescape(html)
    for criterion in PACKAGE.item("q3").rubric:
        assert criterion.description in page
    asked = next(q for q in run.assessments["final"].questions if q.question_id == "q3")
    assert asked.ai_scoring.feedback in page
    assert page.count("AI score:") == len(PACKAGE.item("q3").rubric)


def test_who_scores_first_sees_neither_condition_nor_phase(client: Client) -> None:
    run = scored("L1-I3-D")
    for what, question in (("baseline", "q3"), ("final", "q3"), ("questions-4", "1")):
        page = client.get(address(run, what, question)).content.decode()
        told = page[page.index("<main") : page.index("</main")].replace("baseline or final", "")
        for secret in ("L1-", "on site", "on-site", "dynamic", "baseline", "final", run.session.student_code):
            assert secret not in told, (what, secret)


def test_after_saving_condition_and_phase_are_told(client: Client) -> None:
    run = scored()
    url = address(run)
    page = text(client.post(url, filled(client, url), follow=True))
    for told in ("Post-test (final)", "L1-I3-D", f"/sessions/{run.id}/", "2.5 of 3 points"):
        assert told in page


def test_a_saved_score_counts_and_moves_the_statistics_by_itself(client: Client) -> None:
    run = scored()
    updates.apply(run.id, now=NOON + timedelta(hours=2))
    before = Contribution.of_session(run.id)
    url = address(run)
    response = client.post(url, filled(client, url, 1, note="All of it."))
    assert (response.status_code, response["Location"]) == (302, f"{url}?list=open")
    stored = Run.load(run.id).assessments["final"]
    asked = next(q for q in stored.questions if q.question_id == "q3")
    assert (asked.points_earned, asked.human_scoring.by) == (3, "a-researcher")
    assert asked.human_scoring.note == "All of it."
    assert updates.apply(run.id, now=NOON + timedelta(hours=3))
    after = Contribution.of_session(run.id)
    assert before is not None
    assert after is not None
    gained = after.sums.get("gain_sum", 0)
    assert round(gained / POINT, 1) == stored.learning_gain.absolute_gain
    assert gained != before.sums.get("gain_sum", 0)


def test_dialogue_scores_are_given_with_the_exchanges_before(client: Client) -> None:
    run = scored()
    url = address(run, "questions-4", "3")
    page = text(client.get(url))
    for asked in run.interventions[4].questions:
        assert asked.question in page
    client.post(url, filled(client, url, 4.5))
    scores = Run.load(run.id).interventions[4].questions[2].quality_scores
    assert scores.synthesis_quality == scores.answer_depth == 4.5


@pytest.mark.parametrize("value", ["", "x", "0.3", "-0.5", "1.5", "nan", "1e999"])
def test_a_wrong_number_is_named_at_its_field_and_nothing_stored(client: Client, value: str) -> None:
    run = scored()
    url = address(run)
    response = client.post(url, filled(client, url, mentions_fall_line=value, note="kept"))
    assert response.status_code == 422
    page = text(response)
    assert "Give a number from 0 to 1 in steps of 0.5." in page
    assert page.count('class="error"') == 1
    assert "kept" in page
    assert Run.load(run.id).assessments["final"].metadata.version == run.assessments["final"].metadata.version


def test_a_note_that_is_too_long_is_refused(client: Client) -> None:
    run = scored()
    url = address(run)
    assert client.post(url, filled(client, url, note="x" * 2001)).status_code == 422


def test_a_score_that_came_meanwhile_is_told_and_nothing_lost(client: Client) -> None:
    run = scored()
    url = address(run)
    mine = filled(client, url, 1, note="My reasons.")
    other = signed_in("admin")
    other.post(url, filled(other, url, 0))
    response = client.post(url, mine)
    page = text(response)
    assert response.status_code == 409
    assert "Someone else scored this answer while you did." in page
    assert "mentions fall line 1" in page
    assert "My reasons." in page
    asked = next(q for q in Run.load(run.id).assessments["final"].questions if q.question_id == "q3")
    assert asked.human_scoring.by == "a-admin"


def test_meanwhile_drawn_for_a_second_score_the_form_stays_and_can_be_sent(
    client: Client, twice: Any
) -> None:
    twice(1)
    run = scored()
    url = address(run)
    mine = filled(client, url, 1)
    other = signed_in("admin")
    other.post(url, filled(other, url, 0))
    response = client.post(url, mine)
    assert response.status_code == 409
    (seen,) = re.findall(r'name="seen" value="([^"]*)"', response.content.decode())
    assert client.post(url, {**mine, "seen": seen}).status_code == 302
    asked = next(q for q in Run.load(run.id).assessments["final"].questions if q.question_id == "q3")
    assert (asked.points_earned, asked.second_scoring.by) == (0, "a-researcher")


def test_without_consent_nothing_is_stored_and_what_was_written_stays(client: Client) -> None:
    run = scored()
    url = address(run)
    sent = filled(client, url, 1, note="My reasons.")
    consent: Any = Student.consent_data
    Student.by_id(run.session.student_id).update(actions=[consent.withdrawn_at.set(NOON)])
    response = client.post(url, sent)
    assert response.status_code == 409
    assert "consent is not active" in text(response)
    assert "My reasons." in text(response)


# --- the second score


def test_a_second_grader_sees_no_points_before_saving(client: Client, twice: Any) -> None:
    twice(1)
    run = scored()
    url = address(run)
    client.post(url, filled(client, url, 0.5, note="First reasons."))
    other = signed_in("admin")
    page = text(other.get(url))
    told = page[page.index("<main") : page.index("</main")]
    asked = next(q for q in run.assessments["final"].questions if q.question_id == "q3")
    for secret in (
        "AI score:",
        asked.ai_scoring.feedback,
        "First reasons.",
        "a-researcher",
        "2.5",
        "L1",
    ):
        assert secret not in told, secret
    lists = text(other.get("/grading/?list=scored"))
    assert "hidden until scored twice" in lists
    page = text(other.post(url, filled(other, url, 1), follow=True))
    for shown in ("Saved as the second score", "First reasons.", "2.5 of 3 points", "L1-I3-D"):
        assert shown in page


def test_one_person_never_gives_both_scores(client: Client, twice: Any) -> None:
    twice(1)
    run = scored()
    url = address(run)
    client.post(url, filled(client, url, 0.5))
    page = text(client.get(url))
    assert "awaiting second grader" in page
    client.post(url, filled(client, url, 1))
    asked = next(q for q in Run.load(run.id).assessments["final"].questions if q.question_id == "q3")
    assert (asked.points_earned, asked.second_scoring) == (3, None)


# --- lists and the way through them


def test_lists_hold_what_is_in_their_state(client: Client, twice: Any) -> None:
    twice(1)
    run = scored()
    assert len(addresses(client)) == 6
    assert len(addresses(client, "?kind=dialogue&list=open")) == 3
    url = address(run)
    client.post(url, filled(client, url))
    assert len(addresses(client)) == 5
    assert addresses(client, "?list=second") == [f"{url}?list=second"]
    other = signed_in("admin")
    other.post(url, filled(other, url))
    assert addresses(client, "?list=second") == []
    assert addresses(client, "?list=scored") == [f"{url}?list=scored"]


def test_a_list_pages_without_losing_or_repeating(client: Client) -> None:
    runs = [scored("L4-I3-S", at=NOON + timedelta(hours=3 * n)) for n in range(5)]
    found = addresses(client)
    assert len(found) == len(set(found)) == 6 * len(runs)


def test_a_list_is_a_query_and_a_batch(client: Client, requests_made: list[str]) -> None:
    scored()
    requests_made.clear()
    client.get("/grading/")
    assert requests_made == ["Query", "BatchGetItem"]


def test_an_answer_is_three_queries_and_the_batches_of_its_neighbors(
    client: Client, requests_made: list[str]
) -> None:
    run = scored()
    requests_made.clear()
    client.get(address(run))
    *reads, last = requests_made
    assert last == "PutItem"  # the audit entry
    assert reads == ["Query", *["Query", "BatchGetItem"] * 2]


def test_a_list_is_found_by_day(client: Client) -> None:
    scored()
    assert len(addresses(client, "?day=2026-03-03")) == 6
    assert addresses(client, "?day=2026-03-04") == []
    assert "Nothing on this day" in text(client.get("/grading/?day=2026-03-04"))


@pytest.mark.parametrize("query", ["kind=x", "list=x", "day=x", "day=0001-01-01", "day=9999-12-31"])
def test_a_filter_that_makes_no_sense_is_named(client: Client, query: str) -> None:
    response = client.get(f"/grading/?{query}")
    assert response.status_code == 200
    assert 'class="error"' in response.content.decode()


def test_a_cursor_of_another_list_is_refused(client: Client) -> None:
    for n in range(5):
        scored("L4-I3-S", at=NOON + timedelta(hours=3 * n))
    html = client.get("/grading/").content.decode()
    cursor = unescape(re.search(r'cursor=([^"]*)" rel="next"', html)[1])  # type: ignore[index]
    assert client.get(f"/grading/?cursor={cursor}").status_code == 200
    assert client.get(f"/grading/?kind=dialogue&cursor={cursor}").status_code == 400
    assert client.get("/grading/?cursor=rubbish").status_code == 400


def test_every_answer_is_reached_by_saving_and_going_on(client: Client) -> None:
    scored("L4-I3-S")
    url, met = addresses(client)[0], []
    while url:
        met.append(url)
        client.post(url, filled(client, url, 1))
        html = client.get(url).content.decode()
        following = re.search(r'href="([^"]+)" rel="next"', html)
        url = unescape(following[1]) if following else ""
    assert len(met) == len(set(met)) == 6
    assert addresses(client) == []
    assert "No answer needs a first score" in text(client.get("/grading/"))


# --- agreement


def test_agreement_says_when_there_is_too_little(client: Client) -> None:
    run = scored()
    assert "None of these has a human score yet." in text(client.get("/grading/agreement/"))
    url = address(run)
    client.post(url, filled(client, url))
    page = text(client.get("/grading/agreement/"))
    assert "A figure needs 10 answers scored by both." in page
    assert "ICC(2,1)</th>" not in page
    assert "points, model and person (1); points, two people (0)." in page


def _reviewed(number: int, model: float, human: float, second: float | None) -> None:
    told = Review.new(
        session_id=f"s{number}",
        what="final",
        scores={"q3": {"points": model}},
        record_version=11,
        scored_at=NOON + timedelta(minutes=number),
    )
    answer = told.answer("q3")
    assert answer is not None
    answer.human, answer.human_by = {"points": human}, "ada"
    if second is not None:
        answer.second, answer.second_by = {"points": second}, "ben"
    told.place()
    told.save()


def test_agreement_compares_model_and_person_and_two_people(client: Client, requests_made: list[str]) -> None:
    for number in range(24):
        points = (number % 7) / 2
        _reviewed(number, max(points - 0.5, 0), points, points if number % 2 else None)
    requests_made.clear()
    page = text(client.get("/grading/agreement/"))
    assert requests_made == ["Query", "BatchGetItem", "Query"]  # nobody scored a dialogue
    (compared,) = rater_pairs.compared("short")
    model, people = compared.between
    assert (model.n, people.n) == (24, 12)
    assert people.found.kappa.value == pytest.approx(1)
    assert 0.8 < model.found.kappa.value < 1
    assert model.found.bias.value == pytest.approx(sum(0.5 for n in range(24) if n % 7) / 24)
    assert f"{model.found.kappa.value:.2f}" in page


# --- void sessions


def voided(run: Run, *, is_void: bool = True) -> None:
    change = voiding.void if is_void else voiding.unvoid
    kind = {"kind": "spoiled"} if is_void else {}
    change(Run.load(run.id), reason="a fire alarm", by=ADMIN, now=NOON, zone=study.zone(), **kind)


def test_a_void_session_is_in_no_list_and_takes_no_score_until_the_mark_is_removed(client: Client) -> None:
    spoiled, other = scored(), scored(at=NOON + timedelta(hours=2))
    everything = addresses(client)
    form = filled(client, address(spoiled))
    voided(spoiled)
    left = addresses(client)
    assert left
    assert left == [each for each in everything if spoiled.id not in each]
    assert client.get(address(spoiled)).status_code == 404
    assert client.post(address(spoiled), form).status_code == 404
    assert spoiled.id not in client.get(address(other)).content.decode()  # nor is it the next answer
    voided(spoiled, is_void=False)
    assert addresses(client) == everything


def test_agreement_leaves_void_sessions_out(client: Client) -> None:
    run = scored()
    client.post(address(run), filled(client, address(run)))
    (compared,) = rater_pairs.compared("short")
    before = compared.between[0].n
    voided(run)
    assert rater_pairs.compared("short") == []
    voided(run, is_void=False)
    (compared,) = rater_pairs.compared("short")
    assert compared.between[0].n == before == 1


# --- who may


@pytest.mark.parametrize(
    ("role", "status"), [("researcher", 200), ("admin", 200), ("facilitator", 403), ("irb", 403)]
)
def test_grading_is_for_researchers_and_admins(table: str, twice: Any, role: str, status: int) -> None:
    run, client = scored(), signed_in(role)
    url = address(run)
    for page in ("/grading/", "/grading/agreement/", url):
        assert client.get(page).status_code == status
    if status == 403:
        assert client.post(url, {}).status_code == 403
        assert ('href="/grading/"' in client.get("/").content.decode()) is False


@pytest.mark.parametrize(
    "path", ["nothing/0000000000/q3/", "x/y/z/", "{id}/0000000000/q3/", "{id}/{mark}/q1/", "{id}/{mark}/q99/"]
)
def test_what_is_not_there_is_not_found(client: Client, path: str) -> None:
    run = scored()
    url = "/grading/" + path.format(id=run.id, mark=human_scoring.mark_of(run.id, "final"))
    assert client.get(url).status_code == 404
    assert client.post(url, {}).status_code == 404


def test_the_key_of_a_review_holds_no_answer(client: Client, dynamodb: Any, table: str) -> None:
    run = scored(final="A very secret thought.")
    found = dynamodb.query(
        TableName=table,
        KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)",
        ExpressionAttributeValues={":pk": {"S": keys.session(run.id)}, ":sk": {"S": keys.REVIEW_PREFIX}},
    )["Items"]
    assert len(found) == 3
    assert "secret" not in str(found)
