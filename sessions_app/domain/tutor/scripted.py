"""The tutor that works without a model: rules over the key concepts, the place and the words of the answers.

Deterministic, free and honest: its model is "scripted-v1", and everything it makes carries `offline_tutor`.
Its grades and ratings count words; they stand in where no model is at hand and are no measurement of thought.
"""

import re
from collections.abc import Sequence

from sessions_app.domain.tutor.gate import faults
from sessions_app.domain.tutor.protocol import (
    Concept,
    Criterion,
    Draft,
    GradeRequest,
    InterventionRating,
    QuestionRequest,
    RatingRequest,
    RubricGrade,
    score_names,
)
from sessions_app.domain.tutor.text import (
    MAX_CHARACTERS,
    RUDE,
    STOP_WORDS,
    carries,
    content_stems,
    cues_in,
    stem,
    stems,
    words,
)

MODEL = "scripted-v1"

_OPENERS = {
    "on-site": "Looking around you here",
    "learning-space": "Using the workspace around you",
    "classroom": "Thinking like a historian",
    "home": "Thinking about the place where you live",
}
_ANY_OPENER = "Thinking about what you just heard"
_PLACES = {
    "on-site": "how you see this place",
    "learning-space": "what you would draw or build in this workspace",
    "classroom": "what you would argue in class",
    "home": "how you see the place where you live",
}
_ANY_PLACE = "how you see the whole story"
_FIRST = (
    "{opener}, what comes to your mind about {concept}, and why?",
    "{opener}, what strikes you most about this part of the story, and why?",
)
_SECOND_QUOTING = (
    "You wrote about “{word}”. {opener}, how might that be linked to {concept}?",
    "You wrote about “{word}”. {opener}, what makes that matter in this story?",
)
_SECOND = (
    "Let us try another side. {opener}, what would you want to find out about {concept}?",
    "Let us try another side. {opener}, what would you ask someone who lived through this?",
    "Let us try another side. {opener}, how might this have looked to a person your age back then?",
)
_THIRD_QUOTING_BOTH = (
    "First you wrote about “{word}”, then about “{other}”. {opener}, how do the two together change {place}?",
)
_THIRD_QUOTING = ("You wrote about “{word}”. {opener}, how does that change {place} when you add {concept}?",)
_THIRD = (
    "{opener}, how do the parts of this story together change {place}?",
    "{opener}, what would you now tell a friend about this part of the story, and why?",
    "{opener}, which idea from these questions would you like to follow further, and why?",
)

_ORDER = re.compile(
    r"(?i)\b(?:ignore|disregard|forget|override|bypass|pretend|system|prompt|instructions?|rubric"
    r"|criteri\w+|full (?:marks?|points?|credit|score)|max(?:imum)? (?:points?|score)|score|grade me"
    r"|you are (?:now )?an?|assistant|admin\w*|jailbreak"
    r"|javascript|script|onerror|alert|drop table|json|schema)\b"
)
_MARKED = re.compile(r"<[^>]{0,500}>|https?://\S+|www\.\S+|\S+@\S+")
_SENTENCE = re.compile(r"[.!?\n;]+")
_PLAIN_WORD = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ]{4,14}")
_KEYBOARD_JUNK = re.compile(r"(.)\1\1|^[^aeiouyà-öø-ÿ]+$|[^aeiouyà-öø-ÿ]{6}")
_CAUSAL = frozenset(
    re.findall(r"\w+", "because since therefore so thus due cause causes caused led leads means why")
)
_PLACE_WORDS = frozenset(
    re.findall(r"\w+", "here place around see stand standing site workspace class historian home life live")
)


