"""Web sessions in SQL that are bound to somebody's session: a tablet handed over, a link that was opened."""

from __future__ import annotations

import json
from collections.abc import Iterable

from django.contrib.sessions.models import Session as WebSession


def end_those_of(ids: Iterable[str]) -> int:
    """Delete every web session that holds any of these ids; how many those were.

    What such a row holds is signed and encoded, so no query can look into it. There are as many rows as
    browsers, and each is read.
    """
    wanted = [json.dumps(each) for each in ids]
    found = [
        row.session_key
        for row in WebSession.objects.iterator()
        if any(each in json.dumps(row.get_decoded(), default=str) for each in wanted)
    ]
    WebSession.objects.filter(session_key__in=found).delete()
    return len(found)
