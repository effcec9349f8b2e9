"""What the student says afterwards.

PK SESSION#<id>  SK POST_SURVEY
"""

from __future__ import annotations

from typing import ClassVar

from ..store.items import Count, Flag, Item, Map, Rating, Seconds, Text, Timestamp

MAX_TEXT_LENGTH = 4000


class SurveyMetadata(Map):
    version = Text()
    timestamp = Timestamp()
    duration_seconds = Seconds()
    held_seconds = Count(null=True)


class LocationExperience(Map):
    location_impact_rating = Rating()
    location_enhanced_understanding = Flag()
    location_was_distracting = Flag()
    would_recommend_location = Flag()
    location_feedback = Text(null=True, longest=MAX_TEXT_LENGTH)


class InterventionExperience(Map):
    intervention_helpful_rating = Rating()
    questions_were_engaging = Flag()
    questions_were_appropriate = Flag()
    questions_promoted_thinking = Flag()
    preferred_intervention_type = Text(null=True)
    intervention_feedback = Text(null=True, longest=MAX_TEXT_LENGTH)


class LearningExperience(Map):
    content_difficulty_rating = Rating()
    content_interest_rating = Rating()
    pacing_rating = Rating()
    overall_experience_rating = Rating()
    would_recommend_experience = Flag()
    general_feedback = Text(null=True, longest=MAX_TEXT_LENGTH)


class TechnicalExperience(Map):
    interface_easy_to_use = Flag()
    audio_quality_rating = Rating(null=True)
    technical_issues_encountered = Flag()
    technical_feedback = Text(null=True, longest=MAX_TEXT_LENGTH)


class OpenEndedResponses(Map):
    most_valuable_aspect = Text(null=True, longest=MAX_TEXT_LENGTH)
    least_valuable_aspect = Text(null=True, longest=MAX_TEXT_LENGTH)
    suggestions_for_improvement = Text(null=True, longest=MAX_TEXT_LENGTH)
    additional_comments = Text(null=True, longest=MAX_TEXT_LENGTH)


class SurveyRecordMetadata(Map):
    created_at = Timestamp()
    updated_at = Timestamp()
    submission_id = Text(null=True)


class PostSurvey(Item, discriminator="post_survey"):
    ROW_NEEDS: ClassVar = ()

    session_id = Text()
    student_id = Text()
    survey_metadata = SurveyMetadata()
    location_experience = LocationExperience()
    intervention_experience = InterventionExperience()
    learning_experience = LearningExperience()
    technical_experience = TechnicalExperience()
    open_ended_responses = OpenEndedResponses()
    metadata = SurveyRecordMetadata()
