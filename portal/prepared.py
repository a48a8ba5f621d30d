"""Queries whose SQL is written once a process, for the few paths that are asked hundreds of times a second.

Django takes most of a short query's time to write its SQL, anew each time. What these give is what Django gives: the
same models, with the same related rows and deferred columns; tests/portal/test_prepared.py compares them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.models import Model, QuerySet
from django.db.models.query import get_related_populators

log = logging.getLogger(__name__)
M = TypeVar("M", bound=Model)
T = TypeVar("T")


@dataclass(frozen=True)
class Asked(Generic[T]):
    """SQL with its values, not sent yet, and what to make of the cursor that has its answer.

    name: under which a connection may keep the plan, where there is one.
    """

    sql: str
    values: list[Any]
    take: Callable[[Any], T]
    name: str = ""


def ask(*every: Asked[Any]) -> list[Any]:
    """Send them in their order, and make of each answer what it says. None may depend on the answer to another.

    PostgreSQL gets them in one message: the trips are most of what a short query costs. Each still sees what was
    committed when its own turn comes.
    """
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            return [one.take(cursor.execute(one.sql, one.values)) for one in every]
        _send(cursor, every)
        taken = []
        for one in every:
            taken.append(one.take(cursor))
            cursor.nextset()
        return taken


class _Plans:
    """The plans that connections to PostgreSQL keep: to plan a query of eight tables takes ten times what it runs.

    A pooler that gives each transaction another connection loses them; then no more are made in this process.
    """

    LOST = ("26000", "42P05")  # SQLSTATE: a name that is not known there, or is known already

    def __init__(self) -> None:
        self.are_kept = True
        self._names: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()

    def make(self, cursor: Any, every: Sequence[Asked[Any]]) -> None:
        names = self._names.setdefault(connection.connection, set())
        for one in every:
            if one.name and one.name not in names:
                places = tuple(f"${number}" for number in range(1, len(one.values) + 1))
                cursor.execute(f"PREPARE {one.name} AS {one.sql % places}")
                names.add(one.name)


_plans = _Plans()


def _send(cursor: Any, every: Sequence[Asked[Any]]) -> None:
    values = [value for one in every for value in one.values]
    # In a transaction a lost plan could not be told from a failure of the caller's.
    if _plans.are_kept and not connection.in_atomic_block:
        try:
            _plans.make(cursor, every)
            return cursor.execute("; ".join(map(_by_name, every)), values)
        except DatabaseError as error:
            if getattr(error.__cause__, "sqlstate", "") not in _plans.LOST:
                raise
            log.warning(
                "a pooler loses prepared queries; they are planned anew each time: %s", error
            )
            _plans.are_kept = False
    return cursor.execute("; ".join(one.sql for one in every), values)


def _by_name(one: Asked[Any]) -> str:
    if not one.name:
        return one.sql
    places = ", ".join(["%s"] * len(one.values))
    return f"EXECUTE {one.name}({places})" if places else f"EXECUTE {one.name}"


class Prepared(Generic[M]):
    """A query of which the values alone change: `Prepared(lambda pk: Artifact.objects.filter(pk=pk), 0)`.

    `samples` are values to write it with, all different, in the order in which they stand in the SQL. Related rows
    come by select_related; what prefetch_related would bring is the caller's to ask for.
    """

    def __init__(self, make: Callable[..., "QuerySet[M]"], *samples: Any) -> None:
        self._make, self._samples = make, samples
        self._written: _Written | None = None

    def of(self, *values: Any) -> Asked[list[M]]:
        if self._written is None:
            self._written = _Written(self._make(*self._samples), self._samples)
        written = self._written

        def take(cursor: Any) -> list[M]:
            return [written.built(row) for row in written.converted(cursor.fetchall())]

        return Asked(written.sql, [_adapted(value) for value in values], take, written.name)

    def rows(self, *values: Any) -> list[M]:
        (rows,) = ask(self.of(*values))
        return rows

    def first(self, *values: Any) -> M | None:
        return next(iter(self.rows(*values)), None)


def _adapted(value: Any) -> Any:
    """As the database's driver takes it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, date):
        return connection.ops.adapt_datefield_value(value)
    return value


