from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sessions_app import study
from sessions_app.domain.audit import log as audit_log
from sessions_app.domain.consent import reconsent
from sessions_app.domain.models.consent import FORM_KINDS


class Command(BaseCommand):
    help = (
        "Whoever agreed to an older version of a form must agree to the one in force before the next "
        "session. Broken off, it goes on where it stopped when it is run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=FORM_KINDS, help="the kind of form")
        parser.add_argument("--reason", help="kept with the decision and in the audit log; required")
        parser.add_argument("--by", default="command line", help="who decided it, for the audit log")

    def handle(self, *args: Any, kind: str, reason: str | None, **options: Any) -> None:
        if not reason:
            raise CommandError("--reason is missing: say why; it is kept in the audit log")
        try:
            form = study.package().form(kind)
        except KeyError:
            raise CommandError(f"the content package has no form of the kind {kind}") from None
        by = audit_log.Actor(options["by"], "system")
        decision = reconsent.decide(form=form, reason=reason, by=by, now=study.now())
        while not decision.is_finished:
            decision = reconsent.carry_on(form=form, by=by, now=study.now())
        told = f"{decision.looked_at} students looked at, {decision.marked} need re-consent"
        self.stdout.write(f"{kind} version {form.version}: {told}")
