"""Browsers that may do one session only: a tablet, handed over and taken back, and a participant's own."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import UpdateError

from ..audit import log as audit_log
from ..audit.log import PARTICIPANT, Actor
from ..models import Browser, Item, ParticipantLink, Session, readable
from ..store import keys
from ..store.transactions import Refused, Transaction
from .record import Run, SessionClosed, commit

MAX_DEVICES = 50
PIN_TRIES = 5
PASSWORD_TRIES = 5
PASSWORD_PAUSE = timedelta(minutes=1)
"""Between two tries of the password, once the free ones are spent."""


class PinSpent(Exception):
    """The PIN was tried as often as it may be; only the password opens this tablet now."""


class TooSoon(Exception):
    """The password was wrong often; it may be tried again a minute after the last time."""


class BrowserGone(LookupError):
    """The browser is not bound to the session any more, or the session was erased."""


class LinkEnded(Exception):
    """The link has run out or was revoked, or the session is closed."""


class TooManyBrowsers(Exception):
    """So many browsers were bound to the session that no participant can be behind them."""


# --- a tablet


def hand_over(run: Run, *, browser_id: str, by: Actor, now: datetime) -> Browser:
    """Bind a tablet to an open session. Raises SessionClosed, Busy."""
    if not run.is_open:
        raise SessionClosed(str(run.session.state))
    browser = _browser(run, browser_id, now, kind="tablet", by=by.name)
    transaction = Transaction()
    transaction.check("session", Session, keys.session(run.id), keys.METADATA, Session.PK.exists())
    transaction.create("browser", browser)
    _note(transaction, "session.hand_over", run.id, run.session.student_id, by, now)
    transaction.commit()
    return browser


def _browser(run: Run, browser_id: str, now: datetime, **told: Any) -> Browser:
    return Browser(
        PK=keys.session(run.id),
        SK=keys.browser(browser_id),
        browser_id=browser_id,
        session_id=run.id,
        bound_at=now,
        pin_tries=0,
        password_tries=0,
        **told,
    )


def take_back(*, session_id: str, browser_id: str, student_id: str, by: Actor, now: datetime) -> None:
    """End the binding of a tablet. Raises BrowserGone where it was ended before, and Busy."""
    transaction = Transaction()
    transaction.update(
        "browser",
        Browser.key(session_id, browser_id),
        [Browser.ended_at.set(now)],
        Browser.ended_at.does_not_exist(),
    )
    _note(transaction, "session.take_back", session_id, student_id, by, now)
    try:
        transaction.commit()
    except Refused:
        raise BrowserGone(browser_id) from None


def _note(
    transaction: Transaction, action: str, session_id: str, student_id: str, by: Actor, now: datetime
) -> None:
    audit_log.note(transaction, action, by=by, now=now, session_id=session_id, student_id=student_id)


def spend_pin_try(*, session_id: str, browser_id: str) -> None:
    """Count a try of the PIN before it is judged. Raises PinSpent, BrowserGone."""
    browser = Browser.key(session_id, browser_id)
    if not _counted(browser, [Browser.pin_tries.add(1)], Browser.pin_tries < PIN_TRIES):
        raise PinSpent


def spend_password_try(*, session_id: str, browser_id: str, now: datetime) -> None:
    """Count a try of the password before it is judged. Raises TooSoon, BrowserGone."""
    browser = Browser.key(session_id, browser_id)
    free = Browser.password_tries < PASSWORD_TRIES
    rested = Browser.password_tried_at <= now - PASSWORD_PAUSE
    counting = [Browser.password_tries.add(1), Browser.password_tried_at.set(now)]
    if not _counted(browser, counting, free | rested):
        raise TooSoon


def _counted(browser: Browser, actions: list[Any], condition: Any) -> bool:
    """Whether the condition held. Raises BrowserGone where there is nothing to count on."""
    bound = Browser.PK.exists() & Browser.ended_at.does_not_exist()
    try:
        browser.update(actions=actions, condition=bound & condition)
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        _expect_bound(browser)
        return False
    return True


def _expect_bound(browser: Browser) -> None:
    """Raises BrowserGone."""
    try:
        found = Browser.get(browser.PK, browser.SK, consistent_read=True)
    except Browser.DoesNotExist:
        raise BrowserGone(str(browser.SK)) from None
    if found.ended_at:
        raise BrowserGone(str(browser.SK))


def note_cached_pages(run: Run, *, now: datetime) -> None:
    """A device took the pages to come. Kept beside the maps of METADATA, which whole stages overwrite."""
    with suppress(UpdateError):  # erased at this moment
        Session(PK=run.session.PK, SK=run.session.SK).update(
            actions=[Session.pages_cached_at.set(now)], condition=Session.PK.exists()
        )


# --- a participant's own


def make_link(
    run: Run, *, token_sha256: str, lifetime: timedelta, by: Actor, now: datetime
) -> ParticipantLink:
    """Raises SessionClosed, ConsentNotInForce, Busy."""
    if not run.is_open:
        raise SessionClosed(str(run.session.state))
    link = ParticipantLink(
        PK=keys.session(run.id),
        SK=keys.link(token_sha256),
        session_id=run.id,
        token_sha256=token_sha256,
        created_at=now,
        created_by=by.name,
        expires_at=now + lifetime,
    )
    transaction = run.writing()
    transaction.create("link", link)
    _note(transaction, "link.create", run.id, run.session.student_id, by, now)
    commit(transaction)
    return link


def revoke_link(run: Run, *, token_sha256: str, by: Actor, now: datetime) -> None:
    """Nobody is bound by it any more, from the next request on.

    Raises LinkEnded where there is no such link or it was revoked before, and Busy.
    """
    transaction = Transaction()
    transaction.update(
        "link",
        ParticipantLink.key(run.id, token_sha256),
        [ParticipantLink.revoked_at.set(now), ParticipantLink.revoked_by.set(by.name)],
        ParticipantLink.revoked_at.does_not_exist(),
    )
    _note(transaction, "link.revoke", run.id, run.session.student_id, by, now)
    try:
        transaction.commit()
    except Refused:
        raise LinkEnded from None


def link_of(run: Run, token_sha256: str) -> ParticipantLink | None:
    return next((link for link in run.links if link.token_sha256 == token_sha256), None)


def join(run: Run, link: ParticipantLink, *, browser_id: str, now: datetime) -> Browser:
    """Bind a participant's own browser. Raises LinkEnded, TooManyBrowsers, ConsentNotInForce, Busy."""
    if not run.is_open or not link.opens(now):
        raise LinkEnded
    if len(run.browsers) >= MAX_DEVICES:
        raise TooManyBrowsers
    browser = _browser(run, browser_id, now, kind="own", token_sha256=link.token_sha256)
    transaction = run.writing()
    unrevoked = ParticipantLink.PK.exists() & ParticipantLink.revoked_at.does_not_exist()
    transaction.check("link", ParticipantLink, link.PK, link.SK, unrevoked)
    transaction.create("browser", browser)
    _note(transaction, "device.join", run.id, run.session.student_id, PARTICIPANT, now)
    try:
        commit(transaction)
    except Refused:
        raise LinkEnded from None
    return browser


# --- who is bound


def beside(session_id: str) -> list[Item]:
    """The session's browsers, links and calls, with one small query."""
    span = Item.SK.between(keys.BROWSER_PREFIX, keys.after(keys.CALL_PREFIX))
    return list(Item.query(keys.session(session_id), span, consistent_read=True))


def is_bound(items: Iterable[Item], browser_id: str) -> bool:
    """Whether this browser may still do the session, by the session's browsers and links."""
    items = list(items)
    browser = next((i for i in items if isinstance(i, Browser) and i.browser_id == browser_id), None)
    if browser is None or browser.ended_at:
        return False
    return not browser.token_sha256 or browser.token_sha256 in _in_force(items)


def newest(items: Iterable[Item]) -> Browser | None:
    """The browser bound last, of those that still are."""
    items = list(items)
    bound = [item for item in readable(items, Browser) if is_bound(items, item.browser_id)]
    return max(bound, key=lambda browser: browser.bound_at, default=None)


def _in_force(items: Iterable[Item]) -> set[str]:
    links = readable(items, ParticipantLink)
    return {link.token_sha256 for link in links if not link.revoked_at}
