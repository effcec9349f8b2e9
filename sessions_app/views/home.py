from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from sessions_app.access import ROLES, allow


@allow(*ROLES)
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html")
