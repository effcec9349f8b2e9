"""The participant flow: which stages a session has, and what comes next. Pure.

A stage is what the step rail shows; a stage has one or more steps, and a step is a page with a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

ITEMS: Final = 10
QUESTIONS: Final = 3
SEGMENTS: Final = 4

# After which segments the three questions come, by interval in minutes.
SCHEDULE: Final[Mapping[str, tuple[int, ...]]] = {"2.5": (1, 2, 3, 4), "5.0": (2, 4), "10.0": (4,)}


@dataclass(frozen=True, slots=True)
class Stage:
    """`minutes` is what the rail expects a stage to take, for "about 22 minutes left"."""

    name: str
    label: str
    steps: int
    minutes: float
    segment: int | None = None

    @property
    def kind(self) -> str:
        """`segment` and `questions` without their number."""
        return self.name.split("-")[0]

    @property
    def staff_label(self) -> str:
        """Its name on staff pages: students are not to read that it is a test."""
        return {"baseline": "Pre-test", "final": "Post-test"}.get(self.name, self.label)


FLOW: Final = (
    Stage("baseline", "Warm-up", ITEMS, 5),
    Stage("format", "Format", 1, 0.5),
    Stage("segment-1", "Part 1", 1, 2.5, segment=1),
    Stage("questions-1", "Questions", QUESTIONS, 3, segment=1),
    Stage("segment-2", "Part 2", 1, 2.5, segment=2),
    Stage("questions-2", "Questions", QUESTIONS, 3, segment=2),
    Stage("segment-3", "Part 3", 1, 2.5, segment=3),
    Stage("questions-3", "Questions", QUESTIONS, 3, segment=3),
    Stage("segment-4", "Part 4", 1, 2.5, segment=4),
    Stage("questions-4", "Questions", QUESTIONS, 3, segment=4),
    Stage("final", "Wrap-up", ITEMS, 5),
    Stage("survey", "Survey", 1, 3),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One page: the `number`-th step (from 1) of a stage."""

    stage: Stage
    number: int

    @property
    def slug(self) -> str:
        """What stands in the URL: `baseline/3`, or `survey` where a stage is one page."""
        return f"{self.stage.name}/{self.number}" if self.stage.steps > 1 else self.stage.name


def plan(interval: str) -> tuple[Stage, ...]:
    """The stages of a session with this interval (`2.5`, `5.0`, `10.0`)."""
    asked = SCHEDULE[interval]
    return tuple(stage for stage in FLOW if stage.kind != "questions" or stage.segment in asked)


def next_step(stages: tuple[Stage, ...], done: Mapping[str, int]) -> Step | None:
    """The first step that is not done, or None at the end. `done` counts finished steps by stage name."""
    for stage in stages:
        if done.get(stage.name, 0) < stage.steps:
            return Step(stage, done.get(stage.name, 0) + 1)
    return None


def following(stages: tuple[Stage, ...], step: Step) -> Step | None:
    """The step after this one in the plan, whatever is done; None after the last."""
    steps = [Step(stage, number) for stage in stages for number in range(1, stage.steps + 1)]
    return dict(pairwise(steps)).get(step)


def done_before(stages: tuple[Stage, ...], step: Step) -> dict[str, int]:
    """Finished steps by stage for somebody who stands at this step."""
    done: dict[str, int] = {}
    for stage in stages:
        if stage == step.stage:
            return done | {stage.name: step.number - 1}
        done[stage.name] = stage.steps
    return done


def minutes_left(stages: tuple[Stage, ...], done: Mapping[str, int]) -> float:
    return sum(stage.minutes * (1 - min(done.get(stage.name, 0) / stage.steps, 1)) for stage in stages)
