"""How the content was played.

PK SESSION#<id>  SK CONTENT_DELIVERY
Question prepared while a segment plays: PK SESSION#<id>  SK EVENT#PREPARED#<segment>
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..store import keys
from ..store.items import Count, Flag, Item, ListOf, Map, Number, Percent, Seconds, Text, TextList, Timestamp
from .intervention import QuestionMetadata

FORMATS = ("audio", "text", "video")
DELIVERED_BY = ("recording", "video", "voice", "words")
"""A file of the package, the browser's own voice, or words in reading pace."""
SKIP_REASONS = {
    "no_sound": "There is no sound",
    "unclear": "I can't understand the voice",
    "too_loud": "It is too loud here",
    "stuck": "The player is stuck",
    "out_of_time": "We are out of time",
    "staff": "Staff told me to go on",
}


class ContentMetadata(Map):
    content_id = Text()
    content_version = Text()
    topic = Text()
    duration_seconds = Seconds()
    difficulty_level = Text()


class DeliveryPreferences(Map):
    format_chosen = Text(choices=FORMATS)
    playback_speed = Number(least=0.5, most=2)
    captions_enabled = Flag()
    language = Text()


class EngagementMetrics(Map):
    start_time = Timestamp()
    end_time = Timestamp(null=True)
    total_play_time_seconds = Seconds()
    total_elapsed_time_seconds = Seconds()
    pause_count = Count()
    rewind_count = Count()
    segments_completed = Number(least=0, most=4, whole=True)
    completion_percentage = Percent()


class SegmentTracking(Map):
    """One segment. `engagement_score` is defined in the data dictionary.

    What the player counts, and how the content was delivered, are additions to the schema. `heard` has what
    was played with sound: "0-37.5 40-150", in seconds of the segment.
    """

    segment_id = Number(least=1, most=4, whole=True)
    start_time = Timestamp()
    end_time = Timestamp(null=True)
    duration_seconds = Seconds()
    completed = Flag()
    engagement_score = Number(least=0, most=1, null=True)
    position_seconds = Seconds(null=True)
    play_time_seconds = Seconds(null=True)
    pause_count = Count(null=True)
    rewind_count = Count(null=True)
    delivered_by = Text(null=True, choices=DELIVERED_BY)
    heard = Text(null=True)
    heard_seconds = Seconds(null=True)
    muted_seconds = Seconds(null=True)
    skip_reason = Text(null=True, choices=SKIP_REASONS)
    submission_id = Text(null=True)
    report = Text(null=True)
    held_seconds = Count(null=True)


class ContentMetadataTimes(Map):
    created_at = Timestamp()
    updated_at = Timestamp()
    submission_id = Text(null=True)
    held_seconds = Count(null=True)


class ContentDelivery(Item, discriminator="content_delivery"):
    ROW_NEEDS: ClassVar = ()

    session_id = Text()
    student_id = Text()
    content_metadata = ContentMetadata()
    delivery_preferences = DeliveryPreferences()
    engagement_metrics = EngagementMetrics()
    segment_tracking = ListOf(of=SegmentTracking)
    metadata = ContentMetadataTimes()


class PreparedQuestion(Item, discriminator="prepared_question"):
    """The first question of an intervention, generated while its segment plays."""

    session_id = Text()
    segment_id = Number(least=1, most=4, whole=True)
    question = Text()
    question_source = Text()
    question_metadata = QuestionMetadata(null=True)
    data_quality_flags = TextList(null=True)
    created_at = Timestamp()

    @classmethod
    def new(cls, *, session_id: str, segment_id: int, **attributes: Any) -> PreparedQuestion:
        return cls(
            PK=keys.session(session_id),
            SK=keys.prepared_question(segment_id),
            session_id=session_id,
            segment_id=segment_id,
            **attributes,
        )
