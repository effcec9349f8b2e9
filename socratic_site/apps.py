import botocore
from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "socratic_site"
    verbose_name = "Site"

    def ready(self) -> None:
        from socratic_site import commits

        botocore.register_initializer(commits.wait_for_local_commits)
