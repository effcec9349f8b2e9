"""Items as DynamoDB stores them, past the models: what another client wrote in its own way is shown as well.

A page of a list is one query, whatever is filtered from it; an item is one request.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core import signing

from sessions_app.domain.models import Item, connection
from sessions_app.paging import BadCursor

Raw = Mapping[str, Any]
"""An item, or what is in a map, as DynamoDB's own JSON: `{"age": {"N": "16"}}`."""

SIZE = 25
SALT = "analytics_app.records"
MAX_PK_BYTES, MAX_SK_BYTES = 2048, 1024  # bytes, DynamoDB's own limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Part of a partition: sort keys that begin with `prefix`, or from `low` to `high`, both included."""

    prefix: str = ""
    low: str = ""
    high: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`name` is what cursors are bound to. `only`: the one entity type that is wanted; `read`: how many items
    the partition holds for each that is.
    """

    name: str
    partition: str
    index: int | None = None
    span: Span = Span()
    reverse: bool = False
    only: str = ""
    read: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """`more`: the cursor of the next page, None at the end. A filtered page may be short, and go on."""

    items: list[dict[str, Any]]
    more: str | None


def page(query: Query, cursor: str | None, *, size: int = SIZE) -> Page:
    """One page, one request. Raises BadCursor."""
    start = _opened(query, cursor) if cursor else None
    wanted = size * query.read + 1  # one more than is shown tells whether there is a next page
    answer = _client().query(
        **_request(query), Limit=wanted, **({"ExclusiveStartKey": start} if start else {})
    )
    found = [item for item in answer["Items"] if not query.only or entity_of(item) == query.only]
    if len(found) > size:
        last: Raw | None = found[size - 1]
    else:
        last = answer.get("LastEvaluatedKey")
    return Page(found[:size], _signed(query, last) if last else None)


def _request(query: Query) -> dict[str, Any]:
    pk, sk = _names(query.index)
    names, values = {"#pk": pk}, {":pk": {"S": query.partition}}
    condition = "#pk = :pk"
    span = query.span
    if span.prefix:
        condition += " AND begins_with(#sk, :sk)"
        names["#sk"], values[":sk"] = sk, {"S": span.prefix}
    elif span.low:
        condition += " AND #sk BETWEEN :low AND :high"
        names["#sk"], values[":low"], values[":high"] = sk, {"S": span.low}, {"S": span.high}
    told = {
        "TableName": Item.Meta.table_name,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": not query.reverse,
    }
    return told if query.index is None else {**told, "IndexName": f"GSI{query.index}"}


def _names(index: int | None) -> tuple[str, str]:
    return ("PK", "SK") if index is None else (f"GSI{index}PK", f"GSI{index}SK")


def _client() -> Any:
    return connection().client


def _signed(query: Query, last: Raw) -> str:
    names = dict.fromkeys(("PK", "SK", *_names(query.index)))
    return signing.dumps([query.name, {name: last[name]["S"] for name in names}], salt=SALT, compress=True)


def _opened(query: Query, cursor: str) -> dict[str, dict[str, str]]:
    try:
        name, key = signing.loads(cursor, salt=SALT)
    except signing.BadSignature:
        raise BadCursor("the cursor was changed, or is not whole") from None
    if name != query.name:
        raise BadCursor("the cursor belongs to another list")
    return {part: {"S": text} for part, text in key.items()}


# --- one item


def is_key(pk: str, sk: str) -> bool:
    """Whether DynamoDB takes these texts as a key."""
    return 0 < len(pk.encode()) <= MAX_PK_BYTES and 0 < len(sk.encode()) <= MAX_SK_BYTES


def item(pk: str, sk: str) -> dict[str, Any] | None:
    answer = _client().get_item(
        TableName=Item.Meta.table_name, Key={"PK": {"S": pk}, "SK": {"S": sk}}, ConsistentRead=True
    )
    found: dict[str, Any] | None = answer.get("Item")
    return found


def first(keys: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The first of these keys, at most 100, that has an item; one request."""
    wanted = list(dict.fromkeys(keys))
    if not wanted:
        return None
    asked = {
        "Keys": [{"PK": {"S": pk}, "SK": {"S": sk}} for pk, sk in wanted],
        "ProjectionExpression": "PK, SK",
    }
    answer = _client().batch_get_item(RequestItems={Item.Meta.table_name: asked})
    held = {(item["PK"]["S"], item["SK"]["S"]) for item in answer["Responses"][Item.Meta.table_name]}
    return next((key for key in wanted if key in held), None)


def entity_of(item: Raw) -> str:
    """The item's `entity_type`; empty where it has none, or none that is text."""
    return text_at(item, "entity_type") or ""


def text_at(item: Raw, path: str) -> str | None:
    value = value_at(item, path)
    return str(value["S"]) if value and "S" in value else None


def value_at(item: Raw, path: str) -> Raw | None:
    """What stands at a dotted path, with its type; None where the path does not lead so far."""
    value: Any = {"M": item}
    for name in path.split("."):
        value = value.get("M", {}).get(name)
        if value is None:
            return None
    found: Raw = value
    return found


# --- as text


def dynamodb_json(item: Raw) -> str:
    return _written(item)


def plain_json(item: Raw) -> str:
    return _written({name: plain(value) for name, value in item.items()})


def plain(value: Raw) -> Any:
    """A value without its type marks; sets become lists, bytes base64."""
    kind, inner = next(iter(value.items()))
    match kind:
        case "N":
            return json.loads(inner)
        case "NS":
            return [json.loads(number) for number in inner]
        case "M":
            return {name: plain(each) for name, each in inner.items()}
        case "L":
            return [plain(each) for each in inner]
        case "NULL":
            return None
        case "B":
            return _base64(inner)
        case "BS":
            return [_base64(each) for each in inner]
    return inner


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _written(value: Mapping[str, Any]) -> str:
    ordered = {name: value[name] for name in sorted(value, key=_place)}
    return json.dumps(ordered, indent=2, ensure_ascii=False, default=_base64)


def _place(name: str) -> tuple[int, str]:
    """Keys first, then those of the indexes, then the rest by name."""
    if name in ("PK", "SK"):
        return 0, name
    return (1 if name.startswith("GSI") else 2), name
