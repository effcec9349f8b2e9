"""Three Socratic questions after a segment, fixed (`static`) or made for the student (`dynamic`).

PK SESSION#<id>  SK INTERVENTION#<end of the segment>#<segment>
GSI4 INTERVENTION#<type> / <end of the segment>, from the moment its third answer is stored: a sparse
index of whole interventions.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..store import keys
from ..store.items import (
    Count,
    Flag,
    InvalidField,
    Item,
    ListOf,
    Map,
    Number,
    Quality,
    Seconds,
    Text,
    TextList,
    Timestamp,
)
from .human_scoring import HumanScoring

QUESTIONS = 3
SOURCES = ("predefined_set_v1", "generated", "static_fallback")


class InterventionMetadata(Map):
    type = Text(choices=keys.TYPES.values())
    sequence_number = Number(least=1, most=4, whole=True)
    timestamp = Timestamp()
    segment_id = Number(least=1, most=4, whole=True)
    segment_summary = Text()


class LocationContext(Map):
    location_type = Text(choices=keys.LOCATIONS.values())
    location_name = Text()
    location_aware_prompting = Flag()


class QuestionMetadata(Map):
    model = Text(null=True)
    prompt_tokens = Count()
    completion_tokens = Count()
    generation_time_ms = Count()
    temperature = Number(null=True)
    incorporates_previous_answer = Flag(null=True)
    synthesis_question = Flag(null=True)
    cost_usd = Number(least=0, null=True)
    attempts = Count(null=True)
    rejected = TextList(null=True)


class AnswerMetadata(Map):
    timestamp = Timestamp()
    response_time_seconds = Seconds()
    word_count = Count()
    character_count = Count()
    submission_id = Text(null=True)
    held_seconds = Count(null=True)


class QualityScores(Map):
    question_clarity = Quality(null=True)
    question_relevance = Quality(null=True)
    answer_depth = Quality(null=True)
    answer_accuracy = Quality(null=True)
    engagement_level = Quality(null=True)
    builds_on_previous = Quality(null=True)
    synthesis_quality = Quality(null=True)
    location_integration = Quality(null=True)


class Question(Map):
    """A question and, once given, its answer. `question_source` is an addition for dynamic ones.

    `quality_scores` are those that count: a person's where there are such, and the model's are then kept
    in `model_scores`.
    """

    question_number = Number(least=1, most=QUESTIONS, whole=True)
    timestamp = Timestamp()
    question = Text()
    question_source = Text(null=True, choices=SOURCES)
    question_metadata = QuestionMetadata(null=True)
    answer = Text(null=True)
    answer_metadata = AnswerMetadata(null=True)
    quality_scores = QualityScores(null=True)
    model_scores = QualityScores(null=True)
    human_scoring = HumanScoring(null=True)
    second_scoring = HumanScoring(null=True)


class InterventionSummary(Map):
    total_duration_seconds = Seconds()
    questions_asked = Count()
    avg_response_time_seconds = Seconds()
    avg_question_quality = Quality(null=True)
    avg_answer_depth = Quality(null=True)
    progression_quality = Quality(null=True)
    location_awareness_utilized = Flag(null=True)
    no_adaptive_followup = Flag(null=True)


class AiMetadata(Map):
    model_version = Text()
    total_prompt_tokens = Count()
    total_completion_tokens = Count()
    total_cost_usd = Number(least=0)
    avg_generation_time_ms = Number(least=0)


class GradingMetadata(Map):
    """Who scored the answers (an addition): a model's name, when, and what it cost."""

    model = Text()
    graded_at = Timestamp()
    prompt_tokens = Count()
    completion_tokens = Count()
    cost_usd = Number(least=0)


class InterventionRecordMetadata(Map):
    created_at = Timestamp()
    updated_at = Timestamp()
    version = Count()
    data_quality_flags = TextList(null=True)


class Intervention(Item, discriminator="intervention"):
    ROW_NEEDS: ClassVar = ("intervention_metadata.segment_id", "intervention_metadata.type")

    session_id = Text()
    student_id = Text()
    intervention_id = Text()
    intervention_metadata = InterventionMetadata()
    location_context = LocationContext()
    socratic_sequence = ListOf(of=Question, null=True)
    static_questions = ListOf(of=Question, null=True)
    intervention_summary = InterventionSummary(null=True)
    ai_metadata = AiMetadata(null=True)
    grading = GradingMetadata(null=True)
    metadata = InterventionRecordMetadata()

    @property
    def is_dynamic(self) -> bool:
        return bool(self.intervention_metadata.type == "dynamic")

    @property
    def questions(self) -> list[Question]:
        return list((self.socratic_sequence if self.is_dynamic else self.static_questions) or ())

    @classmethod
    def list_attribute(cls, kind: str) -> Any:
        """The attribute that holds the questions of an intervention of this type."""
        return cls.socratic_sequence if kind == "dynamic" else cls.static_questions

    @property
    def answered(self) -> int:
        return sum(1 for question in self.questions if question.answer is not None)

    @property
    def unscored(self) -> list[str]:
        """Numbers of the answers without scores."""
        return [str(int(each.question_number)) for each in self.questions if each.quality_scores is None]

    @property
    def is_whole(self) -> bool:
        return self.answered == QUESTIONS

    def check(self) -> None:
        name = "socratic_sequence" if self.is_dynamic else "static_questions"
        other: Any = self.static_questions if self.is_dynamic else self.socratic_sequence
        if other is not None:
            raise InvalidField(
                name, f"is what a {self.intervention_metadata.type} intervention has, and no other"
            )
        asked = [question.question_number for question in self.questions]
        if asked != list(range(1, len(asked) + 1)) or len(asked) > QUESTIONS:
            raise InvalidField(name, f"must have exactly {QUESTIONS} questions in order, not {asked}")
        if self.GSI4PK is not None and not (self.is_whole and len(asked) == QUESTIONS):
            raise InvalidField(name, f"must have exactly {QUESTIONS} answered questions, not {self.answered}")
