"""The dashboards: who may open them, what they show of none, one and 48 sessions, and what they refuse."""

import math
import re
import statistics as plain
import uuid
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from scipy import stats  # type: ignore[import-untyped]

from analytics_app.dashboards import analysis, chart_cards
from analytics_app.dashboards.format import contrast_words, number, p_value, signed_number, term_words
from analytics_app.statistics import updates
from sessions_app import study
from sessions_app.domain.store import keys
from support.cast import enrolled, signed_in
from tests.analytics import cohort

pytestmark = pytest.mark.django_db

NOW = cohort.NOON + timedelta(hours=3)
STUDENT = "0a4e6d1c-5f0e-4a53-9b57-3f2f4f9f8a11"
PAGES = (
    "/dashboards/",
    "/dashboards/conditions/",
    "/dashboards/conditions/L1-I1-D/",
    "/dashboards/conditions/L1-I1-D/sessions/",
    "/dashboards/locations/",
    "/dashboards/interventions/",
    "/dashboards/time/",
    "/dashboards/time/?unit=day",
    "/dashboards/time/?unit=week",
    "/dashboards/ai/",
    "/dashboards/inference/",
)
CHARTS = (
    "gain_by_condition.csv",
    "condition_cells.csv",
    "allocation_balance.csv",
    "participant_flow.csv",
    "question_quality.csv",
    "ai_cost.csv",
    "sessions_over_time.csv",
    "gain_over_time.csv?unit=day",
    "score_distribution.csv?condition=L1-I1-D",
    "ai_latency.csv?condition=L1-I1-D",
    "before_after.csv",
    "before_after.csv?condition=L1-I1-D",
    f"student_sessions.csv?student={STUDENT}",
)


@pytest.fixture(autouse=True)
def on_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "now", lambda: NOW)
    chart_cards.forget()
    analysis.forget()


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("researcher")


