"""The query string of an admin list filters by what the list declares, and by nothing else.

Django lets every column of the model itself answer a look-up, so that a page which hides a password hash still
gives it away letter by letter.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin import FieldListFilter, SimpleListFilter
from django.db.models import Field, Model
from django.test import RequestFactory
from django.urls import reverse

from portal.accounts.models import Account
from portal.accounts.roles import Role
from portal.mail.models import OutgoingMail
from portal.model_admin import ModelAdmin
from tests.people import person, signed_in

LISTS = list(admin.site._registry.items())
STAFF = {
    "reviewer": (Role.REVIEWER,),
    "manager": (Role.MANAGER,),
    "auditor": (Role.AUDITOR,),
    "operator": (Role.OPERATOR,),
    "superuser": (),
}
# Columns that no list may search or filter by: whoever reads them could act as somebody else, or reads what
# was written for others.
SECRET = {
    "accounts.account": {"password"},
    "accounts.apitoken": {"sha256"},
    "mail.outgoingmail": {"body"},
    "mfa.authenticator": {"data"},
    "webhooks.subscription": {"secret", "former_secret"},
    "socialaccount.socialapp": {"secret", "key", "client_id"},
    "inference_sandbox.run": {"prompt", "output", "messages", "note"},
}


def staff(kind: str) -> Account:
    account = person(kind, *STAFF[kind])
    if kind == "superuser":
        account.is_staff = account.is_superuser = True
        account.save()
    return account


def fields_of(model: type[Model], deep: int) -> Iterator[tuple[str, Any]]:
    """Every field of a model and of what it is related to, forwards and back, as look-ups name them."""
    for field in model._meta.get_fields():
        # Backwards, a look-up goes by the name for queries, if there is one.
        is_backward = field.auto_created and not isinstance(field, Field)
        name = getattr(field, "related_name" if is_backward else "name", None) or field.name
        yield name, field
        if deep and field.related_model not in (None, model):
            for further, found in fields_of(field.related_model, deep - 1):
                yield f"{name}__{further}", found


def lookups_of(model: type[Model]) -> Iterator[str]:
    for path, field in fields_of(model, deep=1):
        yield path
        for kind in getattr(field, "get_lookups", lambda: {"exact": None})():
            yield f"{path}__{kind}"
        yield f"{path}__pk"


def declared(model_admin: Any) -> set[str]:
    """Paths that the list's filters are about, and parameters of filters of our own."""
    paths = {model_admin.date_hierarchy} if model_admin.date_hierarchy else set()
    for one in model_admin.list_filter:
        if isinstance(one, type) and issubclass(one, SimpleListFilter):
            paths.add(one.parameter_name)
        else:
            paths.add(one if isinstance(one, str) else one[0])
    return paths


def test_every_list_has_our_base_class() -> None:
    assert len(LISTS) > 25
    others = [model.__name__ for model, found in LISTS if not isinstance(found, ModelAdmin)]
    assert not others


@pytest.mark.parametrize("kind", STAFF)
def test_no_list_answers_a_lookup_that_it_does_not_declare(
    db: None, rf: RequestFactory, kind: str
) -> None:
    request = rf.get("/")
    request.user = staff(kind)
    harmless = {"exact", "isnull", "isempty", "year", "month", "day", "gte", "lt", "pk", "id"}
    open_ones, count = [], 0
    for model, model_admin in LISTS:
        paths = declared(model_admin)
        for lookup in lookups_of(model):
            count += 1
            if not model_admin.lookup_allowed(lookup, "x", request):
                continue
            path = next((one for one in paths if f"{lookup}__".startswith(f"{one}__")), None)
            if path is None or not set(lookup[len(path) :].split("__")) <= harmless | {""}:
                open_ones.append(f"{model.__name__}: {lookup}")
    assert count > 10_000
    assert not open_ones


@pytest.mark.parametrize("kind", STAFF)
def test_every_list_refuses_them_over_http(db: None, kind: str) -> None:
    client, opened = signed_in(staff(kind)), 0
    for model, model_admin in LISTS:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        open_to_all = client.get(f"{address}?e=1").status_code
        opened += open_to_all == 200
        if "changelist_view" in vars(type(model_admin)) and not model_admin.list_filter:
            continue  # a page of its own, which lists nothing
        hidden = SECRET.get(model._meta.label_lower, {"pk"})
        for name in hidden:
            for lookup in ("startswith", "regex"):
                code = client.get(address, {f"{name}__{lookup}": "^(a+)+$"}).status_code
                assert code == (400 if open_to_all == 200 else open_to_all), (model, name, lookup)
    assert opened >= (1 if kind != "operator" else 0)


def test_a_reviewer_does_not_guess_a_managers_password_hash(rita: Account) -> None:
    manager, client = person("mona", Role.MANAGER), signed_in(rita)
    for guess in (manager.password[:9], "nothing like it"):
        found = client.get("/admin/accounts/account/", {"password__startswith": guess})
        assert found.status_code == 400
        assert manager.email not in found.content.decode()


