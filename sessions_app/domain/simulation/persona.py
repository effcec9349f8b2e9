"""What a simulated student is like, knows and says, and how long it takes. Pure; chance is passed in.

Every number in this file is invented, so that a demonstration has something to show: the effects of place,
interval and type of question are assumptions, no findings, and no study may be planned with them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ..content.package import AssessmentItem, Criterion, Package, Segment, SurveyField
from ..store import keys

# On the logit scale: knowledge is ability, less the difficulty of the item, plus what was learned.
DIFFICULTY = {"easy": -0.7, "medium": 0.2, "hard": 1.0}
RECALL_IS_HARDER = 0.8  # to write something down, compared with choosing it
GUESS = 0.25
SLIP = 0.03
LEARNED = 1.0
LEARNED_BY_TYPE = {"static": 0.0, "dynamic": 0.4}
LEARNED_BY_PLACE = {"on-site": 0.5, "learning-space": 0.2, "classroom": 0.1, "home": 0.0}
LEARNED_BY_INTERVAL = {"2.5": 0.15, "5.0": 0.2, "10.0": 0.0}
LEARNED_BY_ATTENTION = 0.8  # from the least attentive student to the most attentive one

SHARE_OF_QUITTERS = 0.05
SHARE_OF_TERSE = 0.08
SHARE_OF_LONG_PAUSES = 0.002  # of all steps
SHARE_CUT_SHORT = 0.015  # of all segments

SCHOOLS = (
    "Fall Line High School",
    "Canal Street Academy",
    "Church Hill Preparatory",
    "Southside Technical High School",
    "Westhampton High School",
)
TOPICS = ("civil_war", "richmond_history", "industrial_revolution", "local_geography")
DEPTHS = ("overview", "moderate", "deep")
STYLES = ("visual", "auditory", "visual-auditory", "reading", "hands-on")

# `{cue}` is a phrase of a rubric or a key concept.
CLAIMS = (
    "I remember the part about {cue}.",
    "One thing to look at is {cue}.",
    "The part about {cue} explains a lot of it.",
    "It is also about {cue}, I think.",
    "You cannot tell it without {cue}, because so much follows from that.",
    "I would name {cue}.",
)
THOUGHTS = (
    "I keep thinking about the part with {cue}, because so much follows from it.",
    "The part about {cue} surprised me, since I never connected that with Richmond.",
    "Maybe the part about {cue} matters more than I thought at first.",
    "It makes me wonder about {cue} and the people who lived then.",
    "I would start with {cue}, because the rest of the story builds on that.",
)
WONDERING = ("How did they live with that every day?", "Would I have noticed that myself?")
VAGUE = (
    "I am not sure about this one.",
    "I do not know much about it yet.",
    "Maybe it was just a good spot for it.",
    "I would have to think about that some more.",
)
MINIMAL_ANSWERS = ("idk", "ok", "yes", "?", "no")
FEEDBACK = (
    "I liked that the parts were short.",
    "The questions made me slow down and think.",
    "It was better than reading a textbook.",
    "Some parts went a little fast for me.",
    "More pictures would be nice.",
    "I want to go and see it again with my family.",
    "It was fine.",
)
TROUBLE = ("The page took a while to load.", "The sound stopped once.", "The screen went dark in between.")

IMPACT = {"on-site": 4.3, "learning-space": 3.5, "classroom": 3.2, "home": 3.0}
HELPFUL = {"dynamic": 4.1, "static": 3.4}
OTHERWISE_RATED = 3.9
DISTRACTED = {"on-site": 0.3, "learning-space": 0.15, "classroom": 0.2, "home": 0.35}
SAID_YES = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """`ability` has mean 0 and standard deviation 1, `attention` is from 0 to 1, `pace` multiplies times.

    `quits_after` is the number of steps after which the student stops, None for one who stays.
    """

    demographics: dict[str, Any]
    learning_profile: dict[str, Any]
    data_sharing: bool
    relation: str
    on_paper: bool
    ability: float
    attention: float
    pace: float
    terse: bool
    format: str
    speed: float
    captions: bool
    quits_after: int | None

    @property
    def age(self) -> int:
        return int(self.demographics["age"])


def drawn(chance: Random) -> Persona:
    age = chance.choices((14, 15, 16, 17, 18), (2, 3, 3, 3, 1))[0]
    format_chosen = chance.choices(("audio", "text", "video"), (5, 4, 1))[0]
    return Persona(
        demographics={
            "age": age,
            "grade_level": min(12, max(9, age - 5 - (chance.random() < 0.3))),
            "school": chance.choice(SCHOOLS),
            "richmond_resident": chance.random() < 0.8,
        },
        learning_profile={
            "depth_preference": chance.choice(DEPTHS),
            "learning_style": chance.choice(STYLES),
            "prior_knowledge_topics": sorted(chance.sample(TOPICS, chance.randint(0, 2))),
        },
        data_sharing=chance.random() < 0.85,
        relation=chance.choice(("mother", "father", "guardian")),
        on_paper=chance.random() < 0.4,
        ability=chance.gauss(0, 1),
        attention=chance.betavariate(5, 2),
        pace=chance.lognormvariate(0, 0.25),
        terse=chance.random() < SHARE_OF_TERSE,
        format=format_chosen,
        speed=1.0 if format_chosen == "text" else chance.choices((0.75, 1.0, 1.25, 1.5), (1, 7, 3, 1))[0],
        captions=chance.random() < 0.3,
        quits_after=chance.randint(3, 26) if chance.random() < SHARE_OF_QUITTERS else None,
    )


def learned(persona: Persona, condition: keys.Condition) -> float:
    """What the content and its questions add to the ability, on the logit scale."""
    by_condition = (
        LEARNED_BY_TYPE[condition.type]
        + LEARNED_BY_PLACE[condition.location]
        + LEARNED_BY_INTERVAL[condition.interval]
    )
    return LEARNED + by_condition + LEARNED_BY_ATTENTION * (persona.attention - 0.5)


def knows(persona: Persona, difficulty: str, gained: float) -> float:
    """The probability of knowing something of a difficulty."""
    return 1 / (1 + math.exp(-(persona.ability - DIFFICULTY[difficulty] + gained)))


def answer(item: AssessmentItem, persona: Persona, *, gained: float, known: Random, chance: Random) -> str:
    """An answer to an item. `known` is the same before and after the content: who knew it still does."""
    if item.question_type == "short_answer":
        return _short_answer(item, persona, gained, known, chance)
    probability = GUESS + (1 - GUESS - SLIP) * knows(persona, item.difficulty, gained)
    right = known.random() < probability
    return str(item.correct_answer) if right else chance.choice(_wrong(item))


def _wrong(item: AssessmentItem) -> list[str]:
    return [option for option in item.options if option != item.correct_answer]


def _short_answer(
    item: AssessmentItem, persona: Persona, gained: float, known: Random, chance: Random
) -> str:
    probability = knows(persona, item.difficulty, gained - RECALL_IS_HARDER)
    thought_of = [criterion for criterion in item.rubric if known.random() < probability]
    if persona.terse:
        return terse(thought_of, chance)
    told = [_claim(cue, CLAIMS, chance) for each in thought_of for cue in _cues(each, probability, chance)]
    return " ".join(told) or chance.choice(VAGUE)


def _cues(criterion: Criterion, probability: float, chance: Random) -> list[str]:
    """One cue is half an answer, two are a whole one."""
    wanted = 2 if chance.random() < probability else 1
    return chance.sample(criterion.cues, min(wanted, len(criterion.cues)))


def terse(thought_of: Sequence[Criterion], chance: Random) -> str:
    return chance.choice(thought_of[0].cues) if thought_of else chance.choice(MINIMAL_ANSWERS)


def _claim(cue: str, templates: Sequence[str], chance: Random) -> str:
    sentence = chance.choice(templates).format(cue=cue)
    return sentence[0].upper() + sentence[1:]


def reply(segment: Segment, persona: Persona, condition: keys.Condition, chance: Random) -> str:
    """An answer in the dialogue: the more was learned, the more ideas of the segment it touches."""
    if persona.terse and chance.random() < 0.5:
        return chance.choice(MINIMAL_ANSWERS)
    probability = knows(persona, "medium", learned(persona, condition) - RECALL_IS_HARDER)
    touched = sum(chance.random() < probability for _ in range(3))
    concepts = chance.sample(segment.key_concepts, min(touched, len(segment.key_concepts)))
    told = [_claim(chance.choice(concept.cues), THOUGHTS, chance) for concept in concepts]
    if told and chance.random() < persona.attention / 4:
        told.append(chance.choice(WONDERING))
    return " ".join(told) or chance.choice(VAGUE)


def seconds(text: str, persona: Persona, chance: Random, *, chosen: bool) -> int:
    """How long an answer takes: a moment to choose, longer to think and write. Now and then a long pause."""
    thinking = chance.lognormvariate(math.log(11 if chosen else 18), 0.45)
    writing = 0 if chosen else 1.6 * len(text.split())
    away = chance.uniform(620, 1100) if chance.random() < SHARE_OF_LONG_PAUSES else 0
    return max(2, round((thinking + writing) * persona.pace + away))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How a segment was followed: seconds of content played, and seconds it took with pauses."""

    played: float
    elapsed: int
    pauses: int
    rewinds: int


