"""The records of the table: entities, lists, items, partitions. Nothing here scans.

Nothing writes either, but for the audit log: who looks at a consent record is told before it is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, resolve, reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from sessions_app import context_processors
from sessions_app.access import account_audit
from sessions_app.access.roles import allow, policy_of
from sessions_app.domain.store import keys
from sessions_app.paging import BadCursor
from sessions_app.views.consent import nothing_shown, tell_of_view
from sessions_app.views.store_unavailable import while_away

from ..records import presentation, raw_items
from ..records.declarations import EVERYWHERE, READERS, Entity, Related, Source
from ..records.entities import BY_NAME, ENTITIES, LEFT_OUT
from ..records.raw_items import Raw

OTHER = "other"
"""Stands in addresses for entities that are not declared; only an administrator opens them."""
CONSENT_RECORDS = ("student_profile", "consent_event")
LISTS_WITH_ANSWERS = ("answer_conflict",)
PERSONAL = keys.SESSION_PREFIX
MAX_AUDITED_KEY_LENGTH = 300
POSITION = ("gps_data.latitude", "gps_data.longitude")
UPDATED = (
    "metadata.updated_at",
    "updated_at",
    "metadata.last_updated",
    "at",
    "created_at",
    "metadata.timestamp",
)


@dataclass(frozen=True, slots=True)
class Link:
    title: str
    url: str


# --- the index, and the search


@allow(*READERS)
@never_cache
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    return _index(request)


def _index(request: HttpRequest, **more: Any) -> HttpResponse:
    """Every entity that is open to the reader, by group; asks the table for nothing."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entity in _open_to(request):
        told = {"entity": entity, "about": presentation.about(entity.name)}
        groups.setdefault(entity.group, []).append(told)
    return render(request, "records/index.html", {"groups": groups, **more})


def _reader(request: HttpRequest) -> frozenset[str]:
    """The roles that count here: a facilitator's rights are over the own sites, which records do not part."""
    return context_processors.roles_of(request) & frozenset(READERS)


def _open_to(request: HttpRequest) -> list[Entity]:
    roles = context_processors.roles_of(request)
    return [entity for entity in ENTITIES if entity.roles & roles]


@allow(*READERS)
@never_cache
@require_GET
def find(request: HttpRequest) -> HttpResponse:
    """By id, by code, or by key: leads to the item or partition, or says that there is none."""
    sought = request.GET.get("q", "").strip()
    url = _found(request, sought) if sought else None
    if url is None:
        told = "No matching record, or you don't have access." if sought else "Enter an ID, a code or a key."
        return _index(request, sought=sought, not_found=told)
    return redirect(url)


def _found(request: HttpRequest, sought: str) -> str | None:
    if "#" not in sought:
        return _found_by_id(request, sought)
    pk, _, sk = (part.strip() for part in re.sub(r"\s+", " ", sought).partition(" "))
    if not raw_items.is_key(pk, sk or "-"):
        return None
    if not sk:
        return _partition_url(pk)
    item = raw_items.item(pk, sk)
    return _url_of(request, item) if item else None


def _found_by_id(request: HttpRequest, sought: str) -> str | None:
    candidates = dict(_candidates(request, "-".join(sought.lower().split())))
    key = raw_items.first(candidates)
    return _item_url(candidates[key], *key) if key else None


def _candidates(request: HttpRequest, sought: str) -> Iterator[tuple[tuple[str, str], str]]:
    for entity in _open_to(request):
        if entity.find is None:
            continue
        try:
            key = entity.find(sought)
        except keys.BadKey:
            continue
        if raw_items.is_key(*key):
            yield key, entity.name


# --- addresses


def _item_url(entity: str, pk: str, sk: str) -> str:
    return f"{reverse('record_item', args=[entity])}?{urlencode({'pk': pk, 'sk': sk})}"


def _partition_url(pk: str) -> str:
    return f"{reverse('record_partition')}?{urlencode({'pk': pk})}"


def _url_of(request: HttpRequest, item: Raw) -> str | None:
    """Where an item is shown to this reader; None where it is not."""
    name, roles = raw_items.entity_of(item), context_processors.roles_of(request)
    pk, sk = item["PK"]["S"], item["SK"]["S"]
    if name in LEFT_OUT:
        return None
    if name in BY_NAME:
        return _item_url(name, pk, sk) if BY_NAME[name].roles & roles else None
    return _item_url(OTHER, pk, sk) if "admin" in roles else None


# --- a list


class SourceForm(forms.Form):
    """What a source asks for, and the order; its fields are set by `_form`."""

    def clean(self) -> dict[str, Any]:
        told: dict[str, Any] = super().clean() or {}
        start, end = told.get("start"), told.get("end")
        if start and end and start > end:
            self.add_error("end", "The last day lies before the first.")
        return told


