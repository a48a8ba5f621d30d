"""Grants over REST: one's own, and what managers do with them."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests import selectors, services
from access_requests.api import asker, only_reviewers, valid_input
from access_requests.models import Grant
from access_requests.serializers import (
    GrantSerializer,
    OptionalReasonSerializer,
    ReasonSerializer,
    SubmitSerializer,
)
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope


class GrantList(generics.ListAPIView[Grant]):
    """My grants, newest first; with `?all=1`, for reviewers, everybody's."""

    permission_classes = (HasScope,)
    scope = Scope.READ
    serializer_class = GrantSerializer

    def get_queryset(self) -> "QuerySet[Grant]":
        if getattr(self, "swagger_fake_view", False):
            return Grant.objects.none()
        if self.request.query_params.get("all") in (None, "", "0"):
            return selectors.grants_of(asker(self.request))
        only_reviewers(asker(self.request))
        return selectors.seen_by(asker(self.request), selectors.all_grants())

    @extend_schema(
        operation_id="list_grants",
        parameters=[OpenApiParameter("all", bool, description="For reviewers.")],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class GrantAct(APIView):
    """One act on one grant."""

    permission_classes = (HasScope,)
    scope = Scope.REVIEW
    input: type[serializers.Serializer] = ReasonSerializer

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        raise NotImplementedError

    def perform(self, request: Request, pk: int) -> Response:
        self.act(pk, asker(request), valid_input(self.input, request))
        return Response(GrantSerializer(selectors.visible_grant(asker(request), pk)).data)


class Revoke(GrantAct):
    @extend_schema(operation_id="revoke_grant", request=ReasonSerializer, responses=GrantSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """End a grant for good (managers): the next use is refused."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.revoke(pk, actor=actor, reason=given["reason"])


class Suspend(GrantAct):
    @extend_schema(
        operation_id="suspend_grant", request=ReasonSerializer, responses=GrantSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Close a grant until it is reinstated (managers)."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.suspend(pk, actor=actor, reason=given["reason"])


class Reinstate(GrantAct):
    input = OptionalReasonSerializer

    @extend_schema(
        operation_id="reinstate_grant", request=OptionalReasonSerializer, responses=GrantSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Open a suspended grant again (managers)."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.reinstate(pk, actor=actor, reason=given["reason"])


class AcceptLicence(GrantAct):
    scope = Scope.APPLY
    input = SubmitSerializer

    @extend_schema(
        operation_id="accept_licence", request=SubmitSerializer, responses=GrantSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Accept the new licence version for your grants, by your typed name."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.accept_licence(
            pk, actor=actor, typed_name=given["typed_name"], text_sha256=given.get("licence_sha256")
        )
