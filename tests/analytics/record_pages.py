"""What the tests of the records pages share: a whole session, and what is read out of a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.test import Client

from sessions_app import study
from sessions_app.domain.session.record import Run
from sessions_app.domain.simulation import cohort as simulated_cohort
from sessions_app.domain.store import keys
from sessions_app.domain.tutor.scripted import ScriptedTutor
from tests.domain.cast import PACKAGE


def whole() -> Run:
    """A session from the enrolment to the survey, scored."""
    cohort = simulated_cohort.Cohort(
        size=1,
        seed=3,
        package=PACKAGE,
        tutor=ScriptedTutor(),
        now=datetime(2026, 3, 30, 20, 0, tzinfo=UTC),
        zone=study.zone(),
        condition=keys.Condition.from_code("L1-I2-D"),
    )
    return simulated_cohort.walk(cohort, 0, simulated_cohort.admit(cohort, 0))


def text(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


def links(response: Any) -> list[str]:
    """Every address in the page's own part."""
    main = response.content.decode().partition("<main")[2].partition("</main>")[0]
    return [unescape(address) for address in re.findall(r'<a[^>]* href="([^"]*)"', main)]


def rows(response: Any) -> list[str]:
    return [
        unescape(row)
        for row in re.findall(r'class="row-link[^"]*" href="([^"]*)"', response.content.decode())
    ]


def keys_of(addresses: list[str]) -> list[str]:
    return [parse_qs(urlsplit(address).query)["pk"][0] for address in addresses]


def item(client: Client, entity: str, pk: str, sk: str) -> Any:
    return client.get(f"/records/{entity}/item/", {"pk": pk, "sk": sk})
