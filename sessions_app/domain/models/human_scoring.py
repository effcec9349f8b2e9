"""What people score: beside every assessment and intervention that was scored, one item says how far that is.

PK SESSION#<id>  SK REVIEW#<what>
GSI1 REVIEW#<kind>#open / <scored>#<session>#<what>    while an answer has the model's score alone
GSI3 REVIEW#<kind>#second / as in GSI1                 while an answer of the sample lacks its second score
GSI5 REVIEW#<kind>#scored / as in GSI1                 from the first human score on

Three sparse indexes, so that each list of the grading pages is one query, however many sessions there are.
The item holds scores and who gave them; the answers themselves stay in the assessment or intervention.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pynamodb.expressions.update import Action
from pynamodb.pagination import ResultIterator

from ..store import keys
from ..store.items import Count, Flag, Item, ListOf, Map, Number, NumberMap, Text, Timestamp
from .grading_task import WHAT

KINDS = ("short", "dialogue")
LISTS = ("open", "second", "scored")
POINTS = "points"
SECOND_SHARE = 0.2
"""The share of answers that a second person scores blind. Drawn when the model has scored an answer."""


def in_sample(session_id: str, what: str, question: str) -> bool:
    """Whether an answer gets a second human score: the same whoever asks, and whenever."""
    told = hashlib.sha256(f"second:{session_id}:{what}:{question}".encode()).digest()
    return int.from_bytes(told[:8], "big") < SECOND_SHARE * 2**64


class HumanScoring(Map):
    """Points by criterion, or scores by name; `raw_score` is the sum of points, absent for scores."""

    by = Text()
    at = Timestamp()
    breakdown = NumberMap()
    raw_score = Number(least=0, null=True)
    note = Text(null=True, longest=2000)


class ReviewedAnswer(Map):
    """Who scored one answer, and how: `points` for a short answer, the quality scores for the dialogue.

    `model` is absent where the model gave up and the answer was handed to people.
    """

    question = Text()
    in_sample = Flag()
    model = NumberMap(null=True)
    human = NumberMap(null=True)
    human_by = Text(null=True)
    second = NumberMap(null=True)
    second_by = Text(null=True)

    def belongs_to(self, list_name: str) -> bool:
        if list_name == "open":
            return self.human is None
        waits = self.in_sample and self.second is None
        return self.human is not None and (list_name == "scored" or bool(waits))


class Review(Item, discriminator="review"):
    """`record_version` is the version of the assessment or intervention when this was written."""

    session_id = Text()
    kind = Text(choices=KINDS)
    what = Text(choices=WHAT)
    scored_at = Timestamp()
    record_version = Count()
    answers = ListOf(of=ReviewedAnswer)

    @classmethod
    def new(
        cls,
        *,
        session_id: str,
        what: str,
        scores: Mapping[str, Mapping[str, float] | None],
        record_version: float,
        scored_at: datetime,
    ) -> Review:
        """`scores` are the model's, by question; None where it has none."""
        review = cls(
            PK=keys.session(session_id),
            SK=keys.review(what),
            session_id=session_id,
            kind="dialogue" if what.startswith("questions-") else "short",
            what=what,
            scored_at=scored_at,
            record_version=int(record_version),
            answers=[
                ReviewedAnswer(
                    question=question,
                    in_sample=in_sample(session_id, what, question),
                    model=given and dict(given),
                )
                for question, given in scores.items()
            ],
        )
        review.place()
        return review

    @property
    def entry(self) -> str:
        return keys.review_entry(self.scored_at, self.session_id, self.what)

    def answer(self, question: str) -> ReviewedAnswer | None:
        return next((answer for answer in self.answers if answer.question == question), None)

    def place(self) -> list[Action]:
        """Put the item into the lists that it belongs to now; the actions do the same in the table."""
        actions: list[Action] = []
        for name, number in (("open", 1), ("second", 3), ("scored", 5)):
            belongs = any(answer.belongs_to(name) for answer in self.answers)
            told = {
                f"GSI{number}PK": keys.review_list(self.kind, name) if belongs else None,
                f"GSI{number}SK": self.entry if belongs else None,
            }
            for attribute, value in told.items():
                setattr(self, attribute, value)
                path: Any = getattr(Review, attribute)
                actions.append(path.set(value) if value else path.remove())
        return actions

    @classmethod
    def listed(
        cls,
        kind: str,
        list_name: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        **paging: Any,
    ) -> ResultIterator[Item]:
        """A list, newest first: scored by the model at start <= time < end."""
        low = keys.stamp(start) if start else "0"
        high = keys.stamp(end - timedelta(seconds=1)) if end else "9"
        return cls.between(kind, list_name, low, keys.after(high), scan_index_forward=False, **paging)

    @classmethod
    def between(cls, kind: str, list_name: str, low: str, high: str, **paging: Any) -> ResultIterator[Item]:
        """Those whose `entry` lies between two, both counted in."""
        index, sort_key = {
            "open": (Item.by_condition, Item.GSI1SK),
            "second": (Item.by_location, Item.GSI3SK),
            "scored": (Item.by_day, Item.GSI5SK),
        }[list_name]
        return index.query(keys.review_list(kind, list_name), sort_key.between(low, high), **paging)
