"""What goes into a tutor and what comes out: plain values, and the protocol that every tutor keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Prices = Mapping[str, tuple[float, float]]
"""Model name -> US dollars per million (prompt, completion) tokens."""

InterventionType = Literal["dynamic", "static"]
QuestionSource = Literal["generated", "static_fallback"]
FailureReason = Literal[
    "timeout",
    "rate_limited",
    "overloaded",
    "refused",
    "truncated",
    "empty",
    "unreadable",
    "unauthorised",
    "network",
    "error",
    "billing",
    "not_answering",
    "spend_cap_student",
    "spend_cap_session",
    "spend_cap_day",
]


class TutorFailed(Exception):
    """A tutor gave no usable answer. The message is the reason alone: never a student's or a model's words.

    `retryable`: another try may help. `retry_after_seconds`: the wait that the server asked for, if any.
    The tokens and the cost are what the failed call used, as far as it said so.
    """

    def __init__(
        self,
        reason: FailureReason,
        *,
        retryable: bool,
        retry_after_seconds: float | None = None,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        cost_usd: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        self.cost_usd = cost_usd


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose caps a call counts against. It stays here: no tutor sends it anywhere."""

    student_id: str = ""
    session_id: str = ""


NOBODY = Payer()


@dataclass(frozen=True, slots=True)
class Concept:
    """An idea of the segment; `cues` are the words by which it shows in a text."""

    phrase: str
    cues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedExchange(Exchange):
    """An exchange of a dynamic intervention; `is_dynamic` is false where the static question stood in."""

    is_dynamic: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRequest:
    """`student_ref` goes out as a keyed hash (`metadata.user_id`). `framing` is the hint for this place."""

    number: int
    segment_title: str
    segment_summary: str
    narration: str
    key_concepts: tuple[Concept, ...]
    location_type: str
    location_name: str
    framing: str
    age: int
    grade: int
    previous: tuple[Exchange, ...] = ()
    student_ref: str
    payer: Payer = NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One proposal of a tutor, not yet through the gate."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    generation_time_ms: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuestion:
    """The question to show. Tokens and cost are sums over all tries; the time is what the student waited.

    `model` is None for a static question; `rejected` has one entry for each try that came to nothing:
    a failure reason, or `gate:` and the faults found.
    """

    text: str
    source: QuestionSource
    model: str | None
    prompt_tokens: int
    completion_tokens: int
    generation_time_ms: int
    cost_usd: float
    attempts: int
    rejected: tuple[str, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One line of a rubric; `points` is its own maximum."""

    name: str
    description: str
    points: float
    cues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeRequest:
    """`points` is the item's maximum, often less than the sum over the criteria."""

    question_text: str
    answer: str
    points: float
    rubric: tuple[Criterion, ...]
    student_ref: str
    payer: Payer = NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricGrade:
    """`raw_score` is the sum of `breakdown`, capped at the item's points, to one decimal."""

    raw_score: float
    breakdown: dict[str, float]
    feedback: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    generation_time_ms: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingRequest:
    """A whole intervention: its three exchanges in order."""

    type: InterventionType
    location_type: str
    location_name: str
    framing: str = ""
    segment_summary: str
    key_concepts: tuple[Concept, ...]
    exchanges: tuple[Exchange, ...]
    student_ref: str
    payer: Payer = NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class InterventionRating:
    """Scores 1-5 in steps of 0.5, one mapping a question; `progression_quality` only for dynamic ones."""

    scores: tuple[dict[str, float], ...]
    progression_quality: float | None
    model: str
    prompt_tokens: int
    completion_tokens: int
    generation_time_ms: int
    cost_usd: float


class Tutor(Protocol):
    """Every method may raise TutorFailed. `offline` tutors work from rules; their model name says so."""

    @property
    def model(self) -> str: ...

    @property
    def offline(self) -> bool: ...

    def ask(self, request: QuestionRequest, *, timeout_seconds: float, feedback: str | None) -> Draft:
        """One question; `feedback` says what the gate found wrong with the proposal before."""

    def grade(self, request: GradeRequest) -> RubricGrade: ...

    def rate(self, request: RatingRequest) -> InterventionRating: ...


ANSWER_SCORES = ("answer_depth", "answer_accuracy", "engagement_level")
QUESTION_SCORES = ("question_clarity", "question_relevance")


def score_names(request: RatingRequest, index: int) -> tuple[str, ...]:
    """The scores that exchange `index` (from 0) gets. A static question is never rated as a tutor's."""
    exchange = request.exchanges[index]
    stood_in = isinstance(exchange, RatedExchange) and not exchange.is_dynamic
    return scores_of(index, is_dynamic=request.type == "dynamic" and not stood_in)


def scores_of(index: int, *, is_dynamic: bool) -> tuple[str, ...]:
    if not is_dynamic:
        return ANSWER_SCORES
    names: tuple[str, ...] = QUESTION_SCORES + ANSWER_SCORES
    if index >= 1:
        names += ("builds_on_previous",)
    if index >= 2:
        names += ("synthesis_quality", "location_integration")
    return names
