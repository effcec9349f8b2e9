"""A student: the profile, and the entry by which staff find it again.

Profile    PK STUDENT#<id>            SK PROFILE   GSI2 STUDENT#<id> / PROFILE
Directory  PK DIRECTORY#students      SK <code>    GSI1 SCHOOL#<school id> / <code>
           GSI3 CONSENT_STATE#<state> / <created>  GSI5 STUDENTS / <created>
           GSI4 CONSENT_REVIEW#<state> / <created> while the review board has to do with it
School     PK DIRECTORY#schools       SK <school id>

A student has no name here: an id, and a short code that can be read aloud. The directory entry makes the
code unique (its put is conditional) and lets lists be served by a query; a school's name stays out of keys.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pynamodb.expressions.update import Action
from pynamodb.pagination import ResultIterator

from ..realms import REALMS, realm_of
from ..store import keys
from ..store.items import Count, Flag, InvalidField, Item, Map, Number, Text, TextList, Timestamp
from .consent import FINGERPRINT, ConsentEvent

CONSENT_STATES = (
    "complete",
    "missing_permission",
    "missing_assent",
    "refused",
    "needs_reconsent",
    "withdrawn",
)
REVIEW_STATES = ("awaiting", "accepted", "returned")
REVIEW_QUEUES = ("awaiting", "returned")
DEPTHS = ("overview", "moderate", "deep")
STYLES = ("visual", "auditory", "visual-auditory", "reading", "hands-on")


class Demographics(Map):
    age = Number(least=5, most=120, whole=True)
    grade_level = Number(least=1, most=16, whole=True)
    school = Text(longest=120)
    richmond_resident = Flag()


class LearningProfile(Map):
    depth_preference = Text(choices=DEPTHS, null=True)
    learning_style = Text(choices=STYLES, null=True)
    prior_knowledge_topics = TextList(null=True)


class FormRecord(Map):
    """Which exact text was agreed to, in few bytes: each write about a student pays for the profile.

    `sha256` has its first FINGERPRINT digits, enough to tell texts apart; the event has them all.
    `kind` is left out where the event's id says it.
    """

    form_id = Text()
    version = Text()
    sha256 = Text(pattern=r"[0-9a-f]{12,64}")
    event_id = Text()
    given_at = Timestamp()
    kind = Text(null=True)

    @classmethod
    def of(cls, event: ConsentEvent) -> FormRecord:
        return cls(
            form_id=event.form_id,
            version=event.form_version,
            sha256=event.form_sha256[:FINGERPRINT],
            event_id=event.event_id,
            given_at=event.at,
            kind=None if event.kind == event.event_id else event.kind,
        )

    def is_of(self, kind: str) -> bool:
        return (self.kind or self.event_id) == kind

    def is_about(self, sha256: str) -> bool:
        return bool(self.sha256) and sha256.startswith(self.sha256)

    @property
    def fingerprint(self) -> str:
        """Of records that have all digits, too."""
        return str(self.sha256)[:FINGERPRINT]


class ConsentReview(Map):
    """What the review board last said of the consent, or that it has to say something."""

    state = Text(choices=REVIEW_STATES)
    by = Text(null=True)
    at = Timestamp()


class ConsentData(Map):
    """The current state of consent; the events that led to it are kept beside the profile.

    All but the schema's first four are additions. `version` counts the changes: each is made on condition
    that there was none since it was read. `required` names the kinds of form that must be agreed to again.
    """

    parent_consent = Flag()
    student_assent = Flag()
    irb_consent_date = Timestamp(null=True)
    data_sharing_consent = Flag()
    state = Text(choices=CONSENT_STATES, null=True)
    permission = FormRecord(null=True)
    assent = FormRecord(null=True)
    withdrawn_at = Timestamp(null=True)
    review = ConsentReview(null=True)
    required = TextList(null=True)
    version = Count(null=True)


class ProfileMetadata(Map):
    created_at = Timestamp()
    updated_at = Timestamp()
    total_sessions = Count()
    conditions_completed = TextList()
    created_by = Text(null=True)
    simulated = Flag(null=True)
    realm = Text(choices=REALMS, null=True)
    open_session = Text(null=True)


class Student(Item, discriminator="student_profile"):
    ROW_NEEDS: ClassVar = ("student_id",)

    student_id = Text()
    student_code = Text(null=True, pattern=r"[a-z]+-[a-z]+-\d+")
    demographics = Demographics()
    learning_profile = LearningProfile()
    consent_data = ConsentData()
    metadata = ProfileMetadata()

    @classmethod
    def new(cls, *, student_id: str, **attributes: Any) -> Student:
        key = keys.student(student_id)
        return cls(
            PK=key, SK=keys.PROFILE, GSI2PK=key, GSI2SK=keys.PROFILE, student_id=student_id, **attributes
        )

    @classmethod
    def by_id(cls, student_id: str) -> Student:
        """Raises Student.DoesNotExist."""
        return cls.get(keys.student(student_id), keys.PROFILE, consistent_read=True)

    @classmethod
    def with_sessions(cls, student_id: str) -> list[Item]:
        """The profile and every session of a student in one query of GSI2, oldest session first.

        What the audit log holds of the student sorts before both and is not read.
        """
        return list(Item.by_student.query(keys.student(student_id), Item.GSI2SK >= keys.PROFILE))

    @property
    def realm(self) -> str:
        return realm_of(self.metadata.realm, self.metadata.simulated)

    @property
    def is_adult(self) -> bool:
        return (self.demographics.age or 0) >= 18  # without an age, a minor

    @classmethod
    def consent_in_force(cls) -> Any:
        """The condition that every write of a participant's data carries: an adult consents alone."""
        consent = cls.consent_data
        withdrawn: Any = consent.withdrawn_at
        permitted = (consent.parent_consent == True) | (cls.demographics.age >= 18)  # noqa: E712
        return permitted & (consent.student_assent == True) & withdrawn.does_not_exist()  # noqa: E712

    @classmethod
    def may_start(cls) -> Any:
        """The stricter condition of a new session; one that runs already goes on under `consent_in_force`."""
        consent: Any = cls.consent_data
        state, review = consent.state, consent.review.state
        current = state.does_not_exist() | (state != "needs_reconsent")
        not_returned = review.does_not_exist() | (review != "returned")
        return cls.consent_in_force() & current & not_returned

    @classmethod
    def consent_unchanged(cls, seen: float | None) -> Any:
        """Condition: consent is as it was read, `seen` being its version then, and was not withdrawn."""
        version: Any = cls.consent_data.version
        withdrawn: Any = cls.consent_data.withdrawn_at
        same = version.does_not_exist() if seen is None else version == seen
        return same & withdrawn.does_not_exist()

    @property
    def has_withdrawn(self) -> bool:
        return self.consent_data.withdrawn_at is not None

    @property
    def review_state(self) -> str:
        """What was never looked at awaits its review."""
        return str(self.consent_data.review.state) if self.consent_data.review else "awaiting"

    def has_consent(self) -> bool:
        """The same rule, for what is already read."""
        consent = self.consent_data
        permitted = consent.parent_consent or self.is_adult
        return bool(permitted and consent.student_assent and consent.withdrawn_at is None)

    @classmethod
    def consents(cls, student_id: str) -> bool:
        """Whether this student is there, and consent in force now: one consistent read."""
        try:
            return cls.by_id(student_id).has_consent()
        except cls.DoesNotExist:
            return False

    def check(self) -> None:
        unknown = [code for code in self.metadata.conditions_completed if not _is_condition(code)]
        if unknown:
            raise InvalidField("metadata.conditions_completed", f"has unknown conditions: {unknown}")


