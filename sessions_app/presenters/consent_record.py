"""One student's consent as pages show it: the state, each form's exact text, the history, and who looked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..domain.content.package import FormBlock, blocks_of
from ..domain.models import AuditEntry, ConsentEvent, FormText, Item, Student, readable
from ..domain.models.consent import AGREED, KINDS
from ..domain.store import keys

SHOWN_ENTRIES = 50


class NoSuchStudent(LookupError):
    """No student has this id, or the data were erased."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A yes to a form, and the text that it was said to. `current`: this is the one that stands."""

    event: ConsentEvent
    text: FormText | None
    current: bool

    @property
    def check(self) -> str:
        """Whether the stored text is the one that was agreed to: `verified`, `differs`, or `missing`."""
        if self.text is None:
            return "missing"
        return "verified" if self.text.sha256 == self.event.form_sha256 else "differs"

    @property
    def blocks(self) -> tuple[FormBlock, ...]:
        return blocks_of(self.text.text) if self.text else ()


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    student: Student
    events: list[ConsentEvent]
    texts: dict[str, FormText] = field(default_factory=dict)

    @classmethod
    def load(cls, student_id: str) -> ConsentRecord:
        """Profile and events: one query. Raises NoSuchStudent."""
        try:
            items: list[Item] = list(Item.query(keys.student(student_id), consistent_read=True))
        except keys.BadKey:
            raise NoSuchStudent(student_id) from None
        student = next(readable(items, Student), None)
        if student is None:
            raise NoSuchStudent(student_id)
        events = readable(items, ConsentEvent)
        # What was said in the same second stands in the order in which it was asked for.
        return cls(student, sorted(events, key=lambda event: (event.at, KINDS.index(event.kind))))

    def with_texts(self) -> ConsentRecord:
        """The same with the forms' texts: one more request."""
        wanted = {str(event.form_sha256) for event in self._agreed()}
        found = _texts(wanted) if wanted else {}
        return ConsentRecord(self.student, self.events, found)

    def _agreed(self) -> Iterable[ConsentEvent]:
        return (event for event in self.events if event.action in AGREED and event.form_sha256)

    @property
    def signed(self) -> list[Signed]:
        """Every yes, those that stand first, and then the newest first."""
        consent = self.student.consent_data
        standing = {(r.event_id, r.given_at) for r in (consent.permission, consent.assent) if r}
        every = [
            Signed(event, self.texts.get(str(event.form_sha256)), (event.event_id, event.at) in standing)
            for event in self._agreed()
        ]
        older = [signed for signed in reversed(every) if not signed.current]
        return [signed for signed in every if signed.current] + older

    @property
    def returned(self) -> ConsentEvent | None:
        """The review that returned the consent, while that stands."""
        if self.student.review_state != "returned":
            return None
        return next((event for event in reversed(self.events) if event.outcome == "returned"), None)

    def told(self) -> list[AuditEntry]:
        """What staff did about the student, those who only looked included, newest first."""
        found = AuditEntry.about_student(
            self.student.student_id, limit=SHOWN_ENTRIES, page_size=SHOWN_ENTRIES
        )
        return [entry for entry in found if isinstance(entry, AuditEntry)]


def _texts(fingerprints: set[str]) -> dict[str, FormText]:
    """Found by the key that they were stored under, whatever their text is now."""
    wanted = {keys.form(sha256): sha256 for sha256 in fingerprints}
    found = FormText.batch_get([(key, keys.FORM_TEXT) for key in wanted], consistent_read=True)
    return {wanted[text.PK]: text for text in found}
