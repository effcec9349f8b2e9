"""Writes docs/data-dictionary.md: every attribute of every item, with its meaning (see `codebook`)."""

from __future__ import annotations

import difflib
import importlib
import re
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from sessions_app.access import field_policy
from sessions_app.dictionary.codebook import (
    MEANINGS,
    Meanings,
    Row,
    entry_of,
    item_rows,
    load,
    places_of,
    rows,
)
from sessions_app.dictionary.model_attributes import Found, attributes, entities, item_attributes
from sessions_app.domain.models.session import FLAGS
from sessions_app.domain.store import keys
from sessions_app.domain.store.items import Item

DICTIONARY = Path(settings.BASE_DIR) / "docs" / "data-dictionary.md"
MAX_LABEL_LENGTH = 60
WORDS = {"label", "meaning", "unit", "values", "addition"}

INTRODUCTION = """\
# Data dictionary

<!-- Made by `manage.py data_dictionary` from the models and docs/data-dictionary.toml. Change those. -->

Every attribute of every item in the table, for those who analyse the data.

- A path tells where an attribute lies: `timeline.session_start` is inside the map `timeline`,
  `questions[].points` inside each entry of the list `questions`.
- **+** marks what is not in the schema document and was added by this project.
- *Required*: "yes" means in every item, or in every map that it lies in. "no" means that it may be absent.
  A value that is not known is absent, never 0 and never an empty text.
- Who sees an attribute and which exports carry it is in `sessions_app/access/field_policy.py`; what has no
  rule is shown to nobody.
- All items lie in one table. `#` parts the words of a key.
"""


# --- what does not fit


def faults(meanings: Meanings) -> list[str]:
    """Each attribute without a meaning, each meaning without an attribute, and entries that are not whole."""
    known = entities()
    places: set[tuple[str, ...]] = {("item", found.path) for found in item_attributes()}
    listed: list[str] = []
    for entity, model in known.items():
        listed += _entity_faults(meanings, entity, model)
        unruled = field_policy.missing(entity, [found.path for found in attributes(model)])
        listed += [f"{entity}: {path} has no rule in sessions_app/access/field_policy.py" for path in unruled]
        for found in attributes(model):
            places.update(places_of(entity, found))
            listed += _attribute_faults(f"{entity}: {found.path}", entry_of(meanings, entity, found), found)
    for found in item_attributes():
        listed += _attribute_faults(f"item: {found.path}", meanings["item"].get(found.path, {}), found)
    listed += [f"{name}: has meanings, but no model" for name in meanings["entities"] if name not in known]
    listed += [f"{place}: has a meaning, but no attribute" for place in _unused(meanings, places)]
    return listed + _flag_faults(meanings)


def _entity_faults(meanings: Meanings, entity: str, model: type[Item]) -> list[str]:
    about = meanings["entities"].get(entity)
    if about is None:
        return [f"{entity}: has no entry"]
    missing = [f"{entity}: has no {word}" for word in ("title", "meaning") if not about.get(word)]
    return missing if _key_design(model, about) else [*missing, f"{entity}: its module tells no key design"]


def _attribute_faults(name: str, entry: Mapping[str, Any], found: Found) -> list[str]:
    listed = [f"{name} has no {word}" for word in ("label", "meaning") if not entry.get(word)]
    listed += [f"{name} has an unknown word: {word}" for word in entry if word not in WORDS]
    if len(entry.get("label", "")) > MAX_LABEL_LENGTH:
        listed.append(f"{name} has a label of more than {MAX_LABEL_LENGTH} characters")
    if "values" in entry and set(entry["values"]) != set(found.choices):
        listed.append(f"{name} tells the values {', '.join(entry['values'])}; they are {found.allowed}")
    return listed


def _unused(meanings: Meanings, places: set[tuple[str, ...]]) -> list[str]:
    written: list[tuple[str, ...]] = [("item", path) for path in meanings["item"]]
    written += [("shared", path) for path in meanings["shared"]]
    written += [("maps", owner, name) for owner, names in meanings["maps"].items() for name in names]
    for entity, about in meanings["entities"].items():
        written += [("entities", entity, "attributes", path) for path in about.get("attributes", {})]
    return [" / ".join(place) for place in written if place not in places]


def _flag_faults(meanings: Meanings) -> list[str]:
    told = meanings["flags"]
    missing = [f"flag {flag} has no meaning" for flag in FLAGS if not told.get(flag, {}).get("meaning")]
    return missing + [f"flag {flag} has a meaning, but is unknown" for flag in told if flag not in FLAGS]


def _key_design(model: type[Item], about: Mapping[str, Any]) -> list[str]:
    """The lines on keys in the docstring of the model's module, if asked for only those of one entity."""
    text = importlib.import_module(model.__module__).__doc__ or ""
    paragraph = next((part for part in text.split("\n\n") if re.search(r"\bPK ", part)), "")
    lines = paragraph.strip("\n").splitlines()
    start = about.get("key_line")
    if start is None:
        return lines
    first = next((at for at, line in enumerate(lines) if line.startswith(start)), len(lines))
    more = next((at for at, line in enumerate(lines) if at > first and line[:1] != " "), len(lines))
    return lines[first:more]


