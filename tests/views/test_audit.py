"""The audit log as the review board and administrators read it, and its export."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from sessions_app import csv_safe, study
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.audit import seals
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import AuditEntry, AuditReason
from sessions_app.domain.models.audit import ACTIONS
from sessions_app.domain.participants import erasure
from sessions_app.presenters import audit_log as audit_words
from support.cast import signed_in, store_away
from tests.domain.cast import ADMIN, FACILITATOR, NOON, enrol

pytestmark = pytest.mark.django_db

GRADER = Actor("gail", "researcher")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "now", lambda: NOON)


@pytest.fixture
def irb(table: str) -> Client:
    return signed_in("irb")


@pytest.fixture
def admin(table: str) -> Client:
    return signed_in("admin")


def text(response: Any) -> str:
    """What is read on the page, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def told(response: Any) -> list[str]:
    """What each row says was done."""
    return re.findall(r"<strong>([a-z][^<]*)</strong>", response.content.decode())


def score(**changes: Any) -> None:
    values: dict[str, Any] = {
        "old": {"evidence": 1.5},
        "new": {"evidence": 2.5},
        "reason": "of the canal",
    }
    audit_log.record("score.give", by=GRADER, now=NOON, student_id="s", **{**values, **changes})


def exported(client: Client, **sought: str) -> list[dict[str, str]]:
    answer = client.post("/audit/export/", sought)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    content = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(content)))


# --- reading


def test_every_action_has_words() -> None:
    assert set(audit_words.WORDS) == set(ACTIONS)


def test_an_entry_tells_who_when_what_and_why(irb: Client) -> None:
    student = enrol(now=NOON - timedelta(hours=1))
    audit_log.record(
        "consent.withdraw",
        by=FACILITATOR,
        now=NOON,
        student_id=student.student_id,
        old={"state": "complete"},
        new={"state": "withdrawn"},
        reason="the family moves <away>",
    )
    page = irb.get("/audit/")
    assert told(page) == ["recorded a withdrawal", "enrolled a student"]
    read = text(page)
    for part in (
        "Mar 3, 2026, 12:00:00",
        "2026-03-03 17:00:00 UTC",
        "facilitator",
        student.student_code,
        "state: complete → withdrawn",
        "the family moves <away>",
    ):
        assert part in read
    assert "<away>" not in page.content.decode()


def test_an_erased_student_is_told_by_the_id(irb: Client) -> None:
    audit_log.record("student.erase", by=FACILITATOR, now=NOON, student_id="gone-7")
    assert "no longer in the study: gone-7" in text(irb.get("/audit/"))


def test_a_log_without_entries_says_so(irb: Client) -> None:
    page = text(irb.get("/audit/"))
    assert "No entry found" in page
    assert "Nothing was written since yesterday; 0 entries are sealed." in page


def test_looking_at_the_log_is_in_it_from_the_next_look_on(irb: Client) -> None:
    assert "No entry found" in text(irb.get("/audit/"))
    assert told(irb.get("/audit/")) == ["viewed the audit log"]


# --- finding


@pytest.fixture
def week(table: str) -> str:
    """One entry of each of several kinds; gives back the code of the student that one is about."""
    student = enrol(now=NOON - timedelta(days=2))
    for action, by, days in (
        ("session.stop", Actor("mia", "facilitator"), 0),
        ("consent.review", Actor("ira", "irb+admin"), 1),
        ("export", Actor("mia", "facilitator"), 9),
    ):
        audit_log.record(action, by=by, now=NOON - timedelta(days=days), subject=f"the {action}")
    return str(student.student_code)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["stopped a session", "reviewed a consent", "enrolled a student"]),
        ("?first=2026-03-03&last=2026-03-03", ["stopped a session"]),
        ("?first=2026-02-01&last=2026-03-02", ["reviewed a consent", "enrolled a student", "exported data"]),
        ("?account=mia", ["stopped a session"]),
        ("?account=mia&first=2026-02-20", ["stopped a session", "exported data"]),
        ("?action=consent.review", ["reviewed a consent"]),
        ("?role=irb", ["reviewed a consent"]),
        ("?role=facilitator&account=ira", []),
    ],
)
def test_filters_go_together(irb: Client, week: str, query: str, expected: list[str]) -> None:
    found = told(irb.get(f"/audit/{query}"))
    assert len(found) == len(expected)
    assert all(each.startswith(start) for each, start in zip(found, expected, strict=True))


