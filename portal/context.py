"""What every template may use."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from portal.accounts import roles


def site(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    return {
        "demo": settings.DEMO,
        "base_url": settings.BASE_URL,
        "orcid_sign_in": "orcid" in settings.SOCIALACCOUNT_PROVIDERS,
        "desk": _desk(user) if user and user.is_authenticated and user.is_staff else "",
        # Functions: asked only by the pages that show them.
        "second_factor_needed": lambda: bool(user and roles.lacks_second_factor(user)),
    }


def _desk(user: Any) -> str:
    """What the link to the admin is called; it is shown to whoever was given a role."""
    return "Review" if roles.is_reviewer(user) else "Admin"
