"""Every key string of the table, the timestamps in them, and the codes of the 24 conditions.

Nothing else in the project builds a key. Imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

LOCATIONS: Final = {"L1": "on-site", "L2": "learning-space", "L3": "classroom", "L4": "home"}
INTERVALS: Final = {"I1": "2.5", "I2": "5.0", "I3": "10.0"}
TYPES: Final = {"S": "static", "D": "dynamic"}

PROFILE: Final = "PROFILE"
METADATA: Final = "METADATA"
LOCATION_VERIFICATION: Final = "LOCATION_VERIFICATION"
CONTENT_DELIVERY: Final = "CONTENT_DELIVERY"
POST_SURVEY: Final = "POST_SURVEY"
TALLY: Final = "TALLY"
CONTRIBUTION: Final = "CONTRIBUTION"

SESSION_PREFIX: Final = "SESSION#"
STUDENT_PREFIX: Final = "STUDENT#"
CONSENT_PREFIX: Final = "CONSENT#"
INTERVENTION_PREFIX: Final = "INTERVENTION#"
ASSESSMENT_PREFIX: Final = "ASSESSMENT#"
CONFLICT_PREFIX: Final = "CONFLICT#"
PREPARED_PREFIX: Final = "EVENT#PREPARED#"
BROWSER_PREFIX: Final = "BROWSER#"
MAKING_PREFIX: Final = "EVENT#MAKING#"
LINK_PREFIX: Final = "BROWSER_LINK#"  # between browsers and calls, so that one range holds the three
CALL_PREFIX: Final = "CALL#"
REVIEW_PREFIX: Final = "REVIEW#"
AUDIT_PREFIX: Final = "AUDIT#"
SEAL_PREFIX: Final = "SEAL#"
ALLOCATION_PREFIX: Final = "ALLOCATION#"
COUNTED_PREFIX: Final = "COUNTED#"
REASON_PREFIX: Final = "REASON#"
REASONS: Final = "REASONS"

SCHOOL_PREFIX: Final = "SCHOOL#"
STUDENT_DIRECTORY: Final = "DIRECTORY#students"
SCHOOL_DIRECTORY: Final = "DIRECTORY#schools"
STUDENTS_BY_TIME: Final = "STUDENTS"
ROSTER_DIRECTORY: Final = "DIRECTORY#rosters"
ROSTERS: Final = "ROSTERS"
GRADING_QUEUE: Final = "QUEUE#grading"
ERASURES: Final = "QUEUE#erasures"
DEAD_LETTERS: Final = "QUEUE#dead-letters"
PLAN: Final = "PLAN"
AGGREGATE_PREFIX: Final = "AGGREGATE#"
SPENDING_PREFIX: Final = "SPENDING#"
TUTOR: Final = "TUTOR"
HEALTH: Final = "HEALTH"
TOTAL: Final = "TOTAL"
WORKER_PREFIX: Final = "WORKER#"
AUDIT_CHAIN: Final = "WORKER#audit"
HEARTBEATS: Final = "WORKER#heartbeats"
CHAIN_HEAD: Final = "HEAD"
SEALER: Final = "SEALER"
CURRENT: Final = "CURRENT"
EXPORTS: Final = "EXPORTS"
RECALL: Final = "RECALL"
EXPORT_JOBS: Final = "QUEUE#exports"
TOMBSTONES: Final = "TOMBSTONES"
FORMS: Final = "FORMS"
SAFEGUARDING_QUEUE: Final = "QUEUE#safeguarding"
FORM_TEXT: Final = "TEXT"
RENEWAL: Final = "RENEWAL"

_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,6})?(Z|\+00:00)", re.ASCII)
_SAFE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class BadKey(ValueError):
    """A value that cannot be part of a key; the message says which and why."""


def stamp(moment: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SSZ`, fixed width, so that timestamps sort as text.

    Raises BadKey for a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise BadKey(f"timestamp {moment!r} has no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """Read a stored timestamp; microseconds and `+00:00`, which other writers use, are accepted."""
    found = _STAMP.fullmatch(text)
    if not found:
        raise BadKey(f"{text!r} is not a UTC timestamp like 2025-10-23T14:30:00Z")
    try:
        return datetime.fromisoformat(found[1] + (found[2] or "") + "+00:00")
    except ValueError as error:
        raise BadKey(f"{text!r} is not a UTC timestamp: {error}") from None


def interval_key(minutes: float) -> str:
    """The literal that stands for an interval in keys: `2.5`, `5.0` or `10.0`."""
    text = f"{minutes:.1f}"
    if text not in INTERVALS.values() or float(text) != minutes:
        raise BadKey(f"interval {minutes!r} is not one of {', '.join(INTERVALS.values())}")
    return text


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """One of the 24 cells: location x interval x intervention type.

    `realm` tells the statistics of real and of simulated sessions apart; no index and no code names it.
    """

    location: str
    interval: str
    type: str
    realm: str = "real"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("location", self.location, LOCATIONS),
            ("interval", self.interval, INTERVALS),
            ("type", self.type, TYPES),
        ):
            if value not in known.values():
                raise BadKey(f"{name} {value!r} is not one of {', '.join(known.values())}")

    @classmethod
    def from_code(cls, code: str) -> Condition:
        """`L1-I1-D` -> on-site, 2.5, dynamic. Raises BadKey for any other text."""
        parts = code.split("-")
        if len(parts) != 3 or parts[0] not in LOCATIONS or parts[1] not in INTERVALS or parts[2] not in TYPES:
            raise BadKey(f"condition {code!r} is not a code like L1-I1-D")
        return cls(LOCATIONS[parts[0]], INTERVALS[parts[1]], TYPES[parts[2]])

    @property
    def code(self) -> str:
        return "-".join(
            next(short for short, long in known.items() if long == value)
            for known, value in ((LOCATIONS, self.location), (INTERVALS, self.interval), (TYPES, self.type))
        )

    @property
    def minutes(self) -> float:
        return float(self.interval)

    @property
    def arm(self) -> str:
        """Interval x type, what is balanced inside a location: `I1-D`."""
        return self.code.split("-", 1)[1]


CONDITIONS: Final = tuple(
    Condition(location, interval, kind)
    for location in LOCATIONS.values()
    for interval in INTERVALS.values()
    for kind in TYPES.values()
)


def cell(code: str, realm: str | None) -> Condition:
    """A condition of a realm; without one that of real sessions. Raises BadKey."""
    return replace(Condition.from_code(code), realm=realm or "real")


COUNTED_REALMS: Final = ("real", "simulated")
"""The realms that have statistics; practice sessions are in none."""
CELLS: Final = tuple(replace(cell, realm=realm) for realm in COUNTED_REALMS for cell in CONDITIONS)


def _part(name: str, value: str) -> str:
    if not _SAFE.fullmatch(value):
        raise BadKey(f"{name} {value!r} has characters that a key may not hold")
    return value


def is_safe(part: str) -> bool:
    """Whether a key may hold it."""
    return _SAFE.fullmatch(part) is not None


def student(student_id: str) -> str:
    return f"STUDENT#{_part('student_id', student_id)}"


def session(session_id: str) -> str:
    return f"SESSION#{_part('session_id', session_id)}"


def student_session(start: datetime) -> str:
    """The GSI2 sort key of a session."""
    return f"{SESSION_PREFIX}{stamp(start)}"


def condition(cell: Condition) -> str:
    return f"CONDITION#{cell.location}#{cell.interval}#{cell.type}"


def location(key: str) -> str:
    if key not in LOCATIONS.values():
        raise BadKey(f"location {key!r} is not one of {', '.join(LOCATIONS.values())}")
    return f"LOCATION#{key}"


def intervention_type(kind: str) -> str:
    if kind not in TYPES.values():
        raise BadKey(f"intervention type {kind!r} is not one of {', '.join(TYPES.values())}")
    return f"INTERVENTION#{kind}"


def day(when: date) -> str:
    return f"DATE#{when:%Y-%m-%d}"


def intervention(start: datetime, segment_id: int) -> str:
    return f"{INTERVENTION_PREFIX}{stamp(start)}#{segment_id}"


def assessment(kind: str, start: datetime) -> str:
    if kind not in ("baseline", "final"):
        raise BadKey(f"assessment type {kind!r} is not baseline or final")
    return f"{ASSESSMENT_PREFIX}{kind}#{stamp(start)}"


def assessment_prefix(kind: str) -> str:
    return f"{ASSESSMENT_PREFIX}{kind}#"


def prepared_question(segment_id: int) -> str:
    return f"{PREPARED_PREFIX}{segment_id}"


def question_making(segment_id: int, number: int) -> str:
    return f"{MAKING_PREFIX}{segment_id}#{number}"


def conflict(at: datetime, digest: str) -> str:
    """`digest` is of submission id and text: the same conflict in the same second has the same key."""
    return f"{CONFLICT_PREFIX}{stamp(at)}#{_part('digest', digest)}"


def browser(browser_id: str) -> str:
    """A browser that may do this session and nothing else."""
    return f"{BROWSER_PREFIX}{_part('browser_id', browser_id)}"


def link(token_sha256: str) -> str:
    """A link for a participant's own device; the token itself is stored nowhere."""
    return f"{LINK_PREFIX}{_part('token_sha256', token_sha256)}"


