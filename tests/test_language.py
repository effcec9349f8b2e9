"""The words of pages: American English in the terms of the field. Each banned phrase names a better one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BASE = Path(__file__).parents[1]
NOT_SHOWN = (
    "safeguarding.py",
    "scripted.py",
    "gate.py",
    "prompts.py",
)  # patterns and texts for a model, not for a page

BANNED = {
    r"bring in\b": "enroll",
    r"\bthe own\b|\ban own\b": "assigned, their own",
    r"\bsaid yes\b|\bown yes\b|\ba no is\b|\blast yes\b": "assent, consent, signed by, refusal",
    r"\bagree(?:d to)? again\b": "re-consent",
    r"\bin force\b": "active",
    r"\bvouch(?:ed)? (?:for|that)\b": "confirm the location",
    r"\bdrawn,|\binside the place\b": "assigned at random, balanced within the location",
    r"\bthe place\b(?! where answers)": "the location, the site",
    r"\bthe store (?:did|does)\b": "the database did not respond",
    r"\btold its\b|\bcannot be told\b|\bis told in\b": "recorded, shown, not testable",
    r"\bmended\b|\banew\b": "corrected, again",
    r"\bstood in\b|\bset question\b|\bfixed questions\b": "fallback question, scripted question",
    r"\btakes no part\b|\bstops taking part\b": "has withdrawn, withdraw",
    r"\bcan not be taken back\b": "cannot be undone",
    r"\bwhat was kept\b": "Is my work saved?",
    r"\bgo to the start\b": "Go to home",
    r"\blook again\b|\blooks again\b": "refresh, check",
    r"\bleads? (?:a|the) session\b|\bled by\b": "run a session, facilitator",
    r"\bagreement of graders\b|\bthe first line flatters\b": "inter-rater agreement, overstates",
    r"\bsecond score wanted\b|\bwaits for another person\b": "needs second rater, awaiting second grader",
    r"\bthe model says\b": "AI feedback",
    r"\btwo texts\b|\bwith other words\b": "conflicting answers, a different answer",
    r"\ball in all\b|\bleast to most\b|\bnumbers and files\b": "overall, range, data and downloads",
    r"\btime is over\b|\bhas run out\b": "expired",
    r"\b(?:renew|repeat)s? (?:itself|themselves)\b": "refresh automatically",
    r"\d %(?!\w)|\}\} %(?!\w)": "100%, without a space",
    r"\b95% interval": "95% CI",
    r"normali[s]|\banalysed?\b(?!=)|\benrolment|\bhonour|\bcolour|\bbehaviour|\bcentre\b": "US spelling",
}


def shown_strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Strings that are no docstrings."""
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def page_text(template: str) -> str:
    """What a template says: its text, and the strings that its tags pass on."""
    text = re.sub(r"(?s)\{#.*?#\}|\{% comment.*?endcomment %\}", "", template)
    text = re.sub(r"\{\{.*?\}\}", "{{}}", text)
    text = re.sub(r"\{%.*?%\}", lambda tag: " ".join(re.findall(r'"([^"]*)"', tag[0])), text)
    return " ".join(text.split())


def texts() -> Iterator[tuple[str, str]]:
    for path in sorted((BASE / "templates").rglob("*.html")):
        yield path.relative_to(BASE).as_posix(), page_text(path.read_text(encoding="utf-8"))
    for app in ("sessions_app", "analytics_app", "socratic_site"):
        for path in sorted((BASE / app).rglob("*.py")):
            if path.name not in NOT_SHOWN and "management" not in path.parts:
                for line, text in shown_strings(ast.parse(path.read_text(encoding="utf-8"))):
                    yield f"{path.relative_to(BASE).as_posix()}:{line}", text


@pytest.mark.parametrize(("banned", "better"), BANNED.items(), ids=BANNED.values())
def test_no_page_says(banned: str, better: str) -> None:
    pattern = re.compile(banned, re.IGNORECASE)
    found = [f"{where}: {match[0]!r}" for where, text in texts() for match in pattern.finditer(text)]
    assert not found, f"write: {better}"
