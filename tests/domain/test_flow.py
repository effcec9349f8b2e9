import pytest

from sessions_app.domain import flow

PLANS = {
    "2.5": "baseline format segment-1 questions-1 segment-2 questions-2 "
    "segment-3 questions-3 segment-4 questions-4 final survey",
    "5.0": "baseline format segment-1 segment-2 questions-2 segment-3 segment-4 questions-4 final survey",
    "10.0": "baseline format segment-1 segment-2 segment-3 segment-4 questions-4 final survey",
}


@pytest.mark.parametrize("interval", PLANS)
def test_each_interval_has_its_plan(interval: str) -> None:
    assert " ".join(stage.name for stage in flow.plan(interval)) == PLANS[interval]


@pytest.mark.parametrize(("interval", "steps"), [("2.5", 38), ("5.0", 32), ("10.0", 29)])
def test_a_plan_is_walked_step_by_step_to_its_end(interval: str, steps: int) -> None:
    stages, done, walked = flow.plan(interval), dict[str, int](), list[str]()
    while step := flow.next_step(stages, done):
        walked.append(step.slug)
        done[step.stage.name] = done.get(step.stage.name, 0) + 1
    assert len(walked) == len(set(walked)) == steps
    assert walked[0] == "baseline/1"
    assert walked[-1] == "survey"


def test_an_assessment_has_ten_steps_and_an_intervention_three() -> None:
    counts = {stage.kind: stage.steps for stage in flow.FLOW}
    assert counts == {"baseline": 10, "format": 1, "segment": 1, "questions": 3, "final": 10, "survey": 1}


def test_the_first_unfinished_step_comes_next_even_if_later_ones_are_done() -> None:
    step = flow.next_step(flow.plan("5.0"), {"baseline": 10, "format": 0, "survey": 1})
    assert step is not None
    assert step.slug == "format"


def test_the_time_left_falls_from_all_to_nothing() -> None:
    stages = flow.plan("10.0")
    whole = flow.minutes_left(stages, {})
    assert whole == 5 + 0.5 + 4 * 2.5 + 3 + 5 + 3
    assert flow.minutes_left(stages, {"baseline": 4}) == whole - 2
    assert flow.minutes_left(stages, {stage.name: stage.steps for stage in stages}) == 0


def test_an_unknown_interval_has_no_plan() -> None:
    with pytest.raises(KeyError):
        flow.plan("5")
