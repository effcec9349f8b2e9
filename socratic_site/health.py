"""Whether this process lives, and whether it could serve a session now."""

from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from sessions_app import study
from sessions_app.access.roles import public, to_confined
from sessions_app.domain.store import table
from sessions_app.domain.stream_worker import status as worker_status


@to_confined
@public
@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("alive\n", content_type="text/plain")


@public
@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """503 with one word for what is missing: `sql` or `table`. `?full` adds lines about the worker."""
    missing = missing_part()
    lines = [missing or "ready"]
    if not missing and "full" in request.GET:
        lines += _worker_lines(worker_status.recent(study.now()))
    text = "".join(f"{line}\n" for line in lines)
    return HttpResponse(text, content_type="text/plain", status=503 if missing else 200)


def _worker_lines(status: worker_status.Status) -> list[str]:
    """Numbers alone: whoever can reach this page may read them."""
    lag = status.lag()
    return [
        f"workers {len(status.running)}",
        f"failing_duties {len(status.failing)}",
        f"statistics_lag_seconds {'unknown' if lag is None else round(lag.total_seconds())}",
        f"dead_letters {status.letters}",
    ]


def missing_part() -> str | None:
    if not _sql_answers():
        return "sql"
    return None if _table_answers() else "table"


def _sql_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations LIMIT 1")
            return cursor.fetchone() is not None
    except DatabaseError:
        return False


@cache
def _client(region: str) -> Any:
    return table.connect(region=region)


def _table_answers() -> bool:
    try:
        description = table.describe(_client(settings.AWS_REGION), settings.SOCRATIC_TABLE)
    except (BotoCoreError, ClientError):
        return False
    return description is not None and description["TableStatus"] in {"ACTIVE", "UPDATING"}
