"""What every response says to browsers, whatever kind it is, and what no request may bring."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from sessions_app.domain.models import Session
from socratic_site.local.files import BASE
from socratic_site.security import ClientAddressMiddleware
from support.cast import enrolled, signed_in, started

pytestmark = pytest.mark.django_db

POLICY = {
    "Permissions-Policy": "geolocation=(self), camera=(), microphone=(), payment=(), usb=()",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CLOSED = {"default-src", "frame-ancestors", "base-uri", "object-src"}


def directives(response: Any) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in response.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


class Loading(HTMLParser):
    """What a page makes the browser run or apply, and what it says inline."""

    def __init__(self) -> None:
        super().__init__()
        self.nonces: list[str | None] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("script", "style") or (tag == "link" and given.get("rel") == "stylesheet"):
            self.nonces.append(given.get("nonce"))
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def assert_policy(response: Any) -> None:
    assert {name: response.headers.get(name) for name in POLICY} == POLICY
    told = directives(response)
    assert {name: told[name] for name in CLOSED} == dict.fromkeys(CLOSED, "'none'")
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert "*" not in response.headers["Content-Security-Policy"]
    if not response.streaming and response.headers.get("Content-Type", "").startswith("text/html"):
        assert_page(response, told)


def assert_page(response: Any, told: dict[str, str]) -> None:
    """A page of ours runs and applies what carries the nonce of its own response, and nothing inline."""
    page = Loading()
    page.feed(response.content.decode())
    assert page.inline == []
    if response.headers.get("HX-Redirect") or not page.nonces:
        return
    assert len(set(page.nonces)) == 1
    assert told["script-src"] == told["style-src"] == f"'nonce-{page.nonces[0]}'"


def assert_kept_by_nobody(response: Any) -> None:
    assert "no-store" in response.headers["Cache-Control"]


# --- kinds of responses


def test_a_page_for_anybody() -> None:
    assert_policy(Client().get("/login/"))
    assert_kept_by_nobody(Client().get("/login/"))


def test_two_responses_never_share_a_nonce() -> None:
    assert (
        directives(Client().get("/login/"))["script-src"] != directives(Client().get("/login/"))["script-src"]
    )


def test_a_static_file_runs_nothing_and_may_be_kept() -> None:
    response = Client().get("/static/icons.svg")
    assert response.status_code == 200
    assert_policy(response)
    assert directives(response)["script-src"] == ""
    assert "max-age" in response.headers["Cache-Control"]
    response.close()


def test_a_redirect_to_the_login_page() -> None:
    response = Client().get("/students/")
    assert response.status_code == 302
    assert_policy(response)
    assert_kept_by_nobody(response)


def test_a_redirect_to_tls(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    response = Client().get("/login/")
    assert (response.status_code, response["Location"]) == (301, "https://testserver/login/")
    assert_policy(response)


def test_an_unknown_address() -> None:
    response = Client().get("/nowhere/")
    assert response.status_code == 404
    assert_policy(response)


def test_a_host_that_is_not_ours() -> None:
    response = Client(headers={"host": "elsewhere.example"}).get("/login/")
    assert response.status_code == 400
    assert "could not be read" in response.content.decode()
    assert_policy(response)


def test_another_roles_page() -> None:
    response = signed_in("irb").get("/students/")
    assert response.status_code == 403
    assert_policy(response)
    assert_kept_by_nobody(response)


def test_a_stale_form() -> None:
    response = Client(enforce_csrf_checks=True).post("/login/", {"username": "a", "password": "b"})
    assert response.status_code == 403
    assert "This page expired" in response.content.decode()
    assert_policy(response)


def test_a_lockout(table: str) -> None:
    for _ in range(5):
        response = Client().post("/login/", {"username": "somebody", "password": "a guess"})
    assert response.status_code == 429
    assert_policy(response)
    assert_kept_by_nobody(response)


def test_a_wrong_method() -> None:
    response = Client().post("/healthz")
    assert response.status_code == 405
    assert_policy(response)


def test_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> HttpResponse:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("sessions_app.views.home.render", broken)
    client = signed_in("facilitator")
    client.raise_request_exception = False
    response = client.get("/")
    assert response.status_code == 500
    assert "on our side" in response.content.decode()
    assert_policy(response)
    assert_kept_by_nobody(response)


def test_a_fragment(table: str) -> None:
    response = signed_in("facilitator").get("/monitor/", headers={"HX-Request": "true"})
    assert response.status_code == 200
    assert "<html" not in response.content.decode()
    assert_policy(response)
    assert_kept_by_nobody(response)


def test_the_admin_site_loads_its_own_files_and_nothing_inline() -> None:
    response = signed_in("admin").get("/admin/")
    told, page = directives(response), Loading()
    page.feed(response.content.decode())
    assert (told["script-src"], told["style-src"], page.inline) == ("'self'", "'self'", [])
    assert {name: response.headers.get(name) for name in POLICY} == POLICY
    assert_kept_by_nobody(response)


# --- all routes


def routes(patterns: Any, prefix: str = "") -> Iterator[str]:
    """Every address that needs nothing filled in, the admin site's apart."""
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver) and pattern.app_name != "admin":
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and "<" not in route:
            yield f"/{route}"


