"""All or nothing, with names: a refusal says which of the conditions did not hold."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from pynamodb.exceptions import TransactWriteError
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from .items import Item, connection
from .retries import only_busy


class Refused(Exception):
    """A transaction that changed nothing. `names` are the parts whose condition did not hold."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names = names


class Busy(Exception):
    """Other writers kept touching the same items; nothing was changed."""


class Transaction:
    """Collects writes, then `commit`s them.

    DynamoDB reports refusals by position and PynamoDB sends checks, deletes, puts and updates in that
    order, so the names are kept in the same four lists.
    """

    def __init__(self) -> None:
        self.checks: list[tuple[str, dict[str, Any]]] = []
        self.deletes: list[tuple[str, dict[str, Any]]] = []
        self.puts: list[tuple[str, dict[str, Any]]] = []
        self.updates: list[tuple[str, dict[str, Any]]] = []

    def check(self, name: str, model: type[Item], pk: str, sk: str, condition: Any) -> None:
        arguments = {"model_cls": model, "hash_key": pk, "range_key": sk, "condition": condition}
        self.checks.append((name, arguments))

    def create(self, name: str, item: Item) -> None:
        """Put an item that must not exist yet."""
        self.puts.append((name, {"model": item, "condition": Item.PK.does_not_exist()}))

    def update(self, name: str, item: Item, actions: Sequence[Action], condition: Any = None) -> None:
        """Change attributes of an item that must exist; those not named survive."""
        exists = Item.PK.exists()
        both = exists if condition is None else exists & condition
        self.updates.append((name, {"model": item, "actions": list(actions), "condition": both}))

    def upsert(self, name: str, item: Item, actions: Sequence[Action], condition: Any = None) -> None:
        self.updates.append((name, {"model": item, "actions": list(actions), "condition": condition}))

    def delete(self, name: str, item: Item, condition: Any = None) -> None:
        """Delete an item that must exist."""
        exists = Item.PK.exists()
        both = exists if condition is None else exists & condition
        self.deletes.append((name, {"model": item, "condition": both}))

    def commit(self) -> None:
        """Raises Refused, Busy, InvalidField, or PynamoDB's error when the table cannot be reached."""
        try:
            self._send()
        except TransactWriteError as error:
            codes = [reason.code if reason else None for reason in error.cancellation_reasons]
            names = self._names(codes) if codes else None
            if names:
                raise Refused(names) from error
            if only_busy(codes):
                raise Busy("other writes were in the way; nothing was changed") from error
            raise

    def _send(self) -> None:
        """Sent again (see retries.py) it keeps its token, by which DynamoDB knows what it has applied."""
        with TransactWrite(connection=connection(), client_request_token=str(uuid.uuid4())) as write:
            for _, arguments in self.checks:
                write.condition_check(**arguments)
            for _, arguments in self.deletes:
                write.delete(**arguments)
            for _, arguments in self.puts:
                write.save(**arguments)
            for _, arguments in self.updates:
                write.update(**arguments)

    def _names(self, codes: list[str | None]) -> frozenset[str]:
        order = [name for part in (self.checks, self.deletes, self.puts, self.updates) for name, _ in part]
        failed = (name for name, code in zip(order, codes, strict=True) if code == "ConditionalCheckFailed")
        return frozenset(failed)
