"""Error pages that carry the nonce of their response, whatever part of the site broke."""

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.defaults import permission_denied

from sessions_app.access import account_audit
from socratic_site.security import UploadRefused

TOO_LARGE = "What was sent is too large, and nothing of it was stored. Make it shorter, then send it again."
UNREADABLE = "What was sent could not be read, and nothing of it was stored. Send it again."


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A body over the limit is 413, anything else that cannot be read 400; scripts are told in JSON."""
    large = isinstance(exception, RequestDataTooBig)
    status = 413 if large else 400
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        told = {"saved": False, "error": "too_large" if large else "unreadable"}
        return JsonResponse(told | {"message": TOO_LARGE if large else UNREADABLE}, status=status)
    context = {"file": isinstance(exception, UploadRefused), "large": large}
    return render(request, "400.html", context, status=status)


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    account_audit.denied(request)
    return permission_denied(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Drawn without the request: what its context asks for may be what broke."""
    page = render_to_string("500.html", {"csp_nonce": getattr(request, "csp_nonce", "")})
    return HttpResponse(page, status=500)
