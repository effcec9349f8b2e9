"""WebVTT captions of a recorded narration: one cue a sentence, word for word.

Source: https://www.w3.org/TR/webvtt1/. Only what captions need is read: cues with a start, an end and plain
text; settings, notes and identifiers are passed over.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import NamedTuple

_TIME = r"(?:(\d+):)?(\d{2}):(\d{2}\.\d{3})"
_TIMING = re.compile(rf"^{_TIME}\s+-->\s+{_TIME}", re.MULTILINE)


class Caption(NamedTuple):
    """`start` and `end` are seconds from the beginning of the recording."""

    start: float
    end: float
    text: str


def read(vtt: str) -> tuple[Caption, ...]:
    """The captions of a file, in its order. Raises ValueError for what is no WebVTT."""
    blocks = re.split(r"\n{2,}", vtt.removeprefix("\ufeff").replace("\r\n", "\n").strip())
    if not blocks[0].startswith("WEBVTT"):
        raise ValueError("is no WebVTT file: it does not begin with WEBVTT")
    timed = ((block, _TIMING.search(block)) for block in blocks[1:])
    return tuple(_caption(block, timing) for block, timing in timed if timing)


def _caption(block: str, timing: re.Match[str]) -> Caption:
    _, _, text = block[timing.start() :].partition("\n")
    hours, minutes, seconds, *end = timing.groups()
    return Caption(_seconds(hours, minutes, seconds), _seconds(*end), html.unescape(" ".join(text.split())))


def _seconds(hours: str | None, minutes: str, seconds: str) -> float:
    return round(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds), 3)


def write(captions: Iterable[Caption]) -> str:
    blocks = (
        f"{_clock(start)} --> {_clock(end)}\n{html.escape(text, quote=False)}\n"
        for start, end, text in captions
    )
    return "\n".join(("WEBVTT\n", *blocks))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest / 1000:06.3f}"


def faults(captions: Iterable[Caption], sentences: Iterable[str], duration: float) -> Iterable[str]:
    """What is wrong with a segment's captions: they say its sentences, one by one, within its seconds."""
    captions, sentences = tuple(captions), tuple(sentences)
    for number, (caption, sentence) in enumerate(zip(captions, sentences, strict=False), start=1):
        if caption.text != sentence:
            yield f"caption {number} says {caption.text!r}, the narration says {sentence!r}"
            return
    if len(captions) != len(sentences):
        yield f"has {len(captions)} captions for {len(sentences)} sentences"
    before = 0.0
    for number, (start, end, _) in enumerate(captions, start=1):
        if not before <= start < end <= duration:
            yield f"caption {number} runs from {start:g} to {end:g} s: it begins before the last one ends"
            return
        before = end
