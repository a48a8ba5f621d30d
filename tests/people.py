"""Making people, and being them: in a browser's session, or as a program with a token."""

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from portal.accounts.models import Account, ApiToken, Scope
from portal.accounts.roles import Role


def person(name: str, *roles: Role, **fields: Any) -> Account:
    account = Account.objects.create_user(
        f"{name}@lab.test",
        "a-password-for-tests",
        name=f"{name.title()} Example",
        is_staff=bool(roles),
        **fields,
    )
    account.groups.set(Group.objects.filter(name__in=[role.value for role in roles]))
    account.emailaddress_set.create(email=account.email, verified=True, primary=True)
    return account


def signed_in(account: Account) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(account, backend="django.contrib.auth.backends.ModelBackend")
    return client


class Program(Client):
    """Without data, a POST has no body: Django's own would send an empty form."""

    def post(self, path: Any, data: Any = None, *args: Any, **kwargs: Any) -> Any:
        if data is None and not args:
            data, kwargs = "", {"content_type": "application/json", **kwargs}
        return super().post(path, data, *args, **kwargs)


def with_token(account: Account, *scopes: Scope) -> Client:
    """A program: no session, one token."""
    _, text = ApiToken.make(account, name="test", scopes=[str(scope) for scope in scopes or Scope])
    return Program(headers={"authorization": f"Bearer {text}", "accept": "application/json"})