class ScriptedTutor:
    model = MODEL
    offline = True

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        return Draft(
            text=question(request),
            model=MODEL,
            prompt_tokens=0,
            completion_tokens=0,
            generation_time_ms=0,
            cost_usd=0.0,
        )

    def grade(self, request: GradeRequest) -> RubricGrade:
        said = _fair_stems(request.answer)
        # Repeating the question is no answer, even where its words are cues.
        if set(said) <= set(stems(request.question_text)) | {stem(w) for w in STOP_WORDS}:
            said = []
        breakdown = {criterion.name: earned(criterion, said) for criterion in request.rubric}
        return RubricGrade(
            raw_score=round(min(sum(breakdown.values()), request.points), 1),
            breakdown=breakdown,
            feedback=_feedback(breakdown),
            model=MODEL,
            prompt_tokens=0,
            completion_tokens=0,
            generation_time_ms=0,
            cost_usd=0.0,
        )

    def rate(self, request: RatingRequest) -> InterventionRating:
        scores = tuple(_scores(request, at) for at in range(len(request.exchanges)))
        return InterventionRating(
            scores=scores,
            progression_quality=_progression(scores) if request.type == "dynamic" else None,
            model=MODEL,
            prompt_tokens=0,
            completion_tokens=0,
            generation_time_ms=0,
            cost_usd=0.0,
        )


def question(request: QuestionRequest) -> str:
    """The first candidate that passes the gate; the last ones quote nothing and hold for any answer."""
    candidates = _candidates(request)
    return next((text for text in candidates if not faults(text, request)), candidates[-1])


def earned(criterion: Criterion, answer_stems: Sequence[str]) -> float:
    """Full points for two cues, one of several words, or the only one; half for a single word; else 0."""
    found = cues_in(answer_stems, criterion.cues)
    if len(found) >= 2 or any(len(words(cue)) > 1 for cue in found) or (found and len(criterion.cues) == 1):
        return criterion.points
    return round(criterion.points / 2, 2) if found else 0.0


def picked_word(answer: str, request: QuestionRequest, *, but_not: str | None = None) -> str | None:
    """A word of the answer fit to be quoted: a cue if there is one, else one from the lesson's text, else the
    longest. Only letters, of bounded length; never a stop word, a rude one, or one from a sentence
    that gives orders.
    """
    plain = [w.lower() for w in _PLAIN_WORD.findall(_fair_text(answer)) if _fit_to_quote(w)]
    usable = [w for w in dict.fromkeys(plain) if but_not is None or stem(w) != stem(but_not)]
    cues = [stem(w) for c in request.key_concepts for cue in c.cues for w in words(cue)]
    lesson = content_stems(f"{request.segment_title} {request.segment_summary}") | content_stems(
        request.narration
    )
    ranked = sorted(usable, key=lambda w: (stem(w) not in cues, stem(w) not in lesson, -len(w)))
    return ranked[0] if ranked else None


def _candidates(request: QuestionRequest) -> list[str]:
    first, second = ([e.answer for e in request.previous] + ["", ""])[:2]
    if request.number <= 1:
        return _filled(_FIRST, request)
    if request.number == 2:
        word = picked_word(first, request)
        quoting = _filled(_SECOND_QUOTING, request, word=word, after=first) if word else []
        return quoting + _filled(_SECOND, request, after=first)
    return _third_candidates(request, first, second)


def _third_candidates(request: QuestionRequest, first: str, second: str) -> list[str]:
    one = picked_word(first, request)
    two = picked_word(second, request, but_not=one)
    both = _filled(_THIRD_QUOTING_BOTH, request, word=one, other=two) if one and two else []
    single = one or two
    quoting = _filled(_THIRD_QUOTING, request, word=single, after=f"{first} {second}") if single else []
    return both + quoting + _filled(_THIRD, request)


def _filled(
    templates: Sequence[str],
    request: QuestionRequest,
    *,
    word: str | None = None,
    other: str | None = None,
    after: str = "",
) -> list[str]:
    """Each template with each opener and, where it names a concept, with each concept."""
    place = _PLACES.get(request.location_type, _ANY_PLACE)
    return [
        template.format(opener=opener, concept=phrase, word=word, other=other, place=place)
        for template in templates
        for phrase in (_phrases(request, after=after) if "{concept}" in template else ("",))
        for opener in _openers(request)
    ]


def _openers(request: QuestionRequest) -> list[str]:
    """The content package's framing for this place, then plain ones in case it does not pass the gate."""
    plain = _OPENERS.get(request.location_type, _ANY_OPENER)
    framing = _as_name(request.framing, most_words=20)
    return [opener for opener in dict.fromkeys([framing, plain, _ANY_OPENER]) if opener]


