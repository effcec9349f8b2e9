"""A text that does not count, kept for staff: a second one for an answer, or one given after the end.

PK SESSION#<id>  SK CONFLICT#<time>#<digest of submission id and text>
"""

from __future__ import annotations

from typing import Final

from ..store.items import Count, Item, Text, Timestamp

AFTER_END: Final = "after_end"
KINDS = ("second_text", AFTER_END)
"""Older items have no kind: they are second texts."""


class AnswerConflict(Item, discriminator="answer_conflict"):
    session_id = Text()
    stage = Text()
    question = Text()
    submission_id = Text()
    text = Text()
    at = Timestamp()
    kind = Text(choices=KINDS, null=True)
    held_seconds = Count(null=True)

    @property
    def is_after_end(self) -> bool:
        return self.kind == AFTER_END
