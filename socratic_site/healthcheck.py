"""Asks the web process beside it whether it lives: exit code 0 or 1, for a container's HEALTHCHECK.

It asks under the first name of ALLOWED_HOSTS, since under any other the site would refuse to answer.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

PORT = 8000
PATIENCE = 3  # seconds


def host() -> str:
    first = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".")
    return "localhost" if first in ("", "*") else first


def lives(port: int = PORT) -> bool:
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/healthz", headers={"Host": host()})
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(0 if lives(int(sys.argv[1]) if sys.argv[1:] else PORT) else 1)
