"""Sums over sessions, and the figures that follow from them. Pure; whole numbers in, exact figures out.

Sums of disjoint groups of sessions add up, so months make any range and cells any comparison.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

LAYOUT = 4
"""Of what is stored: FIELDS, their order and units. A change of them needs another number and a rebuild."""

SCORE = 12_000
"""Units of a whole score: half points and tenths of a point out of 15 and tenths of a percent are whole."""
POINT = SCORE // 100
"""Units of a percentage point."""
MEANS = 600
"""Units of a rating and of a second: means of up to three values with one decimal are whole."""
NORMALIZED = math.lcm(*range(1, 31))
"""Units of a normalized gain, which divides by 1 to 30 half points."""

# Other units: tenths of a percent and of a second, hundredths of engagement, millionths of a dollar.
FIELDS = (
    # the flow of participants: all sessions
    *("sessions", "completed", "stopped", "abandoned", "withdrawn", "flagged"),
    *("did_baseline", "did_content", "did_final", "did_survey"),
    # outcomes: completed sessions
    *("duration_n", "duration_sum"),
    *("baseline_n", "baseline_sum", "baseline_squares"),
    *("final_n", "final_sum", "final_squares"),
    *("gain_n", "gain_sum", "gain_squares", "gained", "unchanged", "lost"),
    *("normalized_n", "normalized_sum", "normalized_squares"),
    # interventions of completed sessions, one value each
    *("interventions", "questions", "asking_n", "asking_sum"),
    *("response_n", "response_sum", "response_squares"),
    *("quality_n", "quality_sum", "quality_squares"),
    *("depth_n", "depth_sum", "depth_squares"),
    *("progression_n", "progression_sum", "progression_squares"),
    # content and survey of completed sessions
    *("content_n", "content_sum", "pauses_n", "pauses", "rewinds_n", "rewinds"),
    *("engagement_n", "engagement_sum", "survey_n", "location_impact_n", "location_impact"),
    *("helpful_n", "helpful", "overall_n", "overall", "recommended_n", "recommended"),
    *("interest_n", "interest", "difficulty_n", "difficulty", "pacing_n", "pacing"),
    # the tutor, in completed sessions
    *("generated", "fallbacks", "latency_ms", "within_1500", "within_3000", "within_10000"),
    *("prompt_tokens", "completion_tokens", "cost_millionths"),
    *("grading_prompt_tokens", "grading_completion_tokens", "grading_cost_millionths"),
)
HISTOGRAMS = ("baseline", "final", "gain", "latency", "students")
EXTREMES = ("baseline", "final", "gain")

Histogram = dict[int, int]


def _added(one: Mapping[int, int], other: Mapping[int, int], sign: int) -> Histogram:
    total = {value: one.get(value, 0) + sign * other.get(value, 0) for value in one.keys() | other.keys()}
    return {value: n for value, n in sorted(total.items()) if n}


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts by FIELDS and histograms by HISTOGRAMS; zeros are left out, so equal sums are equal objects.

    The histogram `latency` is in tenths of a second. `students` is by the month (as 202510) in which the
    student was in this condition before, 0 for never: so unique students of any range of months add up.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    histograms: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def __add__(self, other: Sums) -> Sums:
        return self._moved(other, 1)

    def __sub__(self, other: Sums) -> Sums:
        return self._moved(other, -1)

    def _moved(self, other: Sums, sign: int) -> Sums:
        counts = {
            name: self.counts.get(name, 0) + sign * other.counts.get(name, 0)
            for name in FIELDS
            if name in self.counts or name in other.counts
        }
        histograms = {
            name: _added(self.histograms.get(name, {}), other.histograms.get(name, {}), sign)
            for name in HISTOGRAMS
        }
        return Sums(
            {name: n for name, n in counts.items() if n},
            {name: values for name, values in histograms.items() if values},
        )

    def __bool__(self) -> bool:
        return bool(self.counts or self.histograms)

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)

    def histogram(self, name: str) -> Mapping[int, int]:
        return self.histograms.get(name, {})

    def extremes(self) -> dict[str, int]:
        """`baseline_least`, `baseline_most` and so on, of the histograms that hold anything."""
        found: dict[str, int] = {}
        for name in EXTREMES:
            if values := self.histogram(name):
                found |= {f"{name}_least": min(values), f"{name}_most": max(values)}
        return found

    def as_list(self) -> list[int]:
        return [self[name] for name in FIELDS]

    @classmethod
    def from_list(cls, numbers: Iterable[int], students: Mapping[int, int]) -> Sums:
        """What the compact item holds: no histograms but that of students."""
        counts = {name: n for name, n in zip(FIELDS, numbers, strict=True) if n}
        return cls(counts, {"students": dict(students)} if students else {})


def median(histogram: Mapping[int, int]) -> Fraction | None:
    """The middle value, or the mean of the two in the middle."""
    n = sum(histogram.values())
    if not n:
        return None
    return Fraction(_nth(histogram, (n - 1) // 2) + _nth(histogram, n // 2), 2)


def _nth(histogram: Mapping[int, int], place: int) -> int:
    """The value at a place (from 0) of the sorted values."""
    for value in sorted(histogram):
        place -= histogram[value]
        if place < 0:
            return value
    raise IndexError(place)


def quantile(histogram: Mapping[int, int], share: float) -> int | None:
    """The least value that at least `share` of the values do not exceed (nearest rank)."""
    n = sum(histogram.values())
    return _nth(histogram, max(math.ceil(share * n), 1) - 1) if n else None


@dataclass(frozen=True, slots=True)
class Spread:
    """A number of values: n, mean, sample standard deviation (n-1, None below two), extremes, median.

    The median is None where only sums were read; the extremes where nothing recorded them.
    """

    n: int
    mean: float | None
    sd: float | None
    least: float | None = None
    most: float | None = None
    median: float | None = None


class Impossible(ValueError):
    """Sums that no values add up to."""


def variance(n: int, total: int, squares: int) -> Fraction | None:
    """The sample variance (n-1) from whole sums, exactly; None below two values. Raises Impossible."""
    if n < 2:
        return None
    if n * squares < total * total:
        raise Impossible(f"{n} values cannot add up to {total} and their squares to {squares}")
    return Fraction(n * squares - total * total, n * (n - 1))


def pooled_d(n1: int, total1: int, squares1: int, n2: int, total2: int, squares2: int) -> float | None:
    """Cohen's d of two groups: (mean 2 - mean 1) / pooled standard deviation.

    d_s of independent groups (Cohen 1988, p. 67, eq. 2.5.2), without correction for small samples: each
    variance with n-1, weighted by n-1. None below two values in a group or where nothing varies.
    """
    one, two = variance(n1, total1, squares1), variance(n2, total2, squares2)
    if one is None or two is None:
        return None
    pooled = ((n1 - 1) * one + (n2 - 1) * two) / (n1 + n2 - 2)
    if pooled == 0:
        return None
    return float(Fraction(total2, n2) - Fraction(total1, n1)) / math.sqrt(pooled)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of a group of sessions. `students` is None where groups may share students.

    Figures are exact up to the last float; rounding is for whoever shows or stores them.
    """

    sums: Sums
    students: int | None
    edges: Mapping[str, int]
    with_histograms: bool

    def __getitem__(self, name: str) -> int:
        return self.sums[name]

    # --- the flow of participants

    @property
    def sessions(self) -> int:
        return self.sums["sessions"]

    @property
    def completed(self) -> int:
        return self.sums["completed"]

    @property
    def running(self) -> int:
        ended = ("completed", "stopped", "abandoned", "withdrawn")
        return self.sessions - sum(self.sums[name] for name in ended)

    @property
    def completion_rate(self) -> float | None:
        """Percent of the sessions started."""
        return self._share("completed", "sessions", 100)

    # --- outcomes, in percentage points

    @property
    def baseline(self) -> Spread:
        return self._spread("baseline", POINT)

    @property
    def final(self) -> Spread:
        return self._spread("final", POINT)

    @property
    def gain(self) -> Spread:
        """Final - baseline of the sessions that have both."""
        return self._spread("gain", POINT)

    @property
    def normalized_gain(self) -> Spread:
        return self._spread("normalized", NORMALIZED)

    @property
    def cohens_d(self) -> float | None:
        """Of final against baseline scores, as two groups (`pooled_d`): not d_z of paired differences."""
        s = self.sums
        return pooled_d(
            *(s["baseline_n"], s["baseline_sum"], s["baseline_squares"]),
            *(s["final_n"], s["final_sum"], s["final_squares"]),
        )

    # --- interventions, one value each: ratings 1 to 5, seconds

    @property
    def response_time(self) -> Spread:
        return self._spread("response", MEANS)

    @property
    def question_quality(self) -> Spread:
        return self._spread("quality", MEANS)

    @property
    def answer_depth(self) -> Spread:
        return self._spread("depth", MEANS)

    @property
    def progression(self) -> Spread:
        return self._spread("progression", MEANS)

    # --- means of anything else

    def mean(self, total: str, n: str, scale: int = 1) -> float | None:
        """`sums[total] / sums[n] / scale`; None for n = 0."""
        found = self._fraction(total, n)
        return None if found is None else float(found / scale)

    def _fraction(self, total: str, n: str) -> Fraction | None:
        return Fraction(self.sums[total], self.sums[n]) if self.sums[n] else None

    def _share(self, part: str, whole: str, scale: int) -> float | None:
        found = self._fraction(part, whole)
        return None if found is None else float(found * scale)

    def _spread(self, name: str, scale: int) -> Spread:
        n, total, squares = (self.sums[f"{name}_{part}"] for part in ("n", "sum", "squares"))
        spread = variance(n, total, squares)
        middle = median(self.sums.histogram(name)) if self.with_histograms else None
        least, most = self.edges.get(f"{name}_least"), self.edges.get(f"{name}_most")
        return Spread(
            n=n,
            mean=float(Fraction(total, n * scale)) if n else None,
            sd=math.sqrt(spread) / scale if spread is not None else None,
            least=None if least is None else least / scale,
            most=None if most is None else most / scale,
            median=None if middle is None else float(middle / scale),
        )


@dataclass(frozen=True, slots=True)
class Month:
    """A condition's sums in a month, as they are read: with histograms, or with the extremes alone."""

    code: str
    month: str
    sums: Sums
    edges: Mapping[str, int]
    with_histograms: bool


def merge(months: Iterable[Month]) -> Figures:
    """The figures of any months and conditions together: exact, whatever the order.

    Unique students are counted within one condition; over several they are None.
    """
    read = list(months)
    total = sum((part.sums for part in read), Sums())
    edges: dict[str, int] = {}
    for part in read:
        for name, value in part.edges.items():
            pick = min if name.endswith("_least") else max
            edges[name] = pick(edges.get(name, value), value)
    whole = all(part.with_histograms for part in read)
    return Figures(total, _unique(read), edges, with_histograms=whole)


def _unique(months: list[Month]) -> int | None:
    """In each month, those whose month before in this condition lies before all that is merged."""
    if len({part.code for part in months}) > 1:
        return None
    if not months:
        return 0
    first = int(min(part.month for part in months).replace("-", ""))
    met = (part.sums.histogram("students").items() for part in months)
    return sum(n for counts in met for before, n in counts if before < first)
