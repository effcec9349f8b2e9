"""A second, different text for an answer that is already stored: kept, and shown to staff.

PK SESSION#<id>  SK CONFLICT#<time>#<digest of submission id and text>
"""

from __future__ import annotations

from .base import Item, Text, Timestamp


class AnswerConflict(Item, discriminator="answer_conflict"):
    session_id = Text()
    stage = Text()
    question = Text()
    submission_id = Text()
    text = Text()
    at = Timestamp()
