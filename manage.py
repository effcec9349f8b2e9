#!/usr/bin/env python
"""Django's command line. In a shell that names no DynamoDB it joins the local `make run` of this folder."""

import os
import sys

from socratic_site.local.files import join_local_run


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "socratic_site.settings")
    join_local_run(os.environ)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
