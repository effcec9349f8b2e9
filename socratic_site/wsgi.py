import os

from django.core.wsgi import get_wsgi_application

from socratic_site import production

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "socratic_site.settings")

production.require_no_seal_key(os.environ)

application = get_wsgi_application()

from analytics_app import warming  # noqa: E402 - models can be imported only now
from sessions_app import staff, study  # noqa: E402

staff.refuse_demo_accounts()

# Made before the first request: a class that asks at once would load the SDK and build a tutor each.
study.tutor()
study.package()

warming.begin()
