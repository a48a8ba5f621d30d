"""How the documents of the search are kept ready: a GIN index on PostgreSQL, FTS5 on SQLite.

A document is words with single spaces between them, small, without accents and each once
(search_words.py), so both databases take it apart alike. SQLite keeps an index of its own beside
the table, which triggers keep true whoever writes a row. A migration that makes the table anew loses them on SQLite; so
they are looked for after every migrate, and the index is built again when they were gone.
"""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "access_requests_application"
INDEX = "access_requests_search"  # the index on PostgreSQL, the virtual table on SQLite
LEXEMES = "access_requests_words(search_text)"  # on PostgreSQL

POSTGRES = [
    # No parser and no language: the words as they stand. The cost tells the planner that the index
    # is cheaper than to take apart every document, which it would not know of the functions inside.
    "CREATE OR REPLACE FUNCTION access_requests_words(text) RETURNS tsvector LANGUAGE plpgsql "
    "IMMUTABLE STRICT PARALLEL SAFE COST 100 AS "
    "$$ BEGIN RETURN array_to_tsvector(string_to_array($1, ' ')); END $$",
    f"CREATE INDEX IF NOT EXISTS {INDEX} ON {TABLE} USING gin ({LEXEMES})",
]
_TAKE_OUT = (
    f"INSERT INTO {INDEX}({INDEX}, rowid, search_text) VALUES ('delete', old.id, old.search_text);"  # noqa: S608
)
_PUT_IN = f"INSERT INTO {INDEX}(rowid, search_text) VALUES (new.id, new.search_text);"  # noqa: S608
TRIGGERS = {
    f"{INDEX}_added": f"AFTER INSERT ON {TABLE} BEGIN {_PUT_IN} END",
    f"{INDEX}_changed": f"AFTER UPDATE OF search_text ON {TABLE} "
    f"WHEN old.search_text IS NOT new.search_text BEGIN {_TAKE_OUT} {_PUT_IN} END",
    f"{INDEX}_removed": f"AFTER DELETE ON {TABLE} BEGIN {_TAKE_OUT} END",
}
SQLITE = [
    # Words alone are asked for, no phrases: `detail=none` makes the index half as large.
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {INDEX} USING fts5(search_text, content='{TABLE}', "
    "content_rowid='id', tokenize='unicode61 remove_diacritics 0', detail='none', columnsize=0, "
    "prefix='1 2 3')",
    *(f"CREATE TRIGGER IF NOT EXISTS {name} {body}" for name, body in TRIGGERS.items()),
    f"INSERT INTO {INDEX}({INDEX}) VALUES ('rebuild')",  # noqa: S608
]


def install(apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    _install(editor.connection)


def _install(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        for statement in POSTGRES if connection.vendor == "postgresql" else SQLITE:
            cursor.execute(statement)


def remove(apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(f"DROP INDEX IF EXISTS {INDEX}")
        editor.execute("DROP FUNCTION IF EXISTS access_requests_words(text)")
        return
    for name in TRIGGERS:
        editor.execute(f"DROP TRIGGER IF EXISTS {name}")
    editor.execute(f"DROP TABLE IF EXISTS {INDEX}")


def make_whole(*, using: str, **_: Any) -> None:
    """After every migrate: see the module's words."""
    connection = connections[using]
    if TABLE in connection.introspection.table_names() and not _is_whole(connection):
        _install(connection)


def _is_whole(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor == "postgresql":
        sql, wanted = "SELECT count(*) FROM pg_indexes WHERE indexname = %s", [INDEX]
    else:
        sql = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN (%s, %s, %s)"
        wanted = list(TRIGGERS)
    with connection.cursor() as cursor:
        cursor.execute(sql, wanted)
        return bool(cursor.fetchone()[0] == len(wanted))
