"""What models have cost, and whether they answer.

PK SPENDING#student#<digest>  SK TOTAL     PK SPENDING#session#<digest>  SK TOTAL
PK SPENDING#day#<UTC day>     SK TOTAL     PK TUTOR  SK HEALTH

Digests, so that the counters tell of nobody whose own items were erased.
"""

from __future__ import annotations

from ..store.items import Item, Number, Text, Timestamp


class Spending(Item, discriminator="spending"):
    """Whole millionths of a dollar: sums stay exact, whoever adds at the same time."""

    scope = Text(choices=("student", "session", "day"))
    microdollars = Number(whole=True)
    updated_at = Timestamp()


class TutorHealth(Item, discriminator="tutor_health"):
    """There while the model does not answer; `last_failure_at` tells whether that is still so."""

    since = Timestamp()
    last_failure_at = Timestamp()
    reason = Text()
