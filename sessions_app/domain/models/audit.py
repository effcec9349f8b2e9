"""What staff did, append-only: one item an action; its seal, which chains the items; and the chain's head.

What a person typed as the reason may name somebody, so it is never part of an entry: it lies beside the
student's other items and can be erased with them. The entry holds only a salted digest of it.

Entry  PK AUDIT#<day>   SK <time>#<id>         GSI2 STUDENT#<id> / AUDIT#<time>, where it is about a student
                                               GSI4 EXPORTS / <time>, where data left the table
Seal   PK AUDIT#<day>   SK SEAL#<time>#<id>
Head   PK WORKER#audit  SK HEAD
Sealer PK WORKER#audit  SK SEALER             when the sealer was last at work
Reason PK STUDENT#<id>  SK REASON#<time>#<id>  of an entry about a student
       PK REASONS       SK REASON#<time>#<id>  of any other entry

Days are UTC. An entry is written in the transaction of the change that it tells, and never touched again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from pynamodb.attributes import Attribute
from pynamodb.pagination import ResultIterator

from ..store import keys
from ..store.items import Count, InvalidField, Item, Text, Timestamp, connection

ACTIONS = (
    "safeguarding.call",
    "student.enrol",
    "student.adopt",
    "student.erase",
    "roster.import",
    "roster.refuse",
    "roster.remove",
    "consent.list",
    "consent.view",
    "consent.review",
    "consent.renew",
    "consent.refuse",
    "consent.withdraw",
    "consent.require_renewal",
    "form.publish",
    "session.start",
    "session.stop",
    "session.reopen",
    "session.void",
    "session.unvoid",
    "session.hand_over",
    "session.take_back",
    "take_back.failed",
    "transcript.view",
    "link.create",
    "link.revoke",
    "device.join",
    "place_code.show",
    "note.send",
    "note.read",
    "call.make",
    "call.answer",
    "score.give",
    "grading.view",
    "chart.view",
    "record.view",
    "position.view",
    "audit.view",
    "access.denied",
    "export",
    "export.ask",
    "sign_in",
    "sign_in.failed",
    "sign_out",
    "lockout",
    "factor.enrol",
    "factor.reset",
    "account.create",
    "account.change",
    "account.delete",
    "site.change",
    "setting.change",
    "plan.sign",
    "plan.unlock",
    "results.look",
    "dead_letter.retry",
    "dead_letter.dismiss",
    "audit.acknowledge",
)
SHA256 = r"[0-9a-f]{64}"
Image = Mapping[str, Any]
"""An item as DynamoDB's own JSON, past the models: what was changed by force is read as it is."""


