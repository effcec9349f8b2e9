"""`manage.py narrate`: a recording as long as the segment, and captions that tell its sentences' seconds."""

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from sessions_app.domain.content import captions
from sessions_app.domain.content.package import load
from tests.domain.test_content import SHIPPED

BIT_RATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # kbit/s, MPEG-2 layer III
SAMPLES = 576  # of a frame


def frames(mp3: bytes) -> Iterator[int]:
    """The sample rate of each frame. Source: ISO/IEC 13818-3, the frame header."""
    at = 0
    while at + 4 <= len(mp3):
        (header,) = struct.unpack(">I", mp3[at : at + 4])
        assert header >> 20 == 0xFFF, f"no frame at byte {at}"
        rate = (22_050, 24_000, 16_000)[header >> 10 & 3]
        yield rate
        at += 72_000 * BIT_RATES[header >> 12 & 15] // rate + (header >> 9 & 1)


def seconds(mp3: bytes) -> float:
    return sum(SAMPLES / rate for rate in frames(mp3))


def test_the_shipped_recordings_are_as_long_as_their_segments() -> None:
    for segment in load(SHIPPED).segments:
        recording = (SHIPPED / "media" / str(segment.audio)).read_bytes()
        assert seconds(recording) == pytest.approx(segment.duration_seconds, abs=0.2)


def test_a_recording_made_anew_says_the_changed_text(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "package"))
    words = folder / "segments" / "1.md"
    words.write_text(words.read_text().replace("you will hear the water", "you may hear the water"))
    for file in (folder / "media").iterdir():
        file.unlink()
    call_command("narrate", folder)
    segment = load(folder).segment(1)
    assert "you may hear the water" in segment.sentences[0]
    found = captions.read((folder / "media" / "segment-1.vtt").read_text())
    assert [caption.text for caption in found] == list(segment.sentences)
    assert 140 < found[-1].end < segment.duration_seconds
    assert seconds((folder / "media" / "segment-1.mp3").read_bytes()) == pytest.approx(150, abs=0.2)


def test_a_text_that_does_not_fit_its_seconds_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "package"))
    words = folder / "segments" / "1.md"
    words.write_text(words.read_text() + " One more sentence that takes a while to say aloud." * 10)
    with pytest.raises(CommandError, match=r"segment 1: its text takes \d+ s, too far from its 150 s"):
        call_command("narrate", folder)
