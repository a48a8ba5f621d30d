"""What reviewers do among themselves, over REST. Each act calls the service that the desk calls."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests import selectors, services
from access_requests.api import Act, asker
from access_requests.models import Opinion
from access_requests.serializers import (
    AdviseSerializer,
    ApplicationDetailSerializer,
    AskColleagueSerializer,
    ColleagueSerializer,
    ConflictSerializer,
    PersonSerializer,
    TextSerializer,
)
from access_requests.workflow import THE_DESK
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope
from portal.refusals import Code, Refusal


def colleague(pk: int) -> Account:
    """Raises Refusal INVALID; whether they may act on it is asked by the service."""
    found = Account.objects.filter(pk=pk, is_active=True).first()
    if found is None:
        text = "There is no such colleague."
        raise Refusal(
            Code.INVALID, text, "`colleagues/` lists who may act.", fields={"reviewer": [text]}
        )
    return found


class Colleagues(APIView):
    """Those who may act on this application, to assign it to or to ask."""

    permission_classes = (HasScope,)
    scope = Scope.REVIEW

    @extend_schema(operation_id="list_colleagues", responses=PersonSerializer(many=True))
    def get(self, request: Request, pk: int) -> Response:
        account = asker(request)
        application = selectors.application_for(account, pk)
        if selectors.role_in(account, application) not in THE_DESK:
            raise Refusal(
                Code.NOT_ALLOWED,
                "Only those who may act on this application see who else may.",
                "Leave it to another reviewer.",
            )
        return Response(PersonSerializer(selectors.colleagues(application), many=True).data)


class AddNote(Act):
    input = TextSerializer

    @extend_schema(
        operation_id="add_note", request=TextSerializer, responses=ApplicationDetailSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Write an internal note, for reviewers alone."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.note(pk, actor=actor, body=given["text"])


class Assign(Act):
    input = ColleagueSerializer

    @extend_schema(
        operation_id="assign_application",
        request=ColleagueSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Give the claim to a colleague: managers any, a claimant their own."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.assign(pk, actor=actor, reviewer=colleague(given["reviewer"]))


class Ask(Act):
    input = AskColleagueSerializer

    @extend_schema(
        operation_id="ask_colleague",
        request=AskColleagueSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Ask a colleague for a review, or for the second decision."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.ask(
            pk,
            actor=actor,
            reviewer=colleague(given["reviewer"]),
            kind=Opinion.Kind(given["kind"]),
            question=given["question"],
        )


class Advise(Act):
    input = AdviseSerializer

    @extend_schema(
        operation_id="give_opinion", request=AdviseSerializer, responses=ApplicationDetailSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Answer a colleague who asked for your review, once."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.advise(pk, actor=actor, **given)


class Recuse(Act):
    input = ConflictSerializer

    @extend_schema(
        operation_id="recuse_from_application",
        request=ConflictSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Declare a conflict of interest: you act on this application no more."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.recuse(pk, actor=actor, **given)
