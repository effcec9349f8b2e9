"""The settings of tests: the real ones, in an environment that leads to nobody's account or service."""

import os
import secrets

for name in [name for name in os.environ if name.startswith(("AWS_", "ANTHROPIC_", "SOCRATIC_"))]:
    del os.environ[name]
os.environ |= {
    "SECRET_KEY": "for tests only",
    "DEBUG": "0",
    "BEHIND_TLS": "0",
    "DATABASE_URL": "sqlite://:memory:",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    # The key names the database in DynamoDB Local, so each test session has one of its own.
    "AWS_ACCESS_KEY_ID": f"tests{secrets.token_hex(10)}",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    # Nobody listens there; the `engine` fixture puts the real one in its place.
    "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:9",
}

from socratic_site.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast; Argon2 is tested by name
