"""Enrolment over HTTP and without JavaScript: in steps, and nothing is stored before the last yes."""

from __future__ import annotations

import re
import uuid
from html import unescape
from html.parser import HTMLParser
from typing import Any

import boto3
import pytest
from django.http import HttpResponse
from django.test import Client

from sessions_app.domain.store import keys
from socratic_site.local.dynamodb_local import REGION, Engine
from support.cast import signed_in, store_away
from tests.domain.cast import PACKAGE, enrol

pytestmark = pytest.mark.django_db

SCHOOL = "Fall Line High School"
HOSTILE = "<script>alert(1)</script> \u202eright to left\u202c 🏭 'quoted' & \"double\""
ABOUT = {
    "about-age": "16",
    "about-grade_level": "10",
    "about-school": SCHOOL,
    "about-richmond_resident": "yes",
}
LEARNING = {
    "learning-depth_preference": "deep",
    "learning-learning_style": "reading",
    "learning-prior_knowledge_topics": ["civil_war", "industrial_history"],
}
PERMISSION = {
    "parental_permission-relation": "guardian",
    "parental_permission-method": "paper_seen",
    "parental_permission-sharing": "no",
    "parental_permission-agrees": "yes",
}
ASSENT = {"assent-method": "on_screen", "assent-agrees": "yes"}
STEPS = (ABOUT, LEARNING, PERMISSION, ASSENT)


