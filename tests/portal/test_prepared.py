"""Queries that are written once give what Django's own give, also the second time and with other values."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from django.utils import timezone

from access_requests.models import Grant
from access_requests.selectors import asks_for_grant, grant_from, grants_behind
from distribution.models import Alarm, Artifact, DayUse, Download, Revision
from portal import prepared
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.audit.services import record
from portal.catalog.models import LicenceVersion, Release
from portal.prepared import Prepared, ask, insert, inserting, update, updating
from tests.distribution.weights import granted


def same(one: Model | None, other: Model | None, *related: str) -> None:
    assert one == other
    if one is None or other is None:
        return
    for path in ("", *related):
        mine, theirs = one, other
        for name in filter(None, path.split("__")):
            mine, theirs = getattr(mine, name), getattr(theirs, name)
        assert mine.get_deferred_fields() == theirs.get_deferred_fields(), path
        for field in theirs._meta.concrete_fields:
            if field.attname not in theirs.get_deferred_fields():
                assert getattr(mine, field.attname) == getattr(theirs, field.attname), (path, field)


def grant_behind(pk: int) -> Grant | None:
    return grant_from(*ask(*asks_for_grant(pk)))


@pytest.fixture
def grants(alice: Account, mallory: Account, release: Release) -> list[Grant]:
    licence = release.family.licence
    LicenceVersion.objects.create(licence=licence, number=2, text="Newer.")
    return [granted(alice, release), granted(mallory, release, tier="try")]


def test_a_grant_is_the_same_with_all_that_the_rule_looks_at(
    grants: list[Grant], django_assert_num_queries
) -> None:
    related = ("account", "release__family__licence", "acceptance__licence_version")
    for grant in [*grants, *grants]:
        same(grant_behind(grant.pk), grants_behind([grant.pk]).get(), *related)
    assert grant_behind(999) is None
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 2):
        found = grant_behind(grants[0].pk)
        assert found is not None
        assert getattr(found, "close_out", None) is None
        numbers = {version.number for version in found.release.family.licence.versions.all()}
    assert numbers == {1, 2}


def test_what_changed_in_between_is_seen(grants: list[Grant]) -> None:
    assert grant_behind(grants[0].pk).status == "active"
    Grant.objects.filter(pk=grants[0].pk).update(status="revoked", status_reason="x")
    assert grant_behind(grants[0].pk).status == "revoked"
    licence = grants[0].release.family.licence
    LicenceVersion.objects.create(licence=licence, number=3, text="Newest.")
    versions = grant_behind(grants[0].pk).release.family.licence.versions.all()
    assert {version.number for version in versions} == {1, 2, 3}


def test_days_and_times_are_values_too(grants: list[Grant]) -> None:
    by_day = Prepared(
        lambda grant, day: DayUse.objects.filter(grant=grant).filter(day__gte=day).order_by("day"),
        0,
        timezone.now().date(),
    )
    today = timezone.now().date()
    days = [
        DayUse.objects.create(grant=grants[0], day=today - timedelta(days=number), counted=number)
        for number in (2, 1, 0)
    ]
    assert by_day.rows(grants[0].pk, today - timedelta(days=1)) == days[1:]
    assert by_day.rows(grants[0].pk, today + timedelta(days=1)) == []
    assert by_day.rows(grants[1].pk, today) == []
    assert [row.day for row in by_day.rows(grants[0].pk, days[0].day)] == [row.day for row in days]
    running = Prepared(
        lambda now: Download.objects.filter(busy_until__gt=now).order_by(), timezone.now()
    )
    until = timezone.now() + timedelta(seconds=5)
    row = Download.objects.create(
        grant=grants[0], outcome="served", method="GET", request_id="x", busy_until=until
    )
    (found,) = running.rows(timezone.now())
    same(found, row)
    assert found.busy_until == until
    assert running.rows(until) == []


def test_values_in_another_order_than_the_sql_has_them_are_not_taken(db: None) -> None:
    wrong = Prepared(lambda one, two: Download.objects.filter(bytes_asked=two, method=one), "a", 7)
    with pytest.raises(AssertionError):
        wrong.rows("GET", 1)


def test_an_inserted_row_is_what_save_would_have_made(grants: list[Grant]) -> None:
    values = {"outcome": "served", "method": "GET", "request_id": "x", "fresh": [[0, 5]]}
    saved = Download.objects.create(grant=grants[0], **values)
    made = insert(Download(grant=grants[0], **values))
    assert made.pk > saved.pk
    assert not made._state.adding
    assert made.started_at - saved.started_at < timedelta(seconds=5)
    found = Download.objects.get(pk=made.pk)
    for field in Download._meta.concrete_fields:
        if field.name not in ("id", "started_at"):
            assert getattr(found, field.attname) == getattr(saved, field.attname), field
    assert found.started_at == made.started_at
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(Download(grant_id=None, outcome=None, method="GET", request_id="x"))


def test_an_updated_row_changes_in_the_named_columns_alone(grants: list[Grant]) -> None:
    row = Download.objects.create(
        grant=grants[0], outcome="served", method="GET", request_id="x", code="kept"
    )
    row.bytes_sent, row.finished_at, row.fresh, row.code = 7, timezone.now(), [[1, 2]], "not yet"
    update(row, "bytes_sent", "finished_at", "fresh")
    found = Download.objects.get(pk=row.pk)
    assert (found.bytes_sent, found.finished_at, found.fresh) == (7, row.finished_at, [[1, 2]])
    assert found.code == "kept"
    other = Alarm.objects.create(grant=grants[0], kind="burst", found=1, limit=1)
    other.note = "A conference; 100 % sure."
    update(other, "note")
    assert Alarm.objects.get().note == "A conference; 100 % sure."


def test_an_event_still_goes_through_the_one_way_to_write_it(
    alice: Account, grants: list[Grant]
) -> None:
    data = {"text": "ä 100 %s", "list": [1, {"a": None}], "number": 1.5}
    made = record(Verb.GRANT_ISSUED, grants[0], actor=alice, **data)
    found = Event.objects.get(pk=made.pk)
    assert (found.verb, found.actor, found.data) == (Verb.GRANT_ISSUED, alice, data)
    assert (found.subject_type, found.subject_id) == ("access_requests.grant", str(grants[0].pk))
    assert found.at == made.at
    with pytest.raises(TypeError):
        found.save()


@pytest.mark.postgres
def test_a_lock_is_taken(transactional_db: None, alice: Account, release: Release) -> None:
    grant = granted(alice, release)
    DayUse.objects.create(grant=grant, day=timezone.now().date())
    locked = Prepared(lambda pk: DayUse.objects.select_for_update().filter(grant=pk).order_by(), 0)
    with transaction.atomic():
        assert locked.first(grant.pk)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT mode FROM pg_locks WHERE relation = 'distribution_dayuse'::regclass"
            )
            assert ("RowShareLock",) in cursor.fetchall()


def test_a_file_comes_with_its_revision_in_one_query(
    release: Release, django_assert_num_queries
) -> None:
    from distribution.selectors import asks_for_artifact

    revision = Revision.objects.create(release=release, digest="d" * 40, layout="original")
    made = Artifact.objects.create(revision=revision, path="a", size=1, sha256="e" * 64)
    with django_assert_num_queries(1):
        ((found,),) = ask(asks_for_artifact(made.pk))
        assert found.revision.release_id == release.pk
    same(found, made)
    assert ask(asks_for_artifact(0)) == [[]]


def test_what_is_asked_together_is_answered_in_its_order(grants: list[Grant]) -> None:
    """PostgreSQL gets one message; a row that is written in it is there for what is asked after it."""
    by_grant = Prepared(lambda pk: Download.objects.filter(grant=pk).order_by("pk"), 0)
    first, second = (
        Download(grant=grants[0], outcome="served", method=method, request_id="100 %s")
        for method in ("GET", "HEAD")
    )
    with transaction.atomic():
        none, _, _, both, of_other = ask(
            by_grant.of(grants[0].pk),
            inserting(first),
            inserting(second),
            by_grant.of(grants[0].pk),
            by_grant.of(grants[1].pk),
        )
    assert (none, both, of_other) == ([], [first, second], [])
    first.code, second.code = "one", "two"
    ask(updating(first, "code"), updating(second, "code"))
    assert list(Download.objects.order_by("pk").values_list("code", "request_id")) == [
        ("one", "100 %s"),
        ("two", "100 %s"),
    ]


def test_where_one_of_them_fails_none_is_written(grants: list[Grant]) -> None:
    good = Download(grant=grants[0], outcome="served", method="GET", request_id="x")
    bad = Download(grant_id=None, outcome=None, method="GET", request_id="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        ask(inserting(good), inserting(bad))
    assert not Download.objects.exists()


@pytest.fixture
def plans(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> prepared._Plans:
    """Of a process that has not asked anything yet."""
    monkeypatch.setattr(prepared, "_plans", prepared._Plans())
    return prepared._plans


def kept_plans() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'wb_%'")
        return int(cursor.fetchone()[0])


@pytest.mark.postgres
def test_a_connection_keeps_its_plans_and_gives_the_same(
    plans: prepared._Plans, alice: Account, release: Release
) -> None:
    grant = granted(alice, release)
    connection.close()
    with transaction.atomic():
        assert grant_behind(grant.pk) == grant
        assert kept_plans() == 0, "none in a transaction"
    for _ in range(8):  # from the sixth on PostgreSQL may take one plan for all values
        same(grant_behind(grant.pk), grants_behind([grant.pk]).get(), "account", "release__family")
        assert grant_behind(0) is None
    assert kept_plans() == 2
    Grant.objects.filter(pk=grant.pk).update(status="revoked", status_reason="100 % 'x'")
    assert grant_behind(grant.pk).status_reason == "100 % 'x'"


@pytest.mark.postgres
@pytest.mark.parametrize("lost", ["DEALLOCATE ALL", "known already"])
def test_a_pooler_that_mixes_connections_up_is_noticed_and_nothing_fails(
    plans: prepared._Plans, lost: str, alice: Account, release: Release, caplog
) -> None:
    grant = granted(alice, release)
    connection.close()
    assert grant_behind(grant.pk) == grant
    if lost == "known already":  # to the server, not to us
        plans._names.clear()
    else:
        with connection.cursor() as cursor:
            cursor.execute(lost)
    assert grant_behind(grant.pk) == grant
    assert not prepared._plans.are_kept
    assert "a pooler loses prepared queries" in caplog.text
    assert grant_behind(grant.pk) == grant
    connection.close()  # and the plans with it
