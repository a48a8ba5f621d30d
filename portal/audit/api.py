"""The audit log over REST, for auditors."""

from datetime import datetime
from re import fullmatch
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponseBase, QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.accounts.models import Scope
from portal.accounts.permissions import HasScope
from portal.accounts.roles import check_second_factor, is_auditor
from portal.audit import verifying
from portal.audit.exporting import export
from portal.audit.models import Event
from portal.openapi import EXPORT, ProblemSerializer
from portal.pages import NewestFirst
from portal.problems import PROBLEM


class IsAuditor(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        check_second_factor(request.user)
        return is_auditor(request.user)


class EventSerializer(serializers.ModelSerializer[Event]):
    actor = serializers.IntegerField(source="actor_id", allow_null=True)

    class Meta:
        model = Event
        fields = ("id", "at", "verb", "actor", "subject_type", "subject_id", "data")


FILTERS = ("verb", "actor", "subject_type", "subject_id")
TIMES = {"since": "at__gte", "until": "at__lt"}
PARAMETERS = [
    *(OpenApiParameter(name, str) for name in FILTERS),
    *(OpenApiParameter(name, OpenApiTypes.DATETIME) for name in TIMES),
    OpenApiParameter("sealed", bool),
]


def filtered(params: QueryDict) -> "QuerySet[Event]":
    """The events that the query asks for."""
    wanted: dict[str, Any] = {name: params[name] for name in FILTERS if name in params}
    if not fullmatch(r"[0-9]{1,18}", wanted.get("actor", "0")):
        raise serializers.ValidationError({"actor": ["An account id is a number."]})
    for name, value in wanted.items():
        if "\0" in value:  # which PostgreSQL takes in no text
            raise serializers.ValidationError({name: ["NUL is in no event."]})
    for name, lookup in TIMES.items():
        if name in params:
            wanted[lookup] = _time(name, params[name])
    if "sealed" in params:
        if params["sealed"] not in ("true", "false"):
            raise serializers.ValidationError({"sealed": ["It is true or false."]})
        wanted["sealed__isnull"] = params["sealed"] == "false"
    return Event.objects.filter(**wanted)


def _time(name: str, text: Any) -> datetime:
    try:
        return serializers.DateTimeField().run_validation(text)
    except serializers.ValidationError as error:
        raise serializers.ValidationError({name: error.detail}) from error


@extend_schema_view(get=extend_schema(operation_id="list_events", parameters=PARAMETERS))
class EventList(generics.ListAPIView[Event]):
    """Events, newest first; filter by `verb`, `actor` (account id), `subject_type`, `subject_id`, time, `sealed`."""

    permission_classes = (HasScope, IsAuditor)
    scope = Scope.REVIEW
    serializer_class = EventSerializer
    pagination_class = NewestFirst

    def get_queryset(self) -> "QuerySet[Event]":
        return filtered(self.request.query_params)


class EventExport(APIView):
    """All events under the same filters, oldest first, as `export.jsonl` or `export.csv`."""

    permission_classes = (HasScope, IsAuditor)
    scope = Scope.REVIEW

    @extend_schema(
        operation_id="export_events",
        parameters=[*PARAMETERS, OpenApiParameter("kind", str, "path", enum=["jsonl", "csv"])],
        responses=EXPORT,
    )
    def get(self, request: Request, kind: str) -> HttpResponseBase:
        return export(filtered(request.query_params), kind)


class ProofSerializer(serializers.Serializer[Any]):
    """As `docs/auditors/verify_event.py` reads it."""

    format = serializers.CharField()
    event = serializers.DictField(help_text="The event as it was sealed.")
    position = serializers.IntegerField(help_text="Its place in the seal.")
    path = serializers.ListField(child=serializers.CharField(), help_text="Hashes, up to the root.")
    seal = serializers.DictField(help_text="What was signed.")
    signature = serializers.CharField()
    public_key = serializers.CharField()


class EventProof(APIView):
    """What a third party needs to check one event without this site."""

    permission_classes = (HasScope, IsAuditor)
    scope = Scope.REVIEW

    @extend_schema(
        operation_id="get_event_proof",
        responses={200: ProofSerializer, (409, PROBLEM): ProblemSerializer},
    )
    def get(self, request: Request, id: int) -> Response:
        return Response(verifying.prove(id))
