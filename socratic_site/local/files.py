"""The files of a local run under var/: who reads and writes them, with which rights. Imports no Django."""

import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from sessions_app.private_files import write_private

BASE = Path(__file__).resolve().parents[2]
SEAL_KEY = "audit_seal_key"
SEAL_KEY_VARIABLES = ("AUDIT_SEAL_KEY", "AUDIT_SEAL_KEY_FILE")

# Any of these says that the caller has a DynamoDB of their own in mind.
OWN_DYNAMODB = (
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_LAMBDA_FUNCTION_NAME",
)


def var_directory(environment: Mapping[str, str] = os.environ) -> Path:
    return Path(environment.get("SOCRATIC_VAR") or BASE / "var")


def read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_env(path: Path, values: Mapping[str, str]) -> None:
    write_private(path, "".join(f"{name}={value}\n" for name, value in values.items()))


def read_env(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment less everything that could lead a local process to somebody's AWS account."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def join_local_run(environment: MutableMapping[str, str]) -> bool:
    """Lets a command in another shell work on the running demo; changes nothing where AWS is configured."""
    var = var_directory(environment)
    local = var / "local.env"
    if not local.exists() or any(environment.get(name) for name in OWN_DYNAMODB):
        return False
    values = read_env(local)
    environment["AWS_REGION"] = values.get("AWS_DEFAULT_REGION", "us-east-1")
    for name, value in values.items():
        if name.startswith("AWS_"):
            environment[name] = value
        else:
            environment.setdefault(name, value)
    environment.setdefault("BEHIND_TLS", "0")
    if (var / SEAL_KEY).exists():
        environment.setdefault("AUDIT_SEAL_KEY_FILE", str(var / SEAL_KEY))
    secret = var / "secret_key"
    if secret.exists():
        environment.setdefault("SECRET_KEY", secret.read_text(encoding="utf-8").strip())
    return True
