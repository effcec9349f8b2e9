"""Every setting, from the environment only; docs/operations.md lists the variables."""

import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dj_database_url
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from sessions_app.domain.allocation import STRATA
from socratic_site.local.files import BASE, var_directory
from socratic_site.production_checks import require_safe_settings


def envbool(name: str, default: bool) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in {"", "1", "true", "yes", "on", "0", "false", "no", "off"}:
        return value in {"1", "true", "yes", "on"} if value else default
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}")


def envint(name: str, default: int) -> int:
    value = os.environ.get(name, "").strip()
    try:
        return int(value) if value else default
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}") from error


def envdollars(name: str, default: float) -> float:
    value = os.environ.get(name, "").strip()
    try:
        dollars = float(value) if value else default
    except ValueError:
        dollars = -1
    if not 0 <= dollars < 1_000_000:
        raise ImproperlyConfigured(f"{name} must be an amount of dollars from 0, not {value!r}")
    return dollars


def envlist(name: str) -> list[str]:
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]


def envlist_of(name: str, choices: tuple[str, ...]) -> list[str]:
    """Some of `choices`; the first is always among them."""
    values = {*envlist(name), choices[0]}
    if unknown := sorted(values - {*choices}):
        raise ImproperlyConfigured(f"{name} takes {', '.join(choices)}, not {', '.join(unknown)}")
    return [choice for choice in choices if choice in values]