def call(at: datetime, call_id: str) -> str:
    """A note to the participant, or a call for help."""
    return f"{CALL_PREFIX}{stamp(at)}#{_part('call_id', call_id)}"


def open_call(session_id: str, call_id: str) -> str:
    """A safeguarding call that waits for staff: one for each call, however often it is made."""
    return f"{_part('session_id', session_id)}#{_part('call_id', call_id)}"


def consent_event(at: datetime, event_id: str) -> str:
    return f"{CONSENT_PREFIX}{stamp(at)}#{_part('event_id', event_id)}"


def allocation(location_key: str) -> str:
    location(location_key)
    return f"{ALLOCATION_PREFIX}{location_key}"


def tally(stratum: str | None = None) -> str:
    """Of a location's draws, or of those in a stratum there."""
    parts = (_part("stratum", part) for part in stratum.split("#")) if stratum else ()
    return "#".join((TALLY, *parts))


def allocation_entry(at: datetime, session_id: str) -> str:
    return f"{stamp(at)}#{_part('session_id', session_id)}"


def _realm(name: str) -> str:
    """Real sessions have the keys of the schema; those of another realm name it."""
    return "" if name == "real" else f"#{name}"


def statistics(cell: Condition) -> str:
    return f"STATS#{condition(cell)}{_realm(cell.realm)}"


