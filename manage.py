#!/usr/bin/env python
"""Django's command line. `script/manage` runs it inside the project's own environment."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    from demo.joining import join

    join()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
