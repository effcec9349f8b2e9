"""What goes over the network is compressed: pages as they are made, files once for all processes.

Pages hold a secret (the CSRF token) beside words that others chose, which is what BREACH needs. Against it
Django masks the token anew on each page, browsers send our cookies with no request of another site but a
plain visit (SameSite), and GZipMiddleware adds up to a hundred random bytes to each answer.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

PAGES: Final = ("text/html", "application/json", "image/svg+xml")
FILES: Final = frozenset({".css", ".js", ".svg"})
MIN_BYTES: Final = 512  # bytes of a file below which nothing is won
OWN: Final = frozenset({"Content-Length", "ETag"})


class CompressedPagesMiddleware(GZipMiddleware):
    """Pages, charts, what scripts ask for. Downloads are streamed and stay as they are; most are packed."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.headers.get("Content-Type", "").startswith(PAGES):
            return response
        return super().process_response(request, response)


class CompressedFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise takes `file.gz` beside a file. Ours are in var/, not in the packages' folders."""

    def get_static_file(self, path: str, url: str, stat_cache: Any = None) -> StaticFile:
        plain = super().get_static_file(path, url, stat_cache)
        if Path(path).suffix not in FILES or (compressed := kept(path, os.stat(path).st_mtime_ns)) is None:
            return plain
        headers = [(name, told) for name, told in plain.alternatives[-1][2] if name not in OWN]
        return StaticFile(path, headers, encodings={"gzip": compressed})


@lru_cache(maxsize=1024)
def kept(path: str, changed: int) -> str | None:
    """The compressed copy, named by what it holds; None where that wins nothing or cannot be kept."""
    content = Path(path).read_bytes()
    if len(content) < MIN_BYTES:
        return None
    copy: Path = settings.VAR_DIR / "compressed" / f"{hashlib.sha256(content).hexdigest()}.gz"
    try:
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            half = copy.with_suffix(f".{os.getpid()}")
            half.write_bytes(gzip.compress(content, mtime=0))
            half.replace(copy)
    except OSError:  # a full disk, a folder for reading only: then files go out as they are
        return None
    return str(copy)
