"""A word between the participant of a session and staff: a short note, or a call for help.

Call       PK SESSION#<id>        SK CALL#<time>#<id>
Open call  PK QUEUE#safeguarding  SK <session id>#<id>  until staff see to it, whatever the session's state
"""

from __future__ import annotations

from typing import Self

from ..store import keys
from ..store.items import Item, Text, Timestamp

NOTE, HELP, OFFICE, SAFEGUARDING = "note", "help", "office", "safeguarding"
SIGNS = ("self", "harm", "stop")
MAX_NOTE_LENGTH = 280


class Call(Item, discriminator="call"):
    """`answered_at`: a note was read, or somebody saw to the call.

    A safeguarding call is made by a check of an answer: `sign` is its kind and `step` the page of the answer,
    never its words; `shown_at` is when the student saw the page with the contacts.
    """

    call_id = Text()
    session_id = Text()
    kind = Text(choices=(NOTE, HELP, OFFICE, SAFEGUARDING))
    text = Text(null=True, longest=MAX_NOTE_LENGTH)
    at = Timestamp()
    by = Text(null=True, longest=150)
    answered_at = Timestamp(null=True)
    answered_by = Text(null=True, longest=150)
    sign = Text(null=True, choices=SIGNS)
    step = Text(null=True)
    shown_at = Timestamp(null=True)

    @classmethod
    def key(cls, session_id: str, sort_key: str) -> Self:
        """The item by its key alone, to be updated."""
        return cls(PK=keys.session(session_id), SK=sort_key)

    @property
    def is_alarm(self) -> bool:
        """Somebody may be in danger; a wish to stop is none."""
        return self.kind == SAFEGUARDING and self.sign != "stop"

    @property
    def is_open(self) -> bool:
        return not self.answered_at


class OpenCall(Item, discriminator="open_call"):
    """Leads to a safeguarding call that nobody has seen to: its session may be over, or from days ago."""

    call_id = Text()
    session_id = Text()
    at = Timestamp()

    @classmethod
    def all(cls) -> list[OpenCall]:
        found = Item.query(keys.SAFEGUARDING_QUEUE, consistent_read=True)
        return [item for item in found if isinstance(item, OpenCall)]
