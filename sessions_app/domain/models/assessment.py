"""The ten items before (`baseline`) and after (`final`).

PK SESSION#<id>  SK ASSESSMENT#<type>#<start>

The start of a stage follows from what is already stored, so two tabs that send the first answer at once
build the same key, and one conditional put wins: there is one baseline and one final a session.
"""

from __future__ import annotations

from typing import ClassVar

from .. import flow
from ..store.items import (
    Count,
    Flag,
    InvalidField,
    Item,
    ListOf,
    Map,
    Number,
    NumberMap,
    Percent,
    Seconds,
    Text,
    TextList,
    Timestamp,
)
from .human_scoring import HumanScoring

TYPES = ("baseline", "final")
MIDPOINT = "midpoint"
QUESTION_TYPES = ("multiple_choice", "short_answer")
DIFFICULTIES = ("easy", "medium", "hard")


class AssessmentMetadata(Map):
    """`midpoint` ones are written by other clients alone: shown, and used for nothing."""

    type = Text(choices=(*TYPES, MIDPOINT))
    version = Text()
    timestamp = Timestamp()
    duration_seconds = Seconds(null=True)
    content_topic = Text()


class AiScoring(Map):
    model = Text()
    raw_score = Number(least=0)
    rubric_breakdown = NumberMap()
    feedback = Text()
    graded_at = Timestamp(null=True)
    prompt_tokens = Count(null=True)
    completion_tokens = Count(null=True)
    cost_usd = Number(least=0, null=True)


class AssessmentQuestion(Map):
    """An item with the student's answer; `answered_at`, `submission_id` and human scores are additions.

    A human score counts before the model's: `points_earned` follows it, `ai_scoring` stays as it was.
    """

    question_id = Text()
    question_text = Text()
    question_type = Text(choices=QUESTION_TYPES)
    options = TextList(null=True)
    correct_answer = Text(null=True)
    student_answer = Text(null=True)
    is_correct = Flag(null=True)
    rubric_points = Number(least=0, null=True)
    ai_scoring = AiScoring(null=True)
    human_scoring = HumanScoring(null=True)
    second_scoring = HumanScoring(null=True)
    points = Number(least=0)
    points_earned = Number(least=0, null=True)
    response_time_seconds = Seconds(null=True)
    difficulty = Text(choices=DIFFICULTIES)
    answered_at = Timestamp(null=True)
    submission_id = Text(null=True)
    held_seconds = Count(null=True)


class AssessmentResults(Map):
    total_questions = Count()
    questions_answered = Count()
    correct_answers = Count()
    total_points = Number(least=0)
    points_earned = Number(least=0)
    score_percentage = Percent()
    avg_response_time_seconds = Seconds()


class ScoringBreakdown(Map):
    multiple_choice_score = Number(least=0)
    multiple_choice_possible = Number(least=0)
    short_answer_score = Number(least=0)
    short_answer_possible = Number(least=0)
    mc_percentage = Percent()
    sa_percentage = Percent()


class LearningGain(Map):
    """Percentage points, percent, and the share of what could be gained; null where undefined."""

    baseline_score = Percent()
    final_score = Percent()
    absolute_gain = Number(least=-100, most=100)
    relative_gain = Number(null=True)
    normalized_gain = Number(null=True)


class AssessmentRecordMetadata(Map):
    created_at = Timestamp()
    updated_at = Timestamp()
    grading_method = Text(null=True)
    version = Count()


class Assessment(Item, discriminator="assessment"):
    ROW_NEEDS: ClassVar = ("assessment_metadata.type",)

    session_id = Text()
    student_id = Text()
    assessment_id = Text()
    assessment_metadata = AssessmentMetadata()
    questions = ListOf(of=AssessmentQuestion)
    assessment_results = AssessmentResults(null=True)
    scoring_breakdown = ScoringBreakdown(null=True)
    learning_gain = LearningGain(null=True)
    metadata = AssessmentRecordMetadata()

    @property
    def unscored(self) -> list[str]:
        """Ids of the short answers without points."""
        asked = (each for each in self.questions if each.question_type == "short_answer")
        return [each.question_id for each in asked if each.points_earned is None]

    @property
    def is_complete(self) -> bool:
        """Every item is answered. Other clients may keep fewer items than they report."""
        reported = (self.assessment_results.questions_answered or 0) if self.assessment_results else 0
        return max(len(self.questions), reported) >= flow.ITEMS

    @property
    def is_graded(self) -> bool:
        return self.assessment_results is not None

    def check(self) -> None:
        seen = [question.question_id for question in self.questions]
        if len(seen) != len(set(seen)):
            raise InvalidField("questions", f"has a question twice: {seen}")
