"""SQLite's statistics: read after a migrate and by Beat, and never telling two lengths of one table."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.upkeep import _agree_on_lengths, keep_statistics


def statistics(table: str) -> dict[str, list[int]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT idx, stat FROM sqlite_stat1 WHERE tbl = %s AND idx <> ''", [table])
        return {index: [int(n) for n in stat.split()] for index, stat in cursor.fetchall()}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL looks after itself")
def test_every_index_of_a_table_has_its_true_length(alice: Account) -> None:
    now = timezone.now()
    Event.objects.bulk_create(
        Event(
            verb=Verb.ACCOUNT_SIGNED_UP,
            subject_type="accounts.account",
            subject_id=str(number),
            at=now + timedelta(seconds=number),
        )
        for number in range(3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA analysis_limit = 1000")
        cursor.execute("ANALYZE audit_event")
        cursor.execute("SELECT max(id) FROM audit_event")
        (rows,) = cursor.fetchone()
        before = statistics("audit_event")
        cursor.execute(
            "UPDATE sqlite_stat1 SET stat = '999999 2 1' WHERE idx = 'audit_event_at_51e4e402'"
        )
    keep_statistics()
    after = statistics("audit_event")
    assert len(after) > 3
    assert {numbers[0] for numbers in after.values()} == {rows}
    del before["audit_event_at_51e4e402"]
    for index, numbers in before.items():
        assert after[index][1:] == numbers[1:], "what it read of the values stays"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL looks after itself")
def test_a_database_without_statistics_is_left_as_it_is(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS sqlite_stat1")
        _agree_on_lengths(cursor)
        cursor.execute("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'")
        assert cursor.fetchone() == (0,)
