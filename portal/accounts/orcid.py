"""Signing in with an ORCID iD, for accounts that linked theirs. Off until the site is registered with ORCID."""

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.signals import social_account_added, social_account_removed
from django.conf import settings
from django.contrib import messages
from django.dispatch import receiver
from django.http import HttpRequest
from django.shortcuts import redirect

from portal.accounts.models import Account
from portal.accounts.notices import notify_owner
from portal.audit.models import Verb
from portal.audit.services import record


def is_offered() -> bool:
    return "orcid" in settings.SOCIALACCOUNT_PROVIDERS


def linked_orcid(account: Account) -> str:
    """The iD that the person proved by signing in with it; empty where there is none, or where this
    site does not offer that.
    """
    if not is_offered():
        return ""
    linked = SocialAccount.objects.filter(user=account, provider="orcid")
    return str(linked.values_list("uid", flat=True).first() or "")


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """An iD opens an account that it was linked to, and makes none: ORCID gives no verified address."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if sociallogin.is_existing or request.user.is_authenticated:
            return
        messages.error(
            request,
            "No account here is linked with this ORCID iD. Sign in as usual, or sign up, and link "
            "it on your profile; from then on it signs you in.",
        )
        raise ImmediateHttpResponse(redirect("account_login"))


@receiver(social_account_added)
def _linked(sociallogin: SocialLogin, **kwargs: Any) -> None:
    account, provider = sociallogin.account.user, sociallogin.account.provider
    record(Verb.SIGN_IN_LINKED, account, actor=account, provider=provider)
    notify_owner(account, "sign_in_linked", kind=provider)


@receiver(social_account_removed)
def _unlinked(socialaccount: SocialAccount, **kwargs: Any) -> None:
    account = socialaccount.user
    record(Verb.SIGN_IN_UNLINKED, account, actor=account, provider=socialaccount.provider)
    notify_owner(account, "sign_in_unlinked", kind=socialaccount.provider)
