"""The peer of part 4 that any Django project has at hand: the admin, over SQLite, with the same rows.

Served by `gunicorn bench.admin_site:application`; its folder is in ADMIN_FOLDER. The tables are made and
filled by bench/peers.py, so the models are unmanaged, as an admin over somebody's database is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY=os.environ["SECRET_KEY"],
    ROOT_URLCONF="bench.admin_site",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    STATIC_URL="/static/",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.gzip.GZipMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(os.environ["ADMIN_FOLDER"]) / "admin.sqlite3",
            "CONN_MAX_AGE": 60,
            "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"},
        }
    },
)
django.setup()

from django.contrib import admin  # noqa: E402 - after setup
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.urls import path  # noqa: E402


class Session(models.Model):
    session_id: Any = models.CharField(max_length=36, primary_key=True)
    started: Any = models.CharField(max_length=20)
    student_code: Any = models.CharField(max_length=40)
    condition: Any = models.CharField(max_length=7)
    location: Any = models.CharField(max_length=20)
    state: Any = models.CharField(max_length=20)
    seconds: Any = models.IntegerField(null=True)
    flags: Any = models.TextField()

    class Meta:
        app_label, managed, db_table = "auth", False, "session"

    def __str__(self) -> str:
        return str(self.started)


class Part(models.Model):
    """Every other item of the session's partition."""

    session: Any = models.ForeignKey(Session, models.CASCADE, db_column="session_id")
    sort_key: Any = models.CharField(max_length=80)
    entity_type: Any = models.CharField(max_length=40)
    item: Any = models.TextField()

    class Meta:
        app_label, managed, db_table = "auth", False, "part"

    def __str__(self) -> str:
        return str(self.sort_key)


class PartInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Part
    extra = 0


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("started", "student_code", "condition", "state", "seconds", "flags")
    list_filter = ("location",)
    list_per_page = 20
    ordering = ("-started",)
    inlines = (PartInline,)


urlpatterns = [path("admin/", admin.site.urls)]
application = get_wsgi_application()
