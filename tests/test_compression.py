"""What goes over the network is compressed where the browser takes it, and only what gains by it."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.test import Client, RequestFactory

from socratic_site import compression
from socratic_site.local.files import BASE

pytestmark = pytest.mark.django_db

TAKES_GZIP = {"accept-encoding": "gzip"}
STYLES = "/static/css/site.css"


@pytest.fixture(autouse=True)
def var(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path / "var"
    compression.kept.cache_clear()
    return tmp_path / "var"


def content(response: Any) -> bytes:
    sent = b"".join(response.streaming_content) if response.streaming else bytes(response.content)
    response.close()
    return sent


def answered(response: HttpResponse) -> Any:
    def view(request: HttpRequest) -> HttpResponse:
        return response

    request = RequestFactory(headers=TAKES_GZIP).get("/")
    return compression.CompressedPagesMiddleware(view)(request)


def test_a_file_is_sent_compressed_and_is_the_same() -> None:
    response = Client(headers=TAKES_GZIP).get(STYLES)
    sent = content(response)
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Content-Length"] == str(len(sent))
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["Content-Type"].startswith("text/css")
    assert gzip.decompress(sent) == (BASE / "static" / "css" / "site.css").read_bytes()


def test_a_browser_that_takes_no_gzip_gets_the_file_as_it_is() -> None:
    response = Client().get(STYLES)
    assert "Content-Encoding" not in response.headers
    assert content(response) == (BASE / "static" / "css" / "site.css").read_bytes()


def test_a_file_is_compressed_once_for_all_processes(var: Path) -> None:
    first = content(Client(headers=TAKES_GZIP).get(STYLES))
    before = {file.name: file.stat().st_mtime_ns for file in (var / "compressed").iterdir()}
    compression.kept.cache_clear()  # as another process begins
    assert content(Client(headers=TAKES_GZIP).get(STYLES)) == first
    assert {file.name: file.stat().st_mtime_ns for file in (var / "compressed").iterdir()} == before
    assert all(name.endswith(".gz") for name in before)


def test_files_go_out_as_they_are_where_nothing_can_be_kept(var: Path) -> None:
    var.write_text("no folder")
    response = Client(headers=TAKES_GZIP).get(STYLES)
    assert response.status_code == 200
    assert "Content-Encoding" not in response.headers
    assert content(response) == (BASE / "static" / "css" / "site.css").read_bytes()


def test_a_changed_file_is_compressed_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.css"
    file.write_text("a" * 1000)
    first = compression.kept(str(file), 1)
    file.write_text("b" * 1000)
    second = compression.kept(str(file), 2)
    assert first is not None
    assert second is not None
    assert first != second
    assert gzip.decompress(Path(second).read_bytes()) == b"b" * 1000


def test_pages_are_sent_compressed_with_a_length_that_tells_nothing() -> None:
    lengths = set()
    for _ in range(20):
        response = answered(HttpResponse("<p>the same words</p>" * 100))
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(response.content) == b"<p>the same words</p>" * 100
        lengths.add(len(response.content))
    assert len(lengths) > 1


@pytest.mark.parametrize(
    "response",
    [JsonResponse({"pages": "words " * 100}), HttpResponse("<svg/>" * 100, content_type="image/svg+xml")],
)
def test_charts_and_what_scripts_ask_for_are_compressed(response: HttpResponse) -> None:
    assert answered(response).headers["Content-Encoding"] == "gzip"


def test_downloads_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    file.write_bytes(b"x" * 1000)
    response = answered(FileResponse(file.open("rb")))  # type: ignore[arg-type]
    assert "Content-Encoding" not in response.headers
    assert content(response) == b"x" * 1000
