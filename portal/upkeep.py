"""What a database needs now and then to stay fast."""

from typing import Any

from django.db import connection, connections


def keep_statistics(*, using: str = connection.alias, **_: Any) -> None:
    """Let SQLite look at how its tables are filled, so that it chooses the right index.

    It reads the beginning of each index, and only where a table has grown much since. PostgreSQL
    does so by itself (autovacuum). Called after every migrate and by Beat.
    """
    if connections[using].vendor == "sqlite":
        with connections[using].cursor() as cursor:
            cursor.execute("PRAGMA analysis_limit = 1000")
            cursor.execute("PRAGMA optimize = 0x10002")  # all tables, not those of this connection
            _agree_on_lengths(cursor)


def _agree_on_lengths(cursor: Any) -> None:
    """Write the same number of rows to all whole indexes of a table, and no more to those of a part.

    Having read only the beginning, SQLite guesses the number from each index's pages, and can take five times
    too many for one; it then reads the table instead. Statistics may be written so:
    https://sqlite.org/fileformat2.html#stat1tab
    """
    cursor.execute("SELECT name FROM sqlite_master WHERE name = 'sqlite_stat1'")
    if cursor.fetchone() is None:  # nothing was worth a look yet
        return
    cursor.execute(
        "SELECT DISTINCT tbl FROM sqlite_stat1 JOIN pragma_table_list AS kind ON kind.name = tbl WHERE NOT kind.wr"
    )
    for (table,) in cursor.fetchall():
        cursor.execute(f'SELECT max(rowid) FROM "{table}"')  # noqa: S608 - our own tables
        (rows,) = cursor.fetchone()
        cursor.execute(
            "UPDATE sqlite_stat1 SET stat = CASE WHEN idx IN (SELECT name FROM pragma_index_list(%s) WHERE partial)"
            " THEN min(CAST(stat AS INTEGER), %s) ELSE %s END || substr(stat, instr(stat, ' '))"
            " WHERE tbl = %s AND instr(stat, ' ')",
            [table, rows, rows, table],
        )
    cursor.execute("ANALYZE sqlite_schema")  # for this connection; new ones read it at their start
