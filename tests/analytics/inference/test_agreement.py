"""Agreement of two gradings against the examples of the papers that brought the measures."""

import pytest

from analytics_app.inference import agreement

# Shrout & Fleiss (1979), Psychological Bulletin 86, table 2: four judges rate six targets.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# The anxiety ratings of the R package irr: 20 subjects, here two of the three raters.
ANXIETY_1 = [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3]
ANXIETY_2 = [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4]
ANXIETY_3 = [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2]
# Bland & Altman (1986), Lancet i: peak expiratory flow by a large and a mini meter, first readings.
LARGE = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_icc_of_shrout_and_fleiss() -> None:
    """Their table 4: ICC(2,1) = .29, ICC(3,1) = .71; limits .02 to .76 as R's psych::ICC gives them."""
    found = agreement.icc(SHROUT_FLEISS)
    assert found.enough
    assert (found.n, found.graders) == (6, 4)
    assert found.absolute == pytest.approx(0.29, abs=5e-3)
    assert found.consistency == pytest.approx(0.71, abs=5e-3)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.019, 0.761), abs=5e-4)


def test_kappa_of_the_anxiety_ratings() -> None:
    """R package irr, kappa2(anxiety[, 1:2], "squared"): 0.297."""
    found = agreement.weighted_kappa(ANXIETY_1, ANXIETY_2)
    assert found.enough
    assert found.value == pytest.approx(0.297, abs=5e-4)
    assert found.interval.low < found.value < found.interval.high


def test_kappa_weighs_by_the_grades_themselves() -> None:
    """Nobody gave a 5 here. irr takes the grades that occur for even steps and gives 0.2520325."""
    as_steps = [[min(grade, 5) for grade in grades] for grades in (ANXIETY_2, ANXIETY_3)]
    even, true = agreement.weighted_kappa(*as_steps), agreement.weighted_kappa(ANXIETY_2, ANXIETY_3)
    assert even.enough
    assert true.enough
    assert even.value == pytest.approx(0.2520325, abs=1e-6)
    assert true.value == pytest.approx(0.2297980, abs=1e-6)


def test_kappa_of_two_grades_is_cohens() -> None:
    """With two grades weights do not matter. Same 20 + 15 of 50: .70; by chance .50; so .40."""
    first = [1] * 20 + [1] * 5 + [0] * 10 + [0] * 15
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    found = agreement.weighted_kappa(first, second)
    assert found.enough
    assert found.value == pytest.approx(0.40)


def test_kappa_by_its_closed_form() -> None:
    """1 - mean squared difference of the pairs / that of all pairs of a first with a second grade."""
    first, second = [0, 0.5, 1.5, 3, 2], [0.5, 0.5, 2, 2.5, 0]
    apart = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) / 5
    chance = sum((a - b) ** 2 for a in first for b in second) / 25
    found = agreement.weighted_kappa(first, second)
    assert found.enough
    assert found.value == pytest.approx(1 - apart / chance)


def test_bias_of_bland_and_altman() -> None:
    """Theirs: mean difference (large - mini) -2.1 l/min, standard deviation 38.8.

    The paper takes 2 standard deviations for the limits (-79.7 to 75.5), here it is 1.96.
    """
    found = agreement.bias(MINI, LARGE)
    assert found.enough
    assert (found.value, found.sd) == pytest.approx((-2.1, 38.8), abs=0.05)
    assert found.limits.low == pytest.approx(-2.118 - 1.96 * 38.765, abs=0.05)
    assert found.interval.low < 0 < found.interval.high


def test_gradings_that_are_the_same_agree_in_full() -> None:
    found = agreement.agreement([1, 2, 3, 2], [1, 2, 3, 2])
    assert found.same == 1
    assert found.kappa.enough
    assert found.icc.enough
    assert found.bias.enough
    assert (found.kappa.value, found.icc.absolute, found.bias.value) == (1, 1, 0)


def test_an_answer_with_one_grade_is_left_out() -> None:
    assert agreement.agreement([1, None, 3, 2], [1, 2, None, 3]).n == 2


@pytest.mark.parametrize("grades", [[], [2.0]])
def test_fewer_than_two_answers_give_no_number(grades: list[float]) -> None:
    found = agreement.agreement(grades, grades)
    assert not found.kappa.enough
    assert not found.icc.enough
    assert not found.bias.enough
    assert "at least 2" in found.kappa.why


def test_grades_that_are_all_the_same_have_no_kappa() -> None:
    found = agreement.agreement([2, 2, 2], [2, 2, 2])
    assert not found.kappa.enough
    assert not found.icc.enough


def test_a_constant_difference_leaves_the_bias_alone() -> None:
    found = agreement.agreement([1, 2, 3], [2, 3, 4])
    assert not found.icc.enough
    assert found.bias.enough
    assert found.bias.value == 1


def test_gradings_must_be_of_the_same_answers() -> None:
    with pytest.raises(ValueError, match="zip"):
        agreement.agreement([1, 2], [1])