def text(answer: Any) -> str:
    """What is read on the page, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def add(code: str = "L1-I1-D", **made: Any) -> str:
    """A completed session that is counted."""
    items = cohort.whole(code, **made)
    cohort.store(*items)
    updates.apply(items[0].session_id, now=NOW)  # type: ignore[attr-defined]
    return str(items[0].session_id)  # type: ignore[attr-defined]


def scores(place: int) -> tuple[float, float]:
    before = round(100 * (3 + place % 5) / 15, 1)
    return before, round(before + 100 * (1 + place * 7 % 6) / 15, 1)


def two_in_each_cell() -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for place, cell in enumerate([*keys.CONDITIONS, *keys.CONDITIONS]):
        before, after = scores(place + 2 * (place // 24))
        start = cohort.NOON - timedelta(minutes=place)
        add(cell.code, baseline=before, final=after, start=start)
        found.setdefault(cell.code, []).append((before, after))
    return found


def bracketed(values: list[float], places: int = 1) -> str:
    mean, se = plain.fmean(values), plain.stdev(values) / math.sqrt(len(values))
    reach = stats.t.ppf(0.975, len(values) - 1) * se
    return f"[{number(mean - reach, places)}, {number(mean + reach, places)}]"


# --- who


@pytest.mark.parametrize(("role", "status"), [("facilitator", 403), ("irb", 403), ("admin", 200)])
def test_dashboards_are_for_researchers_and_administrators(table: str, role: str, status: int) -> None:
    client = signed_in(role)
    addresses = [*PAGES[:3], "/dashboards/inference/", "/dashboards/charts/gain_by_condition.csv"]
    assert {client.get(address).status_code for address in addresses} == {status}
    assert ("/dashboards/" in client.get("/").content.decode()) is (status == 200)


def test_whoever_is_signed_out_is_led_to_the_login(table: str) -> None:
    assert Client().get("/dashboards/")["Location"].startswith("/login/")


# --- none, one, many


def test_every_page_says_that_there_is_nothing_yet(client: Client) -> None:
    for address in PAGES:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert not re.search(r"\bnan\b|\bNone\b", text(answer)), address
    assert "no session yet" in text(client.get("/dashboards/"))
    told = text(client.get("/dashboards/inference/"))
    assert "Too few sessions for this analysis" in told
    assert "there are none" in told


def test_one_session_has_figures_and_no_intervals(client: Client) -> None:
    session_id = add(baseline=40.0, final=73.3, student_id=STUDENT, start=NOW - timedelta(hours=1))
    for address in (*PAGES, f"/dashboards/students/{STUDENT}/"):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert not re.search(r"\bnan\b|\bNone\b", text(answer)), address
    overview = text(client.get("/dashboards/"))
    assert "+33.3" in overview
    assert "one session: no interval" in overview
    assert "1 started today" in overview
    condition = text(client.get("/dashboards/conditions/L1-I1-D/"))
    assert "1 gained, 0 did not change and 0 decreased" in condition
    assert f"/sessions/{session_id}/" in client.get(f"/dashboards/students/{STUDENT}/").content.decode()
    assert "L1-I1-D has 1" in text(client.get("/dashboards/inference/"))


def test_figures_equal_those_worked_out_from_the_scores(client: Client) -> None:
    cells = two_in_each_cell()
    gains = {code: [round(after - before, 1) for before, after in pairs] for code, pairs in cells.items()}
    every = [gain for found in gains.values() for gain in found]

    overview = text(client.get("/dashboards/"))
    assert f"{signed_number(plain.fmean(every))} 95% CI {bracketed(every)}, n = 48" in overview
    assert "100% 48 of 48" in overview

    table = text(client.get("/dashboards/conditions/"))
    for code, found in gains.items():
        mean = plain.fmean(found)
        assert f"{code}, {signed_number(mean)} {signed_number(mean, 0)} n = 2 100%" in table

    baseline = [before for before, _ in cells["L1-I1-D"]]
    condition = text(client.get("/dashboards/conditions/L1-I1-D/"))
    told = f"2 {number(plain.fmean(baseline))} {bracketed(baseline)} {number(plain.stdev(baseline))}"
    assert f"Pre-test (baseline) % of the points {told}" in condition

    here = [gain for code, found in gains.items() if code.startswith("L3") for gain in found]
    assert f"{signed_number(plain.fmean(here))} {bracketed(here)}" in text(
        client.get("/dashboards/locations/")
    )

    static, dynamic = ([g for code, f in gains.items() if code.endswith(kind) for g in f] for kind in "SD")
    pooled = math.sqrt((plain.variance(static) + plain.variance(dynamic)) / 2)
    d = (plain.fmean(dynamic) - plain.fmean(static)) / pooled
    assert f"24 {signed_number(d, 2)} [" in text(client.get("/dashboards/interventions/"))

    inference = text(client.get("/dashboards/inference/"))
    assert "48 of 48 sessions in these months" in inference
    assert "n = 48, R² =" in inference
    assert "Residual 23" in inference
    assert "dynamic − static, learning space" in inference
    assert "Normal residuals" in inference


def test_filters_narrow_what_is_counted(client: Client) -> None:
    add("L1-I1-D", start=cohort.NOON)
    add("L4-I2-S", start=cohort.NOON - timedelta(days=62))
    assert "Sessions 2 " in text(client.get("/dashboards/"))
    for query in ("from=2025-09", "location=on-site", "interval=2.5", "type=dynamic"):
        assert "Sessions 1 " in text(client.get(f"/dashboards/?{query}")), query


def test_pages_show_real_sessions_until_another_realm_is_asked_for(client: Client) -> None:
    add("L1-I1-D", start=cohort.NOON)
    for code in ("L1-I1-D", "L4-I2-S"):
        add(code, start=cohort.NOON, simulated=True)
    for realm, n in (("real", 1), ("simulated", 2)):
        assert f"Sessions {n} " in text(client.get(f"/dashboards/?realm={realm}"))
        inference = text(client.get(f"/dashboards/inference/?realm={realm}"))
        assert f"of {n} session" in inference
        chart = client.get(f"/dashboards/charts/allocation_balance.csv?realm={realm}")
        assert sum(int(line.split(",")[1]) for line in chart.content.decode().split()[1:]) == n
        listed = text(client.get(f"/dashboards/conditions/L1-I1-D/sessions/?realm={realm}"))
        assert ("Simulated sessions only" in listed) == (realm == "simulated")
    assert "Sessions 1 " in text(client.get("/dashboards/"))


@pytest.mark.parametrize("address", PAGES)
def test_figures_that_are_not_real_say_so_on_top(client: Client, address: str) -> None:
    add("L1-I1-D", start=cohort.NOON)
    add("L1-I1-D", start=cohort.NOON, simulated=True)
    assert "Simulated sessions only." not in text(client.get(address))
    joint = "&" if "?" in address else "?"
    told = text(client.get(f"{address}{joint}realm=simulated"))
    assert "Simulated sessions only." in told
    assert "Show real sessions" in told


def test_where_only_simulated_sessions_are_pages_offer_them(client: Client) -> None:
    add("L1-I1-D", start=cohort.NOON, simulated=True)
    for name in (
        "conditions/",
        "locations/",
        "interventions/",
        "time/",
        "time/?unit=day",
        "ai/",
        "inference/",
    ):
        assert "No real sessions yet. 1 simulated session: show it" in text(client.get(f"/dashboards/{name}"))
    page = client.get("/dashboards/?location=on-site")
    assert "No real sessions yet. 1 simulated session: show it" in text(page)
    assert "?location=on-site&amp;realm=simulated" in page.content.decode()
    add("L1-I1-D", start=cohort.NOON)
    assert "No real sessions yet" not in text(client.get("/dashboards/"))


def test_a_session_of_a_student_again_is_not_analysed(client: Client) -> None:
    for hours, code in enumerate(("L1-I1-D", "L1-I1-D", "L1-I1-S")):
        add(code, student_id=STUDENT, start=cohort.NOON + timedelta(hours=hours))
    told = text(client.get("/dashboards/inference/"))
    assert "1 of 3 sessions in these months" in told
    assert "A later attempt of the same student 1 left out" in told
    assert "Not in the student's first condition 1 left out" in told.replace("&#x27;", "'")


def test_pages_carry_nothing_inline(client: Client) -> None:
    add()
    for address in PAGES:
        page = client.get(address).content.decode()
        assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)", page), address


# --- the overview renews itself


def test_the_overview_sends_its_upper_part_only_when_it_changed(client: Client) -> None:
    add()
    page = client.get("/dashboards/")
    assert "HX-Request" in page["Vary"]
    seen = re.search(r'"seen": "(\w+)"', page.content.decode())
    assert seen
    again = client.get("/dashboards/", {"seen": seen[1]}, headers={"HX-Request": "true"})
    assert again.status_code == 204
    add("L2-I1-S")
    fragment = client.get("/dashboards/", {"seen": seen[1]}, headers={"HX-Request": "true"})
    assert fragment.status_code == 200
    assert "<html" not in fragment.content.decode()
    assert "Sessions 2 " in text(fragment)


# --- over sessions


def test_sessions_of_a_condition_come_page_by_page(client: Client) -> None:
    made = [add(start=cohort.NOON + timedelta(minutes=place)) for place in range(22)]
    address, found = "/dashboards/conditions/L1-I1-D/sessions/", []
    while address:
        page = client.get(address).content.decode()
        found.append(re.findall(r'row-link[^"]*" href="/sessions/([^/"]+)/"', page))
        older = re.search(r'href="([^"]*)" rel="next"', page)
        address = f"/dashboards/conditions/L1-I1-D/sessions/{unescape(older[1])}" if older else ""
    assert found == [made[:1:-1], made[1::-1]]


def test_a_student_without_sessions_is_not_an_unknown_one(client: Client) -> None:
    student = enrolled()
    told = text(client.get(f"/dashboards/students/{student.student_id}/"))
    assert student.student_code in told
    assert "No session yet" in told
    assert client.get(f"/dashboards/students/{uuid.uuid4()}/").status_code == 404


# --- charts


def test_every_chart_gives_its_numbers(client: Client) -> None:
    add(student_id=STUDENT, start=NOW - timedelta(hours=1))
    for chart in CHARTS:
        answer = client.get(f"/dashboards/charts/{chart}")
        assert answer.status_code == 200, chart
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert len(answer.content.decode().splitlines()) > 1 or chart.startswith("ai_cost"), chart


def test_a_chart_has_the_numbers_of_its_page(client: Client) -> None:
    add(baseline=40.0, final=73.3)
    lines = client.get("/dashboards/charts/gain_by_condition.csv").content.decode().splitlines()
    assert lines[0] == "condition,n,mean,low,high"
    assert "L1-I1-D,1,33.3,," in lines


@pytest.mark.parametrize(
    ("form", "media_type", "start"), [("svg", "image/svg+xml", b"<svg"), ("png", "image/png", b"\x89PNG")]
)
def test_a_picture_is_of_its_type_and_kept_until_the_data_move(
    client: Client, form: str, media_type: str, start: bytes
) -> None:
    add()
    address = f"/dashboards/charts/condition_cells.{form}?theme=dark&size=narrow"
    first = client.get(address)
    assert first["Content-Type"] == media_type
    assert first.content.startswith(start)
    assert first["Cache-Control"] == "private, no-cache"
    again = client.get(address, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    assert not again.content
    add("L2-I1-D")
    moved = client.get(address, headers={"If-None-Match": first["ETag"]})
    assert moved.status_code == 200
    assert moved["ETag"] != first["ETag"]


def test_an_outdated_version_in_the_address_is_not_believed(client: Client) -> None:
    add(baseline=40.0, final=73.3)
    answer = client.get("/dashboards/charts/gain_by_condition.csv?v=0123456789abcdef0123")
    assert b"L1-I1-D,1,33.3" in answer.content
    assert answer["Cache-Control"] == "private, no-cache"


# --- what is refused


@pytest.mark.parametrize(
    ("address", "status", "told"),
    [
        ("/dashboards/?from=2025-13", 200, "Write a month like 2026-01."),
        ("/dashboards/?to=yesterday", 200, "Write a month like 2026-01."),
        ("/dashboards/?from=0001-01&to=0001-02", 200, "Choose a month from 2000 to 2199."),
        ("/dashboards/locations/?from=2025-10&to=2025-09", 200, "The last month lies before the first."),
        ("/dashboards/ai/?from=2010-01", 200, "Choose at most 60 months at a time."),
        ("/dashboards/?location=moon", 200, "This is not one of the choices."),
        ("/dashboards/interventions/?interval=7", 200, "This is not one of the choices."),
        ("/dashboards/time/?unit=year", 200, "This is not one of the choices."),
        ("/dashboards/time/?type=%00", 200, "This is not one of the choices."),
        ("/dashboards/inference/?realm=practice", 200, "This is not one of the choices."),
        ("/dashboards/conditions/L1-I1-D/?from=x", 200, "Write a month like 2026-01."),
        ("/dashboards/conditions/L9-I1-D/", 404, ""),
        ("/dashboards/conditions/l1-i1-d/", 404, ""),
        ("/dashboards/conditions/L9-I1-D/sessions/", 404, ""),
        ("/dashboards/conditions/L1-I1-D/sessions/?cursor=abc", 400, ""),
        (f"/dashboards/students/{STUDENT}/", 404, ""),
        (f"/dashboards/students/{'x' * 80}/", 404, ""),
        (f"/dashboards/students/{STUDENT}/?cursor=abc", 400, ""),
        ("/dashboards/charts/nothing.svg", 404, "no such chart"),
        ("/dashboards/charts/gain_by_condition.pdf", 404, "no such chart"),
        ("/dashboards/charts/gain_by_condition.svg?from=2025-13", 422, "from: Write a month"),
        ("/dashboards/charts/gain_by_condition.svg?theme=pink", 422, "theme: one of light, dark"),
        ("/dashboards/charts/gain_by_condition.svg?size=9999", 422, "size: one of"),
        ("/dashboards/charts/score_distribution.svg", 422, "condition: a code like L1-I1-D."),
        ("/dashboards/charts/ai_latency.csv?condition=X", 422, "condition: a code like L1-I1-D."),
        ("/dashboards/charts/student_sessions.csv", 422, "student: the id of a student."),
        ("/dashboards/charts/before_after.csv?condition=L1-I1-D&cursor=a", 422, "cursor: "),
        ("/dashboards/charts/gain_over_time.csv?unit=year", 422, "unit: This is not one"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    client: Client, address: str, status: int, told: str
) -> None:
    answer = client.get(address)
    assert answer.status_code == status
    assert told in text(answer)


def test_nothing_is_written_through_a_dashboard(client: Client) -> None:
    addresses = (*PAGES, "/dashboards/charts/gain_by_condition.csv")
    assert {client.post(address).status_code for address in addresses} == {405}


# --- words


@pytest.mark.parametrize(
    ("write", "value", "told"),
    [
        (number, None, "–"),
        (number, -0.04, "0.0"),
        (number, -1234.56, "−1,234.6"),
        (signed_number, 0.04, "0.0"),
        (signed_number, 12.34, "+12.3"),
        (signed_number, -12.34, "−12.3"),
        (p_value, 0.0004, "< 0.001"),
        (p_value, 0.0414, "0.041"),
        (term_words, "location x type", "location × intervention type"),
        (contrast_words, "on-site - other locations", "on site − other locations"),
    ],
)
def test_numbers_and_names_are_written_as_in_print(
    write: Callable[[Any], str], value: Any, told: str
) -> None:
    assert write(value) == told
