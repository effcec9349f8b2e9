"""What a newcomer reads first is true: links lead somewhere, the index is complete, the words are in use."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

BASE = Path(__file__).parents[1]
DECISIONS = BASE / "docs" / "decisions"
DOCUMENTS = [*BASE.glob("*.md"), *BASE.glob("docs/**/*.md")]


# --- links


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(BASE).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    text = re.sub(r"`[^`]*`", "", document.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if not _exists(document, link)] == []


def _exists(document: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = document.parent / name if name else document
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- decision records


def test_the_index_lists_every_decision_record_with_its_title() -> None:
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    titles = [record.read_text(encoding="utf-8").splitlines()[0] for record in records]
    expected = [
        f"| [{title.split('. ', 1)[0].lstrip('# ')}]({record.name}) | {title.split('. ', 1)[1]} |"
        for record, title in zip(records, titles, strict=True)
    ]
    index = (DECISIONS / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in index if line.startswith("| [")] == expected


# --- the glossary


def glossary() -> list[tuple[str, bool, str]]:
    """Each term, whether it is marked as a word of pages, and its meaning."""
    lines = (BASE / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [(term, where == "page", meaning) for term, where, meaning in rows if term != "Term"]


@cache
def words_of_pages() -> str:
    """The text of templates, and what reads like text in the Python code around the domain, in lower case."""
    templates = [path.read_text(encoding="utf-8") for path in (BASE / "templates").rglob("*.html")]
    texts = [re.sub(r"{[{%#].*?[}%#]}", " ", template, flags=re.DOTALL) for template in templates]
    for app in ("sessions_app", "analytics_app", "socratic_site"):
        for path in (BASE / app).rglob("*.py"):
            if "domain" not in path.parts:
                nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
                texts += [
                    text for text in constants if isinstance(text, str) and re.search(r"^[A-Z]|\s", text)
                ]
    return " ".join(" ".join(texts).lower().split())


def test_the_glossary_defines_some_forty_terms_once_in_alphabetical_order() -> None:
    terms = [term for term, _, _ in glossary()]
    assert terms == sorted(set(terms), key=str.lower)
    assert len(terms) >= 40
    assert [term for term, _, meaning in glossary() if not meaning.endswith((".", ".)"))] == []


@pytest.mark.parametrize("term", [term for term, on_pages, _ in glossary() if on_pages])
def test_a_word_of_pages_is_on_pages(term: str) -> None:
    assert re.search(rf"\b{re.escape(term.lower())}(s|ed|d)?\b", words_of_pages())


# --- the rest of the front door


def test_the_citation_names_version_and_license_of_the_project() -> None:
    project = tomllib.loads((BASE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((BASE / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", project["version"])
    assert citation["license"] == project["license"] == "Apache-2.0"
    assert "Apache License" in (BASE / "LICENSE").read_text(encoding="utf-8")


def test_the_workflow_runs_a_target_of_the_makefile() -> None:
    makefile = (BASE / "Makefile").read_text(encoding="utf-8")
    workflow = yaml.safe_load((BASE / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    targets = [command.split()[1] for command in commands if command.startswith("make ")]
    assert targets == ["test"]
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_the_hooks_are_pinned_tools_of_this_environment() -> None:
    config = yaml.safe_load((BASE / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    tools = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    pinned = {line.split("==")[0] for line in (BASE / "requirements-dev.txt").read_text().splitlines()}
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert tools <= pinned


@pytest.mark.parametrize("name", ["bug.yml", "change.yml"])
def test_an_issue_form_asks_something_and_labels_it(name: str) -> None:
    form = yaml.safe_load((BASE / ".github/ISSUE_TEMPLATE" / name).read_text(encoding="utf-8"))
    assert {"name", "description", "labels", "body"} <= form.keys()
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 1
