from django.contrib import admin
from django.urls import include, path

from sessions_app.access import public
from socratic_site import health, session_life, signin

handler400 = "socratic_site.errors.bad_request"
handler403 = "socratic_site.errors.denied"
handler500 = "socratic_site.errors.server_error"

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("login/", public(signin.SignIn.as_view()), name="login"),
    path("login/code/", signin.second_step, name="second_factor"),
    path("logout/", public(signin.SignOut.as_view()), name="logout"),
    path(session_life.ROUTE, session_life.signed_in, name="signed_in"),
    path("admin/logout/", public(signin.SignOut.as_view())),
    path("admin/", admin.site.urls),
    path("", include("sessions_app.urls")),
    path("", include("analytics_app.urls")),
]
