"""The sandbox over REST: start a run, follow it, read it, cancel it. Scope: `sandbox`."""

import json
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import exceptions, generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests import selectors as access
from access_requests.models import Tier
from inference_sandbox import asking, quotas, selectors, services
from inference_sandbox.forms import defaults
from inference_sandbox.models import Run
from inference_sandbox.quotas import Use
from inference_sandbox.records import ASKED, OUTCOME
from inference_sandbox.sse import Reader, sse_frame, sse_response
from inference_sandbox.stream import Entry, Kind
from portal import problems
from portal.accounts.authentication import token_of
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope, require_scope
from portal.fields import BoundedDictField, BoundedListField
from portal.refusals import Refusal

MOST_TOKENS = 131_072
# What the end of a stream tells.
END_FIELDS = ("status", "finish_reason", "error", "prompt_tokens", "output_tokens")


class ChatMessageSerializer(serializers.Serializer[Any]):
    role = serializers.CharField()
    content = serializers.CharField(trim_whitespace=False, allow_blank=True)
    name = serializers.CharField(
        required=False, help_text="Of who speaks; some templates write it."
    )


@extend_schema_field({"type": "array", "items": {"type": "integer"}})
class TokenIdsField(serializers.JSONField):
    """As stored: long answers have many."""


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class TextsField(serializers.JSONField):
    """As stored."""


@extend_schema_field({"type": "object", "additionalProperties": {"type": "number"}})
class BiasField(serializers.JSONField):
    """Token id → what was added, as stored."""


@extend_schema_field(ChatMessageSerializer(many=True))
class ConversationField(serializers.JSONField):
    """As stored."""


class RunSerializer(serializers.ModelSerializer[Run]):
    messages = ConversationField(read_only=True)
    prompt_ids = TokenIdsField(read_only=True)
    forced = TokenIdsField(read_only=True)
    logit_bias = BiasField(read_only=True)
    stop = TextsField(read_only=True)
    stop_token_ids = TokenIdsField(read_only=True)
    output_ids = TokenIdsField(read_only=True)
    release = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    revision = serializers.SlugRelatedField[Any](slug_field="digest", read_only=True)
    stream = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields = (
            *("id", "status", "release", "revision", *ASKED, *OUTCOME),
            *("created_at", "parent", "repeats", "job", "shared", "note", "stream"),
        )
        read_only_fields = fields

    def get_stream(self, run: Run) -> str:
        return reverse("api-run-stream", args=[run.pk])


class NewRunSerializer(serializers.Serializer[Any]):
    """What may be said; what the values may be, `services.create_run` knows."""

    release = serializers.CharField(help_text="Slug or repo id, for example meta/llama-7b.")
    prompt = serializers.CharField(
        trim_whitespace=False,
        allow_blank=True,
        default="",
        help_text="Or `messages`, a conversation (mode chat), or `prompt_ids`, tokens.",
    )
    mode = serializers.ChoiceField(choices=Run.Mode.choices, default=Run.Mode.PLAIN)
    # More than any context has; what fits, `asking` knows.
    messages = BoundedListField(
        child=ChatMessageSerializer(), required=False, max_length=MOST_TOKENS
    )
    prompt_ids = BoundedListField(
        child=serializers.IntegerField(), required=False, max_length=MOST_TOKENS
    )
    forced = BoundedListField(
        max_length=MOST_TOKENS,
        child=serializers.IntegerField(),
        required=False,
        help_text="Tokens that the answer begins with.",
    )
    max_tokens = serializers.IntegerField(required=False)
    temperature = serializers.FloatField(required=False)
    top_k = serializers.IntegerField(required=False)
    top_p = serializers.FloatField(required=False)
    min_p = serializers.FloatField(required=False)
    repetition_penalty = serializers.FloatField(required=False)
    presence_penalty = serializers.FloatField(required=False)
    frequency_penalty = serializers.FloatField(required=False)
    logit_bias = BoundedDictField(
        max_length=asking.MOST_BIASES,
        child=serializers.FloatField(),
        required=False,
        help_text="Token id → what is added.",
    )
    stop = BoundedListField(
        child=serializers.CharField(trim_whitespace=False),
        required=False,
        max_length=asking.MOST_STOPS,
    )
    stop_token_ids = BoundedListField(
        child=serializers.IntegerField(),
        required=False,
        max_length=asking.MOST_STOP_TOKENS,
        help_text="Tokens that end the answer.",
    )
    min_tokens = serializers.IntegerField(
        required=False, help_text="Before so many tokens nothing ends the answer."
    )
    seed = serializers.IntegerField(required=False, allow_null=True)
    ignore_eos = serializers.BooleanField(required=False)
    logprobs = serializers.IntegerField(
        required=False, allow_null=True, help_text="Alternatives told for each token, up to 20."
    )
    prompt_logprobs = serializers.IntegerField(required=False, allow_null=True)
    repeatable = serializers.BooleanField(required=False)

    def validate_logit_bias(self, value: dict[str, float]) -> dict[str, float]:
        if not all(token.isdecimal() and token.isascii() for token in value):
            raise serializers.ValidationError("Name each token by its number.")
        return value


