"""allauth's mails leave through our outbox, so that there is one way for mail."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter

from portal.accounts.models import Account
from portal.mail import services


class AccountAdapter(DefaultAccountAdapter):
    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        message = self.render_mail(template_prefix, email, {**context, "email": email})
        account = context.get("user")
        services.enqueue(
            template_prefix.rsplit("/", 1)[-1],
            address=email,
            subject=message.subject,
            body=message.body,
            account=account if isinstance(account, Account) else None,
        )
