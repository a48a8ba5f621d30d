"""What a database needs now and then to stay fast."""

from typing import Any

from django.db import connection, connections


def keep_statistics(*, using: str = connection.alias, **_: Any) -> None:
    """Let SQLite look at how its tables are filled, so that it chooses the right index.

    It reads some rows of each index, and only where a table has grown much since. PostgreSQL does
    so by itself (autovacuum). Called after every migrate and by Beat.
    """
    if connections[using].vendor == "sqlite":
        with connections[using].cursor() as cursor:
            cursor.execute("PRAGMA analysis_limit = 1000")
            cursor.execute("PRAGMA optimize = 0x10002")  # all tables, not those of this connection