def statistics_by_month(realm: str = "real") -> str:
    return f"STATS#MONTHS{_realm(realm)}"


def statistics_by_day(realm: str = "real") -> str:
    return f"STATS#DAYS{_realm(realm)}"


def aggregate(month: date) -> str:
    """`AGGREGATE#2025-10-01_2025-10-31` for any day of October 2025."""
    first = month.replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return f"AGGREGATE#{first:%Y-%m-%d}_{last:%Y-%m-%d}"


def school_id(name: str) -> str:
    """An opaque id for a school, so that names stay out of keys and URLs; case and spacing do not matter."""
    plain = " ".join(name.casefold().split())
    return hashlib.sha256(f"school:{plain}".encode()).hexdigest()[:16]


def school(school: str) -> str:
    """The GSI1 partition of a school's students."""
    return f"{SCHOOL_PREFIX}{_part('school', school)}"


def roster(roster_id: str) -> str:
    return f"ROSTER#{_part('roster', roster_id)}"


def roster_place(number: int) -> str:
    """The sort key of an entry within its list."""
    return f"{number:03}"


def rosters_of(school: str) -> str:
    """The GSI1 partition of a school's class lists."""
    return f"ROSTERS#{_part('school', school)}"


def roster_id(school: str, name: str) -> str:
    """A class of a school has one list, however its name is spaced and capitalized."""
    plain = "".join(name.casefold().split())
    return hashlib.sha256(f"roster:{school_id(school)}:{plain}".encode()).hexdigest()[:32]


def consent_state(state: str) -> str:
    """The GSI3 partition of the students in a state of consent."""
    return f"CONSENT_STATE#{_part('consent state', state)}"


def consent_review(state: str) -> str:
    """The GSI4 partition of the students whose consent the review board has to do with."""
    return f"CONSENT_REVIEW#{_part('review state', state)}"


def form(sha256: str) -> str:
    """The partition of a form's exact text, and the index partition of those who agreed to it."""
    return f"FORM#{_part('sha256', sha256)}"


