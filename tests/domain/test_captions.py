"""Captions are read as they were written, whoever wrote them."""

import pytest

from sessions_app.domain.content import captions
from sessions_app.domain.content.captions import Caption

CUES = (Caption(0, 9.975, "The river & the <rapids>."), Caption(9.975, 3600.5, 'It "turned" wheels.'))


def test_what_was_written_is_read_back() -> None:
    text = captions.write(CUES)
    assert text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:09.975\nThe river &amp; the &lt;rapids&gt;.\n")
    assert "00:00:09.975 --> 01:00:00.500\n" in text
    assert captions.read(text) == CUES


def test_files_of_other_editors_are_read() -> None:
    """A byte order mark, CRLF, notes, identifiers, settings, times without hours, a cue of two lines."""
    text = (
        "\ufeffWEBVTT - narration\r\n\r\nNOTE made by hand\r\n\r\n"
        "first\r\n00:01.000 --> 00:02.500 align:start\r\nHere the river\r\ndrops.\r\n"
    )
    assert captions.read(text) == (Caption(1, 2.5, "Here the river drops."),)


@pytest.mark.parametrize("text", ["", "1\n00:00:01,000 --> 00:00:02,000\nSubRip", "\x00\x01"])
def test_another_kind_of_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no WebVTT"):
        captions.read(text)


@pytest.mark.parametrize(
    ("cues", "wrong"),
    [
        ([Caption(0, 1, "One."), Caption(1, 2, "Two.")], []),
        ([Caption(0, 1, "One.")], ["has 1 captions for 2 sentences"]),
        ([Caption(0, 1, "One."), Caption(1, 2, "To.")], ["caption 2 says 'To.', the narration says 'Two.'"]),
        ([Caption(0, 1.2, "One."), Caption(1, 2, "Two.")], ["caption 2 runs from 1 to 2 s"]),
        ([Caption(0, 1, "One."), Caption(1, 3.5, "Two.")], ["caption 2 runs from 1 to 3.5 s"]),
    ],
)
def test_captions_say_the_sentences_in_time(cues: list[Caption], wrong: list[str]) -> None:
    found = list(captions.faults(cues, ["One.", "Two."], duration=3))
    assert [message.split(":")[0] for message in found] == wrong
