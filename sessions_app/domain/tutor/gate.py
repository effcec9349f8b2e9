"""The gate: what a generated question must keep before any student sees it. Pure; each rule is measurable.

A rule that cannot be measured on the text (is it interesting? does it truly build on answer 1?) is not here:
the prompts ask for it and the ratings look at it afterwards.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

from sessions_app.domain.tutor import prompts, suitability
from sessions_app.domain.tutor.protocol import Concept, QuestionRequest
from sessions_app.domain.tutor.text import RUDE, content_stems, cues_in, folded, stem, stems, words

MIN_WORDS = 5
MAX_WORDS = 60
READING_MARGIN = 4.0
"""School years above the student's grade. The formula was fitted to passages of about 100 words; one question
of 20 words swings by several years, so a margin of 1 or 2 would reject plain questions."""
LEAK_RUN = 7
"""So many words in a row from the system prompt are a leak, not a coincidence."""
SAME_QUESTION = 0.8

ADVICE = {
    "empty": "Write one question.",
    "not_one_question": "Write exactly one question: a single question mark, as the very last character.",
    "too_short": f"Use at least {MIN_WORDS} words.",
    "too_long": f"Use at most {MAX_WORDS} words.",
    "too_hard_to_read": "Use shorter sentences and everyday words.",
    "not_open": "Ask an open question (what, how, why, which), not one to be answered with yes or no.",
    "gives_answer_away": "Do not state or explain any fact that the student should find; only ask.",
    "markup": "Use plain text on one line: no markup, links, addresses, brackets or special characters.",
    "prompt_leak": "Write only the question for the student; nothing about yourself, rules or data.",
    "unkind": "Do not repeat rude words; be kind.",
    "repeats": "Ask something other than the earlier questions.",
    "not_english": "Write in everyday English.",
    "off_lesson": "Ask about one of the key concepts, and name it.",
    "private": "Ask nothing about the student's own person, family troubles, beliefs, accounts or address.",
    "plays_suffering": "Do not ask the student to be, or feel like, somebody who suffers.",
    "belittles_slavery": "Do not blame enslaved people or make slavery look small, kind or deserved.",
}
"""What the second try is told. Fixed sentences: nothing of the rejected text travels back."""

_QUESTION_MARK = re.compile("[?\uff1f\u061f\u2047\u2048\u2049\u203d\u037e]")
_MARKUP = re.compile(r"[<>{}`|\\^~@]|\*\*|__|\]\(|://|^\s*#|&\w+;|\d{7,}")
_ADDRESS = re.compile(r"(?i)\bwww\.|\b[\w-]+\.(?:com|org|net|edu|gov|io|co)\b")
_TYPESETTING = "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u00a0"
_DISGUISE = re.compile(
    r"(?i)\b(?!\d{1,4}(?:s|st|nd|rd|th)\b)(?=\w*[a-z])\w*\d\w*\b|\b(?:[a-z][ .*_-]+){3,}[a-z]\b"
)
_LEAK = re.compile(
    r"\bas an? (?:ai|artificial|language|assistant|chatbot)\b|\blanguage model\b|\b(?:system|my) prompt\b"
    r"|\bmy instructions\b|\binstructions (?:say|tell)\b|\banthropic\b|\bclaude\b|\bchatgpt\b|\bjson\b"
    r"|\brubric\b"
    r"|\bi (?:cannot|can't|am unable|am not able)\b|\bkey_concepts\b|\bdata block\b|\bthe student\b"
)
_TOLD = re.compile(
    r"\bthe (?:correct |right |real |main )?(?:answer|reason)s? (?:is|are|was|were)\b|\bbecause\b|\bhint:"
    r"|\b(?:that|this|which) (?:is|was) why\b|\bthat's why\b|\bthe point is\b|\bin fact,"
)
_TAG = re.compile(
    r"(?:,\s*(?:right|correct|yes|no|true|agreed?|okay|ok)|(?:is|are|was|were|do|does|did|would|could|has|have)n't"
    r" (?:it|they|he|she|we|you|that|this|there)(?: (?:think|agree|say))?|don't you think|do you agree)\s*\?$"
)
_YES_NO = re.compile(
    r"^(?:is|are|was|were|am|do|does|did|has|have|had|can|could|will|would|should|shall|may|might"
    r"|isn't|aren't|wasn't|weren't|don't|doesn't|didn't|hasn't|haven't|can't|couldn't|won't|wouldn't|shouldn't)\b"
)
_INVITATION = re.compile(
    r"^(?:can|could|will|would) you (?:\w+ly )?"
    r"(?:describe|explain|tell|say|name|imagine|compare|show|think of|give|point|find|picture)\b"
)
_OPEN = re.compile(r"\b(?:what|how|why|which|where|who|whom|whose)\b")
_QUOTED = re.compile(r'[“"]([^“”"]{1,200})[”"]')
_SENTENCE_END = re.compile(r"(?<=[.!?…:])\s+")


def faults(text: str, request: QuestionRequest) -> tuple[str, ...]:
    """The names of the rules broken, in the order of ADVICE; empty for a question that may be shown."""
    if not text.strip():
        return ("empty",)
    return tuple(name for name in _RULES if _RULES[name](text, request))


def advice(found: Iterable[str]) -> str:
    return " ".join(ADVICE[name] for name in found if name in ADVICE)


def reading_grade(text: str, *, familiar: frozenset[str] = frozenset()) -> float:
    """Flesch-Kincaid grade level, US school years: 0.39 words/sentence + 11.8 syllables/word - 15.59.

    J. P. Kincaid et al., Derivation of New Readability Formulas, Research Branch Report 8-75 (1975).
    A word whose stem is `familiar` (the segment's names, the student's own words) counts two syllables at
    most: "Confederacy" is long, but the student has just heard it.
    """
    found = words(text)
    if not found:
        return 0.0
    sentences = max(1, len([part for part in _SENTENCE_END.split(text.strip()) if words(part)]))
    total = sum(min(syllables(w), 2) if stem(w) in familiar else syllables(w) for w in found)
    return 0.39 * len(found) / sentences + 11.8 * total / len(found) - 15.59


def syllables(word: str) -> int:
    """Groups of vowels, less a silent final e (or es, ed): right for most English words, else off by one."""
    word = folded(word).replace("'", "")
    count = len(re.findall(r"[aeiouy]+", word))
    silent_e = re.search(r"[^aeiouyl]es?$", word) and not re.search(r"(?:[sxzcg]|ch|sh)es$", word)
    silent_ed = re.search(r"[^aeiouytd]ed$", word)
    return max(1, count - bool(silent_e or silent_ed))


def _not_one_question(text: str, request: QuestionRequest) -> bool:
    """One question mark in all, and the text ends in it. Marks of other scripts count too."""
    return len(_QUESTION_MARK.findall(text)) != 1 or not text.rstrip().endswith("?")


def _too_short(text: str, request: QuestionRequest) -> bool:
    return len(words(text)) < MIN_WORDS


def _too_long(text: str, request: QuestionRequest) -> bool:
    return len(words(text)) > MAX_WORDS or len(text) > MAX_WORDS * 12


def _too_hard_to_read(text: str, request: QuestionRequest) -> bool:
    return reading_grade(text, familiar=_familiar(request)) > request.grade + READING_MARGIN


def _not_open(text: str, request: QuestionRequest) -> bool:
    """Closed: a tag (", right?"), a yes-no question that is no invitation, or no question word at all."""
    asked = folded(_asked(text))
    if _TAG.search(asked):
        return True
    if _INVITATION.search(asked):
        return False
    return bool(_YES_NO.search(asked)) or not _OPEN.search(asked)


def _gives_answer_away(text: str, request: QuestionRequest) -> bool:
    """Telling instead of asking. One of:

    - words that announce an answer or explain ("the answer is", "because", "that is why");
    - a closed question that carries a cue of a key concept ("Did the water power the mill?");
    - two cues of one concept in the sentences before the question, or three in the question itself.

    Cues do not count where the student knows them already: in the concept's own phrase, the titles and the
    place, and in the student's earlier answers. The student's words, quoted, are not the tutor's telling.
    """
    known = _known(request)
    own_words = _without_quoted_answers(text, request)
    if _TOLD.search(folded(own_words)):
        return True
    if _not_open(text, request) and any(_new_cues(text, c, known) for c in request.key_concepts):
        return True
    asked = _asked(own_words)
    preface = own_words[: len(own_words) - len(asked)]
    return any(
        len(_new_cues(preface, c, known)) >= 2 or len(_new_cues(asked, c, known)) >= 3
        for c in request.key_concepts
    )


def _markup(text: str, request: QuestionRequest) -> bool:
    """Tags, links, addresses, long numbers; characters that written English has not; words in disguise.

    Letters of other alphabets, full-width forms and invisible marks can look like plain words to a reader and
    are none to the rules. So can digits inside a word ("n4me") and a word spelled out ("n a m e").
    """
    strange = any(not _is_plain(c) for c in text.strip())
    return strange or any(pattern.search(text) for pattern in (_MARKUP, _ADDRESS, _DISGUISE))


def _is_plain(character: str) -> bool:
    """ASCII, a Latin letter with an accent, or the quotes and dashes of typesetting; nothing invisible."""
    if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}:
        return False
    base = unicodedata.normalize("NFD", character)[0]
    return character in _TYPESETTING or (base.isascii() and base.isprintable())


def _prompt_leak(text: str, request: QuestionRequest) -> bool:
    return bool(_LEAK.search(folded(text))) or not _runs(words(text)).isdisjoint(_PROMPT_RUNS)


def _unkind(text: str, request: QuestionRequest) -> bool:
    return bool(RUDE.search(folded(text)))


def _repeats(text: str, request: QuestionRequest) -> bool:
    """The same words as an earlier question, or at least 80 % of the content words in common (Jaccard)."""
    mine = content_stems(text)
    return any(
        words(text) == words(earlier.question)
        or _overlap(mine, content_stems(earlier.question)) >= SAME_QUESTION
        for earlier in request.previous
    )


_RULES: dict[str, Callable[[str, QuestionRequest], bool]] = {
    "not_one_question": _not_one_question,
    "too_short": _too_short,
    "too_long": _too_long,
    "too_hard_to_read": _too_hard_to_read,
    "not_open": _not_open,
    "gives_answer_away": _gives_answer_away,
    "markup": _markup,
    "prompt_leak": _prompt_leak,
    "unkind": _unkind,
    "repeats": _repeats,
} | suitability.RULES


def _asked(text: str) -> str:
    """The sentence that asks: the last one."""
    return _SENTENCE_END.split(text.strip())[-1]


def _without_quoted_answers(text: str, request: QuestionRequest) -> str:
    answers = " ".join(folded(earlier.answer) for earlier in request.previous)
    return _QUOTED.sub(lambda quoted: " " if folded(quoted[1]).strip() in answers else quoted[0], text)


def _known(request: QuestionRequest) -> list[str]:
    given = [request.segment_title, request.location_name, request.framing]
    return stems(" . ".join([*given, *(earlier.answer for earlier in request.previous)]))


def _new_cues(text: str, concept: Concept, known: list[str]) -> tuple[str, ...]:
    old = known + stems(concept.phrase)
    return tuple(cue for cue in cues_in(stems(text), concept.cues) if not cues_in(old, (cue,)))


def _familiar(request: QuestionRequest) -> frozenset[str]:
    concepts = [part for c in request.key_concepts for part in (c.phrase, *c.cues)]
    heard = [request.segment_title, request.location_name, *concepts]
    return frozenset(stem for text in [*heard, *(e.answer for e in request.previous)] for stem in stems(text))


def _overlap(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def _runs(found: list[str]) -> set[tuple[str, ...]]:
    return {tuple(found[at : at + LEAK_RUN]) for at in range(len(found) - LEAK_RUN + 1)}


_PROMPT_RUNS = _runs(words(prompts.QUESTION_SYSTEM))
