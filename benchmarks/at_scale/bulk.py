"""Rows into tables, fast: COPY on PostgreSQL, executemany on SQLite. No model is made for a row."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import JSONField, Model

from portal import upkeep

BATCH = 5000


def stamp(seconds: float) -> str:
    """A time as both databases take it: UTC, without its name on SQLite, with it on PostgreSQL."""
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return f"{text}+00" if connection.vendor == "postgresql" else text


def insert(model: type[Model], names: str, rows: Iterable[tuple]) -> int:
    """Write `rows`, whose values follow the field `names`; say how many.

    A field that is not named gets its default, so that a column added later needs no change here.
    """
    named = [model._meta.get_field(name) for name in names.split()]
    others = [field for field in model._meta.concrete_fields if field not in named]
    rest = tuple(_default(field) for field in others if not field.primary_key)
    others = [field for field in others if not field.primary_key]
    as_json = {at for at, field in enumerate(named) if isinstance(field, JSONField)}

    def values() -> Iterator[tuple]:
        for row in rows:
            yield tuple(json.dumps(v) if at in as_json else v for at, v in enumerate(row)) + rest

    columns = ", ".join(f'"{field.column}"' for field in [*named, *others])
    return _write(model._meta.db_table, columns, len(named) + len(others), values())


def _default(field: Any) -> Any:
    value = field.get_default()
    if value is None and not field.null and getattr(field, "auto_now", False):
        value = stamp(datetime.now(UTC).timestamp())
    if isinstance(field, JSONField):
        return json.dumps(value)
    return value


def _write(table: str, columns: str, width: int, rows: Iterator[tuple]) -> int:
    written = 0
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
                    written += 1
            return written
        marks = ", ".join("?" * width)
        while batch := list(islice(rows, BATCH)):
            sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
            connection.connection.executemany(sql, batch)  # below Django, which reads each row
            written += len(batch)
    return written


def set_sequences(models: Iterable[type[Model]]) -> None:
    """The ids were chosen here; the next one that the database gives follows them."""
    from django.core.management.color import no_style

    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), list(models)):
            cursor.execute(sql)


def tidy() -> None:
    """What both do by themselves after a while: PostgreSQL its autovacuum, SQLite by Beat."""
    upkeep.keep_statistics()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")


def size_on_disk() -> int:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_database_size(current_database())")
            return int(cursor.fetchone()[0])
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return int(cursor.fetchone()[0])
