"""Who makes a dynamic question, and since when: one maker a question, and a promise that outlives it.

PK SESSION#<id>  SK EVENT#MAKING#<segment>#<number>
"""

from __future__ import annotations

from typing import Any

from ..store import keys
from ..store.items import Flag, Item, Number, Text


class QuestionMaking(Item, discriminator="question_making"):
    """`began` is Unix time in seconds with its fraction: ten seconds are promised, and a stamp is too coarse.

    `awaited`: a student waits for the question. Otherwise it is prepared while a segment plays.
    """

    session_id = Text()
    segment_id = Number(least=1, most=4, whole=True)
    question_number = Number(least=1, most=3, whole=True)
    maker = Text(longest=120)
    began = Number(least=0)
    awaited = Flag()

    @classmethod
    def new(cls, *, session_id: str, segment_id: int, number: int, **attributes: Any) -> QuestionMaking:
        return cls(
            PK=keys.session(session_id),
            SK=keys.question_making(segment_id, number),
            session_id=session_id,
            segment_id=segment_id,
            question_number=number,
            **attributes,
        )
