"""The field policy: every attribute has a rule, every page and export asks it, and it denies by default."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from analytics_app.export import profiles
from analytics_app.export import tables as export_tables
from analytics_app.lake import tables
from analytics_app.records import presentation
from sessions_app.access import field_policy
from sessions_app.access.field_policy import COMMON, DERIVED, RULES
from sessions_app.access.roles import ROLES
from sessions_app.dictionary import codebook, model_attributes
from sessions_app.domain.models import Item, Student
from sessions_app.management.commands import data_dictionary as dictionary

BASE = Path(__file__).parents[1]
ADMIN, RESEARCHER = frozenset({"admin"}), frozenset({"researcher"})
PARTICIPANTS = {"steps.py", "store_unavailable.py", "participant_links.py", "handover.py", "pause.py"}
"""Views of a participant's own session, and what staff need to hand it over."""
FILTERS_ITSELF = {"records.py"}


@pytest.mark.parametrize("entity", model_attributes.entities())
def test_every_attribute_has_a_rule_and_every_rule_an_attribute(entity: str) -> None:
    paths = [each.path for each in model_attributes.attributes(model_attributes.entities()[entity])]
    assert field_policy.missing(entity, paths) == [], (
        "who sees these? add them to sessions_app/access/field_policy.py"
    )
    assert set(RULES[entity]) - set(paths) - set(RULES[COMMON]) == set()


def test_an_attribute_without_a_rule_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {path: rule for path, rule in RULES["session"].items() if path != "timeline.session_end"}
    monkeypatch.setattr(field_policy, "RULES", {**RULES, "session": rules})
    faults = dictionary.faults(codebook.load())
    assert faults == ["session: timeline.session_end has no rule in sessions_app/access/field_policy.py"]


def test_no_rule_is_for_an_entity_that_is_not_there() -> None:
    assert set(RULES) - {COMMON, DERIVED} == set(model_attributes.entities())
    assert set(RULES[COMMON]) == {each.path for each in model_attributes.item_attributes()}


def test_an_attribute_is_named_once_for_each_entity() -> None:
    for entity in RULES:
        named = [path for path, _ in field_policy._rules(entity)]
        assert len(named) == len(set(named)), entity


def test_what_no_rule_names_is_for_nobody() -> None:
    for entity, path in (("session", "diary"), ("session", "metadata.diary"), ("diary", "text")):
        assert field_policy.rule(entity, path) == field_policy.NOBODY
    assert field_policy.readers("diary") == frozenset()


def test_alternatives_in_braces_stand_for_each_of_them() -> None:
    assert list(field_policy._expanded("a {b c}.{d e}_f[].g")) == [
        "a", "b.d_f[].g", "b.e_f[].g", "c.d_f[].g", "c.e_f[].g",
    ]  # fmt: skip


# --- items for pages


def student() -> Student:
    item: Any = Item.from_raw_data(
        {
            "PK": {"S": "STUDENT#s"},
            "SK": {"S": "PROFILE"},
            "entity_type": {"S": "student_profile"},
            "student_id": {"S": "s"},
            "demographics": {"M": {"age": {"N": "16"}, "school": {"S": "canary"}, "diary": {"S": "canary"}}},
            "diary": {"M": {"deep": {"S": "canary"}}},
        }
    )
    return item  # type: ignore[no-any-return]


def held(container: Any) -> str:
    """All that a container and the maps in it hold."""
    values = container.attribute_values.values()
    inside = [held(value) for value in values if hasattr(value, "attribute_values")]
    return f"{container.attribute_values!r} {container.unknown} {inside}"


def test_a_masked_item_lacks_what_its_reader_does_not_see() -> None:
    item = student()
    seen = field_policy.masked(item, RESEARCHER)
    assert (seen.demographics.age, seen.demographics.school) == (16, None)
    assert "canary" in held(item)
    assert "canary" not in held(seen)
    assert "diary" not in held(field_policy.masked(item, ADMIN))
    assert item.demographics.school == "canary"  # the item itself is as it was


def test_what_is_said_of_a_masked_value_is_masked_too() -> None:
    item: Any = Item.from_raw_data(
        {
            "PK": {"S": "STUDENT#s"},
            "SK": {"S": "PROFILE"},
            "entity_type": {"S": "student_profile"},
            "demographics": {"M": {"age": {"S": "canary"}, "school": {"L": [{"S": "canary"}]}}},
        }
    )
    paths = {path for path, _ in item.faults}
    assert {"demographics.age", "demographics.school"} <= paths
    seen = {path for path, _ in field_policy.masked(item, RESEARCHER).faults}
    assert "demographics.age" in seen
    assert "demographics.school" not in seen


