"""What a token's scopes allow."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from portal.accounts.models import ApiToken, Scope
from portal.accounts.roles import check_second_factor
from portal.refusals import Code, Refusal


class HasScope(BasePermission):
    """The scope that the view names, held by the token. A person in the browser holds all scopes.

    A view names it as `scope = Scope.READ`, or per method as `scopes = {"POST": Scope.APPLY}`. Of a
    tuple one is enough. The account's roles are held with `review` alone, whatever the view names.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        needed = getattr(view, "scopes", {}).get(request.method, getattr(view, "scope", Scope.READ))
        if isinstance(request.auth, ApiToken):
            require_scope(request.auth, *(needed if isinstance(needed, tuple) else (needed,)))
        if needed == Scope.REVIEW:  # for whoever decides; others learn more from the act itself
            check_second_factor(request.user)
        return True


def require_scope(token: ApiToken, *enough: Scope) -> None:
    """Raise the Refusal SCOPE_MISSING unless the token has one of these scopes."""
    if not {str(scope) for scope in enough} & set(token.scopes):
        raise scope_missing(*enough)


def scope_missing(*enough: Scope) -> Refusal:
    return Refusal(
        Code.SCOPE_MISSING,
        f"This token lacks the scope {' or '.join(f'`{scope}`' for scope in enough)}.",
        "Make a token with that scope on your account page.",
        url="/account/tokens/",
    )