def form_sha256(partition: str) -> str:
    """The SHA-256 that `form` made this partition of."""
    return partition.removeprefix("FORM#")


def form_entry(kind: str, at: datetime) -> str:
    """The place of a form's text among all of them: by kind, then by when it was first used."""
    return f"{_part('form kind', kind)}#{stamp(at)}"


def queued(at: datetime, session_id: str, name: str) -> str:
    """The sort key of a piece of grading that waits: oldest first."""
    return f"{stamp(at)}#{_part('session_id', session_id)}#{_part('name', name)}"


def export_id(at: datetime, token: str) -> str:
    """An export's name and its place among all: by the time at which it was asked for."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{_part('token', token)}"


def export_job(export: str) -> str:
    return _part("export", export)


def review(what: str) -> str:
    """Beside a scored assessment or intervention: how far people have scored it."""
    return f"{REVIEW_PREFIX}{_part('what', what)}"


def review_list(kind: str, name: str) -> str:
    """The index partition of a list of the grading pages, such as `REVIEW#short#open`."""
    return f"{REVIEW_PREFIX}{_part('kind', kind)}#{_part('list', name)}"


def review_entry(at: datetime, session_id: str, what: str) -> str:
    """The place in such a list: by the time of the model's score."""
    return f"{stamp(at)}#{_part('session_id', session_id)}#{_part('what', what)}"


def after(prefix: str) -> str:
    """The upper end of a range that holds every key with this prefix."""
    return f"{prefix}~"


def month(when: date) -> str:
    """`2025-10`."""
    return f"{when:%Y-%m}"


def condition_month(month_text: str, cell: Condition) -> str:
    """The sort key of a condition's month among all conditions: `2025-10#L1-I1-D`."""
    return f"{month_text}#{cell.code}"


def counted(cell: Condition) -> str:
    """The partition that says which sessions of which students are in a condition's statistics."""
    return f"{COUNTED_PREFIX}{condition(cell)}{_realm(cell.realm)}"


def spending(scope: str, name: str) -> str:
    """The partition of a counter: by day as it is, by student or session as a digest."""
    told = name if scope == "day" else hashlib.sha256(f"spending:{name}".encode()).hexdigest()[:32]
    return f"{SPENDING_PREFIX}{_part('scope', scope)}#{_part('name', told)}"


def worker(name: str) -> str:
    return f"{WORKER_PREFIX}{_part('worker name', name)}"


def shard(shard_id: str) -> str:
    """A shard of the table's stream; its id is up to 65 characters."""
    return f"SHARD#{shard_id}"


def heartbeat(name: str) -> str:
    """A running worker among all: by its machine and process."""
    return f"PROCESS#{_part('worker name', name)}"


def plan_version(number: int) -> str:
    """A version of the analysis plan; versions sort by number."""
    return f"VERSION#{number:04d}"


def dead_letter(duty: str, pk: str, sk: str) -> str:
    """One letter a record and duty. Keys of other clients may hold anything, so they go in as a digest."""
    digest = hashlib.sha256(f"{pk}\n{sk}".encode()).hexdigest()[:32]
    return f"{_part('duty', duty)}#{digest}"


def audit_day(day: date) -> str:
    """The partition of what staff did on a UTC day."""
    return f"{AUDIT_PREFIX}{day:%Y-%m-%d}"


def audit_entry(at: datetime, entry_id: str) -> str:
    return f"{stamp(at)}#{_part('entry_id', entry_id)}"


def audit_of_student(at: datetime) -> str:
    """The GSI2 sort key of what was done about a student; it sorts before the profile and the sessions."""
    return f"{AUDIT_PREFIX}{stamp(at)}"


def seal(entry_key: str) -> str:
    """Beside the entry that it seals, whose sort key it holds: an entry is sealed once."""
    return f"{SEAL_PREFIX}{entry_key}"


def reason(entry_key: str) -> str:
    """The sort key of the free text that belongs to an audit entry."""
    return f"{REASON_PREFIX}{entry_key}"


def audit_date(partition: str) -> date:
    """The day of such a partition. Raises BadKey."""
    try:
        return date.fromisoformat(partition.removeprefix(AUDIT_PREFIX))
    except ValueError:
        raise BadKey(f"{partition!r} is not a day of the audit log") from None