def _is_condition(code: str) -> bool:
    try:
        keys.Condition.from_code(code)
    except keys.BadKey:
        return False
    return True


class DirectoryEntry(Item, discriminator="student_directory_entry"):
    ROW_NEEDS: ClassVar = ("student_id", "student_code", "consent_state", "created_at")

    student_id = Text()
    student_code = Text(pattern=r"[a-z]+-[a-z]+-\d+")
    school = Text(longest=120)
    consent_state = Text(choices=CONSENT_STATES)
    review_state = Text(choices=REVIEW_STATES, null=True)
    created_at = Timestamp()
    simulated = Flag(null=True)
    realm = Text(choices=REALMS, null=True)

    @classmethod
    def of(cls, student: Student) -> DirectoryEntry:
        state, created = student.consent_data.state, keys.stamp(student.metadata.created_at)
        entry = cls(
            PK=keys.STUDENT_DIRECTORY,
            SK=student.student_code,
            GSI1PK=keys.school(keys.school_id(student.demographics.school)),
            GSI1SK=student.student_code,
            GSI3PK=keys.consent_state(state),
            GSI3SK=created,
            GSI5PK=keys.STUDENTS_BY_TIME,
            GSI5SK=created,
            student_id=student.student_id,
            student_code=student.student_code,
            school=student.demographics.school,
            consent_state=state,
            created_at=student.metadata.created_at,
            simulated=student.metadata.simulated,
            realm=student.metadata.realm,
        )
        entry.place(state=state, review=student.review_state)
        return entry

    def place(self, *, state: str, review: str) -> list[Action]:
        """Put the entry into the lists of its state; the actions do the same in the table.

        The review board has to do with a complete consent that it did not accept, and with no other.
        """
        queue = keys.consent_review(review) if state == "complete" and review in REVIEW_QUEUES else None
        told = {
            "consent_state": state,
            "review_state": review,
            "GSI3PK": keys.consent_state(state),
            "GSI4PK": queue,
            "GSI4SK": keys.stamp(self.created_at) if queue else None,
        }
        actions: list[Action] = []
        for attribute, value in told.items():
            setattr(self, attribute, value)
            path: Any = getattr(DirectoryEntry, attribute)
            actions.append(path.set(value) if value else path.remove())
        return actions

    @property
    def realm_read(self) -> str:
        return realm_of(self.realm, self.simulated)

    @classmethod
    def newest_first(cls, **paging: Any) -> ResultIterator[Item]:
        return Item.by_day.query(keys.STUDENTS_BY_TIME, scan_index_forward=False, **paging)

    @classmethod
    def of_school(cls, school_id: str, **paging: Any) -> ResultIterator[Item]:
        return Item.by_condition.query(keys.school(school_id), **paging)

    @classmethod
    def in_state(cls, state: str, **paging: Any) -> ResultIterator[Item]:
        return Item.by_location.query(keys.consent_state(state), scan_index_forward=False, **paging)

    @classmethod
    def all(cls) -> ResultIterator[Item]:
        return Item.query(keys.STUDENT_DIRECTORY, consistent_read=True)

    @classmethod
    def in_review(cls, state: str, **paging: Any) -> ResultIterator[Item]:
        """Complete consents that await a review or were returned, newest first."""
        return Item.by_type.query(keys.consent_review(state), scan_index_forward=False, **paging)

    @classmethod
    def behind(cls, code: str | None, **paging: Any) -> ResultIterator[Item]:
        """All entries by code, or those behind one."""
        return Item.query(keys.STUDENT_DIRECTORY, code < Item.SK if code else None, **paging)

    @classmethod
    def with_code(cls, prefix: str, **paging: Any) -> ResultIterator[Item]:
        return Item.query(keys.STUDENT_DIRECTORY, Item.SK.startswith(prefix), **paging)


class School(Item, discriminator="school"):
    name = Text(longest=120)

    @classmethod
    def named(cls, name: str) -> School:
        return cls(PK=keys.SCHOOL_DIRECTORY, SK=keys.school_id(name), name=name)

    @classmethod
    def all(cls) -> list[Item]:
        return list(Item.query(keys.SCHOOL_DIRECTORY))
