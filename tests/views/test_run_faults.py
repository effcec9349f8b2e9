"""A student's whole session over HTTP while the store throttles, cancels and loses replies."""

from __future__ import annotations

import pytest

from sessions_app.domain import flow
from sessions_app.domain.session.record import Run
from support.bot import Bot, walk
from support.cast import at, signed_in, started
from tests.faulty_store import FaultyStore

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def table(lasting_table: str) -> str:
    return lasting_table


def test_no_page_of_a_session_shows_that_the_store_is_in_trouble(table: str) -> None:
    bot = Bot(signed_in("facilitator"))
    run = started("L4-I2-D")
    with FaultyStore(seed=5, throttled=0.2, conflicts=0.1, lost_replies=0.05) as faults:
        pages = [page.path for page in walk(bot, bot.open(at(run)))]
    steps = [flow.Step(stage, n).slug for stage in run.stages for n in range(1, stage.steps + 1)]
    assert pages == [f"{at(run)}{step}/" for step in [*steps, "done"]]
    assert {trip.status for trip in bot.trips} == {200, 302}
    assert min(faults.counted[name] for name in ("throttled", "conflicts", "lost_replies")) >= 2
    after = Run.load(run.id)
    assert after.session.state == "completed"
    assert after.conflicts == []
