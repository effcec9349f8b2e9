"""Which facilitator belongs to which school: administrators decide, and the audit log tells."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from ..access import sites
from ..access.roles import actor, allow, sites_of
from ..pages import render
from .consent import nothing_shown
from .store_unavailable import while_away


class SitesForm(forms.Form):
    schools = forms.MultipleChoiceField(
        label="Schools",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "This is not one of the schools."},
    )

    def __init__(self, data: Any, *, known: list[Any], user: User) -> None:
        super().__init__(data, initial={"schools": sorted(sites_of(user))})
        field: Any = self.fields["schools"]
        field.choices = [(school.SK, school.name) for school in known]


@allow("admin")
@never_cache
@require_GET
@while_away(nothing_shown)
def index(request: HttpRequest) -> HttpResponse:
    """Every facilitator with the names of the own schools: one query for the names."""
    known = sites.schools()
    rows = [
        (user, [school.name for school in known if school.SK in sites_of(user)])
        for user in sites.facilitators()
    ]
    return render(request, "staff/sites.html", {"rows": rows, "schools": known})


@allow("admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@while_away(nothing_shown)
def change(request: HttpRequest, account: int) -> HttpResponse:
    user = get_object_or_404(User, pk=account, groups__name="facilitator")
    known = sites.schools()
    form = SitesForm(request.POST if request.method == "POST" else None, known=known, user=user)
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        context = {"form": form, "member": user, "schools": known}
        return render(request, "staff/site.html", context, status=status)
    if sites.assign(user, form.cleaned_data["schools"], by=actor(request)):
        messages.success(request, f"The schools of {user.get_username()} are changed.")
    return redirect("staff_sites")
