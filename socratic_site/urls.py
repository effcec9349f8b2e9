from django.contrib import admin
from django.urls import include, path

from sessions_app.access.roles import public
from socratic_site import health
from socratic_site.accounts import session_timeout, sign_in

handler400 = "socratic_site.error_pages.bad_request"
handler403 = "socratic_site.error_pages.denied"
handler500 = "socratic_site.error_pages.server_error"

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("login/", public(sign_in.SignIn.as_view()), name="login"),
    path("login/code/", sign_in.second_step, name="second_factor"),
    path("logout/", public(sign_in.SignOut.as_view()), name="logout"),
    path(session_timeout.ROUTE, session_timeout.signed_in, name="signed_in"),
    path("admin/logout/", public(sign_in.SignOut.as_view())),
    path("admin/", admin.site.urls),
    path("", include("sessions_app.urls")),
    path("", include("analytics_app.urls")),
]
