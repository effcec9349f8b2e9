from django.conf import settings
from django.http import HttpRequest, HttpResponse

from sessions_app import study
from sessions_app.access.roles import ROLES, allow
from sessions_app.pages import render


@allow(*ROLES)
def home(request: HttpRequest) -> HttpResponse:
    retention = {"until": settings.RETENTION_UNTIL, "expired": study.is_expired()}
    return render(request, "home.html", {"retention": retention})
