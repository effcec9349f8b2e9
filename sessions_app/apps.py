from django.apps import AppConfig
from django.core import checks


class SessionsConfig(AppConfig):
    name = "sessions_app"
    verbose_name = "Study sessions"

    def ready(self) -> None:
        from django.conf import settings

        from sessions_app import study
        from sessions_app.access import roles
        from sessions_app.domain import models

        models.configure(table_name=settings.SOCRATIC_TABLE, region=settings.AWS_REGION)
        checks.register(roles.check_every_route_has_a_policy, checks.Tags.security)
        checks.register(study.check_retention)
