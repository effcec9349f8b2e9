import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from sessions_app.domain import allocation
from sessions_app.domain.store import keys

ARMS = [condition.arm for condition in allocation.arms("home")]
COUNTS = st.dictionaries(st.sampled_from(ARMS), st.integers(0, 50))
HOME = allocation.arms("home")


def test_a_location_has_six_arms_of_its_own() -> None:
    arms = allocation.arms("classroom")
    assert {condition.location for condition in arms} == {"classroom"}
    assert sorted(condition.arm for condition in arms) == ["I1-D", "I1-S", "I2-D", "I2-S", "I3-D", "I3-S"]


def offered(counts: dict[str, int], had: set[str] | None = None) -> list[str]:
    found = allocation.candidates(location="home", counts=counts, had=had or set())
    return [condition.arm for condition in found]


def test_only_an_arm_three_ahead_of_the_least_filled_is_left_out() -> None:
    counts = {"I1-D": 3, "I1-S": 2, "I2-D": 1}
    assert offered(counts) == [arm for arm in ARMS if arm != "I1-D"]
    counts |= {"I2-S": 1, "I3-D": 1, "I3-S": 1}
    assert offered(counts) == ARMS


@given(counts=COUNTS, had=st.sets(st.sampled_from(ARMS)))
def test_arms_of_other_locations_are_avoided_where_the_balance_allows_it(
    counts: dict[str, int], had: set[str]
) -> None:
    without, avoiding = offered(counts), offered(counts, had)
    assert avoiding
    assert set(avoiding) <= set(without)
    assert not set(avoiding) & had or set(without) <= had


def draws(n: int, seed: int) -> Iterator[tuple[dict[str, int], keys.Condition]]:
    """Each with the tally before it."""
    source = random.Random(seed)
    counts = dict.fromkeys(ARMS, 0)
    for _ in range(n):
        candidates = allocation.candidates(location="home", counts=counts)
        drawn = allocation.by_seed(f"{source.getrandbits(128):x}")(candidates)
        yield counts, drawn
        counts[drawn.arm] += 1


State = tuple[tuple[int, ...], ...]


@cache
def seen_as(leads: tuple[int, ...]) -> tuple[State, dict[str, tuple[str, int]]]:
    """What matters of a tally: how far the arms of each type are ahead, sorted, as only names differ else.

    With it the place of each arm therein: whether its type is the first of both, and its own lead.
    """
    by_arm = dict(zip(ARMS, leads, strict=True))
    of_type = {kind: tuple(sorted(by_arm[arm] for arm in ARMS if arm[-1] == kind)) for kind in "DS"}
    order = sorted(of_type, key=lambda kind: of_type[kind])
    return tuple(of_type[kind] for kind in order), {
        arm: ("first" if arm[-1] == order[0] else "second", by_arm[arm]) for arm in ARMS
    }


class Guesser:
    """Knows every earlier arm, keeps a table of what followed each state of the tally, and bets on the best.

    It knows nothing about the rule of the draw. Arms in the same place share its chance.
    """

    def __init__(self) -> None:
        self.followed: dict[State, Counter[tuple[str, int]]] = defaultdict(Counter)
        self.bets = cache(self._bets)

    def learn(self, counts: dict[str, int], drawn: str) -> None:
        state, places = seen_as(leads(counts))
        self.followed[state][places[drawn]] += 1

    def _bets(self, leads: tuple[int, ...]) -> tuple[list[str], list[str]]:
        """The arms, and the types, that were likeliest so far; several where they are equally likely."""
        state, places = seen_as(leads)
        followed, alike = self.followed[state], Counter(places.values())
        arms = {arm: followed[place] / alike[place] for arm, place in places.items()}
        types = {kind: sum(arms[arm] for arm in ARMS if arm[-1] == kind) for kind in "DS"}
        return best(arms), best(types)


def leads(counts: dict[str, int]) -> tuple[int, ...]:
    least = min(counts.values())
    return tuple(counts[arm] - least for arm in ARMS)


def best(rates: dict[str, float]) -> list[str]:
    return [name for name, rate in rates.items() if rate == max(rates.values())]


def test_who_knows_every_earlier_arm_can_hardly_foresee_the_next_one() -> None:
    guesser, source, n = Guesser(), random.Random(3), 10_000
    for counts, drawn in draws(20_000, seed=1):
        guesser.learn(counts, drawn.arm)
    arms, types, widest = 0, 0, 0
    for counts, drawn in draws(n, seed=2):
        likely_arms, likely_types = guesser.bets(leads(counts))
        arms += source.choice(likely_arms) == drawn.arm
        types += source.choice(likely_types) == drawn.arm[-1]
        widest = max(widest, max(counts.values()) - min(counts.values()))
    assert arms / n <= 0.25
    assert types / n <= 0.58
    assert widest == 3


def test_the_guesser_sees_through_a_draw_among_the_least_used_arms() -> None:
    """The rule that was used before; it shows that the guesser would notice."""
    guesser, source = Guesser(), random.Random(3)
    counts, hits, types = dict.fromkeys(ARMS, 0), 0, 0
    for number in range(4_000):
        least = min(counts.values())
        drawn = source.choice([arm for arm in ARMS if counts[arm] == least])
        if number < 2_000:
            guesser.learn(counts, drawn)
        else:
            likely_arms, likely_types = guesser.bets(leads(counts))
            hits += source.choice(likely_arms) == drawn
            types += source.choice(likely_types) == drawn[-1]
        counts[drawn] += 1
    assert hits / 2_000 > 0.37
    assert types / 2_000 > 0.64


def test_no_arm_is_preferred_in_the_long_run() -> None:
    counts = Counter(drawn.arm for _, drawn in draws(3_000, seed=4))
    assert set(counts) == set(ARMS)
    assert max(counts.values()) - min(counts.values()) <= 3


def test_a_seed_always_draws_the_same_and_all_candidates_can_be_drawn() -> None:
    drawn = [allocation.by_seed(f"seed {number}")(HOME) for number in range(200)]
    assert drawn == [allocation.by_seed(f"seed {number}")(HOME) for number in range(200)]
    assert {condition.arm for condition in drawn} == set(ARMS)


def test_one_arm_of_a_type_beside_three_of_the_other_is_a_little_likelier() -> None:
    candidates = [c for c in HOME if c.type == "static"] + [c for c in HOME if c.arm == "I2-D"]
    weights = allocation.weights(candidates)
    rates = [weight / sum(weights) for weight in weights]
    assert rates[0] == rates[1] == rates[2]
    assert abs(rates[3] - (5 / 6 / 4 + 1 / 6 / 2)) < 1e-12


def test_strata_name_realm_school_and_facilitator() -> None:
    facts = {"school_id": "ab12", "facilitator": "ms. ruiz"}
    assert allocation.stratum(realm="real", factors=["location"], **facts) == ""
    assert allocation.stratum(realm="practice", factors=["location"], **facts) == "practice"
    both = allocation.stratum(realm="real", factors=allocation.STRATA, **facts)
    assert both.startswith("school-ab12#facilitator-")
    assert "ruiz" not in both
    assert keys.tally(both) == f"TALLY#{both}"
