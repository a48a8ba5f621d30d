"""Changing what may never be changed: the triggers are lifted, a row is changed, they are put back."""

from typing import Any

from django.db import connection

from portal.audit.triggers import DOWN, TABLES, UP


def below_the_triggers(sql: str, *values: Any) -> None:
    vendor = connection.vendor
    with connection.cursor() as cursor:
        for table in TABLES:
            for statement in DOWN[vendor](table):
                cursor.execute(statement)
        cursor.execute(sql, values)
        for table, key in TABLES.items():
            for statement in UP[vendor](table, key):
                cursor.execute(statement)
