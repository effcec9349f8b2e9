"""Where this machine's Chromium is, for the journeys and for the bench; the site itself needs none."""

from __future__ import annotations

import os
import shutil

# The shell is the browser without a browser's own windows: the same pages for a third less processor time.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def find() -> str | None:
    """The program that CHROMIUM names, else the first that is installed; None without any."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
