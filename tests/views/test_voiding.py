"""Marking a session void over HTTP: the form, what it shows afterwards, and who gets it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from sessions_app import study
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import AllocationTally
from sessions_app.domain.session import start as session_start
from sessions_app.domain.session.record import Run
from sessions_app.presenters import session_timeline
from support.cast import at, brought_to, close, enrolled, signed_in, started, store_away

pytestmark = pytest.mark.django_db

REASON = "It was the <sister>."


@pytest.fixture
def own(table: str) -> tuple[Client, Run]:
    """A facilitator with a session that they started just now."""
    client = signed_in("facilitator")
    return client, started_by(client, at_time=study.now())


def started_by(client: Client, *, at_time: Any) -> Run:
    name = str(client.get("/").wsgi_request.user.get_username())
    return session_start.start(
        session_id=str(uuid.uuid4()),
        student_id=enrolled().student_id,
        location=study.package().location("home"),
        verified=session_start.Verified(method="honor_system", confidence="medium"),
        package=study.package(),
        by=Actor(name, "facilitator"),
        choose=lambda candidates: candidates[0],
        now=at_time,
    )


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def post(client: Client, run: Run, action: str = "void", **fields: str) -> Any:
    values = {"kind": "wrong_student", "reason": REASON} if action == "void" else {"reason": "A mistake."}
    return client.post(f"/sessions/{run.id}/{action}/", {**values, **fields}, follow=True)


def test_an_open_session_is_stopped_and_marked_in_one_step(own: tuple[Client, Run]) -> None:
    client, run = own
    form = text(client.get(f"/sessions/{run.id}/void/"))
    assert "The session is still open: it is stopped now." in form
    page = text(post(client, run))
    assert "The session is marked void." in page
    assert "Void: wrong student." in page
    assert "<sister>" in page
    assert "<sister>" not in post(client, run).content.decode()
    assert '<span class="chip bad">void</span>' in page
    session = Run.load(run.id).session
    assert (session.is_void, session.is_open) == (True, False)
    assert session.metadata.void.reason == REASON


def test_every_list_shows_the_mark(own: tuple[Client, Run]) -> None:
    client, run = own
    post(client, run)
    chip, session = '<span class="chip bad">void</span>', run.session
    addresses = ("/sessions/", f"/sessions/?code={session.student_code}", f"/students/{session.student_id}/")
    for address in addresses:
        page = client.get(address).content.decode()
        assert chip in page, address
        assert session_timeline.FLAG_MEANINGS["void"] in unescape(page), address
    researcher = signed_in("researcher")
    for address in (
        f"/dashboards/conditions/{session.condition.code}/sessions/",
        f"/dashboards/students/{session.student_id}/",
    ):
        assert chip in researcher.get(address).content.decode(), address


def test_the_mark_is_removed_with_a_reason(own: tuple[Client, Run]) -> None:
    client, run = own
    post(client, run)
    assert "Say why." in text(post(client, run, "unvoid", reason=" "))
    assert Run.load(run.id).session.is_void
    page = text(post(client, run, "unvoid"))
    assert "The mark is removed: the session counts." in page
    assert '<span class="chip bad">void</span>' not in page
    assert not Run.load(run.id).session.is_void


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"kind": ""}, "Choose what happened."),
        ({"kind": "boring"}, "Select a valid choice"),
        ({"reason": ""}, "Say why."),
        ({"reason": "x" * 501}, "at most 500 characters"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(
    own: tuple[Client, Run], fields: dict[str, str], error: str
) -> None:
    client, run = own
    response = post(client, run, **fields)
    assert (response.status_code, error in text(response)) == (422, True)
    assert Run.load(run.id).session.serialize() == run.session.serialize()


def test_the_same_form_sent_twice_leads_to_the_session(own: tuple[Client, Run]) -> None:
    client, run = own
    pages = [post(client, run) for _ in range(2)]
    assert [page.redirect_chain[-1][0] for page in pages] == [f"/sessions/{run.id}/"] * 2
    assert AllocationTally.at("home").counts.get(run.session.condition.arm) == 0
    assert "Void: wrong student." in text(pages[1])


def test_the_facilitator_of_another_session_is_told_whom_to_ask(own: tuple[Client, Run]) -> None:
    client, _ = own
    run = started("L4-I3-S")  # by an administrator
    page = text(client.get(f"/sessions/{run.id}/"))
    assert "Mark as void" not in page
    response = post(client, run)
    assert response.status_code == 403
    assert "Ask a researcher or an administrator." in text(response)
    assert not Run.load(run.id).session.is_void


def test_the_day_after_a_facilitator_is_told_whom_to_ask(own: tuple[Client, Run]) -> None:
    client, _ = own
    run = started_by(client, at_time=study.now() - timedelta(days=1))
    assert post(client, run).status_code == 403
    assert not Run.load(run.id).session.is_void


def test_a_researcher_marks_what_has_ended(own: tuple[Client, Run]) -> None:
    _, run = own
    researcher = signed_in("researcher")
    assert "still open" in text(researcher.get(f"/sessions/{run.id}/void/"))
    assert post(researcher, run).status_code == 403
    close(run)
    assert "Mark as void" in text(researcher.get(f"/sessions/{run.id}/"))
    assert "The session is marked void." in text(post(researcher, run, kind="spoiled"))


def test_the_tablet_of_a_void_session_takes_no_more_answers(own: tuple[Client, Run]) -> None:
    client, run = own
    brought_to(run, "baseline/3")
    post(client, run)
    assert client.get(f"{at(run)}baseline/3/").url == f"{at(run)}done/"
    assert client.post(f"{at(run)}baseline/3/", {"answer": "late"}).status_code == 422  # not from a page
    assert len(Run.load(run.id).assessments["baseline"].questions) == 2


def test_without_the_store_nothing_is_marked(own: tuple[Client, Run]) -> None:
    client, run = own
    with store_away("TransactWriteItems"):
        response = post(client, run)
    assert response.status_code == 503
    assert not Run.load(run.id).session.is_void
    assert post(client, run).status_code == 200
    assert Run.load(run.id).session.is_void


def test_no_session_no_page(own: tuple[Client, Run]) -> None:
    client, _ = own
    assert post(client, started("L4-I3-S"), "unvoid").redirect_chain  # not void: back to the session
    assert client.get("/sessions/nothing/void/").status_code == 404
