"""Whose students and sessions a facilitator may see: those of the own sites. A site is a school.

Who belongs to a site stands in SQL as a group `site:<school id>` of the account; the id is opaque, so that no
data of the study are there. A page of a foreign site does not exist: 404, and nothing is given away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import Http404, HttpRequest

from ..domain.audit.log import Actor
from ..domain.models import DirectoryEntry, School, Session, Student, readable
from ..domain.store import keys
from . import account_audit
from .roles import SITE_PREFIX, forget_groups, roles_in_view, sites_of

MAX_AT_ONCE = 100
"""Values that DynamoDB takes in one IN."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A facilitator's. Sessions that name no site, as older ones, are seen by whoever led them."""

    sites: frozenset[str]
    account: str

    def lets_see_school(self, name: str | None) -> bool:
        """No name, as another client may leave one out, is nobody's school."""
        return name is not None and keys.school_id(name) in self.sites

    def lets_see_session(self, session: Session) -> bool:
        return session.site in self.sites if session.site else session.facilitator == self.account


def limit_of(request: HttpRequest) -> Limit | None:
    """None for whom another role opens the view as well, and for a browser confined to its session."""
    if roles_in_view(request) != {"facilitator"}:
        return None
    return Limit(sites_of(request.user), str(request.user.get_username()))


def check_session(request: HttpRequest, session: Session) -> None:
    """Raises Http404."""
    limit = limit_of(request)
    if limit is not None and not limit.lets_see_session(session):
        account_audit.denied(request)
        raise Http404("no such session")


def may_see_student(request: HttpRequest, student: Student) -> bool:
    limit = limit_of(request)
    return limit is None or limit.lets_see_school(student.demographics.school)


def check_student(request: HttpRequest, student: Student) -> None:
    """Raises Http404."""
    if not may_see_student(request, student):
        account_audit.denied(request)
        raise Http404("no such student")


def may_see_grave(request: HttpRequest, by: str) -> bool:
    """What is left of an erased student names no school: a facilitator sees those of the own erasures."""
    limit = limit_of(request)
    return limit is None or by == limit.account


# --- conditions for lists, to be put into a query's filter


def only_sessions(limit: Limit | None) -> Any:
    """None where nothing is to be left out."""
    if limit is None:
        return None
    wanted: Any = Session.site.does_not_exist() & (Session.facilitator == limit.account)
    for some in _in_parts(limit.sites):
        wanted = wanted | Session.site.is_in(*some)
    return wanted


def only_students(limit: Limit | None) -> Any:
    """Of directory entries; None where nothing is to be left out. Needs at least one site."""
    if limit is None:
        return None
    first, *rest = (
        DirectoryEntry.GSI1PK.is_in(*(keys.school(site) for site in some)) for some in _in_parts(limit.sites)
    )
    for part in rest:
        first = first | part
    return first


def _in_parts(sites: frozenset[str]) -> Iterable[list[str]]:
    ordered = sorted(sites)
    return (ordered[at : at + MAX_AT_ONCE] for at in range(0, len(ordered), MAX_AT_ONCE))


def schools(limit: Limit | None = None) -> list[School]:
    """All that the study knows, or those of the limit; by name."""
    seen = [school for school in readable(School.all(), School) if limit is None or school.SK in limit.sites]
    return sorted(seen, key=lambda school: str(school.name).casefold())


# --- who belongs where


def facilitators() -> list[User]:
    return list(User.objects.filter(groups__name="facilitator").order_by("username"))


def assign(user: User, wanted: Iterable[str], *, by: Actor, new: School | None = None) -> bool:
    """The account belongs to these sites and no others; whether that changed anything. Raises NotTold.

    Told in the audit log with the schools' names, before it counts. `new` is one that is not stored yet.
    """
    after, before = set(wanted), {name.removeprefix(SITE_PREFIX) for name in _groups_of(user)}
    if after == before:
        return False
    names = {str(school.SK): str(school.name) for school in [*schools(), *([new] if new else [])]}
    told = {
        key: {"schools": ", ".join(sorted(names.get(site, site) for site in sites)) or "none"}
        for key, sites in (("old", before), ("new", after))
    }
    with transaction.atomic():
        user.groups.remove(*(_group(site) for site in before - after))
        user.groups.add(*(_group(site) for site in after - before))
        account_audit.tell("site.change", by=by, subject=str(user.get_username()), **told)
    forget_groups(user)
    return True


def join(user: User, school: str, *, by: Actor) -> bool:
    """Belong to one more site, new to the study or not; whether that changed anything. Raises NotTold."""
    new = School.named(school)
    return assign(user, sites_of(user) | {str(new.SK)}, by=by, new=new)


def _groups_of(user: User) -> list[str]:
    return list(user.groups.filter(name__startswith=SITE_PREFIX).values_list("name", flat=True))


def _group(site: str) -> Group:
    return Group.objects.get_or_create(name=f"{SITE_PREFIX}{site}")[0]
