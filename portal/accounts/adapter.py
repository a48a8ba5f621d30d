"""allauth's mails leave through our outbox, so that there is one way for mail."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.urls import reverse
from django.utils.crypto import salted_hmac

from portal.absolute_urls import absolute_url
from portal.accounts.addresses import clean_address, normalise_address
from portal.accounts.models import Account, ApiToken
from portal.accounts.roles import SET_UP, lacks_second_factor
from portal.mail import services
from portal.networks import subscriber_network


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

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """To the tokens that are left, for they do not end with a password."""
        assert isinstance(request.user, Account)  # allauth lets nobody else change a password
        left = ApiToken.objects.filter(account=request.user).exists()
        return reverse("accounts:tokens" if left else "accounts:profile")

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Wrong passwords for an account are counted apart for each network, and for each password that the account
        had: who guesses locks their own network out, not the owner, and a reset begins the count again.
        """
        email = normalise_address(str(credentials.get("email", "")))
        found = Account.objects.filter(email=email).values_list("password", flat=True)
        mark = salted_hmac("weighbridge.attempts", found.first() or "").hexdigest()
        network = subscriber_network(self.get_client_ip(request))
        super().pre_authenticate(request, **{**credentials, "email": f"{email} {network} {mark}"})

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
