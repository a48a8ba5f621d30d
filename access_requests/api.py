"""Applications and grants over REST. Each act calls the service that the pages call."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests import selectors, services
from access_requests.models import Application, Tier
from access_requests.serializers import (
    ApplicationChangesSerializer,
    ApplicationDetailSerializer,
    ApplicationSerializer,
    ApproveSerializer,
    NewApplicationSerializer,
    RefuseSerializer,
    ReturnSerializer,
    SubmitSerializer,
    TextSerializer,
)
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope, scope_missing
from portal.accounts.roles import check_second_factor, check_token_reaches_roles, is_reviewer
from portal.refusals import Code, Refusal


def asker(request: Request) -> Account:
    """The person that the session or token names; `HasScope` has let nobody else in."""
    assert isinstance(request.user, Account)
    return request.user


def only_reviewers(account: Account) -> None:
    check_token_reaches_roles(account)
    check_second_factor(account)
    if not is_reviewer(account):
        raise Refusal(
            Code.NOT_ALLOWED,
            "This list is for reviewers.",
            "Leave out the parameter to see your own.",
        )


def detail(application: Application, request: Request, status_code: int = 200) -> Response:
    found = selectors.application_for(asker(request), application.pk)
    return answer(found, request, status_code)


def answer(found: Application, request: Request, status_code: int = 200) -> Response:
    given = ApplicationDetailSerializer(selectors.read_case(found), context={"request": request})
    return Response(given.data, status=status_code)


class ApplicationList(generics.ListAPIView[Application]):
    """My applications, newest first; with `?queue=1`, for reviewers, what waits for a decision,
    oldest first.
    """

    permission_classes = (HasScope,)
    scopes = {"GET": Scope.READ, "POST": Scope.APPLY}
    serializer_class = ApplicationSerializer

    def get_queryset(self) -> "QuerySet[Application]":
        if getattr(self, "swagger_fake_view", False):
            return Application.objects.none()
        if self.request.query_params.get("queue") in (None, "", "0"):
            return selectors.applications_of(asker(self.request))
        only_reviewers(asker(self.request))
        return selectors.review_queue(asker(self.request))

    @extend_schema(
        operation_id="list_applications",
        parameters=[OpenApiParameter("queue", bool, description="For reviewers.")],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="start_application",
        request=NewApplicationSerializer,
        responses={201: ApplicationDetailSerializer, 200: ApplicationDetailSerializer},
        description="Start a draft (201). If you have an open application of that family, "
        "it is that one (200); your answers are saved to it as long as it may be changed.",
    )
    def post(self, request: Request) -> Response:
        given = valid_input(NewApplicationSerializer, request)
        releases = selectors.releases_named(given["releases"])
        actor = asker(request)
        known = set(actor.applications.values_list("pk", flat=True))
        made = services.start(actor=actor, releases=releases, answers=given.get("answers"))
        return detail(made, request, 200 if made.pk in known else status.HTTP_201_CREATED)


class ApplicationDetail(APIView):
    """One application: one's own, or for reviewers any that was submitted."""

    permission_classes = (HasScope,)
    scopes = {"GET": Scope.READ, "PATCH": Scope.APPLY}

    @extend_schema(operation_id="get_application", responses=ApplicationDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        return answer(selectors.application_for(asker(request), pk), request)

    @extend_schema(
        operation_id="update_application",
        request=ApplicationChangesSerializer,
        responses=ApplicationDetailSerializer,
        description="Change a draft, or an application returned for correction. "
        "What is left out stays.",
    )
    def patch(self, request: Request, pk: int) -> Response:
        given = valid_input(ApplicationChangesSerializer, request)
        releases = selectors.releases_named(given["releases"]) if "releases" in given else None
        services.save_draft(
            pk, actor=asker(request), releases=releases, answers=given.get("answers")
        )
        return detail(Application(pk=pk), request)


def valid_input(serializer_class: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    """The body. Raises ValidationError."""
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


class Act(APIView):
    """One act on one application."""

    permission_classes = (HasScope,)
    scope: Scope | tuple[Scope, ...] = Scope.REVIEW
    input: type[serializers.Serializer] | None = None  # the body, where there is one

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        raise NotImplementedError

    def perform(self, request: Request, pk: int) -> Response:
        given = valid_input(self.input, request) if self.input else {}
        self.act(pk, asker(request), given)
        return detail(Application(pk=pk), request)


def of_either_side(account: Account, application_id: int) -> None:
    """Before an act that applicant and reviewers have in common: a token needs `apply` for one's own
    application, and `review` for another's. Raises Refusal SCOPE_MISSING.
    """
    if account.token_scopes is None:
        return
    if not selectors.applications_of(account).filter(pk=application_id).exists():
        check_token_reaches_roles(account)
    elif Scope.APPLY not in account.token_scopes:
        raise scope_missing(Scope.APPLY)


class AttachmentOf(APIView):
    """The file of one attachment question."""

    permission_classes = (HasScope,)
    scope = Scope.APPLY
    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="attach_file",
        request={
            "multipart/form-data": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}},
                "required": ["file"],
            }
        },
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int, question: str) -> Response:
        """Attach a file (PDF, PNG or JPEG), instead of the one before it."""
        file = request.FILES.get("file")
        if file is None:
            text = "There is no file."
            way_out = "Send it as multipart/form-data, in the part `file`."
            raise Refusal(Code.INVALID, text, way_out, fields={"file": [text]})
        services.attach(pk, question, file, actor=asker(request))
        return detail(Application(pk=pk), request)

    @extend_schema(
        operation_id="remove_attachment",
        request=None,
        responses={200: ApplicationDetailSerializer},
    )
    def delete(self, request: Request, pk: int, question: str) -> Response:
        """Take the file away again."""
        services.detach(pk, question, actor=asker(request))
        return detail(Application(pk=pk), request)


