"""What browsers are told beyond Django's own headers, and what logs are not told."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class BrowserPolicyMiddleware:
    """Which of the device's abilities pages may use: the place, for location checks, and nothing else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        return response


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
