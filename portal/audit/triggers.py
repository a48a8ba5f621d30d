"""Triggers that make the audit log append-only below the ORM, on SQLite and PostgreSQL.

Used by the migrations; tests lift them only to empty, or to tamper with, their own database.
"""

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLES = {"audit_event": "id", "audit_seal": "number", "audit_sealedevent": "event_id"}  # and key
REFUSAL = "the audit log is append-only"


def _sqlite_up(table: str, key: str) -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        # INSERT OR REPLACE takes the old row away without asking the trigger on DELETE.
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608 - our own words
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key}) {refuse}",
    ]


def _sqlite_down(table: str) -> list[str]:
    return [f"DROP TRIGGER IF EXISTS {table}_no_{verb}" for verb in ("update", "delete", "replace")]


def _postgres_up(table: str, key: str) -> list[str]:
    return [
        f"CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$",
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()",
    ]


def _postgres_down(table: str) -> list[str]:
    return [
        f"DROP TRIGGER IF EXISTS {table}_no_{what} ON {table}" for what in ("change", "truncate")
    ]


UP = {"sqlite": _sqlite_up, "postgresql": _postgres_up}
DOWN = {"sqlite": _sqlite_down, "postgresql": _postgres_down}


def install(apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    for table in TABLES:
        for statement in UP[editor.connection.vendor](table, TABLES[table]):
            editor.execute(statement)


def remove(apps: object, editor: BaseDatabaseSchemaEditor) -> None:
    for table in TABLES:
        for statement in DOWN[editor.connection.vendor](table):
            editor.execute(statement)