def _phrases(request: QuestionRequest, *, after: str = "") -> list[str]:
    """The concepts by name, those the student has not touched on first: the dialogue moves on."""
    said = stems(after)

    def touched(concept: Concept) -> bool:
        return any(carries(said, cue) for cue in (concept.phrase, *concept.cues))

    ordered = sorted(request.key_concepts, key=touched)
    return [phrase for phrase in (_as_name(concept.phrase) for concept in ordered) if phrase]


def _as_name(phrase: str, *, most_words: int = 12) -> str:
    """Words of the content package, safe inside a question whatever the package holds."""
    kept = re.sub(r"[^\w\s'\u2019,-]|_", " ", phrase)
    return " ".join(kept.split()[:most_words])


def _fair_text(answer: str) -> str:
    """The answer without markup, links and sentences that give orders to whoever reads them."""
    text = _MARKED.sub(" ", answer[:MAX_CHARACTERS])
    return ". ".join(part for part in _SENTENCE.split(text) if not _ORDER.search(part))


def _fair_stems(answer: str) -> list[str]:
    return stems(_fair_text(answer))


def _fit_to_quote(word: str) -> bool:
    low = word.lower()
    return low not in STOP_WORDS and not _KEYBOARD_JUNK.search(low) and not RUDE.search(low)


def _feedback(breakdown: dict[str, float]) -> str:
    met = [_readable(name) for name, points in breakdown.items() if points > 0]
    missing = [_readable(name) for name, points in breakdown.items() if points == 0]
    parts = [f"Found by keyword: {', '.join(met) or 'none of the criteria'}."]
    if missing:
        parts.append(f"Not found: {', '.join(missing)}.")
    return " ".join(parts)


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _scores(request: RatingRequest, at: int) -> dict[str, float]:
    everything = _answer_scores(request, at) | _question_scores(request, at)
    return {name: _bounded(everything[name]) for name in score_names(request, at)}


def _answer_scores(request: RatingRequest, at: int) -> dict[str, float]:
    said = _fair_stems(request.exchanges[at].answer)
    if not said:
        return {"answer_depth": 1.0, "answer_accuracy": 1.0, "engagement_level": 1.0}
    length = min(1.0, len(said) / 40)
    causal = 1.0 if _CAUSAL & set(words(_fair_text(request.exchanges[at].answer))) else 0.0
    hits = sum(bool(cues_in(said, (c.phrase, *c.cues))) for c in request.key_concepts)
    touched = min(1.0, hits / 2)
    curious = 1.0 if "?" in request.exchanges[at].answer else 0.0
    return {
        "answer_depth": 1 + 2 * length + causal + touched,
        "answer_accuracy": 2 + 3 * touched,
        "engagement_level": 1.5 + 2.5 * length + 0.5 * causal + 0.5 * curious,
    }


def _question_scores(request: RatingRequest, at: int) -> dict[str, float]:
    text = request.exchanges[at].question
    asked = stems(text)
    named = any(cues_in(asked, (c.phrase, *c.cues)) for c in request.key_concepts)
    related = bool(set(asked) & content_stems(request.segment_summary))
    taken_up = [_shared(text, exchange.answer) for exchange in request.exchanges[:at]]
    return {
        "question_clarity": 4.5 if 8 <= len(asked) <= 35 else 3.0,
        "question_relevance": 2.5 + 1.5 * named + 0.5 * related,
        "builds_on_previous": 2.0 + 2.5 * bool(taken_up and any(taken_up)),
        "synthesis_quality": 2.0 + 1.25 * sum(map(bool, taken_up[:2])),
        "location_integration": 2.0 + 2.5 * bool(_PLACE_WORDS & set(words(text))),
    }


def _shared(question_text: str, answer: str) -> set[str]:
    return content_stems(question_text) & content_stems(answer)


def _progression(scores: Sequence[dict[str, float]]) -> float:
    built = [s["builds_on_previous"] for s in scores if "builds_on_previous" in s]
    deeper = scores[-1]["answer_depth"] - scores[0]["answer_depth"] if scores else 0.0
    return _bounded((sum(built) / len(built) if built else 2.5) + deeper / 4)


def _bounded(score: float) -> float:
    return min(5.0, max(1.0, round(score * 2) / 2))
