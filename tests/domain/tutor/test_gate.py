import pytest

from sessions_app.domain.tutor import suitability
from sessions_app.domain.tutor.gate import ADVICE, advice, faults, reading_grade, syllables
from sessions_app.domain.tutor.prompts import QUESTION_SYSTEM
from sessions_app.domain.tutor.protocol import Exchange
from tests.domain.tutor.samples import FIRST, HOSTILE, after_answers, question_request

GOOD = [
    "Looking around you, what features suggest that people made iron at this place?",
    "Think about what you just heard. What would you ask the people who built it, and why?",
    "Can you describe what the walls around you tell you about the work done here?",
    "How did the fall line of the James River shape the town?",
    "Which of these ideas would you like to follow further?",
    "What did the arsenal and its neighbors mean to the people who lived here?",
]


@pytest.mark.parametrize("text", GOOD)
def test_an_open_question_passes(text: str) -> None:
    assert faults(text, question_request()) == ()


REJECTED = [
    ("", "empty"),
    ("   ", "empty"),
    ("Look at the river and the walls around you here.", "not_one_question"),
    ("What do you see here? What do you hear?", "not_one_question"),
    ("What do you see here? Take your time.", "not_one_question"),
    ("What do you notice around you here?? ", "not_one_question"),
    ("What do you notice around you here？?", "not_one_question"),
    ("Why here then?", "too_short"),
    ("What about " + "the walls and " * 22 + "the rest of it?", "too_long"),
    (
        "What interdependent technological and geographical considerations precipitated industrialization's "
        "disproportionate concentration throughout antebellum metropolitan communities?",
        "too_hard_to_read",
    ),
    ("Did the people here work hard every day?", "not_open"),
    ("Isn't this a lovely old place to work in?", "not_open"),
    ("What a busy place this must have been, right?", "not_open"),
    ("People worked here for a long time, didn't they?", "not_open"),
    ("Tell me some more about these walls please?", "not_open"),
    ("Did the waterwheel drive the machines in the building?", "gives_answer_away"),
    ("The waterwheel turned the machinery all day, isn't it?", "gives_answer_away"),
    ("The answer is close to you. What do you think it could be?", "gives_answer_away"),
    ("People came here because it was easy to work. How do you see that?", "gives_answer_away"),
    ("That is why the town grew fast. How do you see that today?", "gives_answer_away"),
    ("Here a waterwheel drove the machinery. What do you make of that?", "gives_answer_away"),
    ("How did the coal, the iron ore, the mines and the furnaces help this town?", "gives_answer_away"),
    ("What do you think of <b>this</b> place around you?", "markup"),
    ("What do you think of **this** old place around you?", "markup"),
    ("What do you find at www.example.com about this place?", "markup"),
    ("What do you find at https://example.com about it?", "markup"),
    ("What do you find at example.org about this place?", "markup"),
    ("What do you see\nwhen you look around you here?", "markup"),
    ("What do you see \u202ewhen you look around you here?", "markup"),
    ("What do you see\x00 when you look around you here?", "markup"),
    ("What would 8045551234 have to do with this place?", "markup"),
    ("As an AI, I wonder: what do you notice here?", "prompt_leak"),
    ("My instructions say to ask: what do you notice here?", "prompt_leak"),
    ("What would the rubric say about this old place?", "prompt_leak"),
    ("What would the student notice about this old place?", "prompt_leak"),
    ("You wrote about “shit”. What makes you think of that here?", "unkind"),
]


@pytest.mark.parametrize(("text", "fault"), REJECTED)
def test_a_broken_rule_is_named(text: str, fault: str) -> None:
    assert fault in faults(text, question_request())


def test_a_run_of_the_system_prompt_is_a_leak() -> None:
    stolen = " ".join(QUESTION_SYSTEM.split()[:12])
    assert "prompt_leak" in faults(f"What does this mean to you: {stolen}?", question_request())


def test_a_question_is_not_asked_twice() -> None:
    again = FIRST.question
    reworded = "Looking at the walls around you, what would you notice first?"
    assert "repeats" in faults(again, question_request(2))
    assert "repeats" in faults(reworded, question_request(2))
    assert "repeats" not in faults(again, question_request(1))


def test_what_the_student_said_is_no_longer_given_away() -> None:
    text = "You saw a waterwheel and some machinery. How might they belong together?"
    assert "gives_answer_away" in faults(text, question_request(2))
    assert faults(text, after_answers("There is a waterwheel and old machinery.")) == ()


def test_quoting_a_reason_the_student_gave_is_no_explanation() -> None:
    text = "You wrote “because it was cheap”. What makes you think of that in this story?"
    assert faults(text, after_answers("They did it because it was cheap.")) == ()
    assert "gives_answer_away" in faults(text, after_answers("They liked it."))


def test_a_younger_student_needs_easier_words_than_an_older_one() -> None:
    text = "What particular considerations convinced industrial investors to establish themselves here?"
    assert "too_hard_to_read" in faults(text, question_request(grade=9))
    assert "too_hard_to_read" not in faults(text, question_request(grade=16))


def test_names_the_student_has_just_heard_do_not_count_as_hard() -> None:
    text = "What does the Confederacy mean to you?"
    stem = "confederacy"
    assert reading_grade(text, familiar=frozenset({stem})) < reading_grade(text)


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("iron", 2),
        ("the", 1),
        ("made", 1),
        ("table", 2),
        ("places", 2),
        ("walked", 1),
        ("wanted", 2),
        ("river", 2),
    ],
)
def test_syllables_are_counted(word: str, count: int) -> None:
    assert syllables(word) == count


def test_the_reading_grade_follows_the_formula() -> None:
    # 6 words, 1 sentence, 6 syllables: 0.39 * 6 + 11.8 * 1 - 15.59
    assert reading_grade("The cat sat on the mat.") == pytest.approx(-1.45)


@pytest.mark.parametrize("answer", HOSTILE)
def test_the_gate_stands_whatever_the_student_wrote(answer: str) -> None:
    request = after_answers(answer)
    assert faults("What else comes to your mind about this place?", request) == ()
    assert faults(answer, request) != ()


def test_every_fault_has_its_advice_and_none_quotes_the_text() -> None:
    named = {fault for text, _ in REJECTED for fault in faults(text, question_request())} | {"repeats"}
    named |= set(suitability.RULES)  # shown one by one in test_suitability.py
    assert named == set(ADVICE)
    assert advice(("too_short", "unknown")) == ADVICE["too_short"]


def test_an_earlier_question_without_words_repeats_nothing() -> None:
    request = question_request(2, previous=(Exchange(question="?", answer=""),))
    assert faults("What else comes to your mind about this place?", request) == ()
