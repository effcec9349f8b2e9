"""The settings that production refuses to start with: each refusal says what to do."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from socratic_site.local.files import SEAL_KEY_VARIABLES

MIN_KEY_LENGTH, MIN_DISTINCT_CHARACTERS = 50, 16
PLACEHOLDERS = ("django-insecure", "changeme", "change-me", "example", "secret", "placeholder", "development")
MAKE_A_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(60))"'


def fault_of_key(key: str) -> str | None:
    if not key:
        return "SECRET_KEY is missing"
    if len(key) < MIN_KEY_LENGTH or len(set(key)) < MIN_DISTINCT_CHARACTERS:
        return f"SECRET_KEY is too short or too plain: it needs {MIN_KEY_LENGTH} random characters"
    if any(word in key.lower() for word in PLACEHOLDERS):
        return "SECRET_KEY is a placeholder"
    return None


def fault_of_contacts(package: Path) -> str | None:
    """Whether the content package names somebody whom a student in danger can reach."""
    try:
        contacts = tomllib.loads((package / "contacts.toml").read_text(encoding="utf-8")).get("contact")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        contacts = None
    return None if contacts else f"{package.name} has no contacts for students in danger"


def require_safe_settings(*, secret_key: str, debug: bool, behind_tls: bool, package: Path) -> None:
    """For settings.py. Raises ImproperlyConfigured, naming all that is wrong."""
    faults = []
    if fault := fault_of_key(secret_key):
        faults.append(f"{fault}: make one with {MAKE_A_KEY}")
    if debug:
        faults.append("DEBUG is on: unset it, for its pages show data and settings")
    if not behind_tls:
        faults.append("BEHIND_TLS is off: unset it, and put a proxy that ends TLS in front")
    if fault := fault_of_contacts(package):
        faults.append(
            f"{fault}: write contacts.toml in the content package, then run manage.py check_content"
        )
    if faults:
        raise ImproperlyConfigured("Production does not start. " + ". ".join(faults) + ".")


def require_no_seal_key(environment: Mapping[str, str]) -> None:
    """For the web process, which writes the audit log and must not sign it. Raises ImproperlyConfigured."""
    found = [name for name in SEAL_KEY_VARIABLES if environment.get(name)]
    if found:
        raise ImproperlyConfigured(f"{found[0]} is set for the web process: set it for the worker alone.")
