"""Whoever was given a role and has no second factor yet is led to the page where they set one up."""

import logging
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from portal import encryption
from portal.accounts.models import Account
from portal.accounts.notices import acting_account, is_deleted_with_account, notify_owner
from portal.accounts.roles import SECOND_FACTORS, SET_UP, lacks_second_factor
from portal.audit.models import Verb
from portal.audit.services import record
from portal.middleware import Handler
from portal.names import NameInput
from portal.refusals import Code, Refusal

log = logging.getLogger(__name__)


class SecondFactorMiddleware:
    """The roles themselves are not held (`roles.has_role`); this only shows the way instead of a wall."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """The whole admin, also what Django opens there to superusers without asking for a role."""
        if request.path.startswith("/admin/") and lacks_second_factor(request.user):
            return HttpResponseRedirect(SET_UP)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Elsewhere: a page that their role would have opened."""
        if isinstance(error, Http404 | PermissionDenied) and lacks_second_factor(request.user):
            return HttpResponseRedirect(SET_UP)
        return None


class MFAAdapter(DefaultMFAAdapter):
    """Encrypts the keys of authenticator apps and of recovery codes: a copy of the database gives no codes."""

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text, purpose="second-factors")

    def decrypt(self, encrypted_text: str) -> str:
        """Raises Refusal UNAVAILABLE: a wrong key must not pass for a wrong code, and an empty one would be known."""
        text = encryption.decrypt(encrypted_text, purpose="second-factors")
        if text is None:
            log.error(
                "A second factor was encrypted with a SECRET_KEY that is not among the fallbacks."
            )
            raise Refusal(
                Code.UNAVAILABLE,
                "The site cannot read your second factor, because its secret key was changed.",
                "Use a passkey if you have one, or ask the operators of this site to restore the former key.",
            )
        return text

    def generate_authenticator_name(self, user: Account, type: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return f"Passkey {number}"


class AddPasskeyForm(AddWebAuthnForm):
    passwordless = forms.BooleanField(
        label="It signs me in without my password",
        required=False,
        initial=True,
        help_text="The device then asks for its PIN, your finger or your face. Untick for an older "
        "security key, which stands beside the password.",
    )
    name = NameInput(
        required=False, max_length=80, help_text="To tell it from others, for example: work laptop."
    )


@receiver(post_save, sender=Authenticator)
def _added(instance: Authenticator, created: bool, **_: Any) -> None:
    if created:
        _record(Verb.SECOND_FACTOR_ADDED, instance)


@receiver(post_delete, sender=Authenticator)
def _removed(instance: Authenticator, origin: Any, **_: Any) -> None:
    """Also when a superuser takes away a lost one."""
    if not is_deleted_with_account(origin):
        _record(Verb.SECOND_FACTOR_REMOVED, instance)


def _record(verb: Verb, authenticator: Authenticator) -> None:
    """In the transaction of the change; allauth's own signals come after it."""
    if authenticator.type not in SECOND_FACTORS:
        return
    account = Account.objects.get(pk=authenticator.user_id)
    record(verb, account, actor=acting_account() or account, type=str(authenticator.type))
    if account.erased_at is None:
        what = verb.value.removeprefix("account.")
        kind = Authenticator.Type(authenticator.type).label
        notify_owner(account, what, kind=kind)
