"""The shipped recordings play in a browser, to the end of their segment."""

import base64

import pytest
from playwright.sync_api import Browser

from sessions_app.domain.content.package import load
from tests.domain.test_content import SHIPPED

PLAYED = """async (source) => {
  const sound = new Audio(source);
  await new Promise((resolve, reject) => { sound.oncanplay = resolve; sound.onerror = reject; });
  sound.currentTime = sound.duration - 1;
  await sound.play();
  await new Promise((resolve) => { sound.onended = resolve; });
  return [sound.duration, sound.currentTime];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_recording_plays_to_the_end_of_its_segment(browser: Browser, number: int) -> None:
    segment = load(SHIPPED).segment(number)
    sound = base64.b64encode((SHIPPED / "media" / str(segment.audio)).read_bytes()).decode()
    page = browser.new_page()
    duration, position = page.evaluate(PLAYED, f"data:audio/mpeg;base64,{sound}")
    assert duration == pytest.approx(segment.duration_seconds, abs=0.3)
    assert position == pytest.approx(duration, abs=0.1)
    page.close()