@allow(*READERS)
@never_cache
@require_GET
@while_away(nothing_shown)
def listing(request: HttpRequest, name: str) -> HttpResponse:
    """One page of an entity's items by one of its sources: one query."""
    entity = _entity(request, name)
    source = entity.source(request.GET.get("source", entity.sources[0].name))
    if source is None:
        raise Http404("no such source")
    form = _form(source, request.GET)
    told: dict[str, Any] = {
        "entity": entity,
        "about": presentation.about(name),
        "source": source,
        "form": form,
    }
    if form.is_bound and form.is_valid():
        try:
            told |= _page(request, entity, source, form.cleaned_data)
        except BadCursor:
            return render(request, "bad_link.html", status=400)
        told["query"] = urlencode({"source": source.name, **_sent(form)})
    return render(request, "records/list.html", told)


def _entity(request: HttpRequest, name: str) -> Entity:
    entity = BY_NAME.get(name)
    if entity is None:
        raise Http404("no such entity")
    if not entity.roles & context_processors.roles_of(request):
        raise PermissionDenied
    return entity


def _form(source: Source, sent: QueryDict) -> forms.Form:
    """Bound to what was sent or is there to start with; unbound while something has to be asked."""
    fields = {name: make() for name, make in source.fields.items()}
    order = list(zip(("up", "down"), source.orders, strict=True))
    first = "down" if source.reverse else "up"
    fields["order"] = forms.ChoiceField(label="Order", choices=order, initial=first)
    made = type("Form", (SourceForm,), dict(fields))  # the class takes the fields out of what it is given
    start = {name: _initial(field) for name, field in fields.items()}
    told = {name: sent.get(name, start[name]) for name in fields}
    lacking = [name for name, field in fields.items() if field.required and told[name] is None]
    form: forms.Form = made(initial=start) if lacking else made(told)
    return form


def _initial(field: forms.Field) -> Any:
    value = field.initial() if callable(field.initial) else field.initial
    return field.prepare_value(value) if value is not None else None


def _sent(form: forms.Form) -> dict[str, str]:
    return {name: str(value) for name, value in form.data.items() if value not in (None, "")}


def _page(request: HttpRequest, entity: Entity, source: Source, told: dict[str, Any]) -> dict[str, Any]:
    query = raw_items.Query(
        name=f"{entity.name}/{source.name}/{sorted(told.items())}",
        partition=source.partition(**told),
        index=source.index,
        span=source.span(**told),
        reverse=told["order"] == "down",
        only=entity.name if source.only else "",
        read=source.read,
    )
    page = raw_items.page(query, request.GET.get("cursor"))
    if entity.name in CONSENT_RECORDS:
        for student_id in sorted({raw_items.text_at(item, "student_id") or "" for item in page.items}):
            tell_of_view(request, student_id, f"records, list of {entity.name}")
    elif entity.name in LISTS_WITH_ANSWERS:
        for session_id in sorted({raw_items.text_at(item, "session_id") or "" for item in page.items}):
            account_audit.look(
                request, "record.view", session_id=session_id, subject=f"list of {entity.name}"
            )
    roles = _reader(request)
    headings = presentation.headings(entity.name, entity.columns, roles)
    rows = [_row(request, entity, headings, presentation.visible(item, roles)[0]) for item in page.items]
    beyond = "cursor" in request.GET
    return {"page": page, "headings": headings, "rows": rows, "beyond_first": beyond}


def _row(
    request: HttpRequest, entity: Entity, headings: list[presentation.Heading], item: Raw
) -> dict[str, Any]:
    kind = raw_items.entity_of(item)
    return {
        "url": _url_of(request, item),
        "sk": item["SK"]["S"],
        "foreign": "" if kind == entity.name else kind or "no entity type",
        "cells": [(heading, presentation.cell(item, heading)) for heading in headings],
    }


# --- a partition


@allow(*READERS)
@never_cache
@require_GET
def partition(request: HttpRequest) -> HttpResponse:
    """All items under one partition key, of whatever entity."""
    pk = request.GET.get("pk", "")
    if not raw_items.is_key(pk, "-"):
        raise Http404("no such partition")
    query = raw_items.Query(name=f"partition/{pk}", partition=pk)
    try:
        page = raw_items.page(query, request.GET.get("cursor"))
    except BadCursor:
        return render(request, "bad_link.html", status=400)
    rows = [_member(item, url) for item in page.items if (url := _url_of(request, item))]
    told = {"pk": pk, "page": page, "rows": rows, "closed": len(page.items) - len(rows)}
    beyond = "cursor" in request.GET
    return render(
        request, "records/partition.html", {**told, "query": urlencode({"pk": pk}), "beyond_first": beyond}
    )


