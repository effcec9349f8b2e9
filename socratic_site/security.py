"""What browsers are told, what is never taken from them, and what logs are not told."""

import io
import logging
import traceback
from collections.abc import Callable
from typing import Any

from csp.constants import SELF
from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

Answer = Callable[[HttpRequest], HttpResponseBase]


class ClientAddressMiddleware:
    """Behind a proxy every request comes from the proxy: the address it saw stands in the header it appends.

    Counted from the right, one entry a proxy of ours; what stands further left was sent by the client.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if 0 < settings.TRUSTED_PROXIES <= len(forwarded):
            address = forwarded[-settings.TRUSTED_PROXIES].strip()
            request.META["REMOTE_ADDR"] = address or request.META.get("REMOTE_ADDR", "")
        return self.get_response(request)


class BrowserPolicyMiddleware:
    """The outermost of all, so that what it says stands on errors, redirects and static files as well.

    Pages are kept by no cache unless they say themselves how long: nearly all show data of participants.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in settings.BROWSER_POLICY.items():
            response.headers.setdefault(name, value)
        return response


class ContentPolicyMiddleware(CSPMiddleware):
    """Our pages run only what carries this response's nonce; Django's admin site has files of its own."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        match = request.resolver_match
        if match is not None and match.app_names[:1] == ["admin"]:
            parts.replace = {"script-src": [SELF], "style-src": [SELF]}
        return parts


class UploadRefused(SuspiciousOperation):
    """Somebody sent a file; Django answers 400."""


class NoUploads(FileUploadHandler):
    """The handler of every route but FILE_ROUTES. It refuses at a file's first byte."""

    def new_file(self, *arguments: Any, **options: Any) -> None:
        raise UploadRefused("this site takes no files")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        raise UploadRefused("this site takes no files")

    def file_complete(self, file_size: int) -> None:
        return None


FILE_ROUTES = frozenset({"roster_new"})
MAX_FILE = 256 * 1024  # bytes


class SmallFile(FileUploadHandler):
    """Keeps the beginning of one file in memory; nothing is written to disk."""

    def new_file(self, *arguments: Any, **options: Any) -> None:
        super().new_file(*arguments, **options)
        self.beginning = io.BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.beginning.write(raw_data[: max(0, MAX_FILE - start)])

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self.beginning.seek(0)
        return InMemoryUploadedFile(
            self.beginning, self.field_name, self.file_name or "", self.content_type, file_size, self.charset
        )


class RefuseUploadsMiddleware:
    """Reads every multipart body before its view, so that a file is refused also where nobody would look."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> None:
        if request.method == "POST" and request.content_type == "multipart/form-data":
            if request.resolver_match and request.resolver_match.url_name in FILE_ROUTES:
                request.upload_handlers = [SmallFile(request)]
            _ = request.POST


class RouteInsteadOfPath(logging.Filter):
    """Django puts paths into its warnings; links of participants carry tokens, so the route stands in."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest):
            match = request.resolver_match
            route = f"/{match.route}" if match else "an unknown address"
            status = getattr(record, "status_code", "-")
            record.msg, record.args = "%s %s at %s", (status, request.method, route)
        return True


class WithoutWords(logging.Formatter):
    """Tracebacks without the exceptions' messages: those may repeat what somebody typed."""

    def formatException(self, ei: Any) -> str:
        told, fault = [], ei[1]
        while fault is not None:
            kind = f"{type(fault).__module__}.{type(fault).__qualname__}"
            places = "".join(traceback.format_tb(fault.__traceback__)).rstrip()
            told.append(f"{kind}, at\n{places}")
            fault = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
        return "\nafter ".join(told)
