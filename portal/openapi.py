"""The OpenAPI document: what drf-spectacular cannot read from the views themselves."""

import re
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS

from portal.accounts.models import Scope
from portal.accounts.permissions import HasScope
from portal.problems import PROBLEM

# Responses of an export, whose two kinds share one address.
EXPORT = {(200, "text/csv"): OpenApiTypes.STR, (200, "application/x-ndjson"): OpenApiTypes.STR}
REFUSALS = {
    "400": "The request is invalid; `fields` names what is wrong.",
    "401": "No token or session, or one that is not valid any more.",
    "403": "You, your token or your grant may not do this; `code` says why.",
    "404": "It does not exist, or you may not know of it.",
    "409": "Its state does not allow this, or it has changed meanwhile.",
    "413": "The body is too large.",
    "415": "The body has another media type than the one described here.",
    "429": "Too many requests, or your quota is used up; see `Retry-After`.",
    "503": "A part of the site does not answer. Try again in a minute.",
}


class ProblemSerializer(serializers.Serializer[Any]):
    """Why a request was refused, and what to do (RFC 9457)."""

    type = serializers.CharField(help_text="`about:blank#` and the code.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(
        help_text="The cause, for programs: `not_granted`, `licence_changed`, … A code keeps its "
        "meaning; new ones may be added."
    )
    detail = serializers.CharField(help_text="The cause, for a person.")
    way_out = serializers.CharField(help_text="What to do now.")
    request_id = serializers.CharField(help_text="Quote it to the managers of the site.")
    since = serializers.DateTimeField(required=False, help_text="From when the cause holds.")
    url = serializers.CharField(required=False, help_text="The page where the way out begins.")
    # This name hides an attribute of Serializer; only the document is made from this class.
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="What is wrong with which field; `affiliation.country` is the country in the "
        "affiliation.",
    )


class ApiSchema(AutoSchema):
    """Adds to each operation a summary, the scope that a token needs, and the refusals."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        operation["parameters"] = operation.get("parameters", [])
        problem = self.resolve_serializer(ProblemSerializer, "response").ref
        describe(operation, scopes=self._scopes())
        media_types = getattr(self.view, "refusal_media_types", (PROBLEM,))
        content = {name: problem if name == PROBLEM else {"type": "string"} for name in media_types}
        add_refusals(operation, content, changes=self.method not in SAFE_METHODS)
        return operation

    def _scopes(self) -> tuple[Scope, ...]:
        """As `HasScope` reads them."""
        if HasScope not in self.view.permission_classes:
            return ()
        named = getattr(self.view, "scopes", {}).get(self.method)
        needed = named or getattr(self.view, "scope", Scope.READ)
        return needed if isinstance(needed, tuple) else (needed,)


def describe(operation: dict[str, Any], *, scopes: tuple[Scope, ...]) -> None:
    """The first sentence of the description is the summary; the scope stands at its end."""
    description = operation.get("description", "")
    first = re.split(r"(?<=[.;])\s", " ".join(description.split()), maxsplit=1)[0]
    operation.setdefault("summary", first.rstrip(".;"))
    if scopes:
        named = " or ".join(f"`{scope.value}`" for scope in scopes)
        operation["description"] = f"{description}\n\nA token needs the scope {named}.".strip()


def add_refusals(
    operation: dict[str, Any], schemas: dict[str, dict[str, Any]], *, changes: bool
) -> None:
    """Add the statuses that the operation may be refused with; `schemas` by media type."""
    has_body = "requestBody" in operation
    is_open = {} in operation.get("security", [])
    places = {one["in"] for one in operation["parameters"]}
    answers = {
        "400": has_body or "query" in places,
        "401": True,
        "403": not is_open,
        "404": has_body or bool({"path", "query"} & places),
        "409": changes,
        "413": has_body,
        "415": has_body,
        "429": True,
        "503": True,
    }
    for status, may_come in answers.items():
        if may_come:
            content = {name: {"schema": schema} for name, schema in schemas.items()}
            described = {"description": REFUSALS[status], "content": content}
            operation["responses"].setdefault(status, described)


def document() -> dict[str, Any]:
    """The whole document, as it is served at /api/schema/."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made
