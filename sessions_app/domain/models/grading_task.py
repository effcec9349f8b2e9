"""Answers that wait to be scored: written in the transaction that completes them, deleted in the one that
stores the scores, so that no answer is forgotten and none is scored twice.

PK QUEUE#grading  SK <time>#<session id>#<what>
"""

from __future__ import annotations

from ..store.items import Count, Item, Text, Timestamp

WHAT = ("baseline", "final", "questions-1", "questions-2", "questions-3", "questions-4")


class GradingTask(Item, discriminator="grading_task"):
    session_id = Text()
    what = Text(choices=WHAT)
    queued_at = Timestamp()
    attempts = Count()
    not_before = Timestamp()
    last_failure = Text(null=True)
