"""What a model may read of what a student wrote: all of the lesson, nothing that tells who wrote it."""

from typing import Any

import pytest

from sessions_app.domain.tutor.anthropic import AnthropicTutor
from sessions_app.domain.tutor.masking import masking
from sessions_app.domain.tutor.protocol import Exchange
from support.fake_anthropic import FakeAnthropic
from tests.domain.tutor.samples import LESSON, grade_request, question_request, rating_request

mask = masking(LESSON)

PRIVATE = [
    ("my name is jayden carter and i think the river helped", ["jayden", "carter"]),
    ("My name's Kiara", ["Kiara"]),
    ("My name is Ana-María López, I live at 12 Oak Hill Rd apt 4", ["María", "López", "Oak", "12", "apt"]),
    ("My name is Joseph and so was the owner's", ["Joseph"]),
    ("I'm Jayden and I think Anderson was smart", ["Jayden"]),
    ("im jayden", ["jayden"]),
    ("This is Xiomara Bates from 3rd period", ["Xiomara", "Bates"]),
    ("call me Zee", ["Zee"]),
    ("Me llamo Sofía y vivo en calle Hull 1200", ["Sofía", "Hull", "1200"]),
    ("Mi nombre es Luis Alvarado", ["Luis", "Alvarado"]),
    ("my teacher Mr. Okafor told us about it", ["Okafor"]),
    ("my friend marcus said the Monitor won", ["marcus"]),
    ("my grandma Rosa worked in a mill", ["Rosa"]),
    ("Tyler told me the Union won", ["Tyler"]),
    ("text 804-555-0123", ["555", "0123"]),
    ("my # is (804) 555 0123 or 8045550124", ["555", "0124"]),
    ("+1 804.555.0123", ["804", "0123"]),
    ("eight oh four five five five oh one two three", ["eight", "three"]),
    ("email me jay.carter99@gmail.com", ["jay", "gmail"]),
    ("write to jay at gmail dot com or mail to lu arroba correo punto es", ["gmail", "correo"]),
    ("insta: @jay_c", ["jay_c"]),
    ("my snap is jayyy04 if u want", ["jayyy04"]),
    ("see www.jay.com/x or https://jay.example/me", ["jay.com", "jay.example"]),
    ("I live on Maple Street near the canal", ["Maple"]),
    ("we stay at 4410 Chamberlayne Ave", ["4410", "Chamberlayne"]),
    ("P.O. Box 77, VA 23225", ["77", "23225"]),
]


@pytest.mark.parametrize(("text", "gone"), PRIVATE)
def test_what_tells_who_wrote_it_is_masked(text: str, gone: list[str]) -> None:
    masked = mask(text)
    assert [part for part in gone if part in masked] == []
    assert "[" in masked


LESSONS_OWN = [
    "Joseph Reid Anderson leased the works after 1841, and I think Anderson was good at selling.",
    "Mr. Anderson fired the strikers in 1847.",
    "1837, 1847, 1865 and 1957 matter; 1837-1865 was the best time. 1837 1847 1865",
    "Abraham Lincoln and his son Tad visited Richmond in April 1865.",
    "President Andrew Johnson gave him a pardon. Francis Deane founded it.",
    "500 Tredegar St is by the James River and the Kanawha Canal.",
    "The CSS Virginia fought the Monitor at Hampton Roads in March 1862.",
    "I am Black and this makes me upset. I'm Mexican. I'm a Virginian and I'm from Virginia.",
    "They made about eleven hundred cannon, 1100 or so, with 900 workers, one two three.",
    "The fire of 1865 spread in the street and he had 20 men on the road.",
    "I'm not sure, I'm Done with this. Im thinking of the Albemarle Paper Company and Ethyl.",
    "my dad works with steel at a mill, my teacher said the Confederacy lost",
    "Yo soy de Richmond y creo que Tredegar era importante.",
]


@pytest.mark.parametrize("text", LESSONS_OWN)
def test_what_the_lesson_names_stays(text: str) -> None:
    assert mask(text) == text


def test_every_line_of_the_lesson_stays() -> None:
    for line in LESSON.splitlines():
        assert mask(line) == line


SECRET = (
    "My name is Zaire Plummer, call 804-555-0123, I live at 12 Oak Hill Rd, zp@mail.example, insta: zplum"
)
PARTS = ("Zaire", "Plummer", "0123", "Oak Hill", "zp@", "mail.example", "zplum")


def test_no_model_reads_who_wrote_an_answer(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    exchange = Exchange(question="You wrote “My name is Zaire”. What about the river?", answer=SECRET)
    tutor.ask(question_request(2, previous=(exchange,)), timeout_seconds=5, feedback=None)
    tutor.grade(grade_request(SECRET))
    tutor.rate(rating_request(exchanges=(exchange,) * 3))
    assert [recorded.kind for recorded in fake.requests] == ["question", "grading", "rating"]
    for recorded in fake.requests:
        sent = str(recorded.body)
        assert [part for part in PARTS if part in sent] == []
        assert "[name]" in sent


def test_the_reference_to_the_student_is_a_keyed_hash(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    tutor.grade(grade_request(student_ref="sess-1"))
    tutor.grade(grade_request(student_ref="sess-1"))
    tutor.grade(grade_request(student_ref="sess-2"))
    tutor.user_key = b"another"
    tutor.grade(grade_request(student_ref="sess-1"))
    one, again, other, other_key = (recorded.body["metadata"]["user_id"] for recorded in fake.requests)
    assert one == again
    assert len({one, other, other_key}) == 3
    assert all("sess" not in str(recorded.body) for recorded in fake.requests)


def test_of_a_student_a_model_hears_age_and_grade(tutor: AnthropicTutor, fake: FakeAnthropic) -> None:
    tutor.ask(question_request(), timeout_seconds=5, feedback=None)
    data: dict[str, Any] = fake.requests[0].data
    assert data["student"] == {"age": 15, "grade": 9}
    assert set(fake.requests[0].body["metadata"]) == {"user_id"}
