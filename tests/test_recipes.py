"""The paths that the contributing guide and the architecture overview name are those of the code."""

import re
from pathlib import Path

import pytest

BASE = Path(__file__).parents[1]
TOPS = (
    "analytics_app",
    "bench",
    "content",
    "docs",
    "infra",
    "sessions_app",
    "socratic_site",
    "support",
    "templates",
    "tests",
)
NAMED = re.compile(rf"`((?:{'|'.join(TOPS)}|static)/[\w./-]*)`")


def paths_in(document: str) -> list[str]:
    return NAMED.findall((BASE / document).read_text(encoding="utf-8"))


def recipes() -> dict[str, str]:
    text = (
        (BASE / "CONTRIBUTING.md")
        .read_text(encoding="utf-8")
        .split("## Recipes\n", 1)[1]
        .split("\n## ", 1)[0]
    )
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_path_named_exists(document: str) -> None:
    named = paths_in(document)
    assert len(named) > 20
    assert [path for path in named if not (BASE / path).exists()] == []


def test_there_is_a_recipe_for_each_common_change() -> None:
    assert list(recipes()) == [
        "A survey question",
        "An export column",
        "A chart",
        "A session step",
        "An entity",
        "A content package",
        "A role",
        "A tutor",
    ]
    assert [name for name, text in recipes().items() if not NAMED.search(text)] == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("FLOW", "sessions_app/domain/flow.py"),
        ("PAGES", "sessions_app/views/run/steps.py"),
        ("SIZES", "analytics_app/dashboards/chart_cards.py"),
        ("ROLES", "sessions_app/access/roles.py"),
        ("DEFAULT_PRICES", "sessions_app/domain/tutor/__init__.py"),
    ],
)
def test_a_name_in_a_recipe_is_defined_in_the_file_beside_it(name: str, path: str) -> None:
    beside = [text for text in recipes().values() if f"`{name}`" in text and f"`{path}`" in text]
    assert beside
    assert re.search(rf"^{name}\b.*=", (BASE / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
