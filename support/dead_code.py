"""Find code that nothing uses: vulture, with what is in use outside of Python.

    .venv/bin/python -m support.dead_code

Vulture reads Python only. Names in templates, dotted paths in settings, handlers in the cloud template and
attributes in the data dictionary are in use as well. The allowlist in `pyproject.toml` (`tool.vulture`) names
what libraries call. Tests and what supports them are not scanned: code that only a test calls is dead.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from vulture import Vulture

BASE = Path(__file__).parents[1]
NAME = re.compile(r"[A-Za-z_]\w*")


def in_templates() -> Iterator[str]:
    for template in (BASE / "templates").rglob("*.*"):
        text = template.read_text(encoding="utf-8")
        yield from re.findall(r'name="(\w+)"', text)
        for tag in re.findall(r"{[{%].*?[}%]}", text, flags=re.DOTALL):
            yield from NAME.findall(tag)


def in_the_data_dictionary() -> Iterator[str]:
    """The attributes of the stored items, which exports and the records browser find by their paths."""
    for line in (BASE / "docs" / "data-dictionary.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            yield from NAME.findall(line.split("|")[1])


def in_settings() -> Iterator[str]:
    """The settings themselves, and what they name by a dotted path."""
    for module in ("settings", "urls", "admin_config"):
        text = next((BASE / "socratic_site").rglob(f"{module}.py")).read_text(encoding="utf-8")
        yield from re.findall(r"\"(?:\w+\.)+(\w+)\"", text)
        yield from re.findall(r"\b[A-Z][A-Z_]+\b", text)


def in_the_cloud() -> Iterator[str]:
    template = (BASE / "infra" / "template.yaml").read_text(encoding="utf-8")
    yield from re.findall(r"Handler: (?:\w+\.)+(\w+)", template)


def main() -> int:
    options = tomllib.loads((BASE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["vulture"]
    vulture = Vulture(ignore_names=options["ignore_names"], ignore_decorators=options["ignore_decorators"])
    vulture.scavenge([BASE / path for path in options["paths"]])
    vulture.used_names.update(in_templates(), in_the_data_dictionary(), in_settings(), in_the_cloud())
    unused = vulture.get_unused_code()
    for item in unused:
        print(f"{item.filename.relative_to(BASE)}:{item.first_lineno}: unused {item.typ} '{item.name}'")
    return 1 if unused else 0


if __name__ == "__main__":
    sys.exit(main())
