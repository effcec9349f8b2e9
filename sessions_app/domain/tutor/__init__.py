"""The tutor: one protocol, a tutor that asks a model, one that works offline, the gate before the student.

`anthropic` is not imported here: the SDK takes a second to load and only the tutor that uses it needs it.
"""

from sessions_app.domain.tutor.ask import ask_question
from sessions_app.domain.tutor.protocol import (
    AskedQuestion,
    Concept,
    Criterion,
    Draft,
    Exchange,
    FailureReason,
    GradeRequest,
    InterventionRating,
    InterventionType,
    Payer,
    Prices,
    QuestionRequest,
    QuestionSource,
    RatedExchange,
    RatingRequest,
    RubricGrade,
    Tutor,
    TutorFailed,
)

DEFAULT_PRICES: dict[str, tuple[float, float]] = {
    "claude-sonnet-5-5": (2.00, 10.00),
    "claude-haiku-5-5": (0.10, 0.50),
}
"""US dollars per million (prompt, completion) tokens, as reported in late 2026. They MUST be checked against
the provider's current price list before costs are relied on; a model that is not listed costs 0.0 here."""

__all__ = [
    "DEFAULT_PRICES",
    "AskedQuestion",
    "Concept",
    "Criterion",
    "Draft",
    "Exchange",
    "FailureReason",
    "GradeRequest",
    "InterventionRating",
    "InterventionType",
    "Payer",
    "Prices",
    "QuestionRequest",
    "QuestionSource",
    "RatedExchange",
    "RatingRequest",
    "RubricGrade",
    "Tutor",
    "TutorFailed",
    "ask_question",
]