def test_a_student_is_found_by_code_and_by_id(irb: Client, week: str) -> None:
    page = irb.get("/audit/", {"student": week.replace("-", " ").upper()})
    assert told(page) == ["enrolled a student"]
    (entry,) = AuditEntry.on_day((NOON - timedelta(days=2)).date())
    student_id = str(getattr(entry, "student_id", ""))
    assert told(irb.get("/audit/", {"student": student_id})) == ["enrolled a student"]
    assert told(irb.get("/audit/", {"student": student_id, "first": "2026-03-03"})) == []


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("?first=2026-01-31", "At most 31 days at a time."),
        ("?first=2026-03-03&last=2026-03-01", "The last day lies before the first."),
        ("?first=soon", "Enter a valid date."),
        ("?action=look", "Select a valid choice."),
        ("?student=no-such-9", "No student has this code."),
    ],
)
def test_what_cannot_be_looked_for_is_said_beside_its_field(irb: Client, query: str, fault: str) -> None:
    page = irb.get(f"/audit/{query}")
    assert page.status_code == 422
    assert fault in text(page)
    assert "Export as CSV" not in text(page)


def test_a_day_is_one_of_the_study_not_of_utc(irb: Client) -> None:
    late = NOON.replace(hour=3) + timedelta(days=1)  # 22:00 of the day before in Richmond
    audit_log.record("sign_in", by=FACILITATOR, now=late)
    assert told(irb.get("/audit/?first=2026-03-03&last=2026-03-03")) == ["signed in"]
    assert told(irb.get("/audit/?first=2026-03-04&last=2026-03-04")) == []


@pytest.mark.parametrize("query", ["first=2026-03-01", "first=2026-03-01&account=facilitator"])
def test_pages_follow_each_other_without_loss_or_repetition(irb: Client, query: str) -> None:
    for number in range(45):
        at = NOON - timedelta(hours=number)
        audit_log.record("export", by=FACILITATOR, now=at, subject=f"file-{number:02d}")
    address, found, pages = f"/audit/?{query}", list[str](), 0
    while address:
        page = irb.get(address).content.decode()
        found += re.findall(r"file-\d\d", page)
        older = re.search(r'href="([^"]*)" rel="next"', page)
        address, pages = f"/audit/{unescape(older[1])}" if older else "", pages + 1
    assert found == [f"file-{number:02d}" for number in range(45)]
    assert pages == 3
    assert irb.get(f"/audit/?{query}&cursor=x").status_code == 400


def test_a_page_costs_the_same_requests_however_many_entries_it_shows(
    irb: Client, requests_made: list[str]
) -> None:
    irb.get("/audit/?first=2026-03-03")
    empty = len(requests_made)
    for number in range(30):
        audit_log.record(
            "export", by=FACILITATOR, now=NOON - timedelta(minutes=number), student_id=f"s-{number}"
        )
    requests_made.clear()
    irb.get("/audit/?first=2026-03-03")
    assert len(requests_made) <= empty + 2  # seals of the newest, and those of the page with the codes


# --- seals


def test_it_says_up_to_where_all_is_sealed_and_what_waits(irb: Client) -> None:
    audit_log.record("sign_in", by=FACILITATOR, now=NOON - timedelta(minutes=1))
    seals.sweep([NOON.date()], now=NOON)
    page = text(irb.get("/audit/"))
    assert "All sealed up to 2026-03-03 11:59:00." in page
    assert "no. 1" in page
    audit_log.record("sign_in", by=FACILITATOR, now=NOON - timedelta(seconds=12))
    page = text(irb.get("/audit/"))
    assert "2 entries unsealed, the oldest for 12 s." in page  # the sign-in, and the first look at this page
    assert "not yet" in page
    assert "run_worker" not in page


def test_when_the_worker_is_away_it_says_what_to_do(irb: Client) -> None:
    for _ in range(3):
        audit_log.record("sign_in", by=FACILITATOR, now=NOON - timedelta(minutes=5))
    page = text(irb.get("/audit/"))
    assert "3 entries unsealed, the oldest for 5 min." in page
    assert "start it again (manage.py run_worker)" in page


# --- scores


def test_the_board_sees_that_a_score_was_given_and_not_which(irb: Client, admin: Client) -> None:
    score()
    page = text(irb.get("/audit/"))
    assert "gave a score" in page
    assert "Scores are not shown to the review board." in page
    assert not re.search(r"1\.5|2\.5|evidence|canal", page)
    page = text(admin.get("/audit/"))
    assert "evidence: 1.5 → 2.5" in page
    assert "of the canal" in page


def test_neither_does_the_file(irb: Client, admin: Client) -> None:
    score()
    (row,) = exported(irb, action="score.give")
    assert (row["what"], row["old"], row["new"], row["reason"]) == ("gave a score", "", "", "")
    (row,) = exported(admin, action="score.give")
    assert (row["old"], row["new"], row["reason"]) == (
        "evidence: 1.5",
        "evidence: 2.5",
        "of the canal",
    )


# --- the file


