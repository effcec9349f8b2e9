"""What a person believes to have sent, beside what the table holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Items = Sequence[Mapping[str, Any]]
KINDS = ("lost", "double", "changed", "unsent", "conflict", "disorder")


@dataclass(frozen=True)
class Difference:
    """`kind` is one of `KINDS`, or what broke at the device."""

    kind: str
    step: str
    sent: str = ""
    stored: str = ""


@dataclass
class Ledger:
    """One session: the text of each step that was sent, in order, and which ones a page has said to keep."""

    session: str
    sent: dict[str, str] = field(default_factory=dict)
    promised: set[str] = field(default_factory=set)

    def press(self, step: str, text: str) -> None:
        """`send` was pressed. A step that is asked again, as nothing was promised, is answered again."""
        self.sent[step] = text

    def differences(self, items: Items) -> list[Difference]:
        """How the session's items differ from what was sent; nothing, where every answer is there once."""
        stored = list(answers(items))
        return [*self._texts(stored), *strangers(items), *disorder(stored)]

    def _texts(self, stored: list[Stored]) -> Iterator[Difference]:
        times = Counter(one.step for one in stored)
        texts = {one.step: one.text for one in stored}
        for step, text in self.sent.items():
            if step not in texts:
                yield Difference("lost", step, text)
            elif texts[step] != text:
                yield Difference("changed", step, text, texts[step])
        for step, count in times.items():
            if count > 1:
                yield Difference("double", step, stored=texts[step])
            if step not in self.sent:
                yield Difference("unsent", step, stored=texts[step])


@dataclass(frozen=True)
class Stored:
    step: str
    text: str
    at: str


def answers(items: Items) -> Iterator[Stored]:
    """Every answer among a session's items, in the order of their keys and of their lists."""
    for item in items:
        match item["entity_type"]:
            case "assessment":
                kind = item["assessment_metadata"]["type"]
                for number, question in enumerate(item["questions"], 1):
                    yield Stored(f"{kind}/{number}", question["student_answer"], question["answered_at"])
            case "intervention":
                stage = f"questions-{item['intervention_metadata']['segment_id']}"
                asked = item.get("socratic_sequence") or item.get("static_questions") or []
                for number, question in enumerate(asked, 1):
                    if "answer" in question:
                        at = question["answer_metadata"]["timestamp"]
                        yield Stored(f"{stage}/{number}", question["answer"], at)
            case "post_survey":
                said = item["open_ended_responses"].get("additional_comments", "")
                yield Stored("survey", said, item["survey_metadata"]["timestamp"])


def strangers(items: Items) -> Iterator[Difference]:
    """What a journey with one tab, and one text a step, never leads to."""
    for item in items:
        if item["entity_type"] == "answer_conflict":
            yield Difference("conflict", item["question"], stored=item["text"])


def disorder(stored: Sequence[Stored]) -> Iterator[Difference]:
    """Within a record, no answer is older than the one before it."""
    for before, after in pairwise(stored):
        if before.step.split("/")[0] == after.step.split("/")[0] and before.at > after.at:
            yield Difference("disorder", after.step, stored=after.text)
