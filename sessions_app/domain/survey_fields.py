"""The survey's questions by group: attribute names in the table, and the kind of answer each stores. Pure."""

from typing import Final

SURVEY_FIELDS: Final[dict[str, dict[str, str]]] = {
    "location_experience": {
        "location_impact_rating": "rating",
        "location_enhanced_understanding": "yes_no",
        "location_was_distracting": "yes_no",
        "would_recommend_location": "yes_no",
        "location_feedback": "text",
    },
    "intervention_experience": {
        "intervention_helpful_rating": "rating",
        "questions_were_engaging": "yes_no",
        "questions_were_appropriate": "yes_no",
        "questions_promoted_thinking": "yes_no",
        "preferred_intervention_type": "choice",
        "intervention_feedback": "text",
    },
    "learning_experience": {
        "content_difficulty_rating": "rating",
        "content_interest_rating": "rating",
        "pacing_rating": "rating",
        "overall_experience_rating": "rating",
        "would_recommend_experience": "yes_no",
        "general_feedback": "text",
    },
    "technical_experience": {
        "interface_easy_to_use": "yes_no",
        "audio_quality_rating": "rating",
        "technical_issues_encountered": "yes_no",
        "technical_feedback": "text",
    },
    "open_ended_responses": {
        "most_valuable_aspect": "text",
        "least_valuable_aspect": "text",
        "suggestions_for_improvement": "text",
        "additional_comments": "text",
    },
}
