"""The past over REST, for auditors."""

from datetime import datetime
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests import past_rows
from access_requests.past_forms import PastForm, moment
from access_requests.selectors import past_decisions
from portal.accounts.models import Scope
from portal.accounts.permissions import HasScope
from portal.audit.api import IsAuditor
from portal.openapi import EXPORT
from portal.refusals import Code, Refusal


class PersonThen(serializers.Serializer):
    account = serializers.IntegerField()
    name = serializers.CharField()


class AccessThen(serializers.Serializer):
    """A grant as it was at a moment."""

    at = serializers.DateTimeField()
    could = serializers.BooleanField(help_text="Open it at the tier that was asked for.")
    why_not = serializers.CharField(help_text="The code of the refusal; empty where it could.")
    grant = serializers.IntegerField()
    release = serializers.CharField()
    release_status = serializers.CharField()
    account = serializers.IntegerField()
    name = serializers.CharField()
    email = serializers.CharField()
    tier = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    licence = serializers.CharField()
    licence_version = serializers.IntegerField()
    text_sha256 = serializers.CharField()
    accepted_at = serializers.DateTimeField()
    application = serializers.IntegerField(allow_null=True)
    decided_at = serializers.DateTimeField()
    decided_by = PersonThen(many=True)
    event = serializers.IntegerField(help_text="The event that gave it these terms.")


class ReviewThen(serializers.Serializer):
    by = PersonThen(allow_null=True)
    outcome = serializers.CharField()
    at = serializers.DateTimeField(allow_null=True)
    checklist = serializers.JSONField(help_text="What the reviewer checked.")
    evidence = serializers.JSONField(help_text="What stood on the screen at the decision.")


class DecisionThen(serializers.Serializer):
    event = serializers.IntegerField()
    verb = serializers.CharField()
    at = serializers.DateTimeField()
    by = PersonThen(allow_null=True)
    application = serializers.CharField(allow_null=True, help_text="Its reference.")
    renewal = serializers.IntegerField(allow_null=True)
    reviews = ReviewThen(many=True)


class AccessThenWhole(AccessThen):
    """With its decisions, and the exact licence text."""

    text = serializers.CharField()
    typed_name = serializers.CharField()
    digest_fits = serializers.BooleanField(help_text="The text has the digest that was accepted.")
    decisions = DecisionThen(many=True)


AT = OpenApiParameter("at", OpenApiTypes.DATETIME, description="A moment in the past, UTC.")
PARAMETERS = [
    OpenApiParameter("at", OpenApiTypes.DATETIME, required=True, description=AT.description),
    OpenApiParameter("release", str, description="Slug. A release, a person, or both."),
    OpenApiParameter("person", str, description="E-mail address or account id."),
    OpenApiParameter("tier", str, enum=["weights", "try"]),
    OpenApiParameter("show", str, enum=["could", "all"]),
]


def _given(request: Request) -> dict[str, Any]:
    """The question. Raises Refusal INVALID naming what does not fit."""
    form = PastForm(request.query_params)
    if form.is_valid():
        return form.cleaned_data
    fields = {
        "release" if key == "__all__" else key: [str(text) for text in texts]
        for key, texts in form.errors.items()
    }
    first = next(iter(fields.values()))[0]
    raise Refusal(Code.INVALID, first, "Mend the parameter and ask again.", fields=fields)


class AccessThenList(APIView):
    """Who could open a release, or what a person could open, at a moment in the past.

    Fifty lines by grant number; `next_after`, where it is not null, is the `after` of the next page.
    """

    permission_classes = (HasScope, IsAuditor)
    scope = Scope.REVIEW

    @extend_schema(
        operation_id="list_access_then",
        parameters=[*PARAMETERS, OpenApiParameter("after", int)],
        responses=inline_serializer(
            "AccessThenPage",
            {
                "results": AccessThen(many=True),
                "next_after": serializers.IntegerField(allow_null=True),
            },
        ),
    )
    def get(self, request: Request) -> Response:
        given = _given(request)
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdecimal() and len(after) < 19):
            raise serializers.ValidationError({"after": ["It is the number of a grant."]})
        rows, more = past_decisions.rows_then(
            past_decisions.asked(release=given["release"], account=given["person"]),
            given["at"],
            tier=given["tier"],
            only_open=given["only_open"],
            after=int(after),
        )
        return Response({"results": [past_rows.values(row) for row in rows], "next_after": more})


class AccessThenExport(APIView):
    """The whole answer, as `access-then/export.jsonl` or `.csv`."""

    permission_classes = (HasScope, IsAuditor)
    scope = Scope.REVIEW

    @extend_schema(
        operation_id="export_access_then",
        parameters=[*PARAMETERS, OpenApiParameter("kind", str, "path", enum=["jsonl", "csv"])],
        responses=EXPORT,
    )
    def get(self, request: Request, kind: str) -> HttpResponseBase:
        given = _given(request)
        grants = past_decisions.asked(release=given["release"], account=given["person"])
        return past_rows.export(
            grants, given["at"], kind, tier=given["tier"], only_open=given["only_open"]
        )


class AccessThenDetail(APIView):
    """One grant at a moment: its decisions with their evidence, and the exact licence text."""

    permission_classes = (HasScope, IsAuditor)
    scope = Scope.REVIEW

    @extend_schema(operation_id="get_access_then", parameters=[AT], responses=AccessThenWhole)
    def get(self, request: Request, pk: int) -> Response:
        at: datetime = moment(request.query_params.get("at", ""))
        then, decisions = past_decisions.decided_then(pk, at)
        acceptance = past_decisions.text_then(then)
        row = past_decisions.with_deciders([then])[0]
        text = {"text": acceptance.licence_version.text, "typed_name": acceptance.typed_name}
        told = [past_rows.decision_values(decision) for decision in decisions]
        fits = past_decisions.text_fits(acceptance)
        return Response({**past_rows.values(row), **text, "digest_fits": fits, "decisions": told})