def test_the_file_holds_everything_that_is_looked_for(irb: Client) -> None:
    for number in range(120):
        audit_log.record(
            "export", by=FACILITATOR, now=NOON - timedelta(minutes=number + 1), subject=f"{number}"
        )
    audit_log.record("sign_in", by=FACILITATOR, now=NOON)
    found = exported(irb, action="export", account="facilitator", first="2026-03-03", last="2026-03-03")
    assert [row["subject"] for row in found] == [str(number) for number in range(120)]
    assert found[0]["time_utc"] == "2026-03-03T16:59:00Z"
    assert found[0]["time_study"] == "2026-03-03 11:59:00 EST"


def test_an_export_is_in_the_log_before_its_first_line_is_read(irb: Client) -> None:
    irb.post("/audit/export/", {"role": "irb"})
    (entry,) = AuditEntry.on_day(NOON.date())
    assert isinstance(entry, AuditEntry)
    assert (entry.action, entry.by, entry.subject) == ("export", "a-irb", "audit log, CSV")
    assert entry.new["role"] == "irb"


def test_what_cannot_be_told_does_not_leave(irb: Client) -> None:
    with store_away("PutItem"):
        answer = irb.post("/audit/export/", follow=True)
    assert "Not exported: the database did not respond" in text(answer)


def test_a_filter_that_makes_no_sense_exports_nothing(irb: Client) -> None:
    assert irb.post("/audit/export/", {"first": "soon"})["Location"] == "/audit/"
    assert irb.get("/audit/export/").status_code == 405
    assert list(AuditEntry.on_day(NOON.date())) == []


@pytest.mark.parametrize("begin", csv_safe.FORMULA_BEGINS)
def test_no_cell_of_a_file_is_a_formula(irb: Client, begin: str) -> None:
    audit_log.record("export", by=FACILITATOR, now=NOON, subject=f"{begin}1+1", reason=f" {begin}cmd")
    row = exported(irb, account="facilitator")[0]
    assert row["subject"].startswith("'")
    assert row["reason"].startswith("'")


@pytest.mark.parametrize("evil", ["=1+1", "\t=1", "  =1", "\u00a0=1"])
def test_blanks_before_a_formula_hide_nothing(evil: str) -> None:
    (line,) = csv_safe.lines([[evil]])
    assert next(csv.reader([line])) == [f"'{evil}"]


def test_numbers_and_plain_texts_stay_as_they_are() -> None:
    assert list(csv_safe.lines([["a", -3, 1.5, "b,c", "x=1"]])) == ['a,-3,1.5,"b,c",x=1\r\n']


# --- other exports


@pytest.mark.parametrize(("form", "entries"), [("csv", 1), ("svg", 0), ("png", 0)])
def test_the_numbers_of_a_chart_are_an_export_and_its_pictures_are_not(
    admin: Client, form: str, entries: int
) -> None:
    admin.get(f"/dashboards/charts/gain_by_condition.{form}?location=home")
    found = [item for item in AuditEntry.on_day(NOON.date()) if isinstance(item, AuditEntry)]
    assert [(item.action, item.subject, item.new) for item in found] == [
        ("export", "chart gain_by_condition, CSV", {"location": "home"})
    ] * entries


def test_numbers_of_a_chart_that_cannot_be_told_do_not_leave(admin: Client) -> None:
    with store_away("PutItem"):
        answer = admin.get("/dashboards/charts/gain_by_condition.csv")
    assert answer.status_code == 503
    assert b"Not exported" in answer.content


# --- reasons


def reason_item(entry: AuditEntry) -> AuditReason:
    return AuditReason.get(*entry.reason_key, consistent_read=True)


def stopped(student_id: str) -> AuditEntry:
    audit_log.record("session.stop", by=FACILITATOR, now=NOON, student_id=student_id, reason="Zora felt ill")
    (entry,) = (each for each in AuditEntry.on_day(NOON.date()) if isinstance(each, AuditEntry))
    return entry


def test_no_entry_holds_what_was_typed(irb: Client, shared_table: Any) -> None:
    stopped(enrol().student_id)
    assert "Zora felt ill" in text(irb.get("/audit/"))
    holders = {item["entity_type"] for item in shared_table.scan()["Items"] if "Zora" in str(item)}
    assert holders == {"audit_reason"}


def test_a_reason_that_was_changed_is_not_shown_as_if_it_had_been_sealed(irb: Client) -> None:
    reason_item(stopped(enrol().student_id)).update(actions=[AuditReason.reason.set("nothing happened")])
    assert "The reason is not the one that was sealed." in text(irb.get("/audit/"))


def test_a_reason_that_is_missing_says_whether_it_was_erased(irb: Client) -> None:
    reason_item(stopped(enrol().student_id)).delete()
    assert "It is missing, although nobody erased it." in text(irb.get("/audit/"))


def test_a_reason_that_was_erased_says_so(irb: Client) -> None:
    student = enrol()
    stopped(student.student_id)
    erasure.erase(student.student_id, by=ADMIN, now=NOON)
    page = text(irb.get("/audit/"))
    assert "A reason was given. It was erased with the student's data." in page
    assert "Zora" not in page