# --- the text


def text(meanings: Meanings) -> str:
    """The whole dictionary. The order of entities is that of the meanings."""
    known = entities()
    parts = [INTRODUCTION, _contents(meanings)]
    parts += [_section(meanings, section) for section in meanings["section"]]
    parts.append("## In every item\n\nThe index keys are only in items that the index is to find.\n")
    parts.append(_table(item_rows(meanings)))
    for entity, about in meanings["entities"].items():
        design = "\n".join(_key_design(known[entity], about))
        parts.append(f"## {_heading(about)}\n\n`{entity}`. {about['meaning']}\n\n```\n{design}\n```\n")
        parts.append(_table(rows(meanings, entity)))
    return "\n".join(parts)


def _heading(about: Mapping[str, Any]) -> str:
    return f"{about['title']} +" if about.get("addition") else str(about["title"])


def _contents(meanings: Meanings) -> str:
    titles = [section["title"] for section in meanings["section"]]
    entries = [_heading(about) for about in meanings["entities"].values()]
    definitions = ", ".join(f"[{title}](#{_anchor(title)})" for title in titles)
    linked = ", ".join(f"[{title}](#{_anchor(title)})" for title in ["In every item", *entries])
    return f"Definitions: {definitions}.\n\nItems: {linked}.\n"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _section(meanings: Meanings, section: Mapping[str, Any]) -> str:
    body = f"## {section['title']}\n\n{section['text'].strip()}\n"
    tables = {"flags": _flags_table, "conditions": _conditions_table, "sums": _sums_table}
    return f"{body}\n{tables[section['table']](meanings)}" if "table" in section else body


def _flags_table(meanings: Meanings) -> str:
    head = "| Flag | Set when |\n|---|---|\n"
    return head + "".join(f"| `{flag}` | {_flag(meanings['flags'][flag])} |\n" for flag in FLAGS)


def _flag(told: Mapping[str, Any]) -> str:
    return f"{told['meaning']} *Not set by this version.*" if told.get("reserved") else str(told["meaning"])


def _conditions_table(meanings: Meanings) -> str:
    names = meanings["entities"]["session"]["attributes"]["experimental_condition.location"]["values"]
    head = "| Location | " + " | ".join(f"{i}-{t}" for i in keys.INTERVALS for t in keys.TYPES) + " |\n"
    lines = [head, "|---" * (1 + len(keys.INTERVALS) * len(keys.TYPES)) + "|\n"]
    for place in keys.LOCATIONS.values():
        cells = " | ".join(f"`{cell.code}`" for cell in keys.CONDITIONS if cell.location == place)
        lines.append(f"| `{place}`: {names[place]} | {cells} |\n")
    return "".join(lines)


def _sums_table(meanings: Meanings) -> str:
    head = "| Name | Sum of |\n|---|---|\n"
    return head + "".join(f"| `{name}` | {what} |\n" for name, what in meanings["sums"].items())


def _table(listed: Iterable[Row]) -> str:
    head = "| Attribute | Label | Type | Required | Allowed | Unit | Meaning |\n"
    return head + "|---" * 7 + "|\n" + "".join(_line(row) for row in listed)


def _line(row: Row) -> str:
    path = f"`{row.path}` +" if row.addition else f"`{row.path}`"
    values = "; ".join(f"`{value}`: {what}" for value, what in row.values.items())
    meaning = f"{row.meaning} {values}." if values else row.meaning
    cells = (path, row.label, row.kind, "yes" if row.required else "no", row.allowed, row.unit, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


class Command(BaseCommand):
    help = "Writes docs/data-dictionary.md; names every attribute without a meaning, and the reverse."
    # It reads the models alone, where there may be no database and no table.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only tell whether the file is up to date")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        meanings = load(MEANINGS)
        if found := faults(meanings):
            raise CommandError("\n".join([*found, f"{len(found)} faults; nothing was written"]))
        made = text(meanings)
        if check:
            self.compare(made)
        else:
            DICTIONARY.write_text(made, encoding="utf-8")
        count = sum(len(rows(meanings, entity)) for entity in meanings["entities"])
        self.stdout.write(f"{DICTIONARY.name}: {len(meanings['entities'])} entities, {count} attributes")

    def compare(self, made: str) -> None:
        held = DICTIONARY.read_text(encoding="utf-8") if DICTIONARY.exists() else ""
        if held != made:
            lines = difflib.unified_diff(held.splitlines(), made.splitlines(), n=0, lineterm="")
            shown = "\n".join(list(lines)[:20])
            raise CommandError(f"{DICTIONARY.name} is out of date: run manage.py data_dictionary\n{shown}")
