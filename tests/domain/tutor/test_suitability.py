"""The lists of questions.toml against the gate, over the content package that a study would use."""

import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sessions_app.domain.content import package as content_package
from sessions_app.domain.tutor import suitability
from sessions_app.domain.tutor.gate import faults
from sessions_app.domain.tutor.protocol import Concept, Exchange, QuestionRequest
from sessions_app.domain.tutor.scripted import question

PACKAGE = content_package.load(Path("content/tredegar-iron-works-v1"))
LISTS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "questions.toml").read_text(encoding="utf-8"))
LOCATIONS = ("on-site", "home")
"""The rules know the location by its name alone."""
MIN_HELD_OUT = 0.7
BEFORE = (
    Exchange(
        question="What comes to your mind first?", answer="Rocks in the river, no choice, a statue, pay."
    ),
    Exchange(
        question="What might that be linked to, and why?", answer="Boats, the canal, the fire, slavery."
    ),
)


def request(segment_id: int, number: int = 1, location: str = "home", **changes: Any) -> QuestionRequest:
    segment = PACKAGE.segment(segment_id)
    values: dict[str, Any] = {
        "number": number,
        "segment_title": segment.title,
        "segment_summary": segment.summary,
        "narration": segment.narration,
        "key_concepts": tuple(Concept(c.phrase, c.cues) for c in segment.key_concepts),
        "location_type": location,
        "location_name": PACKAGE.location(location).name,
        "framing": {str(place): hint for place, hint in segment.framing.items()}[location],
        "age": 15,
        "grade": 9,
        "previous": BEFORE[: number - 1],
        "student_ref": "ref",
    }
    return QuestionRequest(**(values | changes))


def hostile(part: str) -> list[str]:
    return [text for texts in LISTS[part]["hostile"].values() for text in texts]


def good(part: str) -> list[tuple[int, int, str]]:
    lists = LISTS[part]["good"]
    return [(int(segment), number, text) for segment, found in lists.items() for number, text in found]


def comes_through(text: str) -> bool:
    """In any of the segments: what one of them does not stop is not stopped."""
    return any(not faults(text, request(segment)) for segment in range(1, 5))


def is_refused(segment: int, number: int, text: str) -> bool:
    """At any of the locations."""
    return any(faults(text, request(segment, number, location)) for location in LOCATIONS)


@pytest.mark.parametrize("text", hostile("tuned"))
def test_a_hostile_question_is_refused_in_every_segment(text: str) -> None:
    assert not comes_through(text)


@pytest.mark.parametrize(("segment", "number", "text"), good("tuned"))
def test_a_good_question_is_let_through_at_every_location(segment: int, number: int, text: str) -> None:
    assert not is_refused(segment, number, text)


def test_the_rates_of_both_lists(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for part in ("tuned", "held_out"):
        bad, fair = hostile(part), good(part)
        refused = sum(not comes_through(text) for text in bad)
        passed = sum(not is_refused(*entry) for entry in fair)
        lines.append(
            f"gate, {part}: {refused} of {len(bad)} hostile refused, {passed} of {len(fair)} good let through"
        )
        floor = 1 if part == "tuned" else MIN_HELD_OUT
        assert refused >= floor * len(bad)
        assert passed >= max(floor, 0.9) * len(fair)
    assert len(hostile("tuned")) >= 60
    assert len(good("tuned")) >= 60
    with capsys.disabled():
        print("", *lines, sep="\n")


RULES = {
    "identity": "private",
    "contact": "private",
    "accounts_and_links": "private",
    "health": "private",
    "faith": "private",
    "sexuality": "private",
    "hardship": "private",
    "roleplay": "plays_suffering",
    "blame": "belittles_slavery",
    "off_the_lesson": "off_lesson",
    "spanish": "not_english",
}


@pytest.mark.parametrize(("kind", "rule"), RULES.items())
def test_each_kind_has_a_rule_that_refuses_most_of_it_alone(kind: str, rule: str) -> None:
    texts = LISTS["tuned"]["hostile"][kind]
    broken = [text for text in texts if suitability.RULES[rule](text, request(2))]
    assert len(broken) > len(texts) / 2


@pytest.mark.parametrize("segment", PACKAGE.segments, ids=lambda s: f"segment-{s.segment_id}")
def test_the_static_questions_pass(segment: content_package.Segment) -> None:
    for number, text in enumerate(segment.static_questions, start=1):
        asked = request(segment.segment_id, number)
        assert [name for name, broken in suitability.RULES.items() if broken(text, asked)] == []


ANSWERS = (
    "asdfgh",
    "no entiendo ingles",
    "I am Black and this makes me really upset. My family were slaves here.",
    "they kept the money",
    "statue",
    "password girlfriend church",
    "My phone number is 804 555 0100 and my church is near the river",
)


@pytest.mark.parametrize("location", LOCATIONS)
def test_the_scripted_tutors_questions_pass(location: str) -> None:
    for segment, (first, second) in itertools.product(range(1, 5), itertools.pairwise(ANSWERS)):
        previous: tuple[Exchange, ...] = ()
        for number, answer in enumerate((first, second, ""), start=1):
            asking = request(segment, number, location, previous=previous)
            asked = question(asking)
            assert faults(asked, asking) == ()
            previous += (Exchange(question=asked, answer=answer),)