class Submit(Act):
    scope = Scope.APPLY
    input = SubmitSerializer

    @extend_schema(
        operation_id="submit_application",
        request=SubmitSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Submit, accepting the licence by your typed name."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.submit(
            pk, actor=actor, typed_name=given["typed_name"], text_sha256=given.get("licence_sha256")
        )


class Withdraw(Act):
    scope = Scope.APPLY

    @extend_schema(
        operation_id="withdraw_application", request=None, responses=ApplicationDetailSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Take the application back."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.withdraw(pk, actor=actor)


class Claim(Act):
    @extend_schema(
        operation_id="claim_application", request=None, responses=ApplicationDetailSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Take it to review it."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.claim(pk, actor=actor)


class Release(Act):
    @extend_schema(
        operation_id="release_application", request=None, responses=ApplicationDetailSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Give a claim back."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.release(pk, actor=actor)


class Return(Act):
    input = ReturnSerializer

    @extend_schema(
        operation_id="return_application",
        request=ReturnSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Return it for correction."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.return_for_correction(pk, actor=actor, **given)


class Approve(Act):
    input = ApproveSerializer

    @extend_schema(
        operation_id="approve_application",
        request=ApproveSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Approve it; the grants are open at once."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        names = given.get("releases")
        services.decide(
            pk,
            actor=actor,
            seen=given["seen"],
            approve=True,
            reason=given["reason"],
            ends_at=given.get("ends_at"),
            releases=None if names is None else selectors.releases_named(names),
            tier=Tier(given["tier"]),
            checklist=given["checklist"],
        )


class Refuse(Act):
    input = RefuseSerializer

    @extend_schema(
        operation_id="refuse_application",
        request=RefuseSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Refuse it, with a reason."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.decide(pk, actor=actor, approve=False, **given)


class Write(Act):
    scope = (Scope.APPLY, Scope.REVIEW)
    input = TextSerializer

    @extend_schema(
        operation_id="send_message", request=TextSerializer, responses=ApplicationDetailSerializer
    )
    def post(self, request: Request, pk: int) -> Response:
        """Write to the other side of the application."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        of_either_side(actor, pk)
        services.write(pk, actor=actor, body=given["text"])


class Appeal(Act):
    scope = Scope.APPLY
    input = TextSerializer

    @extend_schema(
        operation_id="appeal_application",
        request=TextSerializer,
        responses=ApplicationDetailSerializer,
    )
    def post(self, request: Request, pk: int) -> Response:
        """Appeal against a refusal, once; somebody else decides."""
        return self.perform(request, pk)

    def act(self, pk: int, actor: Account, given: dict[str, Any]) -> None:
        services.appeal(pk, actor=actor, text=given["text"])
