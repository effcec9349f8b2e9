"""Void sessions are in no statistic and in no export; without the mark they are back, to the last figure."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from analytics_app.dashboards import analysis
from analytics_app.export import profiles
from analytics_app.statistics import queries, rebuild, updates
from analytics_app.streams import dispatch
from sessions_app.domain.audit.log import Actor
from sessions_app.domain.models import Contribution, Item
from sessions_app.domain.session import voiding
from sessions_app.domain.session.record import Run
from sessions_app.domain.store import keys
from tests.analytics import cohort
from tests.analytics.export.participants import built, manifest, profile, rows, store, took_part

CELL = keys.Condition.from_code("L1-I1-D")
RULE: dict[str, Any] = {
    "by": Actor("researcher", "researcher"),
    "now": cohort.NOON + timedelta(days=1),
    "zone": ZoneInfo("America/New_York"),
}


def void(session_id: str, kind: str = "spoiled") -> None:
    voiding.void(Run.load(session_id), kind=kind, reason="The fire alarm went off.", **RULE)
    updates.apply(session_id, now=cohort.NOON)


def unvoid(session_id: str) -> None:
    voiding.unvoid(Run.load(session_id), reason="It was only a test alarm.", **RULE)
    updates.apply(session_id, now=cohort.NOON)


def counted(**changes: Any) -> str:
    items = cohort.whole(**changes)
    cohort.store(*items)
    session_id = str(items[0].session_id)  # type: ignore[attr-defined]
    updates.apply(session_id, now=cohort.NOON)
    return session_id


def stopped() -> str:
    session = cohort.session(state="stopped")
    cohort.store(session)
    updates.apply(session.session_id, now=cohort.NOON)
    return str(session.session_id)


def differences() -> list[str]:
    cell = rebuild.read(CELL, rebuild.sessions_of(CELL), lambda: None)
    found = list(rebuild.differences(cell))
    found += rebuild.day_differences(rebuild.stored_days("real"), cell.shares.values(), "real")
    return [str(difference) for difference in found]


def figures() -> dict[str, Any]:
    found = queries.condition_figures(CELL)
    (day,) = queries.days(cohort.NOON.date(), cohort.NOON.date())
    return {
        "sums": found.sums.as_list(),
        "students": found.students,
        "day": (dict(day.started), dict(day.completed), dict(day.gains)),
    }


@pytest.mark.parametrize("ended", ["completed", "stopped"])
def test_a_void_session_leaves_every_figure_and_comes_back(table: str, ended: str) -> None:
    counted(final=60.0)
    alone = figures()
    session_id = counted(final=90.0) if ended == "completed" else stopped()
    both = figures()
    assert both != alone
    void(session_id)
    assert figures() == alone
    assert Contribution.of_session(session_id) is None
    assert differences() == []
    unvoid(session_id)
    assert figures() == both
    assert differences() == []


def test_a_rebuild_leaves_void_sessions_out(table: str) -> None:
    counted(final=60.0)
    alone = figures()
    session_id = counted(final=90.0)
    voiding.void(Run.load(session_id), kind="other", reason="A test.", **RULE)  # no worker saw it
    assert differences() != []
    cell = rebuild.rebuild(CELL, rebuild.sessions_of(CELL), now=cohort.NOON, tick=lambda: None)
    rebuild.rebuild_day(cohort.NOON.date().isoformat(), list(cell.shares), "real")
    assert figures() == alone
    assert differences() == []


def test_the_stream_brings_the_mark_and_its_removal() -> None:
    before, after = cohort.session(session_id="s"), cohort.session(session_id="s", version=2)
    after.metadata.void = {"at": cohort.NOON, "by": "a", "kind": "other", "reason": "b"}
    assert dispatch.concerns(cohort.record(new=after, old=before)) == "s"
    assert dispatch.concerns(cohort.record(new=before, old=after)) == "s"
    assert dispatch.concerns(cohort.record(new=after, old=after)) is None


def test_the_analysis_counts_void_sessions_apart(table: str) -> None:
    counted(final=60.0)
    session_id = counted(final=90.0)
    void(session_id)
    analysis.forget()
    months = queries.Months.of(cohort.MONTH)
    version = analysis.version_of(queries.months_of_all_conditions(months))
    read = analysis.sessions(months, "real", version)
    assert (len(read.sessions), read.uncounted, read.void) == (1, 0, 1)


@pytest.mark.parametrize("profile_name", ["coded", "full"])
def test_exports_leave_them_out_by_kind_of_reason(
    table: str, shared_table: Any, tmp_path: Path, settings: Any, profile_name: str
) -> None:
    settings.EXPORT_KEY = "the study's"
    ids = {}
    for kind in ("", "wrong_student", "spoiled", "other", "unheard of"):
        student = profile()
        items: list[Item] = took_part(student)
        store((student, items))
        ids[kind] = items[0].session_id  # type: ignore[attr-defined]
        if kind in ("wrong_student", "spoiled", "other"):
            void(ids[kind], kind)
    shared_table.update_item(
        Key={"PK": keys.session(ids["unheard of"]), "SK": "METADATA"},
        UpdateExpression="SET metadata.#void = :void",
        ExpressionAttributeNames={"#void": "void"},
        ExpressionAttributeValues={":void": {"kind": "unheard of", "by": 7}},  # as another client might
    )
    made, files = built(tmp_path, profile=profile_name, levels=("sessions",))
    assert len(rows(files, "sessions")) == 1
    expected = {"void_wrong_student": 1, "void_spoiled": 1, "void_other": 2}
    assert made.excluded == expected
    told = manifest(files)["excluded"]
    assert {reason: entry["sessions"] for reason, entry in told.items()} == expected
    assert told["void_spoiled"]["because"] == profiles.REASONS["void_spoiled"]
    assert "fire alarm" not in str(files)
