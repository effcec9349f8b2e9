import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sessions_app.domain import assignment, keys

ARMS = [condition.arm for condition in assignment.arms("home")]
CODES = [condition.code for condition in keys.CONDITIONS]
COUNTS = st.dictionaries(st.sampled_from(ARMS), st.integers(0, 50))


def test_a_place_has_six_arms_of_its_own() -> None:
    arms = assignment.arms("classroom")
    assert {condition.location for condition in arms} == {"classroom"}
    assert sorted(condition.arm for condition in arms) == ["I1-D", "I1-S", "I2-D", "I2-S", "I3-D", "I3-S"]


@given(counts=COUNTS, had=st.sets(st.sampled_from(CODES)))
def test_the_draw_is_among_the_least_used_arms_that_are_new_to_the_student(
    counts: dict[str, int], had: set[str]
) -> None:
    offered = assignment.candidates(location="home", counts=counts, had=had)
    fresh = [condition for condition in assignment.arms("home") if condition.code not in had]
    allowed = fresh or assignment.arms("home")
    fewest = min(counts.get(condition.arm, 0) for condition in allowed)
    assert offered == [condition for condition in allowed if counts.get(condition.arm, 0) == fewest]
    assert offered


def test_a_student_who_had_everything_is_drawn_from_everything() -> None:
    assert assignment.candidates(location="home", counts={}, had=CODES) == assignment.arms("home")


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_arms_never_differ_by_more_than_one(seed: int, sessions: int) -> None:
    counts: Counter[str] = Counter()
    for _ in range(sessions):
        drawn = assignment.draw(location="home", counts=counts, had=(), choose=random.Random(seed).choice)
        counts[drawn.arm] += 1
    assert max(counts.values()) - min(counts[arm] for arm in ARMS) <= 1


def test_chance_decides_between_equals() -> None:
    drawn = {
        assignment.draw(location="home", counts={}, had=(), choose=random.Random(seed).choice).arm
        for seed in range(100)
    }
    assert drawn == set(ARMS)
