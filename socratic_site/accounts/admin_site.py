"""Django's admin site for staff accounts alone: signed in to by our own pages, open to admins only."""

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from sessions_app.access.account_audit import tell
from sessions_app.access.roles import actor, roles_of


class StaffAdmin(AdminSite):
    site_header = site_title = "Socratic Benchmarks: staff accounts"
    index_title = "Who may sign in, and as what"

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and "admin" in roles_of(request.user)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is one way to sign in; whoever is signed in and sent here has another role."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
        if not self.has_permission(request):
            raise PermissionDenied
        return redirect("admin:index")

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        with transaction.atomic():
            response = super().password_change(request, extra_context)
            if request.method == "POST" and response.status_code == 302:
                by = actor(request)
                tell("account.change", by=by, subject=by.name, reason="changed: password")
        return response
