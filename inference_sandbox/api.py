"""The sandbox over REST: start a run, follow it, read it, cancel it. Scope: `sandbox`."""

import json
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from inference_sandbox import selectors, services
from inference_sandbox.forms import defaults
from inference_sandbox.models import Run
from inference_sandbox.sse import sse_frame, sse_response
from inference_sandbox.stream import Entry, Kind
from portal import problems
from portal.accounts.authentication import token_of
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope
from portal.refusals import Code, Refusal

# What the end of a stream tells.
END_FIELDS = ("status", "finish_reason", "error", "prompt_tokens", "output_tokens")


class RunSerializer(serializers.ModelSerializer[Run]):
    release = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    revision = serializers.SlugRelatedField[Any](slug_field="digest", read_only=True)
    stream = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields = (
            *("id", "status", "release", "revision", "mode", "prompt", "temperature", "top_p"),
            *("max_tokens", "seed", "output", "finish_reason", "error", "prompt_tokens"),
            *("output_tokens", "tokens_per_second", "engine", "created_at", "started_at"),
            *("finished_at", "stream"),
        )
        read_only_fields = fields

    def get_stream(self, run: Run) -> str:
        return reverse("api-run-stream", args=[run.pk])


class NewRunSerializer(serializers.Serializer[Any]):
    """What may be said; what the values may be, `services.create_run` knows."""

    release = serializers.CharField(help_text="Slug or repo id, for example meta/llama-7b.")
    prompt = serializers.CharField(trim_whitespace=False, allow_blank=True)
    mode = serializers.ChoiceField(choices=Run.Mode.choices, default=Run.Mode.PLAIN)
    max_tokens = serializers.IntegerField(required=False)
    temperature = serializers.FloatField(required=False)
    top_p = serializers.FloatField(required=False)
    seed = serializers.IntegerField(required=False, allow_null=True)


class StartedRunSerializer(serializers.ModelSerializer[Run]):
    stream = serializers.SerializerMethodField(help_text="Server-sent events: token, stats, end.")

    class Meta:
        model = Run
        fields = ("id", "stream")

    def get_stream(self, run: Run) -> str:
        return reverse("api-run-stream", args=[run.pk])


def _person(request: Request) -> Account:
    assert isinstance(request.user, Account)
    return request.user


class RunList(generics.ListAPIView[Run]):
    """My runs, newest first; POST starts one."""

    permission_classes = (HasScope,)
    scope = Scope.SANDBOX
    serializer_class = RunSerializer
    queryset = Run.objects.none()

    def get_queryset(self) -> "QuerySet[Run]":
        return selectors.runs_of(_person(self.request))

    @extend_schema(request=NewRunSerializer, responses={201: StartedRunSerializer})
    def post(self, request: Request) -> Response:
        """Start a run. Follow it at `stream` (server-sent events), or ask until it is over."""
        asked = NewRunSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = {**defaults(), **asked.validated_data}
        release = selectors.release_named(values.pop("release"))
        run = services.create_run(actor=_person(request), release=release, **values)
        return Response(StartedRunSerializer(run).data, status=status.HTTP_201_CREATED)


class RunDetail(APIView):
    permission_classes = (HasScope,)
    scope = Scope.SANDBOX

    @extend_schema(responses=RunSerializer)
    def get(self, request: Request, run_id: UUID) -> Response:
        """One run of mine. `output` is there once it is over; until then, read its stream."""
        return Response(RunSerializer(selectors.run_of(_person(request), run_id)).data)


class RunCancel(APIView):
    permission_classes = (HasScope,)
    scope = Scope.SANDBOX

    @extend_schema(request=None, responses=RunSerializer)
    def post(self, request: Request, run_id: UUID) -> Response:
        """End a run of mine. Again, or after its end, it changes nothing."""
        return Response(RunSerializer(services.cancel(run_id, actor=_person(request))).data)


@require_GET
async def stream(request: HttpRequest, run_id: UUID) -> StreamingHttpResponse:
    """The run as JSON events: `start`, `token` {id, text}, `stats`, `end`.

    Last-Event-ID resumes behind that event. A plain view: DRF has no asynchronous one, and a
    stream must not hold a thread.
    """
    account = await sync_to_async(_streaming_person)(request)
    row = await sync_to_async(selectors.run_of)(account, run_id)

    async def to_frames(entry: Entry) -> bytes:
        data = entry.data
        if entry.kind is Kind.TOKEN:
            data = {"id": entry.data["t"], "text": entry.data["x"]}
            if record := entry.data.get("r"):
                data["record"] = record
        if entry.kind is Kind.PROMPT:
            data = {"records": entry.data["s"]}
        if entry.kind is Kind.END:
            over = await Run.objects.aget(pk=run_id)
            data = {name: getattr(over, name) for name in (*END_FIELDS, "tokens_per_second")}
        return sse_frame(entry.kind.value, json.dumps(data, ensure_ascii=False), entry.id)

    return await sse_response(row, request, to_frames)


def _streaming_person(request: HttpRequest) -> Account:
    """The token's account, if the token has the scope, or the person of the session."""
    try:
        token = token_of(request)
    except exceptions.AuthenticationFailed as error:
        raise problems.as_refusal(error) or error from error
    if token and Scope.SANDBOX not in token.scopes:
        raise Refusal(
            Code.SCOPE_MISSING,
            f"This token lacks the scope `{Scope.SANDBOX}`.",
            "Make a token with that scope on your account page.",
            url="/account/tokens/",
        )
    account = token.account if token else request.user
    if not isinstance(account, Account):
        refusal = problems.as_refusal(exceptions.NotAuthenticated())
        assert refusal is not None
        raise refusal
    # request.user is lazy: what leaves this thread must be loaded.
    return Account.objects.get(pk=account.pk) if token is None else account
