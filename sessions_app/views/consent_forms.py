"""The consent forms: every version that anybody agreed to, and making a new one binding for everybody."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from .. import study
from ..access.roles import actor, allow
from ..domain.consent import reconsent
from ..domain.content.package import ConsentForm, blocks_of
from ..domain.models import ConsentEvent, FormText, RenewalDecision
from ..domain.store import keys
from ..forms.staff import RequireForm
from ..pages import render
from .consent import COUNTED, nothing_shown
from .store_unavailable import while_away

TITLES = {
    "parental_permission": "Permission of a parent or guardian",
    "assent": "Assent, 14 to 17",
    "child_assent": "Assent, under 14",
    "adult_consent": "Consent, 18 or older",
}


@allow("irb", "admin")
@never_cache
@require_GET
@while_away(nothing_shown)
def index(request: HttpRequest) -> HttpResponse:
    return _index(request)


def _index(
    request: HttpRequest, refused: RequireForm | None = None, kind: str = "", status: int = 200
) -> HttpResponse:
    """Every kind with its versions; `refused` is a decision of this kind that lacked its reason."""
    kept = FormText.all()
    decided = reconsent.decisions(study.package().forms)
    kinds = []
    for form in study.package().forms:
        versions = _versions(form, [text for text in kept if text.kind == form.kind])
        older = any(version["students"] for version in versions if not version["current"])
        kinds.append(
            {
                "kind": form.kind,
                "title": TITLES[form.kind],
                "versions": versions,
                "decision": decided.get(form.kind),
                "form": (refused if form.kind == kind else RequireForm(prefix=form.kind)) if older else None,
            }
        )
    return render(request, "consent/forms.html", {"kinds": kinds}, status=status)


def _versions(form: ConsentForm, kept: list[FormText]) -> list[dict[str, Any]]:
    """Newest first; the one in force has a row also before anybody agreed to it."""
    rows = [_row(text.sha256_of_key, text.version, text.first_used, form) for text in reversed(kept)]
    if not any(row["current"] for row in rows):
        rows.insert(0, _row(form.sha256, form.version, None, form))
    return rows


def _row(sha256: str, version: str, first_used: Any, form: ConsentForm) -> dict[str, Any]:
    count = ConsentEvent.students_of_form(sha256, COUNTED) if first_used else 0
    return {
        "sha256": sha256,
        "version": version,
        "first_used": first_used,
        "current": sha256 == form.sha256,
        "students": count,
        "shown": f"{COUNTED:,}+" if count >= COUNTED else str(count),
    }


@allow("irb", "admin")
@never_cache
@require_GET
@while_away(nothing_shown)
def show(request: HttpRequest, sha256: str) -> HttpResponse:
    """One version, word for word."""
    try:
        text = FormText.of(sha256)
    except keys.BadKey:
        text = None
    if text is None:
        current = next((form for form in study.package().forms if form.sha256 == sha256), None)
        if current is None:
            raise Http404("no such form")
        consent = {"title": current.title, "form_id": current.form_id, "version": current.version}
        return _shown(request, consent | {"blocks": current.blocks, "sha256": sha256}, None)
    consent = {"title": text.title, "form_id": text.form_id, "version": text.version}
    return _shown(request, consent | {"blocks": blocks_of(text.text), "sha256": sha256}, text)


def _shown(request: HttpRequest, consent: dict[str, Any], text: FormText | None) -> HttpResponse:
    return render(request, "consent/form.html", {"consent": consent, "text": text})


# --- a new version for everybody


@allow("irb", "admin")
@require_POST
@while_away(nothing_shown)
def require(request: HttpRequest, kind: str) -> HttpResponse:
    """The decision; it is then carried out on the page of its progress."""
    form = _form(kind)
    sent = RequireForm(request.POST, prefix=kind)
    if not sent.is_valid():
        return _index(request, sent, kind, 422)
    reconsent.decide(form=form, reason=sent.cleaned_data["reason"], by=actor(request), now=study.now())
    return redirect("consent_form_renewal", kind)


def _form(kind: str) -> ConsentForm:
    try:
        return study.package().form(kind)
    except KeyError:
        raise Http404("no such form") from None


@allow("irb", "admin")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@while_away(nothing_shown)
def progress(request: HttpRequest, kind: str) -> HttpResponse:
    """How far it is; each POST goes on with the next students. The page sends them by itself, one by one."""
    form = _form(kind)
    decision = RenewalDecision.about(form.sha256)
    if decision is None:
        return redirect("consent_forms")
    if request.method == "POST":
        decision = reconsent.carry_on(form=form, by=actor(request), now=study.now())
        if not getattr(request, "htmx", False):
            return redirect("consent_form_renewal", kind)
    context = {"decision": decision, "form": form, "title": TITLES[kind]}
    template = "consent/renewal.html#progress" if getattr(request, "htmx", False) else "consent/renewal.html"
    return render(request, template, context)