class _Written:
    """What Django works out of a query before it asks, kept."""

    def __init__(self, queryset: "QuerySet", samples: Sequence[Any]) -> None:
        compiler: Any = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
        self.sql, parameters = compiler.as_sql()
        assert list(parameters) == [_adapted(one) for one in samples], "the values, in their order"
        self.name = f"wb_{sha256(self.sql.encode()).hexdigest()[:16]}"
        columns = [column[0] for column in compiler.select]
        self._compiler, self._converters = compiler, compiler.get_converters(columns)
        info = compiler.klass_info
        first, last = info["select_fields"][0], info["select_fields"][-1]
        self._model, self._own = info["model"], slice(first, last + 1)
        self._names = [column.target.attname for column in columns[self._own]]
        populators: Any = get_related_populators  # whose type is that of a newer Django
        self._related = populators(info, compiler.select, DEFAULT_DB_ALIAS)

    def converted(self, rows: Sequence[Sequence[Any]]) -> Any:
        if not self._converters:
            return rows
        return map(tuple, self._compiler.apply_converters(rows, self._converters))

    def built(self, row: Sequence[Any]) -> Any:
        made = self._model.from_db(DEFAULT_DB_ALIAS, self._names, row[self._own])
        for related in self._related:
            related.populate(row, made)
        return made


_SQL: dict[tuple[str, type[Model], tuple[str, ...]], str] = {}


def inserting(made: M) -> Asked[M]:
    """As `made.save(force_insert=True)`, for a model without parents that nobody listens to."""
    fields = [field for field in made._meta.concrete_fields if not field.primary_key]
    values = [field.get_db_prep_save(field.pre_save(made, True), connection) for field in fields]

    def take(cursor: Any) -> M:
        made.pk = cursor.fetchone()[0]
        made._state.adding, made._state.db = False, DEFAULT_DB_ALIAS
        return made

    return Asked(_sql(made, (), _insert_of), values, take)


def updating(kept: Model, *names: str) -> Asked[None]:
    """As `kept.save(update_fields=names)`, under the same conditions."""
    fields: list[Any] = [kept._meta.get_field(name) for name in names]
    values = [field.get_db_prep_save(field.pre_save(kept, False), connection) for field in fields]
    return Asked(_sql(kept, names, _update_of), [*values, kept.pk], lambda _: None)


def insert(made: M) -> M:
    """`inserting`, at once."""
    ask(inserting(made))
    return made


def update(kept: Model, *names: str) -> None:
    """`updating`, at once."""
    ask(updating(kept, *names))


def _sql(model: Model, names: tuple[str, ...], write: Callable[..., str]) -> str:
    key = (connection.vendor, type(model), names)
    if key not in _SQL:
        _SQL[key] = write(type(model), names)
    return _SQL[key]


def _insert_of(model: type[Model], names: tuple[str, ...]) -> str:
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    columns = ", ".join(_quoted(field.column) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    table, pk = _quoted(model._meta.db_table), _quoted(_pk(model))
    return f"INSERT INTO {table} ({columns}) VALUES ({places}) RETURNING {pk}"  # noqa: S608 - our own names


def _update_of(model: type[Model], names: tuple[str, ...]) -> str:
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    columns = ", ".join(f"{_quoted(field.column)} = %s" for field in fields)
    table, pk = _quoted(model._meta.db_table), _quoted(_pk(model))
    return f"UPDATE {table} SET {columns} WHERE {pk} = %s"  # noqa: S608 - our own names


def _quoted(name: str | None) -> str:
    assert name is not None
    return str(connection.ops.quote_name(name))


def _pk(model: type[Model]) -> str:
    assert model._meta.pk is not None
    return str(model._meta.pk.column)