class QuotaSerializer(serializers.Serializer[Use]):
    """Tokens are of prompts and answers together; a day is one of UTC."""

    tokens_per_day = serializers.IntegerField()
    used = serializers.IntegerField(help_text="Tokens, today.")
    reserved = serializers.IntegerField(help_text="Tokens that unfinished runs may still come to.")
    left = serializers.IntegerField(help_text="Tokens that a run asked for now may come to.")
    resets_at = serializers.DateTimeField()
    simultaneous = serializers.IntegerField(help_text="Requests that may wait or run at once.")
    unfinished = serializers.IntegerField(help_text="Requests that wait or run now.")


class StartedRunSerializer(serializers.ModelSerializer[Run]):
    stream = serializers.SerializerMethodField(help_text="Server-sent events: token, stats, end.")
    quota = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields = ("id", "stream", "quota")

    def get_stream(self, run: Run) -> str:
        return reverse("api-run-stream", args=[run.pk])

    @extend_schema_field(QuotaSerializer)
    def get_quota(self, run: Run) -> Any:
        return QuotaSerializer(quotas.use_of(run.grant)).data


def _person(request: Request) -> Account:
    assert isinstance(request.user, Account)
    return request.user


@extend_schema_view(
    get=extend_schema(operation_id="list_runs", description="My runs, newest first.")
)
class RunList(generics.ListAPIView[Run]):
    """My runs, newest first; POST starts one."""

    permission_classes = (HasScope,)
    scope = Scope.SANDBOX
    serializer_class = RunSerializer
    queryset = Run.objects.none()

    def get_queryset(self) -> "QuerySet[Run]":
        return selectors.runs_of(_person(self.request))

    @extend_schema(
        operation_id="start_run", request=NewRunSerializer, responses={201: StartedRunSerializer}
    )
    def post(self, request: Request) -> Response:
        """Start a run. Follow it at `stream` (server-sent events), or ask until it is over."""
        asked = NewRunSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = {**defaults(), **asked.validated_data}
        release = selectors.release_named(values.pop("release"))
        run = services.create_run(actor=_person(request), release=release, **values)
        return Response(StartedRunSerializer(run).data, status=status.HTTP_201_CREATED)


class ReleaseQuota(APIView):
    permission_classes = (HasScope,)
    scope = Scope.SANDBOX

    @extend_schema(operation_id="get_quota", responses=QuotaSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """What I may use of a release in the sandbox, and what is left of it today."""
        release = selectors.release_named(slug)
        grant = access.grant_for(_person(request), release, tier=Tier.TRY)
        return Response(QuotaSerializer(quotas.use_of(grant)).data)


class RunDetail(APIView):
    permission_classes = (HasScope,)
    scope = Scope.SANDBOX

    @extend_schema(operation_id="get_run", responses=RunSerializer)
    def get(self, request: Request, run_id: UUID) -> Response:
        """One run of mine. `output` is there once it is over; until then, read its stream."""
        return Response(RunSerializer(selectors.run_of(_person(request), run_id)).data)


class RunCancel(APIView):
    permission_classes = (HasScope,)
    scope = Scope.SANDBOX

    @extend_schema(operation_id="cancel_run", request=None, responses=RunSerializer)
    def post(self, request: Request, run_id: UUID) -> Response:
        """End a run of mine. Again, or after its end, it changes nothing."""
        return Response(RunSerializer(services.cancel(run_id, actor=_person(request))).data)


@require_GET
async def stream(request: HttpRequest, run_id: UUID) -> StreamingHttpResponse:
    """The run as JSON events: `start`, `token` {id, text}, `stats`, `end`; `error`, a problem, ends what may be read no
    longer.

    Last-Event-ID resumes behind that event. A plain view: DRF has no asynchronous one, and a
    stream must not hold a thread.
    """
    account, token_id = await sync_to_async(_streaming_person)(request)
    row = await sync_to_async(selectors.run_visible_to)(account, run_id)

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

    def refusal_to_frames(refusal: Refusal) -> bytes:
        return sse_frame("error", json.dumps(refusal.problem(problems.request_id(request))))

    reader = Reader(account, to_frames, refusal_to_frames, token_id)
    return await sse_response(row, request, reader)


def _streaming_person(request: HttpRequest) -> tuple[Account, int | None]:
    """The token's account and its id, if the token has the scope, or the person of the session."""
    try:
        token = token_of(request)
    except exceptions.AuthenticationFailed as error:
        raise problems.as_refusal(error) or error from error
    if token:
        require_scope(token, Scope.SANDBOX)
    account = token.account if token else request.user
    if not isinstance(account, Account):
        refusal = problems.as_refusal(exceptions.NotAuthenticated())
        assert refusal is not None
        raise refusal
    # request.user is lazy: what leaves this thread must be loaded.
    return (account, token.pk) if token else (Account.objects.get(pk=account.pk), None)
