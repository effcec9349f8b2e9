"""What a dashboard asks of the table is the same at 48 and at 50,000 sessions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from analytics_app.dashboards import analysis, chart_cards
from analytics_app.statistics.sums import LAYOUT
from sessions_app import study
from sessions_app.domain import models
from sessions_app.domain.models import Contribution, Item
from sessions_app.domain.stream_worker import status as worker_status
from support.cast import signed_in
from tests.analytics import cohort, synthetic

pytestmark = pytest.mark.django_db

BUDGET = 20  # read units
STUDENT = "0a4e6d1c-5f0e-4a53-9b57-3f2f4f9f8a11"
PAGES = {
    "/dashboards/": 5,
    "/dashboards/conditions/": 3,
    "/dashboards/conditions/L1-I1-D/": 3,
    "/dashboards/conditions/L1-I1-D/sessions/": 4,
    "/dashboards/locations/": 3,
    "/dashboards/interventions/": 3,
    "/dashboards/time/": 3,
    "/dashboards/time/?unit=week": 3,
    f"/dashboards/students/{STUDENT}/": 5,  # one is the entry in the audit log
    "/dashboards/ai/": 4,  # and whether the model answers
    "/dashboards/charts/gain_by_condition.csv": 2,  # one is the entry in the audit log
    "/dashboards/charts/gain_over_time.csv?unit=day": 2,
    "/dashboards/charts/score_distribution.csv?condition=L1-I1-D": 2,
}


@dataclass
class Meter:
    """The requests of the models and the read units that the engine charged for them."""

    requests: list[str] = field(default_factory=list)
    units: float = 0

    def clear(self) -> None:
        self.requests.clear()
        self.units = 0


@pytest.fixture
def meter(table: str) -> Iterator[Meter]:
    found, events = Meter(), models.connection().client.meta.events

    def ask(params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def note(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        used = parsed.get("ConsumedCapacity") or []
        found.requests.append(model.name)
        found.units += sum(each["CapacityUnits"] for each in (used if isinstance(used, list) else [used]))

    events.register("provide-client-params.dynamodb", ask)
    events.register("after-call.dynamodb", note)
    yield found
    events.unregister("provide-client-params.dynamodb", ask)
    events.unregister("after-call.dynamodb", note)


@pytest.fixture(autouse=True)
def a_day_in_october(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "now", lambda: synthetic.NOW)
    chart_cards.forget()
    analysis.forget()


@pytest.fixture
def client(table: str) -> Client:
    return signed_in("researcher")


def fill(sessions: int) -> None:
    """Statistics of so many sessions, and items of those that pages over sessions would meet."""
    synthetic.write(sessions)
    made: list[Item] = []
    for place in range(min(sessions // 12, 120)):
        start = synthetic.NOW - timedelta(minutes=place)
        one = cohort.session("L1-I1-D", student_id=STUDENT, start=start, state="completed")
        sums = {"completed": 1, "baseline_n": 1, "baseline_sum": 4800, "final_n": 1, "final_sum": 7200}
        counted = Contribution(
            PK=one.PK, SK="CONTRIBUTION", session_id=one.session_id, student_id=STUDENT,
            condition_code="L1-I1-D", day=start.date().isoformat(), sums=sums,
            histograms={"gain": {2400: 1}}, layout=LAYOUT, source="x" * 32, revision="r", updated_at=start,
        )  # fmt: skip
        made += [one, counted]
    cohort.store(*made)


def measured(client: Client, meter: Meter) -> dict[str, tuple[list[str], float]]:
    found = {}
    for address in PAGES:
        chart_cards.forget()
        worker_status.forget()
        meter.clear()
        assert client.get(address).status_code == 200, address
        found[address] = (list(meter.requests), meter.units)
    return found


def test_each_page_costs_the_same_at_48_and_at_50_000_sessions(client: Client, meter: Meter) -> None:
    fill(48)
    few = measured(client, meter)
    fill(50_000)
    many = measured(client, meter)
    for address, (requests, units) in many.items():
        assert requests == few[address][0], address
        assert len(requests) == PAGES[address], address
        assert units <= BUDGET, (address, units)


def test_the_charts_of_a_page_that_was_just_shown_read_nothing(client: Client, meter: Meter) -> None:
    fill(480)
    page = client.get("/dashboards/conditions/").content.decode()
    addresses = {part.split('"')[0].replace("&amp;", "&") for part in page.split('src="')[1:]}
    charts = {address for address in addresses if "/charts/" in address}
    assert len(charts) == 4  # two charts, light and dark
    meter.clear()
    for address in charts:
        answer = client.get(address)
        assert answer["Content-Type"] == "image/svg+xml"
        assert "immutable" in answer["Cache-Control"]
    assert meter.requests == []


def test_the_analysis_reads_the_sessions_once_while_the_statistics_stay(client: Client, meter: Meter) -> None:
    fill(48)
    meter.clear()
    assert client.get("/dashboards/inference/").status_code == 200
    assert len(meter.requests) == 1 + 24 + 1  # statistics, the index of each condition, one batch
    meter.clear()
    for address in ("/dashboards/inference/?who=real", "/dashboards/inference/"):
        assert client.get(address).status_code == 200
    assert meter.requests == ["Query", "Query"]


def test_more_sessions_than_can_be_read_at_once_are_not_read(client: Client, meter: Meter) -> None:
    synthetic.write(3_600)
    meter.clear()
    answer = client.get("/dashboards/inference/").content.decode()
    assert "3,600 sessions" in answer
    assert "choose fewer months" in answer
    assert meter.requests == ["Query"]
    assert meter.units <= BUDGET
