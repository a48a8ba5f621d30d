"""Whoever was given a role and has no second factor yet is led to the page where they set one up."""

from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django import forms
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from portal.accounts.models import Account
from portal.accounts.roles import SET_UP, lacks_second_factor
from portal.audit.models import Verb
from portal.audit.services import record
from portal.middleware import Handler


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
    name = forms.CharField(
        required=False, max_length=80, help_text="To tell it from others, for example: work laptop."
    )


@receiver(authenticator_added)
def _added(user: Account, authenticator: Authenticator, **_: Any) -> None:
    record(Verb.SECOND_FACTOR_ADDED, user, actor=user, type=str(authenticator.type))


@receiver(authenticator_removed)
def _removed(user: Account, authenticator: Authenticator, **_: Any) -> None:
    record(Verb.SECOND_FACTOR_REMOVED, user, actor=user, type=str(authenticator.type))