def test_a_manager_does_not_read_a_mailed_link_by_guessing(manager: Account) -> None:
    OutgoingMail.objects.create(
        to="written-to@lab.test", template="x", subject="x", body="key/abc-123/"
    )
    client, address = signed_in(manager), "/admin/mail/outgoingmail/"
    assert (
        "written-to@lab.test" in client.get(address, {"q": "written-to@lab.test"}).content.decode()
    )
    for query in ({"body__regex": "key/a"}, {"body__contains": "key"}, {"body": "key/abc-123/"}):
        assert client.get(address, query).status_code == 400
    assert "written-to@lab.test" not in client.get(address, {"q": "key/abc"}).content.decode()


def test_no_list_searches_or_filters_by_a_secret_column() -> None:
    wrong = []
    for model, model_admin in LISTS:
        secret = SECRET.get(model._meta.label_lower, set())
        used = declared(model_admin) | {one.lstrip("=^@") for one in model_admin.search_fields}
        wrong += [(model.__name__, name) for name in used if name.split("__")[0] in secret]
        ends = {name.rpartition("__")[2] for name in used}
        wrong += [(model.__name__, name) for name in ends & {"password", "body", "secret"}]
    assert not wrong


def test_every_declared_filter_opens(db: None, rf: RequestFactory) -> None:
    """What the filters of a list put into its links is what the list takes."""
    request = rf.get("/")
    request.user = staff("superuser")
    closed, seen = [], 0
    for model, model_admin in LISTS:
        for one in model_admin.get_list_filter(request):
            if isinstance(one, type):
                names = [one.parameter_name]
            else:
                path, make = (one, FieldListFilter.create) if isinstance(one, str) else one
                field = dict(fields_of(model, deep=2))[path]
                found = make(field, request, {}, model, model_admin, field_path=path)
                names = [name for name in found.expected_parameters() if name]
            seen += len(names)
            closed += [
                (model.__name__, name)
                for name in names
                if not model_admin.lookup_allowed(name, "2026-01-01", request)
            ]
    assert seen > 30
    assert not closed


def test_nul_in_a_filter_is_refused(manager: Account) -> None:
    """PostgreSQL takes it in no text."""
    found = signed_in(manager).get("/admin/distribution/download/", {"code": "a\0b"})
    assert found.status_code == 400


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("/admin/access_requests/licenceacceptance/", {"accepted_at__year": "9999"}),
        ("/admin/access_requests/licenceacceptance/", {"accepted_at__year": "9" * 30}),
        ("/admin/distribution/download/", {"started_at__gte": "9999-12-31T23:59:59-23:59"}),
        ("/admin/distribution/download/", {"started_at__lt": "0001-01-01T00:00:00+23:59"}),
    ],
)
def test_a_day_that_no_calendar_has_is_refused(
    manager: Account, address: str, query: dict[str, str]
) -> None:
    client = signed_in(manager)
    assert client.get(address, query).status_code == 400
    (name,) = query
    good = "2026" if name.endswith("year") else "2026-11-30 00:00:00+00:00"
    assert client.get(address, {name: good}).status_code == 200


def test_the_export_of_events_takes_the_filters_of_the_list_alone(db: None) -> None:
    client = signed_in(person("audrey", Role.AUDITOR))
    address = "/admin/audit/event/export/jsonl/"
    assert client.get(address, {"verb__exact": "token.created"}).status_code == 200
    assert client.get(address, {"data__contains": "x"}).status_code == 400
    assert client.get(address, {"actor__password__startswith": "md5"}).status_code == 400


@pytest.mark.parametrize("kind", ["reviewer", "operator"])
def test_choices_of_a_field_are_offered_to_those_who_may_open_their_list(
    db: None, rf: RequestFactory, kind: str
) -> None:
    """`/admin/autocomplete/` takes any field of any model, used by a form or not."""
    account = staff(kind)
    client, request = signed_in(account), rf.get("/")
    request.user = account
    registered, seen = dict(LISTS), 0
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            related = registered.get(field.related_model) if field.many_to_one else None
            if related is None or related.has_view_permission(request):
                continue
            seen += 1
            asked = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
            answer = client.get("/admin/autocomplete/", {**asked, "field_name": field.name})
            assert answer.status_code in (403, 404), (model, field)
    assert seen > 10


def test_a_row_is_referred_to_by_its_key_alone(db: None, rf: RequestFactory) -> None:
    """`?_to_field=` finds a row by another column, where a list allows it."""
    request = rf.get("/")
    request.user = staff("superuser")
    other = [
        (model.__name__, field.name)
        for model, model_admin in LISTS
        for field in model._meta.concrete_fields
        if not field.primary_key and model_admin.to_field_allowed(request, field.name)
    ]
    assert not other


def test_a_search_of_thousands_of_words_is_cut_and_every_list_answers(db: None) -> None:
    """SQLite refuses so large a comparison, and PostgreSQL works at it for minutes."""
    searched = [(model, one) for model, one in LISTS if one.search_fields]
    assert len(searched) > 5
    client = signed_in(staff("superuser"))
    for model, _ in searched:
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert client.get(path, {"q": "a " * 3000}).status_code == 200, path