def test_every_page_that_opens_without_an_argument(table: str) -> None:
    client, addresses = signed_in("admin"), sorted(set(routes(get_resolver().url_patterns)))
    assert {"/", "/students/", "/monitor/", "/records/", "/grading/"} <= set(addresses)
    for address in addresses:
        response = client.get(address)
        assert response.status_code < 500, address
        assert_policy(response)
        assert_kept_by_nobody(response)


def test_the_pages_of_one_participant(table: str) -> None:
    student = enrolled()
    run = started(student=student)
    session: Session = run.session
    client = signed_in("facilitator")
    for address in (
        f"/students/{student.student_id}/",
        f"/sessions/{session.session_id}/",
        f"/run/{session.session_id}/",
        f"/run/{session.session_id}/baseline/1/",
    ):
        response = client.get(address)
        assert response.status_code in (200, 302), address
        assert_policy(response)
        assert_kept_by_nobody(response)


# --- templates and scripts, before they are served


def test_every_template_gives_the_nonce_to_what_it_loads() -> None:
    loads = re.compile(r'<(?:script|style|link rel="stylesheet")\b[^>]*>')
    tags = [
        (path.name, tag)
        for path in (BASE / "templates").rglob("*.html")
        for tag in loads.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(tags) > 10
    assert [each for each in tags if 'nonce="{{ csp_nonce }}"' not in each[1]] == []


def test_htmx_carries_the_nonce(table: str) -> None:
    page = signed_in("facilitator").get("/monitor/").content.decode()
    assert re.search(r'<script src="/static/django_htmx/htmx-2\.min\.js" defer nonce="[^"]{20,}">', page)


def test_our_scripts_evaluate_no_text() -> None:
    folder = Path(str(finders.find("js")))
    evaluating = re.compile(r"\beval\(|new Function\(|\.innerHTML\s*=|document\.write")
    scripts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.js")}
    assert len(scripts) > 5
    assert [name for name, text in scripts.items() if evaluating.search(text)] == []


# --- files


def a_file() -> SimpleUploadedFile:
    return SimpleUploadedFile("list.csv", b"a,b\n1,2\n", content_type="text/csv")


@pytest.mark.parametrize("address", ["/login/", "/logout/", "/healthz"])
def test_a_file_is_refused_wherever_it_is_sent(address: str) -> None:
    response = Client().post(address, {"username": "a", "file": a_file()})
    assert response.status_code == 400
    assert "File uploads are not allowed" in response.content.decode()
    assert_policy(response)


def test_a_file_is_refused_to_a_signed_in_reader_and_nothing_else_of_the_form_is_taken(table: str) -> None:
    response = signed_in("facilitator").post("/students/new/", {"age": "16", "file": a_file()})
    assert response.status_code == 400


def test_a_form_without_a_file_may_come_in_parts() -> None:
    assert Client().post("/login/", {"username": "a", "password": "b"}).status_code == 200


# --- who asked


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.7", "10.0.0.1"),
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (2, "198.51.100.1, 203.0.113.7", "198.51.100.1"),
        (2, "203.0.113.7", "10.0.0.1"),
        (1, "", "10.0.0.1"),
    ],
)
def test_the_address_is_the_one_that_our_own_proxy_saw(
    settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers={"x-forwarded-for": forwarded})
    seen = ClientAddressMiddleware(lambda asked: HttpResponse(asked.META["REMOTE_ADDR"]))(request)
    assert seen.content.decode() == address
