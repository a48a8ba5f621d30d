"""`Authorization: Bearer wb_…`, for every interface; `hf_wb_…` is the same token."""

from datetime import timedelta

from django.http import HttpRequest
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from portal import throttling
from portal.accounts.models import Account, ApiToken

HUB_PREFIX = b"hf_"  # some clients of the Hub refuse to send a token that begins otherwise


def token_of(request: HttpRequest | Request) -> ApiToken | None:
    """The valid token that the request carries; None if it carries none at all.

    Its account holds its roles only as far as the token's scopes say.

    Raises AuthenticationFailed for a token that is unknown, expired or of a closed account, and the Refusal
    RATE_LIMITED where a network sends one such after the other.
    """
    try:
        return _valid_token(request)
    except exceptions.AuthenticationFailed:
        throttling.check_wrong_token(request)
        raise


def _valid_token(request: HttpRequest | Request) -> ApiToken | None:
    header = get_authorization_header(request).split()  # type: ignore[arg-type]
    if not header or header[0].lower() != b"bearer":
        return None
    if len(header) != 2:
        raise exceptions.AuthenticationFailed("The Authorization header must be `Bearer wb_…`.")
    digest = ApiToken.digest(header[1].removeprefix(HUB_PREFIX).decode("latin-1"))
    token = ApiToken.objects.select_related("account").filter(sha256=digest).first()
    if token is None or not token.account.is_active:
        raise exceptions.AuthenticationFailed("This token is unknown or was revoked.")
    token.account.token_scopes = frozenset(token.scopes)
    now = timezone.now()
    if token.expires_at and token.expires_at <= now:
        raise exceptions.AuthenticationFailed(
            f"This token expired on {token.expires_at:%Y-%m-%d %H:%M} UTC."
        )
    # Once a minute is enough to see whether a token is in use, and spares a write for every request.
    if token.last_used_at is None or token.last_used_at < now - timedelta(minutes=1):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Account, ApiToken] | None:
        token = token_of(request)
        return (token.account, token) if token else None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
