"""The one endpoint that the script asks: text in lines, refusals in one line."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.parsers import FormParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from access_requests.models import Grant, Tier
from access_requests.selectors import grant_for
from distribution import selectors, services
from distribution.exports import OneForm
from distribution.script import plain
from distribution.script.keys import ScriptKey, ScriptKeyAuthentication
from portal.accounts.authentication import TokenAuthentication
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope
from portal.catalog.models import Release
from portal.problems import as_refusal, request_id
from portal.refusals import Code, Refusal

TEXT = "text/plain; charset=utf-8"
MAX_PATHS = 10_000  # as in a call for links over REST


class PlainLinksSerializer(serializers.Serializer):
    release = serializers.CharField(max_length=200, help_text="Slug or repo id.")
    revision = serializers.CharField(max_length=64, default=selectors.MAIN)
    paths = serializers.CharField(
        max_length=2_000_000, trim_whitespace=False, help_text="Names of files, one a line."
    )


def _refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    response = HttpResponse(
        refusal.line(request_id(request)),
        status=refusal.status,
        content_type=TEXT,
        headers={**refusal.headers, "X-Error-Code": str(refusal.code)},
    )
    response["Cache-Control"] = "no-store"
    return response


class Plain(APIView):
    """What the download script reads, as lines of text; see `distribution/script/plain.py`.

    Opened by a token with the scope `download`, or by the key in a script that was made for one grant.
    """

    authentication_classes = (ScriptKeyAuthentication, TokenAuthentication, SessionAuthentication)
    permission_classes = (IsAuthenticated, HasScope)
    content_negotiation_class = OneForm
    parser_classes = (FormParser,)
    refusal_responder = staticmethod(_refused)
    refusal_media_types = ("text/plain",)
    scope = Scope.DOWNLOAD

    @extend_schema(
        operation_id="get_script_lines",
        parameters=[
            OpenApiParameter("release", str, description="Slug or repo id; without it, a list."),
            OpenApiParameter("revision", str, description="`main`, a tag, or hex digits."),
        ],
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponse:
        """The releases that can be had, or the signed manifest of one of them."""
        name = request.query_params.get("release", "")
        if not name:
            return _lines(plain.releases(_releases(request)))
        release = _named(name)
        _grant(request, release)
        asked = request.query_params.get("revision") or selectors.MAIN
        revision = selectors.revision_named(release, asked)
        return _lines(plain.manifest(revision, selectors.entries(revision)))

    @extend_schema(
        operation_id="create_script_links",
        request={"application/x-www-form-urlencoded": PlainLinksSerializer},
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def post(self, request: Request) -> HttpResponse:
        """Links to the named files, in the order of the names."""
        asked = PlainLinksSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        release = _named(asked.validated_data["release"])
        paths = asked.validated_data["paths"].splitlines()
        if len(paths) > MAX_PATHS:
            raise Refusal(
                Code.TOO_LONG,
                f"This call names {len(paths):,} files; it takes {MAX_PATHS:,}.",
                "Ask for the others in further calls.",
            )
        assert isinstance(request.user, Account)
        try:  # first, so that nobody without a grant learns which revisions there are
            grant = _grant(request, release)
        except Refusal as refusal:
            services.record_denial(release, refusal, actor=request.user)
            raise
        revision = selectors.revision_named(release, asked.validated_data["revision"])
        issued = services.issue_links(
            release, actor=request.user, paths=paths, revision=revision, grant=grant
        )
        by_path = {link.path: link for link in issued}
        return _lines(plain.links(by_path[path] for path in paths))

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]
        """Every refusal in one line: the script shows it as it is."""
        refusal = as_refusal(exc)
        if refusal is None:
            return super().handle_exception(exc)
        return _refused(self.request._request, refusal)


def _lines(text: str) -> HttpResponse:
    response = HttpResponse(text, content_type=TEXT)
    response["Cache-Control"] = "private, no-store"
    return response


def _named(name: str) -> Release:
    name = name.replace("\0", "�")  # PostgreSQL takes no NUL, and no release has either in its name
    return get_object_or_404(Release, Q(slug=name) | Q(repo_id__iexact=name))


def _grant(request: Request, release: Release) -> Grant:
    """The grant that opens the release for whoever asks. Raises its Refusal."""
    if isinstance(request.auth, ScriptKey):
        services.check_own_grant(request.auth.grant, release)
        return request.auth.grant
    assert isinstance(request.user, Account)
    return grant_for(request.user, release, tier=Tier.WEIGHTS)


def _releases(request: Request) -> list[tuple[Release, int, int]]:
    rows = []
    for release in Release.objects.filter(status=Release.Status.PUBLISHED).order_by("slug"):
        try:
            _grant(request, release)
            sizes = [artifact.size for artifact in selectors.files(release)]
        except Refusal:
            continue
        rows.append((release, len(sizes), sum(sizes)))
    return rows
