"""Giving the database's connection back before a long wait."""

from asgiref.sync import sync_to_async
from django.db import connection


def let_go() -> None:
    """This thread's connection goes back to the pool; the next query takes another.

    Django keeps one until the answer's last byte is out. Whoever streams for minutes would hold it
    all that time, and as many streams as the pool has connections would hold up everybody else.
    """
    if not connection.in_atomic_block:
        connection.close()


async def alet_go() -> None:
    """The same for the thread that serves this request's queries."""
    await sync_to_async(let_go)()