def envchoice(name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, of which the first is the default."""
    value = os.environ.get(name, "").strip() or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def envdate(name: str) -> date | None:
    value = os.environ.get(name, "").strip()
    try:
        return date.fromisoformat(value) if value else None
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a day like 2031-06-30, not {value!r}") from error


# --- this installation
BASE_DIR = BASE
VAR_DIR = var_directory()
DEBUG = envbool("DEBUG", False)
BEHIND_TLS = envbool("BEHIND_TLS", not DEBUG)
SOCRATIC_ENVIRONMENT = os.environ.get("SOCRATIC_ENVIRONMENT", "development")
IN_PRODUCTION = SOCRATIC_ENVIRONMENT.strip().lower() == "production"

CONTENT_PACKAGE = Path(os.environ.get("CONTENT_PACKAGE") or BASE_DIR / "content" / "tredegar-iron-works-v1")
SECRET_KEY = os.environ.get("SECRET_KEY", "")
if IN_PRODUCTION:
    require_safe_settings(secret_key=SECRET_KEY, debug=DEBUG, behind_tls=BEHIND_TLS, package=CONTENT_PACKAGE)
if not SECRET_KEY and not DEBUG:
    raise ImproperlyConfigured(
        "SECRET_KEY must be set where DEBUG is off (`make run` keeps one in var/secret_key)"
    )
SECRET_KEY = SECRET_KEY or "for development only, never where somebody else can reach it"

ALLOWED_HOSTS = envlist("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = envlist("CSRF_TRUSTED_ORIGINS")

# --- the study
STUDY_TIME_ZONE = os.environ.get("STUDY_TIME_ZONE") or "America/New_York"
MINIMUM_AGE = envint("MINIMUM_AGE", 14)
MAXIMUM_AGE = envint("MAXIMUM_AGE", 18)
RETENTION_UNTIL = envdate("RETENTION_UNTIL")  # the last day on which the study keeps participants' data
ABANDON_AFTER_HOURS = envint("ABANDON_AFTER_HOURS", 24)  # 0: never
ALLOCATION_STRATA = envlist_of("ALLOCATION_STRATA", STRATA)
ALLOW_OUTSIDE_AGES = envbool("ALLOW_OUTSIDE_AGES", False)
JOIN_HOURS = envint("JOIN_HOURS", 24)  # for so long a participant's link binds browsers
EXPORT_UNREVIEWED = envbool("EXPORT_UNREVIEWED", False)  # also what the review board has not looked at yet
EXPORT_PUBLIC_K = envint("EXPORT_PUBLIC_K", 11)  # participants who look alike in public data, at least
EXPORT_PUBLIC_L = envint("EXPORT_PUBLIC_L", 2)  # different values behind every mean in them, at least
if EXPORT_PUBLIC_K < 5 or EXPORT_PUBLIC_L < 2:
    raise ImproperlyConfigured("EXPORT_PUBLIC_K must be at least 5, EXPORT_PUBLIC_L at least 2")
EXPORT_HOURS = envint("EXPORT_HOURS", 72)  # for which an export can be downloaded
EXPORT_DIR = os.environ.get("EXPORT_DIR", "")  # shared by web and worker; var/exports where it is empty
LAKE_URL = os.environ.get("LAKE_URL", "")  # a folder or s3://bucket/prefix; no lake where it is empty
AUDIT_HEAD_URL = os.environ.get("AUDIT_HEAD_URL", "")  # where the audit log's head is published every day
EXPORT_KEY = os.environ.get("EXPORT_KEY", "")  # behind the coded ids; var/export_key where it is empty

# --- the study's one table; credentials and endpoints are botocore's own variables
SOCRATIC_TABLE = os.environ.get("SOCRATIC_TABLE") or "SocraticBenchmarks"
SOCRATIC_BILLING = envchoice("SOCRATIC_BILLING", ("PAY_PER_REQUEST", "PROVISIONED"))
AWS_REGION = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"

# --- the tutor; without a key the scripted one works, and pages say so
ANTHROPIC_API_KEY = os.environ.get("ANTHROPIC_API_KEY", "")
TUTOR_MODEL = os.environ.get("TUTOR_MODEL") or "claude-sonnet-5-5"
# US dollars that models may cost; 0 sets no cap
SPEND_CAP_STUDENT = envdollars("SPEND_CAP_STUDENT", 3)
SPEND_CAP_SESSION = envdollars("SPEND_CAP_SESSION", 1)
SPEND_CAP_DAY = envdollars("SPEND_CAP_DAY", 50)
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
# Failed sign-ins are counted in SQL by name and address, across processes (accounts/login_throttle.py)
AUTHENTICATION_BACKENDS = [
    "socratic_site.accounts.login_throttle.Throttle",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = envint("SIGN_IN_TRIES", 5)
AXES_COOLOFF_TIME = timedelta(minutes=envint("SIGN_IN_WAIT_MINUTES", 15))
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "socratic_site.accounts.login_throttle.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # the audit log tells of it
AXES_ENABLE_ADMIN = AXES_VERBOSE = False
# A second factor for researcher, irb and admin (socratic_site/accounts/second_factor.py)
REQUIRE_MFA = envbool("REQUIRE_MFA", IN_PRODUCTION)
OTP_TOTP_ISSUER = "Socratic Benchmarks"
# Minutes without a sign of life (socratic_site/accounts/session_timeout.py)
IDLE_MINUTES = envint("IDLE_MINUTES", 20)
IDLE_MINUTES_FACILITATOR = envint("IDLE_MINUTES_FACILITATOR", 60)
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 12 * 3600  # seconds: one school day

# --- Django
INSTALLED_APPS = [
    "socratic_site.accounts.admin_config.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "axes",
    "csp",
    "django_htmx",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "template_partials",
    "socratic_site",
    "sessions_app",
    "analytics_app",
]
MIDDLEWARE = [
    "socratic_site.security.BrowserPolicyMiddleware",
    "socratic_site.security.ContentPolicyMiddleware",
    "socratic_site.security.ClientAddressMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "socratic_site.compression.CompressedFilesMiddleware",
    "socratic_site.compression.CompressedPagesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "socratic_site.security.RefuseUploadsMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "sessions_app.access.roles.LimitedRightsMiddleware",
    "socratic_site.accounts.session_timeout.SessionLifeMiddleware",
    "sessions_app.access.session_lock.ConfinementMiddleware",
    "sessions_app.access.roles.StaffLoginMiddleware",
    "sessions_app.access.roles.RolePolicyMiddleware",
    "sessions_app.access.account_audit.NotToldMiddleware",
    "axes.middleware.AxesMiddleware",
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
                "sessions_app.context_processors.site",
                "socratic_site.accounts.session_timeout.site",
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
        "default-src": [NONE],
        "script-src": [NONCE],
        "style-src": [NONCE],
        "img-src": [SELF, "data:"],
        "media-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "worker-src": [SELF],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}
BROWSER_POLICY = {
    "Permissions-Policy": "geolocation=(self), camera=(), microphone=(), payment=(), usb=()",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store, private",
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = BEHIND_TLS
# The prefix makes browsers insist: sent over TLS only, for this host alone and all of its paths
SESSION_COOKIE_NAME = "__Host-sessionid" if BEHIND_TLS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if BEHIND_TLS else "csrftoken"
CSRF_COOKIE_HTTPONLY = True  # scripts take the token from the page
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # a load balancer asks for these without TLS
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
TRUSTED_PROXIES = envint("TRUSTED_PROXIES", 0)  # how many of our own append to X-Forwarded-For
FILE_UPLOAD_HANDLERS = ["socratic_site.security.NoUploads"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes; the longest answer is far below

# --- logging: to stderr, without bodies, and with routes in place of paths, which may carry tokens
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"routes": {"()": "socratic_site.security.RouteInsteadOfPath"}},
    "formatters": {
        "plain": {
            "()": "socratic_site.security.WithoutWords",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["routes"]},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "axes": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        "pynamodb": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
    },
}
