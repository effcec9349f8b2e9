"""Records the narration of a content package with a synthetic voice, with captions sentence by sentence."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from django.core.management.base import BaseCommand, CommandError

from sessions_app.domain.content.captions import Caption, write
from sessions_app.domain.content.package import ContentFaults, Segment, load
from sessions_app.domain.content.schema import sentences_in

SAMPLE_RATE: Final = 24_000  # of the voice, in hertz
LOUDNESS: Final = -19.0  # LUFS: one channel at -19 is as loud as two at -16, where spoken word is mixed
BIT_RATE: Final = 48  # kilobit a second: a segment of 150 s is 0.9 MB
SEED: Final = 1  # of the voice's noise, so that the same text makes the same recording
PARAGRAPH_PAUSE: Final = 0.6  # seconds at least, beyond the voice's own pause after a sentence
LAST_PAUSE: Final = 1.0
SPEEDS: Final = (0.9, 1.12)  # slower or faster than this sounds wrong: the text is too short or too long then

Sound: TypeAlias = "np.ndarray[Any, Any]"  # samples from -1 to 1
Spoken: TypeAlias = "list[list[tuple[str, Sound]]]"  # of each paragraph the sentences, each with its sound


class Command(BaseCommand):
    help = "Record the narration of a content package: media/segment-N.mp3 and segment-N.vtt."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of the package")
        parser.add_argument("--voice", default="heart", help="a voice of the speech library (default: heart)")

    def handle(self, *args: Any, folder: Path, voice: str, **options: Any) -> None:
        try:
            package = load(folder, with_media=False)
        except ContentFaults as found:
            raise CommandError(str(found)) from None
        try:
            narrator = Narrator(voice)
        except ModuleNotFoundError as error:
            raise CommandError(
                f"{error.name} is not installed: pip install -r requirements-narration.txt"
            ) from None
        (folder / "media").mkdir(exist_ok=True)
        for segment in package.segments:
            sound, captions = narrator.narrate(segment)
            name = f"segment-{segment.segment_id}"
            (folder / "media" / f"{name}.mp3").write_bytes(narrator.mp3(sound))
            (folder / "media" / f"{name}.vtt").write_text(write(captions), encoding="utf-8")
            self.stdout.write(f"{name}: {len(sound) / SAMPLE_RATE:.1f} s, {len(captions)} sentences")
        self.stdout.write(
            'In segments.toml, each segment N has: audio = "segment-N.mp3", captions = "segment-N.vtt".'
        )


class Narrator:
    """Text to sound, all in memory. Raises ModuleNotFoundError without requirements-narration.txt."""

    def __init__(self, voice: str) -> None:
        import lameenc  # type: ignore[import-not-found]
        import pyloudnorm  # type: ignore[import-untyped]
        from hibari import Hibari  # type: ignore[import-untyped]

        self._voice, self._lame, self._meter = Hibari(voice=voice), lameenc, pyloudnorm.Meter(SAMPLE_RATE)

    def narrate(self, segment: Segment) -> tuple[Sound, list[Caption]]:
        """The sound, exactly as long as the segment and as loud as the others, and its captions.

        Raises CommandError where the text is too long or too short for the segment's seconds.
        """
        spoken = self._spoken(segment, speed=1.0)
        pauses = PARAGRAPH_PAUSE * (len(segment.paragraphs) - 1) + LAST_PAUSE
        speed = _seconds(spoken) / (segment.duration_seconds - pauses)
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise CommandError(
                f"segment {segment.segment_id}: its text takes {_seconds(spoken):.0f} s, "
                f"too far from its {segment.duration_seconds} s"
            )
        if speed > 1:  # a voice that is early waits between paragraphs instead of speaking slowly
            spoken = self._spoken(segment, speed)
        sound, captions = _joined(segment, spoken)
        gain = LOUDNESS - self._meter.integrated_loudness(sound)
        return sound * 10 ** (gain / 20), captions

    def _spoken(self, segment: Segment, speed: float) -> Spoken:
        return [
            [
                (sentence, self._voice(sentence, speed=speed, seed=SEED))
                for sentence in sentences_in(paragraph)
            ]
            for paragraph in segment.paragraphs
        ]

    def mp3(self, sound: Sound) -> bytes:
        encoder = self._lame.Encoder()
        encoder.silence()
        encoder.set_channels(1)
        encoder.set_in_sample_rate(SAMPLE_RATE)
        encoder.set_bit_rate(BIT_RATE)
        encoder.set_quality(2)
        # Some ten samples of three million are louder than the file can say; cutting them is not heard.
        samples = (np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes()
        return bytes(encoder.encode(samples) + encoder.flush())


def _seconds(paragraphs: Spoken) -> float:
    return sum(len(sound) for paragraph in paragraphs for _, sound in paragraph) / SAMPLE_RATE


def _joined(segment: Segment, paragraphs: Spoken) -> tuple[Sound, list[Caption]]:
    """One sound as long as the segment: what is left is silence after paragraphs."""
    length = segment.duration_seconds * SAMPLE_RATE
    pause = round((length - _seconds(paragraphs) * SAMPLE_RATE) / len(paragraphs))
    sound, captions, at = np.zeros(length), [], 0
    for paragraph in paragraphs:
        for sentence, samples in paragraph:
            sound[at : at + len(samples)] = samples
            captions.append(Caption(at / SAMPLE_RATE, (at + len(samples)) / SAMPLE_RATE, sentence))
            at += len(samples)
        at += pause
    return sound, captions
