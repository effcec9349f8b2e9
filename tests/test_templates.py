"""Templates stay readable: short lines, and one block-level element opened on a line."""

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parents[1] / "templates"
MAX_LINE = 160
BLOCK_LEVEL = (
    "article|aside|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|legend|li|main|nav|ol|p"
    "|pre|section|summary|table|tbody|td|th|thead|tr|ul"
)
OPENING_TAG = re.compile(rf"<(?:{BLOCK_LEVEL})[\s>]")


@pytest.mark.parametrize(
    "path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.relative_to(TEMPLATES).as_posix()
)
def test_lines_are_short_and_open_one_block(path: Path) -> None:
    lines = list(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    assert not [f"line {number}: {len(line)}" for number, line in lines if len(line) > MAX_LINE]
    assert not [
        f"line {number}: {line.strip()}" for number, line in lines if len(OPENING_TAG.findall(line)) > 1
    ]