def test_items_are_masked_wherever_they_are_and_the_rest_comes_back_as_it_is() -> None:
    held = {"rows": [(student(), 1)], "other": [1, 2]}
    seen = field_policy.masked(held, RESEARCHER)
    assert seen["rows"][0][0].demographics.school is None  # type: ignore[index]
    assert seen["other"] is held["other"]
    untouched = [{"a": (1, 2)}]
    assert field_policy.masked(untouched, RESEARCHER) is untouched


@pytest.mark.parametrize(
    "value",
    [
        {"M": {"deep": {"S": "canary"}}},
        {"L": [{"M": {"deep": {"S": "canary"}}}]},
        {"L": [{"S": "canary"}]},
    ],
)
def test_no_record_shows_what_is_nested_where_a_single_value_belongs(value: dict[str, Any]) -> None:
    item = {"entity_type": {"S": "session"}, "state": value, "timeline": {"M": {"session_start": value}}}
    kept, gone = presentation.visible(item, ADMIN)
    assert "canary" not in str(kept)
    assert {each.path for each in gone} == {"state", "timeline.session_start"}


def test_no_record_shows_parts_of_another_type_than_their_map_or_list() -> None:
    item = {
        "entity_type": {"S": "condition_statistics"},
        "sums": {"M": {"n": {"N": "1"}, "x": {"S": "canary"}, "y": {"M": {"deep": {"S": "canary"}}}}},
        "histograms": {"M": {"h": {"M": {"1": {"N": "2"}, "x": {"S": "canary"}}}}},
    }
    kept, _ = presentation.visible(item, ADMIN)
    assert "canary" not in str(kept)
    assert kept["sums"]["M"]["n"] == {"N": "1"}
    assert kept["histograms"]["M"]["h"]["M"]["1"] == {"N": "2"}


# --- settled one by one


@pytest.mark.parametrize(
    ("entity", "path", "roles"),
    [
        ("erasure_task", "last_error", {"irb", "admin"}),
        ("erasure_task", "by", {"irb", "admin"}),
        ("tombstone", "state", {"facilitator", "researcher", "irb", "admin"}),
        ("tombstone", "by", {"facilitator", "irb", "admin"}),
        ("tombstone", "exports", {"irb", "admin"}),
        ("open_call", "call_id", {"facilitator", "admin"}),
        ("call", "sign", {"facilitator", "researcher", "admin"}),
        ("worker_heartbeat", "duties[].as_of", {"researcher", "admin"}),
        ("worker_heartbeat", "duties[].error", {"admin"}),
    ],
)
def test_roles_of_what_was_settled_one_by_one(entity: str, path: str, roles: set[str]) -> None:
    assert field_policy.rule(entity, path).roles == roles


def test_no_export_but_a_full_one_says_that_a_student_wrote_of_danger() -> None:
    session = {"metadata": {"M": {"data_quality_flags": {"L": [{"S": "safeguarding"}, {"S": "resumed"}]}}}}
    for kind in ("public", "coded"):
        for level in export_tables.LEVELS:
            for column in profiles.columns_of(level, kind):
                assert column.name != "flag_safeguarding"
                if column.name == "data_quality_flags":
                    assert column.of({"session": session}) == "resumed"
    names = {column.name for column in profiles.columns_of("sessions", "full")}
    assert {"flag_safeguarding", "data_quality_flags"} <= names
    assert "flag_safeguarding" not in {column.name for column in tables.schema("sessions")}


# --- what the documents say


def cell(entity: str, role: str) -> str:
    """What a role sees of an entity, in words of docs/privacy.md."""
    paths = [path for path in RULES[entity] if path not in RULES[COMMON]]
    seen = [path for path in paths if role in RULES[entity][path].roles]
    if len(seen) == len(paths):
        return "all"
    hidden = [path for path in paths if path not in seen]
    return "all but " + ", ".join(f"`{path}`" for path in hidden) if seen else "–"


def test_the_privacy_page_says_what_the_policy_says() -> None:
    titles = {name: about["title"] for name, about in presentation.meanings()["entities"].items()}
    lines = ["| | " + " | ".join(ROLES) + " |", "|---" * (1 + len(ROLES)) + "|"]
    for entity in (name for name in RULES if name in titles):
        cells = [cell(entity, role) for role in ROLES]
        lines.append(f"| {titles[entity]} | " + " | ".join(cells) + " |")
    page = (BASE / "docs" / "privacy.md").read_text(encoding="utf-8")
    assert "\n".join(lines) in page, "put this into docs/privacy.md:\n" + "\n".join(lines)


# --- who asks it


def test_staff_pages_are_rendered_from_masked_items() -> None:
    """A new view that takes Django's own `render` fails here."""
    views = [
        *(BASE / "sessions_app" / "views").rglob("*.py"),
        *(BASE / "analytics_app" / "views").rglob("*.py"),
    ]
    taking = {
        path.name
        for path in views
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == "django.shortcuts"
        and any(alias.name == "render" for alias in node.names)
    }
    assert taking == PARTICIPANTS | FILTERS_ITSELF