class Form(HTMLParser):
    """What the form on a page would send if nothing were filled in: its hidden fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.hidden: dict[str, list[str]] = {}
        self.chosen: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = dict(attributes)
        if tag != "input":
            return
        if told.get("type") == "hidden":
            self.hidden.setdefault(told["name"] or "", []).append(told.get("value") or "")
        if "checked" in told:
            self.chosen.append(told["name"] or "")


def sent(response: HttpResponse, **answers: Any) -> dict[str, Any]:
    """The hidden fields of a page and these answers."""
    hidden: dict[str, Any] = Form(response.content.decode()).hidden
    hidden.pop("csrfmiddlewaretoken", None)
    return {**hidden, **answers}


def send(client: Client, response: HttpResponse, answers: dict[str, Any]) -> HttpResponse:
    return client.post("/students/new/", sent(response, **answers))  # type: ignore[return-value]


def come_to(client: Client, number: int, steps: Any = STEPS) -> HttpResponse:
    """The page of the `number`-th step (from 1), those before it answered."""
    response: Any = client.get("/students/new/")
    for answers in steps[: number - 1]:
        response = send(client, response, answers)
    return response


def text(response: HttpResponse) -> str:
    return " ".join(unescape(response.content.decode()).split())


def title(response: HttpResponse) -> str:
    found = re.search(r"<h1>(.*?)</h1>", text(response), re.S)
    return found[1].strip() if found else ""


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("facilitator")


@pytest.fixture
def stored(engine: Engine, table: str) -> Any:
    """Everything in the table, past the models."""
    raw = boto3.resource("dynamodb", region_name=REGION, endpoint_url=engine.endpoint).Table(table)
    return lambda: raw.scan(ConsistentRead=True)["Items"]


def test_a_student_is_enrolled_in_four_steps(client: Client, stored: Any) -> None:
    last = send(client, come_to(client, 4), ASSENT)
    assert last.status_code == 302
    done = client.get(last["Location"])
    (profile,) = (item for item in stored() if item["SK"] == "PROFILE")
    assert profile["demographics"] == {
        "age": 16,
        "grade_level": 10,
        "school": SCHOOL,
        "richmond_resident": True,
    }
    assert profile["learning_profile"] == {
        "depth_preference": "deep",
        "learning_style": "reading",
        "prior_knowledge_topics": ["civil_war", "industrial_history"],
    }
    assert profile["metadata"]["created_by"] == "a-facilitator"
    assert profile["metadata"]["realm"] == "real"
    assert profile["consent_data"]["data_sharing_consent"] is False
    assert f'<p class="big-code">{profile["student_code"]}</p>' in text(done)
    assert f"/sessions/new/?student={profile['student_id']}" in text(done)


def test_a_practice_student_is_marked_on_every_item_and_page(client: Client, stored: Any) -> None:
    steps = ({**ABOUT, "about-practice": "on"}, *STEPS[1:])
    last = send(client, come_to(client, 4, steps), ASSENT)
    items = stored()
    (profile,) = (item for item in items if item["SK"] == "PROFILE")
    (entry,) = (item for item in items if item["PK"] == "DIRECTORY#students")
    assert (profile["metadata"]["realm"], entry["realm"]) == ("practice", "practice")
    assert "practice" not in profile["demographics"]
    assert last.status_code == 302
    assert "practice" in text(client.get(f"/students/{profile['student_id']}/"))


def test_the_consent_that_is_stored_is_the_one_that_was_given(client: Client, stored: Any) -> None:
    send(client, come_to(client, 4), ASSENT)
    events = {item["kind"]: item for item in stored() if item["SK"].startswith("CONSENT#")}
    permission, assent = events["parental_permission"], events["assent"]
    assert (permission["relation"], permission["method"]) == ("guardian", "paper_seen")
    assert (assent["relation"], assent["method"]) == ("self", "on_screen")
    assert permission["form_sha256"] == PACKAGE.form("parental_permission").sha256
    assert permission["attested_by"] == assent["attested_by"] == "a-facilitator"


def test_each_form_is_on_screen_word_for_word_with_its_version(client: Client) -> None:
    for number, kind in ((3, "parental_permission"), (4, "assent")):
        page, form = text(come_to(client, number)), PACKAGE.form(kind)
        assert all(line in page for block in form.blocks for line in block.lines)
        assert f"version {form.version}, SHA-256 {form.sha256}" in page


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_nothing_is_chosen_beforehand(client: Client, number: int) -> None:
    assert Form(come_to(client, number).content.decode()).chosen == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_silence_is_no_answer(client: Client, number: int) -> None:
    page = come_to(client, number)
    again = send(client, page, {})
    assert again.status_code == 200
    assert title(again) == title(page)
    assert "Nothing was stored yet" in text(again)
    assert "Please answer this." in text(again)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_nothing_is_stored_before_the_last_yes(client: Client, stored: Any, number: int) -> None:
    come_to(client, number)
    assert stored() == []


def test_nothing_about_a_student_is_kept_in_the_web_session(client: Client) -> None:
    before = set(client.session.keys())
    come_to(client, 4)
    assert set(client.session.keys()) - before == {"since", "seen"}


@pytest.mark.parametrize(
    ("number", "field", "says"),
    [
        (3, "parental_permission-agrees", "Permission was not given"),
        (4, "assent-agrees", "The student does not want to take part"),
    ],
)
def test_a_no_ends_it_kindly_and_stores_nothing(
    client: Client, stored: Any, number: int, field: str, says: str
) -> None:
    # Whoever says no need not fill in the rest.
    response = send(client, come_to(client, number), {field: "no"})
    assert response.status_code == 200
    assert says in text(response)
    assert "The form was never saved" in text(response)
    assert stored() == []


def test_a_refused_permission_is_not_healed_by_the_students_yes(client: Client, stored: Any) -> None:
    answers = {**ASSENT, "parental_permission-agrees": "no"}
    assert "Permission was not given" in text(send(client, come_to(client, 4), answers))
    assert stored() == []


@pytest.mark.parametrize("age", [13, 19, 4, 121, -1])
def test_an_age_outside_the_study_is_told_at_the_field(client: Client, stored: Any, age: int) -> None:
    response = send(client, come_to(client, 1), {**ABOUT, "about-age": str(age)})
    assert title(response) == "The student"
    assert 'aria-invalid="true"' in response.content.decode()
    assert re.search(r"This study takes students from 14 to 18|Ensure this value", text(response))
    assert stored() == []


def test_a_student_of_18_consents_alone(client: Client, stored: Any) -> None:
    adult = {**ABOUT, "about-age": "18"}
    page = come_to(client, 3, (adult, LEARNING))
    assert "Step 3 of 3" in text(page)
    answers = {
        "adult_consent-method": "on_screen",
        "adult_consent-sharing": "yes",
        "adult_consent-agrees": "yes",
    }
    assert send(client, page, answers).status_code == 302
    (event,) = (item for item in stored() if item["SK"].startswith("CONSENT#"))
    assert (event["kind"], event["relation"], event["data_sharing"]) == ("adult_consent", "self", True)


def test_a_younger_child_assents_in_plain_words_where_the_study_takes_it(
    client: Client, settings: Any
) -> None:
    settings.MINIMUM_AGE = 10
    page = come_to(client, 4, ({**ABOUT, "about-age": "11"}, LEARNING, PERMISSION))
    assert PACKAGE.form("child_assent").title in text(page)


def test_sending_twice_stores_once(client: Client, stored: Any) -> None:
    page = come_to(client, 4)
    first, second = send(client, page, ASSENT), send(client, page, ASSENT)
    assert first["Location"] == second["Location"]
    assert sum(item["SK"] == "PROFILE" for item in stored()) == 1


def test_two_enrolments_are_two_students(client: Client, stored: Any) -> None:
    for _ in range(2):
        send(client, come_to(client, 4), ASSENT)
    assert sum(item["SK"] == "PROFILE" for item in stored()) == 2


def test_a_form_that_changed_meanwhile_is_shown_again_and_asked_anew(client: Client, stored: Any) -> None:
    page = come_to(client, 4)
    stale = {**ASSENT, "parental_permission-sha256": "0" * 64}
    again = send(client, page, stale)
    assert title(again) == "Permission of a parent or guardian"
    assert "The form has changed since it was shown" in text(again)
    assert Form(again.content.decode()).chosen == []
    assert Form(again.content.decode()).hidden["parental_permission-sha256"] == [
        PACKAGE.form("parental_permission").sha256
    ]
    assert stored() == []


def test_earlier_answers_are_checked_again_with_every_sending(client: Client, stored: Any) -> None:
    changed = {**ASSENT, "about-age": "12"}
    assert title(send(client, come_to(client, 4), changed)) == "The student"
    changed = {**ASSENT, "learning-learning_style": "telepathy"}
    assert title(send(client, come_to(client, 4), changed)) == "Learning"
    assert stored() == []


def test_a_changed_age_asks_for_the_forms_of_that_age(client: Client, stored: Any) -> None:
    response = send(client, come_to(client, 4), {**ASSENT, "about-age": "18"})
    assert title(response) == "Consent"
    assert stored() == []


def test_going_back_keeps_what_was_filled_in_but_never_an_agreement(client: Client) -> None:
    page = send(client, come_to(client, 3), {**PERMISSION, "back": "learning"})
    assert title(page) == "Learning"
    assert set(Form(page.content.decode()).chosen) == set(LEARNING)
    page = send(client, page, {**LEARNING, "back": "about"})
    assert f'value="{SCHOOL}"' in text(page)
    page = send(client, send(client, page, ABOUT), LEARNING)
    assert title(page) == "Permission of a parent or guardian"
    assert Form(page.content.decode()).chosen == []


def test_none_of_these_topics_stands_alone(client: Client, stored: Any) -> None:
    topics = "learning-prior_knowledge_topics"
    both = send(client, come_to(client, 2), {**LEARNING, topics: ["none", "civil_war"]})
    assert "does not go with another choice" in text(both)
    nothing = come_to(client, 4, (ABOUT, {**LEARNING, topics: ["none"]}, PERMISSION))
    send(client, nothing, ASSENT)
    (profile,) = (item for item in stored() if item["SK"] == "PROFILE")
    assert profile["learning_profile"]["prior_knowledge_topics"] == []


def test_a_sending_without_its_id_begins_anew(client: Client, stored: Any) -> None:
    answers = sent(come_to(client, 4), **ASSENT)
    for wrong in ("", "not-an-id", "../../etc"):
        response: Any = client.post("/students/new/", {**answers, "student_id": wrong})
        assert title(response) == "The student"
    assert stored() == []


def test_a_known_school_keeps_its_spelling(client: Client, stored: Any) -> None:
    enrol()
    send(
        client,
        come_to(client, 4, ({**ABOUT, "about-school": " fall  LINE high school "}, *STEPS[1:])),
        ASSENT,
    )
    assert {item["demographics"]["school"] for item in stored() if item["SK"] == "PROFILE"} == {SCHOOL}
    assert sum(item["PK"] == "DIRECTORY#schools" for item in stored()) == 1


def test_known_schools_are_offered(client: Client) -> None:
    enrol()
    assert f'<option value="{SCHOOL}">' in text(client.get("/students/new/"))  # type: ignore[arg-type]


@pytest.mark.parametrize("school", ["", "   ", "---", "x" * 121, "a\x00b"])
def test_a_school_needs_a_name_of_its_own(client: Client, school: str) -> None:
    assert title(send(client, come_to(client, 1), {**ABOUT, "about-school": school})) == "The student"


def test_hostile_text_is_shown_as_text(client: Client) -> None:
    hostile = {**ABOUT, "about-school": HOSTILE}
    page = come_to(client, 4, (hostile, *STEPS[1:]))
    assert b"<script>alert" not in page.content
    done = send(client, page, ASSENT)
    for address in (done["Location"], f"/students/{done['Location'].split('=')[1]}/", "/students/"):
        assert b"<script>alert" not in client.get(address).content
    assert "&lt;script&gt;alert" in client.get("/students/").content.decode()


def test_the_school_is_in_no_address(client: Client) -> None:
    done = send(client, come_to(client, 4), ASSENT)
    student_id = done["Location"].split("=")[1]
    pages = ["/students/", "/students/?by=school", f"/students/?school={keys.school_id(SCHOOL)}"]
    for address in (done["Location"], f"/students/{student_id}/", "/students/new/", *pages):
        page = text(client.get(address))  # type: ignore[arg-type]
        addresses = re.findall(r'(?:href|action|src)="([^"]*)"', page)
        assert not [each for each in addresses if "Fall" in each or "Line" in each]
    assert "Fall" not in done["Location"]


def test_a_store_that_is_away_loses_nothing_that_was_filled_in(client: Client, stored: Any) -> None:
    page = come_to(client, 4)
    with store_away("TransactWriteItems"):
        again = send(client, page, ASSENT)
    assert "nothing was saved. Please send the form again" in text(again)
    assert send(client, again, ASSENT).status_code == 302
    assert sum(item["SK"] == "PROFILE" for item in stored()) == 1


def test_the_page_of_a_code_is_of_a_student(client: Client) -> None:
    for strange in ("", "nobody", str(uuid.uuid4()), "x" * 80, "a b"):
        assert client.get("/students/new/", {"enrolled": strange}).status_code == 404


def test_the_wrong_role_enrols_nobody(table: str, stored: Any) -> None:
    answers = sent(come_to(signed_in("facilitator"), 4), **ASSENT)
    assert signed_in("researcher").post("/students/new/", answers).status_code == 403
    assert [item["action"] for item in stored()] == ["access.denied"]
