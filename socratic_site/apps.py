import botocore
from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "socratic_site"
    verbose_name = "Site"

    def ready(self) -> None:
        from socratic_site.local import commit_wait

        botocore.register_initializer(commit_wait.wait_for_local_commits)