def listen(segment: Segment, persona: Persona, chance: Random) -> Listening:
    whole = segment.duration_seconds
    played = chance.uniform(0.3, 0.85) * whole if chance.random() < SHARE_CUT_SHORT else float(whole)
    restless = 2.2 * (1 - persona.attention)
    pauses = _how_often(restless, chance)
    rewinds = _how_often(0.5 * persona.attention, chance)
    waiting = sum(chance.uniform(4, 40) for _ in range(pauses)) + sum(
        chance.uniform(5, 15) for _ in range(rewinds)
    )
    return Listening(
        played=round(played, 1),
        elapsed=math.ceil(played / persona.speed + waiting),
        pauses=pauses,
        rewinds=rewinds,
    )


def _how_often(expected: float, chance: Random) -> int:
    return sum(chance.random() < expected / 5 for _ in range(5))


def survey(
    package: Package, persona: Persona, condition: keys.Condition, chance: Random
) -> dict[str, dict[str, Any]]:
    """Answers by group, then field; what a student leaves out is left out here."""
    answers: dict[str, dict[str, Any]] = {}
    for group in package.survey:
        told = {field.name: _said(field, persona, condition, chance) for field in group.fields}
        answers[group.name] = {name: value for name, value in told.items() if value is not None}
    return answers


def _said(field: SurveyField, persona: Persona, condition: keys.Condition, chance: Random) -> Any:
    if field.kind == "rating":
        heard = persona.format != "text" or "audio" not in field.name
        return _rating(field.name, persona, condition, chance) if heard else None
    if field.kind == "yes_no":
        return chance.random() < _yes(field.name, condition)
    if not field.required and chance.random() < 0.65:
        return None
    if field.kind == "choice":
        return chance.choice(field.options).value
    return chance.choice(TROUBLE if field.name == "technical_feedback" else FEEDBACK)


def _rating(name: str, persona: Persona, condition: keys.Condition, chance: Random) -> int:
    means = {
        "location_impact_rating": IMPACT[condition.location],
        "intervention_helpful_rating": HELPFUL[condition.type],
        "content_difficulty_rating": 2.9 - 0.5 * persona.ability,
    }
    return round(min(5, max(1, chance.gauss(means.get(name, OTHERWISE_RATED), 0.8))))


def _yes(name: str, condition: keys.Condition) -> float:
    rarely = {
        "location_was_distracting": DISTRACTED[condition.location],
        "technical_issues_encountered": 0.08,
    }
    return rarely.get(name, SAID_YES)
