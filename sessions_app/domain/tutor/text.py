"""Words of a text, made comparable: for the gate and the scripted tutor. English, and deliberately small."""

import re
import unicodedata
from collections.abc import Sequence

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|\d+")
MAX_CHARACTERS = 6_000
"""Longer texts are read up to here: an answer is a few sentences, a paste of 100 kB is not one."""

_STOP = """
a about above after again all also am an and any are aren't as at be because been before being below
between both bring brought but by call called came can can't come comes could couldn't did didn't do
does doesn't doing don't down each even ever every few for from further gave get gets getting give given
go goes going gonna got had has have having he help helped helps her here hers him his how i i'd i'll
i'm i've idk if in into is isn't it it's its just kind know let like look looked looking lot lots made
make makes many maybe me might more most much must my never no none nor not nothing now of off oh ok
okay on once one only or other our out over own place placed probably put really same saw say says see
seen she should so some something sorry sort still such sure take taken than that that's the their them
then there these they they're thing things think this those though thought through to too took um under
until up us use used using very want was wasn't we well were what what's when where which while who why
will with without would yeah yes yet you your
"""
STOP_WORDS = frozenset(_STOP.split())
RUDE = re.compile(
    r"(?i)\b(?:\w*fuck\w*|\w*shit\w*|bitch\w*|cunt\w*|dick(?:s|head\w*)?|ass|asses|arses?|asshole\w*|bastard\w*"
    r"|piss\w*|crap(?:py)?|damn\w*|sex|sexy|porn\w*|penis\w*|vagina\w*|boob\w*|slut\w*|whore\w*|nigg\w*|fag|faggot\w*"
    r"|retard\w*|stupid\w*|idiot\w*|dumb\w*|moron\w*|sucks?|kill yourself|kys)\b"
)


def folded(text: str) -> str:
    """Lower case, compatibility forms and accents resolved, curly apostrophes straight."""
    decomposed = unicodedata.normalize("NFKD", text[:MAX_CHARACTERS].replace("\u2019", "'"))
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def words(text: str) -> list[str]:
    return WORD.findall(folded(text))


def stem(word: str) -> str:
    """A crude English stem: `machines` and `machine`, `powered` and `powering` meet; nothing finer."""
    word = word.removesuffix("'s").removesuffix("'")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for suffix in ("ing", "ed"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word.removesuffix(suffix).removesuffix("e")
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 4 else word


def stems(text: str) -> list[str]:
    return [stem(word) for word in words(text)]


def content_stems(text: str) -> set[str]:
    return {stem(word) for word in words(text) if word not in STOP_WORDS and len(word) > 2}


def alike(cue: str, word: str) -> bool:
    """The same stem, or a longer word built on a cue of five letters or more (`transport`-`ation`)."""
    return cue == word or (len(cue) >= 5 and word.startswith(cue))


def carries(text_stems: Sequence[str], cue: str) -> bool:
    """Whether the cue, a word or a phrase, occurs in a text given as its stems in order."""
    return bool(_places(text_stems, tuple(stems(cue))))


def cues_in(text_stems: Sequence[str], cues: Sequence[str]) -> tuple[str, ...]:
    """The cues that occur, each place of the text counted once: "James River" is not also "river"."""
    by_stems = {tuple(stems(cue)): cue for cue in reversed(cues)}
    found: list[str] = []
    taken: set[int] = set()
    for wanted in sorted(by_stems, key=len, reverse=True):
        free = [set(place) for place in _places(text_stems, wanted) if taken.isdisjoint(place)]
        if free:
            taken |= set().union(*free)
            found.append(by_stems[wanted])
    return tuple(found)


def _places(text_stems: Sequence[str], wanted: tuple[str, ...]) -> list[range]:
    starts = range(len(text_stems) - len(wanted) + 1) if wanted else range(0)
    return [
        range(at, at + len(wanted))
        for at in starts
        if all(alike(part, text_stems[at + i]) for i, part in enumerate(wanted))
    ]
