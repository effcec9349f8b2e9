"""What production starts with and what not, asked of the real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from sessions_app.access import accounts as staff_accounts
from socratic_site import production_checks
from socratic_site.local.files import BASE

GOOD_KEY = "kP3v_9sTq2LmXz7RbYw1NcHd8FgJ5uAe4oVi6Bt0WnQyEaSlDp-RhUj"
WSGI = [sys.executable, "-c", "import socratic_site.wsgi; print('started')"]
WORKER = [sys.executable, "manage.py", "run_worker", "--once", "--no-stream"]


def environment(**changes: str) -> dict[str, str]:
    """As docs/operations.md tells to set it; an empty change takes a variable away."""
    variables = {
        "PATH": os.environ["PATH"],
        "SOCRATIC_ENVIRONMENT": "production",
        "SECRET_KEY": GOOD_KEY,
        "ALLOWED_HOSTS": "study.example.org",
        "DJANGO_SETTINGS_MODULE": "socratic_site.settings",
        **{name: os.environ[name] for name in os.environ if name.startswith("AWS_")},
        **changes,
    }
    return {name: value for name, value in variables.items() if value}


def run(command: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment(**changes),
        cwd=BASE,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """DATABASE_URL of a migrated database without accounts."""
    url = f"sqlite:///{tmp_path_factory.mktemp('sql') / 'accounts.sqlite3'}"
    assert run([sys.executable, "manage.py", "migrate", "-v0"], DATABASE_URL=url).returncode == 0
    return url


def test_the_deployment_check_has_nothing_to_say(accounts: str) -> None:
    checked = run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"], DATABASE_URL=accounts
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is missing"),
        ({"SECRET_KEY": "k3Jd9x"}, "SECRET_KEY is too short"),
        ({"SECRET_KEY": "ab" * 40}, "SECRET_KEY is too short or too plain"),
        ({"SECRET_KEY": f"django-insecure-{GOOD_KEY}"}, "SECRET_KEY is a placeholder"),
        ({"DEBUG": "1"}, "DEBUG is on"),
        ({"BEHIND_TLS": "0"}, "BEHIND_TLS is off"),
        ({"SOCRATIC_ENVIRONMENT": "Production", "DEBUG": "1"}, "DEBUG is on"),
        ({"CONTENT_PACKAGE": "/nowhere/a-package"}, "a-package has no contacts for students in danger"),
    ],
)
def test_unsafe_settings_stop_production(changes: dict[str, str], said: str) -> None:
    stopped = run([sys.executable, "-c", "import socratic_site.settings"], **changes)
    assert stopped.returncode != 0
    assert f"Production does not start. {said}" in stopped.stderr


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(production_checks.ImproperlyConfigured) as refused:
        production_checks.require_safe_settings(
            secret_key="", debug=True, behind_tls=False, package=BASE / "content"
        )
    assert all(name in str(refused.value) for name in ("SECRET_KEY", "DEBUG", "BEHIND_TLS", "contacts.toml"))


def test_safe_settings_and_no_demo_accounts_start(accounts: str) -> None:
    started = run(WSGI, DATABASE_URL=accounts)
    assert (started.returncode, started.stdout) == (0, "started\n"), started.stderr


def test_the_first_charts_of_a_web_process_find_all_imported(accounts: str) -> None:
    program = (
        "import sys, threading, socratic_site.wsgi; "
        "[each.join() for each in threading.enumerate() if each.name == 'warming']; "
        "ready = set(sys.modules); "
        "from analytics_app.dashboards import chart_cards, tables; from analytics_app import charts; "
        "from tests.analytics.charts import samples; "
        "[use(*each) for each in samples.rows().items()"
        " for use in (charts.table, charts.alt_text, charts.render)]; "
        "print(sorted(name for name in set(sys.modules) - ready if not name.startswith('tests')))"
    )
    ran = run([sys.executable, "-c", program], DATABASE_URL=accounts)
    assert ran.stdout == "[]\n", ran.stderr


def test_sessions_are_served_where_no_chart_can_be_drawn(accounts: str, tmp_path: Path) -> None:
    (tmp_path / "altair.py").write_text("raise ImportError('a broken installation')", encoding="utf-8")
    program = (
        "from django.test import Client; import socratic_site.wsgi; "
        "print(Client(headers={'host': 'study.example.org'}).get('/login/', secure=True).status_code)"
    )
    ran = run([sys.executable, "-c", program], DATABASE_URL=accounts, PYTHONPATH=str(tmp_path))
    assert (ran.returncode, ran.stdout) == (0, "200\n"), ran.stderr
    assert "a broken installation" in ran.stderr


def test_an_unread_database_stops_production(tmp_path: Path) -> None:
    stopped = run(WSGI, DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert stopped.returncode != 0
    assert "the staff accounts cannot be read" in stopped.stderr
    assert "manage.py migrate" in stopped.stderr


def test_demo_accounts_stop_the_web_process_and_the_worker_until_they_are_removed(
    accounts: str, table: str
) -> None:
    program = (
        "import django; django.setup(); from sessions_app.access import accounts; "
        "accounts.mark_as_demo(accounts.ensure_account(username='irb', role='irb', password='p')[0])"
    )
    assert run([sys.executable, "-c", program], DATABASE_URL=accounts).returncode == 0
    for command in (WSGI, WORKER):
        stopped = run(command, DATABASE_URL=accounts)
        assert stopped.returncode != 0
        assert "demo accounts of `make run`" in stopped.stderr
        assert "Remove them with `manage.py remove_demo_accounts`" in stopped.stderr
    remove = [sys.executable, "manage.py", "remove_demo_accounts"]
    untold = run(remove, DATABASE_URL=accounts, AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:9")
    assert untold.returncode != 0
    assert "no account was removed" in untold.stderr
    removed = run(remove, DATABASE_URL=accounts, SOCRATIC_TABLE=table)
    assert removed.stdout == "Removed: irb\n"
    assert run(WSGI, DATABASE_URL=accounts).stdout == "started\n"


def test_cookies_and_transport_are_tied_to_this_host_and_tls(accounts: str, table: str) -> None:
    program = (
        "import django; django.setup(); from django.test import Client; "
        "from sessions_app.access import accounts; "
        "user, _ = accounts.ensure_account(username='a', role='facilitator', password='p'); "
        "client = Client(headers={'host': 'study.example.org'}); client.get('/login/', secure=True); "
        "answer = client.post('/login/', {'username': 'a', 'password': 'p'}, secure=True); user.delete(); "
        "print(answer['Strict-Transport-Security'], *client.cookies.values(), sep='\\n')"
    )
    ran = run([sys.executable, "-c", program], DATABASE_URL=accounts, SOCRATIC_TABLE=table)
    transport, *cookies = ran.stdout.splitlines()
    assert transport == "max-age=31536000; includeSubDomains; preload", ran.stderr
    assert {cookie.split("=")[0] for cookie in cookies} == {
        "Set-Cookie: __Host-sessionid",
        "Set-Cookie: __Host-csrftoken",
    }
    for cookie in cookies:
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


@pytest.mark.django_db
def test_the_accounts_of_the_local_set_up_are_demo_accounts(own_table: str, var: Path) -> None:
    call_command("local_setup")
    assert staff_accounts.demo_accounts() == ["admin", "facilitator", "irb", "researcher"]
