"""A word between the participant of a running session and staff: a short note, or a call for help.

PK SESSION#<id>  SK CALL#<time>#<id>
"""

from __future__ import annotations

from typing import Self

from .. import keys
from .base import Item, Text, Timestamp

NOTE, HELP, OFFICE = "note", "help", "office"
LONGEST_NOTE = 280


class Call(Item, discriminator="call"):
    """`answered_at`: a note was read, or somebody saw to the call."""

    call_id = Text()
    session_id = Text()
    kind = Text(choices=(NOTE, HELP, OFFICE))
    text = Text(null=True, longest=LONGEST_NOTE)
    at = Timestamp()
    by = Text(null=True, longest=150)
    answered_at = Timestamp(null=True)
    answered_by = Text(null=True, longest=150)

    @classmethod
    def key(cls, session_id: str, sort_key: str) -> Self:
        """The item by its key alone, to be updated."""
        return cls(PK=keys.session(session_id), SK=sort_key)

    @property
    def is_open(self) -> bool:
        return not self.answered_at
