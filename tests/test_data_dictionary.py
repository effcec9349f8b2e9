"""The data dictionary tells every attribute of every model, and tells it as the code has it."""

import ast
import copy
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics_app.statistics import sums
from sessions_app import domain
from sessions_app.dictionary import codebook, model_attributes
from sessions_app.domain.models import Session, Student
from sessions_app.domain.models.session import FLAGS
from sessions_app.management.commands import data_dictionary as dictionary

EXAMPLES = Path(__file__).parent / "examples"


@pytest.fixture
def meanings() -> dict[str, Any]:
    return copy.deepcopy(codebook.load())


def paths_of(value: Any, prefix: str = "") -> Iterator[str]:
    """`a`, `a.b` and `c[].d`, as the dictionary writes them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            path = f"{prefix}.{name}" if prefix else name
            yield path
            yield from paths_of(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from paths_of(inner, f"{prefix}[]")


def paths_of_the_examples() -> dict[str, set[str]]:
    """By entity, every attribute that the schema document's examples have."""
    told: dict[str, set[str]] = {}
    for file in sorted(EXAMPLES.glob("*.json")):
        item = json.loads(file.read_text(encoding="utf-8"))
        told.setdefault(item["entity_type"], set()).update(paths_of(item))
    return told


# --- the file and the models


def test_every_attribute_has_a_meaning_and_every_meaning_an_attribute(meanings: dict[str, Any]) -> None:
    assert dictionary.faults(meanings) == []


def test_the_file_is_current() -> None:
    told = io.StringIO()
    call_command("data_dictionary", "--check", stdout=told)
    assert "attributes" in told.getvalue()


def test_every_attribute_of_every_model_stands_in_the_file(meanings: dict[str, Any]) -> None:
    written = dictionary.DICTIONARY.read_text(encoding="utf-8")
    for entity in model_attributes.entities():
        section = written.partition(f"\n`{entity}`. ")[2].partition("\n## ")[0]
        missing = [row.path for row in codebook.rows(meanings, entity) if f"| `{row.path}`" not in section]
        assert section, entity
        assert missing == []


def test_every_link_inside_the_file_leads_to_a_heading() -> None:
    written = dictionary.DICTIONARY.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", written, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert len(anchors) == len(headings)
    assert set(re.findall(r"\]\(#([^)]*)\)", written)) <= anchors


def test_every_row_of_a_table_has_the_cells_of_its_head() -> None:
    width = 0
    for line in dictionary.DICTIONARY.read_text(encoding="utf-8").splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (width and cells) or cells == width, line
        width = cells


# --- additions


def test_an_attribute_is_an_addition_exactly_where_the_examples_lack_it(meanings: dict[str, Any]) -> None:
    examples = paths_of_the_examples()
    marked = {(e, row.path) for e in examples for row in codebook.rows(meanings, e) if row.addition}
    lacking = {
        (entity, row.path)
        for entity, paths in examples.items()
        for row in codebook.rows(meanings, entity)
        if row.path not in paths
    }
    assert marked == lacking


def test_an_entity_is_an_addition_exactly_where_no_example_shows_it(meanings: dict[str, Any]) -> None:
    marked = {name for name, about in meanings["entities"].items() if about.get("addition")}
    assert marked == set(model_attributes.entities()) - set(paths_of_the_examples())


def test_every_attribute_of_the_examples_is_told(meanings: dict[str, Any]) -> None:
    common = {row.path for row in codebook.item_rows(meanings)}
    for entity, paths in paths_of_the_examples().items():
        rows = codebook.rows(meanings, entity)
        free = tuple(f"{row.path}." for row in rows if row.kind.startswith("map of"))
        told = {row.path for row in rows} | common
        assert sorted(path for path in paths - told if not path.startswith(free)) == []


def test_what_every_item_has_stands_in_the_schema(meanings: dict[str, Any]) -> None:
    shown = set().union(*paths_of_the_examples().values())
    assert {row.path for row in codebook.item_rows(meanings)} <= shown


# --- what is refused


def test_an_attribute_without_a_meaning_is_named(meanings: dict[str, Any]) -> None:
    del meanings["entities"]["session"]["attributes"]["timeline.session_end"]
    assert dictionary.faults(meanings) == [
        "session: timeline.session_end has no label",
        "session: timeline.session_end has no meaning",
    ]


def test_a_meaning_without_an_attribute_is_named(meanings: dict[str, Any]) -> None:
    entry = {"label": "Gone", "meaning": "Was there once."}
    meanings["entities"]["session"]["attributes"]["timeline.gone"] = entry
    meanings["shared"]["metadata.gone"] = entry
    meanings["maps"]["QualityScores"]["gone"] = entry
    meanings["item"]["GSI6PK"] = entry
    assert dictionary.faults(meanings) == [
        "item / GSI6PK: has a meaning, but no attribute",
        "shared / metadata.gone: has a meaning, but no attribute",
        "maps / QualityScores / gone: has a meaning, but no attribute",
        "entities / session / attributes / timeline.gone: has a meaning, but no attribute",
    ]


def test_a_model_without_an_entry_and_an_entry_without_a_model_are_named(meanings: dict[str, Any]) -> None:
    meanings["entities"]["schools"] = meanings["entities"].pop("school")
    found = dictionary.faults(meanings)
    assert "school: has no entry" in found
    assert "schools: has meanings, but no model" in found


