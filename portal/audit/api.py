"""The audit log over REST, for auditors."""

from re import fullmatch

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from portal.accounts.models import Scope
from portal.accounts.permissions import HasScope
from portal.accounts.roles import is_auditor
from portal.audit.models import Event


class IsAuditor(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return is_auditor(request.user)


class EventSerializer(serializers.ModelSerializer[Event]):
    actor = serializers.IntegerField(source="actor_id", allow_null=True)

    class Meta:
        model = Event
        fields = ("id", "at", "verb", "actor", "subject_type", "subject_id", "data")


FILTERS = ("verb", "actor", "subject_type", "subject_id")


@extend_schema(parameters=[OpenApiParameter(name, str) for name in FILTERS])
class EventList(generics.ListAPIView[Event]):
    """Events, newest first; filter by `verb`, `actor` (account id), `subject_type`, `subject_id`."""

    permission_classes = (HasScope, IsAuditor)
    scope = Scope.READ
    serializer_class = EventSerializer

    def get_queryset(self) -> "QuerySet[Event]":
        wanted = {
            name: self.request.query_params[name]
            for name in FILTERS
            if name in self.request.query_params
        }
        if not fullmatch(r"[0-9]{1,18}", wanted.get("actor", "0")):
            raise serializers.ValidationError({"actor": ["An account id is a number."]})
        for name, value in wanted.items():
            if "\0" in value:  # which PostgreSQL takes in no text
                raise serializers.ValidationError({name: ["NUL is in no event."]})
        return Event.objects.filter(**wanted)
