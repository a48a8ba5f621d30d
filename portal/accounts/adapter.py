"""allauth's mails leave through our outbox, so that there is one way for mail."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from portal.absolute_urls import absolute_url
from portal.accounts.addresses import clean_address
from portal.accounts.models import Account
from portal.accounts.roles import SET_UP, lacks_second_factor
from portal.mail import services


class AccountAdapter(DefaultAccountAdapter):
    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Whose role waits for a second factor sets it up first."""
        if lacks_second_factor(request.user):
            return SET_UP
        url: str = super().get_login_redirect_url(request)
        return url

    def clean_email(self, email: str) -> str:
        """Asked at sign-up, for another address, and for a new password: one form for each mailbox."""
        return clean_address(email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        # allauth makes them from the Host header, which whoever asks for the mail chooses.
        ours = {
            name: absolute_url(str(one)) for name, one in context.items() if name.endswith("_url")
        }
        message = self.render_mail(template_prefix, email, {**context, **ours, "email": email})
        account = context.get("user")
        services.enqueue(
            template_prefix.rsplit("/", 1)[-1],
            address=email,
            subject=message.subject,
            body=message.body,
            account=account if isinstance(account, Account) else None,
        )