def test_a_label_is_short(meanings: dict[str, Any]) -> None:
    meanings["shared"]["session_id"]["label"] = "x" * 61
    assert "session: session_id has a label of more than 60 characters" in dictionary.faults(meanings)


def test_a_misspelled_word_is_named(meanings: dict[str, Any]) -> None:
    meanings["shared"]["session_id"]["units"] = "none"
    assert "session: session_id has an unknown word: units" in dictionary.faults(meanings)


def test_values_are_told_for_exactly_the_choices_of_the_model(meanings: dict[str, Any]) -> None:
    del meanings["entities"]["session"]["attributes"]["state"]["values"]["abandoned"]
    (fault,) = dictionary.faults(meanings)
    assert fault.startswith(
        "session: state tells the values running, completed, stopped, withdrawn; they are"
    )


def test_a_flag_without_a_meaning_and_an_unknown_flag_are_named(meanings: dict[str, Any]) -> None:
    meanings["flags"]["resumes"] = meanings["flags"].pop("resumed")
    assert dictionary.faults(meanings) == [
        "flag resumed has no meaning",
        "flag resumes has a meaning, but is unknown",
    ]


def test_a_key_line_that_its_module_does_not_have_is_named(meanings: dict[str, Any]) -> None:
    meanings["entities"]["school"]["key_line"] = "Academy"
    assert dictionary.faults(meanings) == ["school: its module tells no key design"]


def test_with_faults_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = tmp_path / "meanings.toml"
    whole = dictionary.MEANINGS.read_text(encoding="utf-8")
    short.write_text(re.sub(r"(?m)^state = .*$", "", whole), encoding="utf-8")
    monkeypatch.setattr(dictionary, "MEANINGS", short)
    monkeypatch.setattr(dictionary, "DICTIONARY", tmp_path / "made.md")
    with pytest.raises(CommandError, match="session: state has no meaning"):
        call_command("data_dictionary")
    assert not (tmp_path / "made.md").exists()


@pytest.mark.parametrize("held", [None, "", "# Data dictionary\n"])
def test_check_refuses_a_file_that_is_not_current_and_leaves_it(
    held: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "held.md"
    if held is not None:
        file.write_text(held, encoding="utf-8")
    monkeypatch.setattr(dictionary, "DICTIONARY", file)
    with pytest.raises(CommandError, match="out of date") as refused:
        call_command("data_dictionary", "--check")
    assert refused.value.returncode == 1
    assert (file.read_text(encoding="utf-8") if file.exists() else None) == held


# --- what is told of a model


def row(meanings: dict[str, Any], entity: str, path: str) -> codebook.Row:
    return next(row for row in codebook.rows(meanings, entity) if row.path == path)


def test_type_range_and_need_come_from_the_model(meanings: dict[str, Any]) -> None:
    age = row(meanings, "student_profile", "demographics.age")
    assert (age.kind, age.allowed, age.required, age.unit) == ("whole number", "5 to 120", True, "years")
    end = row(meanings, "session", "timeline.session_end")
    assert (end.kind, end.allowed, end.required) == ("timestamp", "", False)
    state = row(meanings, "session", "state")
    assert state.allowed == "`running`, `completed`, `stopped`, `abandoned`, `withdrawn`"


def test_what_lies_inside_an_addition_is_one_too(meanings: dict[str, Any]) -> None:
    assert row(meanings, "session", "allocation.method").addition
    assert row(meanings, "intervention", "static_questions[].question_metadata.model").addition
    assert not row(meanings, "intervention", "socratic_sequence[].question_metadata.model").addition


def test_attributes_stand_in_the_order_of_the_class() -> None:
    paths = [found.path for found in model_attributes.attributes(Session)]
    assert paths[:2] == ["session_id", "student_id"]
    assert paths.index("timeline.session_start") < paths.index("timeline.session_end")
    assert model_attributes.attributes(Student)[0].path == "student_id"


def test_models_of_tests_are_no_part_of_the_study() -> None:
    told = {model.__module__ for model in model_attributes.entities().values()}
    assert all(module.startswith("sessions_app.domain.models.") for module in told)


# --- definitions against the code


def test_the_worked_examples_are_those_of_the_code() -> None:
    written = dictionary.DICTIONARY.read_text(encoding="utf-8")
    assert "| B = 60, F = 90 |" in written
    assert all(f"| {gain} |\n" in written for gain in ("30", "50", "0.75"))
    assert "With 30 s of pauses the score is 0.83." in written


def test_every_sum_of_the_statistics_is_told_in_its_order(meanings: dict[str, Any]) -> None:
    assert tuple(meanings["sums"]) == sums.FIELDS


def test_a_flag_is_told_as_not_set_exactly_where_nothing_sets_it(meanings: dict[str, Any]) -> None:
    """A flag is set by its name in the domain; the list of all flags does not count."""
    folder = Path(domain.__file__).parent
    files = [file for file in folder.rglob("*.py") if file != folder / "models" / "session.py"]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    texts = {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    reserved = {flag for flag, told in meanings["flags"].items() if told.get("reserved")}
    assert reserved == {flag for flag in FLAGS if flag not in texts}
