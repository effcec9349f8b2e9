from collections.abc import Iterator

import pytest

from sessions_app.domain.tutor import DEFAULT_PRICES
from sessions_app.domain.tutor.anthropic import AnthropicTutor
from support.fake_anthropic import FakeAnthropic
from tests.domain.tutor.samples import LESSON


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    # A long silence costs nothing: leaving the fixture ends it.
    with FakeAnthropic(silence_seconds=30) as server:
        yield server


@pytest.fixture
def tutor(fake: FakeAnthropic, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnthropicTutor]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
    built = AnthropicTutor.build(
        "test-key", "claude-sonnet-5-5", "claude-haiku-5-5", DEFAULT_PRICES, user_key=b"k", lesson=LESSON
    )
    yield built
    built.close()
