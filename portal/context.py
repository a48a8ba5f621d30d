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
        "may_review": bool(
            user and user.is_authenticated and user.is_staff and roles.is_reviewer(user)
        ),
    }