class Facts(Attribute[dict[str, str]]):
    """A flat map from names to short texts: a value before or after a change."""

    attr_type = "M"

    def serialize(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidField(self.attr_name, f"must be a map of texts, not {value!r}")
        return {str(name): {"S": str(told)} for name, told in value.items()}

    def deserialize(self, value: dict[str, Any]) -> dict[str, str]:
        return {name: told["S"] for name, told in value.items()}


class Unchangeable(TypeError):
    """Code tried to change, overwrite or delete what is only ever added to."""


class AppendOnly:
    """For an Item that is stored where nothing is yet, and has no other write."""

    def save(self, condition: Any = None, **rest: Any) -> Any:
        self._refuse_unless_new(condition)
        return super().save(condition, **rest)  # type: ignore[misc]  # Item's

    def get_save_kwargs_from_instance(
        self, condition: Any = None, return_values_on_condition_failure: str | None = None
    ) -> Any:
        self._refuse_unless_new(condition)
        return super().get_save_kwargs_from_instance(  # type: ignore[misc]
            condition, return_values_on_condition_failure
        )

    def _refuse_unless_new(self, condition: Any) -> None:
        if str(condition) != str(Item.PK.does_not_exist()):
            self._refuse()

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise Unchangeable(f"an {type(self).__name__} is written once, and then neither changed nor deleted")

    update = delete = get_update_kwargs_from_instance = get_delete_kwargs_from_instance = _refuse


class AuditEntry(AppendOnly, Item, discriminator="audit_entry"):
    entry_id = Text()
    at = Timestamp()
    by = Text(longest=150)
    role = Text(pattern=r"[a-z+]+")
    action = Text(choices=ACTIONS)
    student_id = Text(null=True)
    session_id = Text(null=True)
    subject = Text(null=True, longest=200)
    old = Facts(null=True)
    new = Facts(null=True)
    event_digests = Facts(null=True)
    reason = Text(null=True, longest=500)  # only on entries written before reasons had items of their own
    reason_sha256 = Text(null=True, pattern=SHA256)

    @property
    def reason_key(self) -> tuple[str, str]:
        return self.GSI2PK or keys.REASONS, keys.reason(self.SK)

    @classmethod
    def new_entry(cls, *, entry_id: str, at: datetime, action: str, **attributes: Any) -> AuditEntry:
        by_student = _key_of_student(attributes.get("student_id"))
        return cls(
            PK=keys.audit_day(at.date()),
            SK=keys.audit_entry(at, entry_id),
            GSI2PK=by_student,
            GSI2SK=keys.audit_of_student(at) if by_student else None,
            GSI4PK=keys.EXPORTS if action == "export" else None,
            GSI4SK=keys.stamp(at) if action == "export" else None,
            entry_id=entry_id,
            at=at,
            action=action,
            **{name: value for name, value in attributes.items() if value not in (None, "", {})},
        )

    @classmethod
    def on_day(
        cls, day: date, *, first: datetime | None = None, last: datetime | None = None, **paging: Any
    ) -> ResultIterator[Item]:
        """The entries of a UTC day, newest first, all or from `first` to `last`, both included.

        Seals sort behind every time and are left out.
        """
        wanted: Any = Item.SK < keys.SEAL_PREFIX
        if first and last:
            wanted = Item.SK.between(keys.stamp(first), keys.after(keys.stamp(last)))
        return Item.query(keys.audit_day(day), wanted, scan_index_forward=False, **paging)

    @classmethod
    def about_student(
        cls, student_id: str, *, first: datetime | None = None, last: datetime | None = None, **paging: Any
    ) -> ResultIterator[Item]:
        """What was done about a student, newest first, all or from `first` to `last`, both included."""
        wanted: Any = Item.GSI2SK.startswith(keys.AUDIT_PREFIX)
        if first and last:
            wanted = Item.GSI2SK.between(keys.audit_of_student(first), keys.audit_of_student(last))
        return Item.by_student.query(keys.student(student_id), wanted, scan_index_forward=False, **paging)

    @classmethod
    def exports(cls, since: datetime, **paging: Any) -> ResultIterator[Item]:
        """Every time that data left the table, oldest first."""
        return Item.by_type.query(keys.EXPORTS, keys.stamp(since) <= Item.GSI4SK, **paging)


class AuditReason(Item, discriminator="audit_reason"):
    """The free text of an audit entry. Without the salt nobody can test a guess against the digest."""

    entry_id = Text()
    reason = Text(longest=500)
    salt = Text(pattern=SHA256)

    @classmethod
    def new_reason(cls, entry: AuditEntry, reason: str) -> AuditReason:
        """The entry gets the digest that vouches for this text."""
        partition, sort_key = entry.reason_key
        item = cls(
            PK=partition,
            SK=sort_key,
            entry_id=entry.entry_id,
            reason=reason,
            salt=secrets.token_hex(32),
        )
        entry.reason_sha256 = item.digest()
        return item

    def digest(self) -> str:
        return hashlib.sha256(f"{self.salt}:{self.entry_id}:{self.reason}".encode()).hexdigest()


def _key_of_student(student_id: str | None) -> str | None:
    """None also for an id of another client that no key can hold: its item is still looked at."""
    try:
        return keys.student(student_id) if student_id else None
    except keys.BadKey:
        return None


class AuditSeal(AppendOnly, Item, discriminator="audit_seal"):
    """`sha256` is of what stands before and of the partition; `previous` is that of the seal before.

    `mac` signs the `sha256`. An entry that came late names the outage of the sealer that explains it.
    """

    sequence = Count()
    entry_key = Text()
    entry_sha256 = Text(pattern=SHA256)
    previous = Text(pattern=SHA256)
    sha256 = Text(pattern=SHA256)
    sealed_at = Timestamp()
    outage_from = Timestamp(null=True)
    outage_to = Timestamp(null=True)
    key_id = Text(null=True)
    mac = Text(null=True, pattern=SHA256)

    @classmethod
    def of(cls, entries: Iterable[AuditEntry]) -> dict[str, AuditSeal]:
        """The seals of up to 100 entries, by the entry's sort key."""
        found = Item.batch_get([(entry.PK, keys.seal(entry.SK)) for entry in entries], consistent_read=True)
        return {item.entry_key: item for item in found if isinstance(item, AuditSeal)}


class AuditHead(Item, discriminator="audit_head"):
    """The newest seal; `first_day` and `last_day` bound the days that hold entries.

    Every seal from `signed_from` on carries a `mac`; the head's own signs sequence, digest and `signed_from`.
    """

    sequence = Count()
    sha256 = Text(pattern=SHA256)
    first_day = Text()
    last_day = Text()
    updated_at = Timestamp()
    signed_from = Count(null=True)
    key_id = Text(null=True)
    mac = Text(null=True, pattern=SHA256)

    @classmethod
    def read(cls) -> AuditHead | None:
        try:
            return cls.get(keys.AUDIT_CHAIN, keys.CHAIN_HEAD, consistent_read=True)
        except cls.DoesNotExist:
            return None


class Sealer(Item, discriminator="audit_sealer"):
    """When the sealer was last at work, and its newest outage."""

    at = Timestamp()
    outage_from = Timestamp(null=True)
    outage_to = Timestamp(null=True)
    key_id = Text(null=True)
    mac = Text(null=True, pattern=SHA256)

    @classmethod
    def read(cls) -> Sealer | None:
        try:
            return cls.get(keys.AUDIT_CHAIN, keys.SEALER, consistent_read=True)
        except cls.DoesNotExist:
            return None


# --- past the models


def stored_entries(day: date) -> Iterator[Image]:
    """The entries of a UTC day, oldest first, page by page, as they are stored."""
    return _stored(keys.audit_day(day), "#sk < :seals")


def stored_seals(day: date) -> Iterator[Image]:
    """The day's seals, in the order of their entries."""
    return _stored(keys.audit_day(day), "begins_with(#sk, :seals)")


def stored_entry(partition: str, entry_key: str) -> Image | None:
    client: Any = connection().client
    answer = client.get_item(
        TableName=Item.Meta.table_name,
        Key={"PK": {"S": partition}, "SK": {"S": entry_key}},
        ConsistentRead=True,
    )
    found: Image | None = answer.get("Item")
    return found


def _stored(partition: str, sort_keys: str) -> Iterator[Image]:
    pages = connection().client.get_paginator("query")
    for page in pages.paginate(
        TableName=Item.Meta.table_name,
        KeyConditionExpression=f"#pk = :pk AND {sort_keys}",
        ExpressionAttributeNames={"#pk": "PK", "#sk": "SK"},
        ExpressionAttributeValues={":pk": {"S": partition}, ":seals": {"S": keys.SEAL_PREFIX}},
        ConsistentRead=True,
    ):
        yield from page["Items"]
