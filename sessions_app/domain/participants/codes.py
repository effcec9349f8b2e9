"""Students' codes: drawn from words that can be read aloud, and read back however people write them."""

from __future__ import annotations

import random
import re
import unicodedata
from difflib import get_close_matches
from itertools import product

from ..models.roster import CODE

FIRST_WORDS = (
    "amber", "blue", "brave", "bright", "calm", "clear", "copper", "early", "gentle", "golden", "green",
    "happy", "iron", "kind", "lively", "lucky", "maple", "merry", "misty", "quick", "quiet", "red", "river",
    "silver", "spring", "steady", "stone", "sunny", "swift", "warm", "wide", "winter",
)  # fmt: skip
SECOND_WORDS = (
    "apple", "arch", "bell", "bird", "boat", "bridge", "brook", "cedar", "cloud", "crane", "elm", "field",
    "finch", "forge", "fox", "garden", "harbor", "hawk", "hill", "island", "lake", "lamp", "meadow", "mill",
    "oak", "otter", "path", "pine", "robin", "rock", "sail", "wheel",
)  # fmt: skip
MAX_SIMILAR = 6


def new_code(source: random.Random) -> str:
    """A code that can be read aloud, such as `river-oak-7`."""
    return f"{source.choice(FIRST_WORDS)}-{source.choice(SECOND_WORDS)}-{source.randint(1, 99)}"


def as_stored(text: str) -> str:
    """`River Oak 07` as `river-oak-7`: any case, spaces, and dashes, or none before the number."""
    text = unicodedata.normalize("NFKC", text).casefold()
    dashed = "".join("-" if unicodedata.category(each) in ("Pd", "Pc", "Zs") else each for each in text)
    words = re.findall(r"[^\W\d]+|\d+|[^\w-]+", dashed.replace("−", "-"))
    return "-".join(word.lstrip("0") or "0" if word.isdecimal() else word for word in words)


def similar(code: str) -> list[str]:
    """Codes that somebody may have meant by this one, whether or not they exist."""
    words, numbers = re.findall(r"[a-z]+", code), re.findall(r"\d+", code)
    if len(words) != 2 or len(numbers) != 1:
        return []
    first, second = (
        get_close_matches(word, known, n=2, cutoff=0.7)
        for word, known in zip(words, (FIRST_WORDS, SECOND_WORDS), strict=True)
    )
    meant = (f"{one}-{other}-{int(numbers[0])}" for one, other in product(first, second))
    return [each for each in meant if each != code][:MAX_SIMILAR]


def is_code(text: str) -> bool:
    return re.fullmatch(CODE, text) is not None
