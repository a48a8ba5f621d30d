"""allauth's sign-in form. A module of its own, for allauth imports our `forms` while it makes its own."""

from allauth.account.forms import LoginForm as AllauthLoginForm

from portal.accounts.addresses import normalise_address


class LoginForm(AllauthLoginForm):
    def clean_login(self) -> str:
        """The address as it is stored, in whichever spelling it is typed."""
        return normalise_address(super().clean_login())