def _member(item: Raw, url: str) -> dict[str, Any]:
    name = raw_items.entity_of(item)
    updated = next(filter(None, (raw_items.text_at(item, path) for path in UPDATED)), None)
    return {
        "url": url,
        "sk": item["SK"]["S"],
        "title": presentation.about(name).get("title", name or "no entity type"),
        "updated": presentation.moment(updated),
    }


# --- an item


@allow(*READERS)
@never_cache
@require_GET
@while_away(nothing_shown)
def item(request: HttpRequest, name: str) -> HttpResponse:
    """One item by its key. What it is decides who may see it, not what the address calls it."""
    pk, sk = request.GET.get("pk", ""), request.GET.get("sk", "")
    if name != OTHER:
        _entity(request, name)
    found = raw_items.item(pk, sk) if raw_items.is_key(pk, sk) else None
    if found is None:
        raise Http404("no such item")
    url = _url_of(request, found)
    if url is None:
        raise PermissionDenied
    actual = raw_items.entity_of(found)
    if name != (actual if actual in BY_NAME else OTHER):
        return redirect(url)
    if actual in CONSENT_RECORDS:
        tell_of_view(request, raw_items.text_at(found, "student_id") or "", f"records, {actual}")
    else:
        _audit_look(request, found)
    return render(request, "records/item.html", _told(request, found, BY_NAME.get(actual)))


def _audit_look(request: HttpRequest, found: Raw) -> None:
    """Before an item about a person is shown. Raises NotTold."""
    pk, actual = found["PK"]["S"], raw_items.entity_of(found)
    session_id, student_id = (raw_items.text_at(found, name) for name in ("session_id", "student_id"))
    entity = BY_NAME.get(actual)
    if entity and not pk.startswith(PERSONAL) and not session_id and not student_id:
        return
    kept, _ = presentation.visible(found, _reader(request))
    has_position = any(raw_items.value_at(kept, path) for path in POSITION)
    account_audit.look(
        request,
        "position.view" if has_position else "record.view",
        session_id=session_id,
        student_id=student_id,
        subject=actual or OTHER,
        new={"key": f"{pk} {found['SK']['S']}"[:MAX_AUDITED_KEY_LENGTH]},
    )


def _told(request: HttpRequest, found: Raw, entity: Entity | None) -> dict[str, Any]:
    roles = context_processors.roles_of(request)
    kept, gone = presentation.visible(found, _reader(request))
    actual = raw_items.entity_of(found)
    related = [*EVERYWHERE, *entity.related] if entity else [*EVERYWHERE]
    return {
        "entity": entity,
        "kind": actual,
        "about": presentation.about(actual),
        "keys": [(name, kept[name]["S"]) for name in presentation.KEYS if "S" in kept.get(name, {})],
        "sheet": presentation.sheet(kept, actual, gone),
        "gone": [each.path for each in gone if each.known],
        "unknown": [each.path for each in gone if not each.known],
        "related": [link for each in related if (link := _link(roles, kept, each))],
        "actions": [
            link for each in (entity.actions if entity else ()) if (link := _link(roles, kept, each))
        ],
        "partition_url": _partition_url(found["PK"]["S"]),
        "dynamodb_json": raw_items.dynamodb_json(kept),
        "plain_json": raw_items.plain_json(kept),
    }


def _link(roles: frozenset[str], item: Raw, related: Related) -> Link | None:
    """None where the item lacks what it needs, is what it leads to, or the reader may not follow it."""
    value = raw_items.text_at(item, related.path)
    if not value:
        return None
    try:
        url = _leads_to(roles, item, related, value)
    except (keys.BadKey, NoReverseMatch):
        return None
    return Link(related.title, url) if url else None


def _leads_to(roles: frozenset[str], item: Raw, related: Related, value: str) -> str | None:
    if related.page:
        url = reverse(related.page, args=[value])
        return url if policy_of(resolve(url).func) & roles else None
    entity = BY_NAME[related.entity]
    if not entity.roles & roles:
        return None
    if related.key is None:
        argument = next(iter(_source(entity, related.source).fields))
        query = {"source": related.source, argument: value}
        return f"{reverse('record_list', args=[entity.name])}?{urlencode(query)}"
    key = related.key(value)
    itself = key == (item["PK"]["S"], item["SK"]["S"])
    return None if itself else _item_url(entity.name, *key)


def _source(entity: Entity, name: str) -> Source:
    source = entity.source(name)
    if source is None:
        raise LookupError(f"{entity.name} has no source {name}")
    return source
