"""Whose turn it is to make a dynamic question, so that no request waits for a model and none asks it twice.

The claim lies in the session's own partition: whoever looks at the session sees it in the same query. The
promise to the student counts from the first claim, whatever becomes of its maker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ..models import Item, QuestionMaking
from ..store.transactions import Refused
from .record import Run, commit

PROMISE_SECONDS = 9.0
"""After so long the static question is asked; who looks once a second then has one within ten."""
MODEL_SECONDS = 8.5
"""What the tutor gets of it: the rest is for storing what it said."""

Turn = Literal["made", "mine", "another's", "late"]


def turn(
    run: Run,
    *,
    segment_id: int,
    number: int,
    awaited: bool,
    maker: str,
    is_lost: Callable[[str], bool],
    at: float,
) -> Turn:
    """`mine`: make it now. `late`: ask the static question now. `made`: look again. `at` is Unix time.

    `is_lost` tells whether a maker is known to be gone. Raises ConsentNotInForce.
    """
    if is_made(run, segment_id, number):
        return "made"
    standing = run.makings.get((segment_id, number))
    if standing is None:
        return _claim(run, segment_id, number, awaited, maker, at)
    is_over = at - standing.began >= PROMISE_SECONDS
    if is_over and standing.awaited:
        return "late" if awaited else "another's"
    if not is_over and not is_lost(standing.maker):
        return "another's"
    taken = _take_over(run, standing, awaited, maker, at)
    if taken and is_made(Run.load(run.id), segment_id, number):
        return "made"  # its maker was gone as it was done, after `run` was read
    return "mine" if taken else "another's"


def is_made(run: Run, segment_id: int, number: int) -> bool:
    """Whether the question is stored, or prepared and only to be taken."""
    record = run.interventions.get(segment_id)
    stored = record is not None and len(record.questions) >= number
    return stored or (number == 1 and segment_id in run.prepared)


def seconds_left(run: Run, *, segment_id: int, number: int, at: float) -> float:
    """What the tutor has until the promise falls due."""
    return max(0.0, MODEL_SECONDS - (at - run.makings[segment_id, number].began))


def _claim(run: Run, segment_id: int, number: int, awaited: bool, maker: str, at: float) -> Turn:
    claim = QuestionMaking.new(
        session_id=run.id,
        segment_id=segment_id,
        number=number,
        maker=maker,
        began=round(at, 3),
        awaited=awaited,
    )
    transaction = run.writing()
    transaction.create("claim", claim)
    try:
        commit(transaction)
    except Refused:
        return "another's"
    run.makings[segment_id, number] = claim
    return "mine"


def _take_over(run: Run, claim: QuestionMaking, awaited: bool, maker: str, at: float) -> bool:
    """From a maker that is gone. The clock of a student who waits already goes on; otherwise it begins."""
    unchanged = (QuestionMaking.maker == claim.maker) & (QuestionMaking.began == claim.began)
    claim.began = claim.began if claim.awaited else round(at, 3)
    claim.maker, claim.awaited = maker, awaited or claim.awaited
    actions = [
        QuestionMaking.maker.set(claim.maker),
        QuestionMaking.began.set(claim.began),
        QuestionMaking.awaited.set(claim.awaited),
    ]
    transaction = run.writing()
    transaction.update("claim", claim, actions, Item.PK.exists() & unchanged)
    try:
        commit(transaction)
    except Refused:
        return False
    return True
