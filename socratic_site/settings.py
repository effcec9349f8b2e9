"""Every setting, from the environment only; docs/operations.md lists the variables."""

import os
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from socratic_site.local import BASE, var_directory


def envbool(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in {"", "1", "true", "yes", "on", "0", "false", "no", "off"}:
        return value in {"1", "true", "yes", "on"} if value else default
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}")


def envint(name: str, default: int) -> int:
    value = os.environ.get(name, "").strip()
    try:
        return int(value) if value else default
    except ValueError as fault:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}") from fault


def envlist(name: str) -> list[str]:
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]


def envchoice(name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, of which the first is the default."""
    value = os.environ.get(name, "").strip() or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


# --- this installation
BASE_DIR = BASE
VAR_DIR = var_directory()
DEBUG = envbool("DEBUG", False)
BEHIND_TLS = envbool("BEHIND_TLS", not DEBUG)
SOCRATIC_ENVIRONMENT = os.environ.get("SOCRATIC_ENVIRONMENT", "development")

SECRET_KEY = os.environ.get("SECRET_KEY", "")
if not SECRET_KEY and not DEBUG:
    raise ImproperlyConfigured(
        "SECRET_KEY must be set where DEBUG is off (`make run` keeps one in var/secret_key)"
    )
SECRET_KEY = SECRET_KEY or "for development only, never where somebody else can reach it"

ALLOWED_HOSTS = envlist("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = envlist("CSRF_TRUSTED_ORIGINS")

# --- the study
CONTENT_PACKAGE = Path(os.environ.get("CONTENT_PACKAGE") or BASE_DIR / "content" / "tredegar-iron-works-v1")
STUDY_TIME_ZONE = os.environ.get("STUDY_TIME_ZONE") or "America/New_York"
MINIMUM_AGE = envint("MINIMUM_AGE", 14)
MAXIMUM_AGE = envint("MAXIMUM_AGE", 18)
ALLOW_OUTSIDE_AGES = envbool("ALLOW_OUTSIDE_AGES", False)

# --- the study's one table; credentials and endpoints are botocore's own variables
SOCRATIC_TABLE = os.environ.get("SOCRATIC_TABLE") or "SocraticBenchmarks"
SOCRATIC_BILLING = envchoice("SOCRATIC_BILLING", ("PAY_PER_REQUEST", "PROVISIONED"))
AWS_REGION = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"

# --- the tutor; without a key the scripted one works, and pages say so
ANTHROPIC_API_KEY = os.environ.get("ANTHROPIC_API_KEY", "")
TUTOR_MODEL = os.environ.get("TUTOR_MODEL") or "claude-sonnet-5-5"
GRADER_MODEL = os.environ.get("GRADER_MODEL") or "claude-sonnet-5-5"

# --- staff accounts and web sessions: a small SQL database that holds no study data
DATABASES = {
    "default": dj_database_url.config(default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}", conn_max_age=60)
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 12 * 3600  # seconds: one school day

# --- Django
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "template_partials",
    "socratic_site",
    "sessions_app",
    "analytics_app",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "socratic_site.security.BrowserPolicyMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "sessions_app.access.StaffLoginMiddleware",
    "sessions_app.access.RolePolicyMiddleware",
]
ROOT_URLCONF = "socratic_site.urls"
WSGI_APPLICATION = "socratic_site.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "sessions_app.context.site",
            ],
        },
    },
]

LANGUAGE_CODE = "en-us"
USE_TZ = True
TIME_ZONE = STUDY_TIME_ZONE  # for showing only; what is stored is UTC

# whitenoise reads them out of static/ and the installed packages at start: no collectstatic step
STATIC_URL = "/static/"
STATICFILES_DIRS: list[Any] = [BASE_DIR / "static"]
if (CONTENT_PACKAGE / "media").is_dir():  # audio and video, with the range requests that players need
    STATICFILES_DIRS.append(("content", CONTENT_PACKAGE / "media"))
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False

# --- what browsers are told
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "media-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [SELF],
        "object-src": [NONE],
    }
}
PERMISSIONS_POLICY = "geolocation=(self), camera=(), microphone=(), payment=(), usb=()"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if BEHIND_TLS else 0
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # a load balancer asks for these without TLS
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes; the longest answer is far below

# --- logging: to stderr, without bodies, and with routes in place of paths, which may carry tokens
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"routes": {"()": "socratic_site.security.RouteInsteadOfPath"}},
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["routes"]},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "botocore": {"level": "WARNING"},
        "pynamodb": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
    },
}
