"""Browsers that may do one session and nothing else, and the links by which a participant's own one is bound.

Browser  PK SESSION#<id>  SK BROWSER#<id>
Link     PK SESSION#<id>  SK BROWSER_LINK#<SHA-256 of the token>

Tries to take a tablet back are counted here, before they are judged, so that neither another cookie nor two
requests at once give more of them. The PIN is not here: its hash stays in the tablet's web session.
"""

from __future__ import annotations

from datetime import datetime
from typing import Self

from ..store import keys
from ..store.items import Count, Item, Text, Timestamp

SHA256 = r"[0-9a-f]{64}"
KINDS = ("tablet", "own")


class Browser(Item, discriminator="browser"):
    browser_id = Text()
    session_id = Text()
    kind = Text(choices=KINDS)
    bound_at = Timestamp()
    by = Text(null=True, longest=150)
    token_sha256 = Text(null=True, pattern=SHA256)
    ended_at = Timestamp(null=True)
    pin_tries = Count()
    password_tries = Count()
    password_tried_at = Timestamp(null=True)

    @classmethod
    def key(cls, session_id: str, browser_id: str) -> Self:
        """The item by its key alone, to be updated."""
        return cls(PK=keys.session(session_id), SK=keys.browser(browser_id))


class ParticipantLink(Item, discriminator="participant_link"):
    session_id = Text()
    token_sha256 = Text(pattern=SHA256)
    created_at = Timestamp()
    created_by = Text(longest=150)
    expires_at = Timestamp()
    revoked_at = Timestamp(null=True)
    revoked_by = Text(null=True, longest=150)

    @classmethod
    def key(cls, session_id: str, token_sha256: str) -> Self:
        return cls(PK=keys.session(session_id), SK=keys.link(token_sha256))

    def opens(self, now: datetime) -> bool:
        """Whether another browser may be bound by it."""
        return not self.revoked_at and now < self.expires_at
