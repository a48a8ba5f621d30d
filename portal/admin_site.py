"""The admin's site: unfold's, with what it makes for every page made once, or only when a page shows it."""

from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from unfold.sites import UnfoldAdminSite

# Who holds the role of a page, by the word in its line of the side bar (portal/unfold.py).
READERS = {
    "reviewer": "reviewers and managers",
    "manager": "managers",
    "auditor": "auditors and managers",
    "operator": "operators and managers",
    "superuser": "superusers",
}


def readers_of(request: HttpRequest) -> tuple[str, bool]:
    """Whom this page of the admin is for, by the line of the side bar above it ("": it has none), and
    whether that is the person who asks.
    """
    lines = [line for group in settings.UNFOLD["SIDEBAR"]["navigation"] for line in group["items"]]
    above = [line for line in lines if request.path.startswith(str(line["link"]))]
    if not above:
        return "", False
    permission = max(above, key=lambda line: len(str(line["link"])))["permission"]
    return READERS[permission.rpartition("request_")[2]], import_string(permission)(request)


class Desk(UnfoldAdminSite):
    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """A list that is made when it is read: every page is given it, and the side bar shows our own."""
        return SimpleLazyObject(partial(super().get_app_list, request, app_label))

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The lines of the side bar that this person may open. unfold asks for the role at every line."""
        groups = settings.UNFOLD["SIDEBAR"]["navigation"]
        roles = {line["permission"] for group in groups for line in group["items"]}
        may = {role: import_string(role)(request) for role in roles}
        shown = [
            {
                "title": group["title"],
                "items": [
                    self._line(request, line) for line in group["items"] if may[line["permission"]]
                ],
            }
            for group in groups
        ]
        # A page whose address goes on from another line's has a line of its own: the longest is where we are.
        here = [line for group in shown for line in group["items"] if line["active"]]
        for line in sorted(here, key=lambda line: len(line["link"]))[:-1]:
            line["active"] = False
        return shown

    def _line(self, request: HttpRequest, line: dict[str, Any]) -> dict[str, Any]:
        link = str(line["link"])
        active = self._get_is_active(request, link)
        return {**line, "link": link, "active": active, "has_permission": True}
