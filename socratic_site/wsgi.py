import os

from django.core.wsgi import get_wsgi_application

from socratic_site import production_checks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "socratic_site.settings")

production_checks.require_no_seal_key(os.environ)

application = get_wsgi_application()

from analytics_app import preload  # noqa: E402 - models can be imported only now
from sessions_app import study  # noqa: E402
from sessions_app.access import accounts  # noqa: E402

accounts.refuse_demo_accounts()

# Made before the first request: a class that asks at once would load the SDK and build a tutor each.
study.tutor()
study.package()

preload.begin()
