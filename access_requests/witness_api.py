"""Those who vouch, over REST: named, asked again, gone without. What they said is evidence alone."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access_requests import services
from access_requests.api import Act, asker, detail, of_either_side
from access_requests.models import Witness
from access_requests.serializers import ApplicationDetailSerializer
from portal.accounts.models import Account, Scope


class NameWitnessSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Witness.Kind.choices)
    name = serializers.CharField(max_length=150)
    email = serializers.EmailField()
    position = serializers.CharField(max_length=200)


class GoWithoutSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Witness.Kind.choices)
    reason = serializers.CharField(max_length=4000, help_text="For reviewers only.")


class NameWitness(Act):
    scope = Scope.APPLY
    input = NameWitnessSerializer

    @extend_schema(
        operation_id="name_witness",
        request=NameWitnessSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Name your signing official or your referee; whoever did not answer yet is replaced."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.name_witness(pk, actor=actor, **given)


class AskAgain(Act):
    scope = (Scope.APPLY, Scope.REVIEW)

    @extend_schema(
        operation_id="remind_witness", request=None, responses=ApplicationDetailSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Send the mail again with a new link (`pk` is the witness's): applicant and reviewers."""
        found = Witness.objects.filter(pk=pk).first()
        of_either_side(asker(request), found.application_id if found else 0)
        return detail(services.ask_again(pk, actor=asker(request)).application, request)


class GoWithout(Act):
    input = GoWithoutSerializer

    @extend_schema(
        operation_id="waive_witness",
        request=GoWithoutSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Let it be approved without that answer (managers)."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.go_without(pk, actor=actor, **given)
