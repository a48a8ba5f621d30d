"""In whose name a command acts."""

from django.core.management.base import CommandError

from portal.accounts.models import Account


def manager(email: str | None) -> Account | None:
    """The account of `--as EMAIL`; None where none was given: the operator. The service asks for
    the role.
    """
    if email is None:
        return None
    account = Account.objects.filter(email__iexact=email).first()
    if account is None:
        raise CommandError(
            f"There is no account {email}. Give the e-mail address that its owner signs in with."
        )
    return account
