"""The REST face: files of a release, and links to them."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests.selectors import require_metadata
from distribution import selectors, services
from distribution.models import Artifact
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope
from portal.catalog.models import Release
from portal.fields import BoundedListField
from portal.problems import PROBLEM


class FileSerializer(serializers.ModelSerializer[Artifact]):
    class Meta:
        model = Artifact
        fields = ("path", "size", "sha256")


class LinksSerializer(serializers.Serializer):
    paths = BoundedListField(
        child=serializers.CharField(max_length=255),
        required=False,
        allow_empty=False,
        max_length=10_000,
        help_text="The files to link; without it, all files of the release.",
    )
    network = serializers.CharField(
        max_length=43,
        required=False,
        help_text="The links open from this network alone, such as 203.0.113.0/24.",
    )
    uses = serializers.IntegerField(
        min_value=1,
        max_value=10_000,
        required=False,
        help_text="How often each link opens, for the file or a part. It does not resume a cut download.",
    )


class LinkSerializer(serializers.Serializer):
    path = serializers.CharField()
    url = serializers.URLField(
        help_text="Opens without a token, under your grant, until it expires."
    )
    expires_at = serializers.DateTimeField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()


@extend_schema_view(get=extend_schema(operation_id="list_files"))
class Files(generics.ListAPIView[Artifact]):
    """The files of the release's current revision."""

    queryset = Artifact.objects.none()  # tells the schema what is listed
    serializer_class = FileSerializer
    permission_classes = (IsAuthenticated, HasScope)
    scope = Scope.READ

    def get_queryset(self) -> "QuerySet[Artifact]":
        release = get_object_or_404(Release, slug=self.kwargs["slug"])
        assert isinstance(self.request.user, Account)
        require_metadata(self.request.user, release)
        return selectors.files(release)


class Lines(BaseRenderer):
    """One address on each line, for `wget -i -` and its like; of a refusal one readable line."""

    media_type = "text/plain"
    format = "text"
    charset = "utf-8"

    def render(self, data: Any, media_type: str | None = None, context: Any = None) -> str:
        if isinstance(data, dict):
            context["response"]["Content-Type"] = "text/plain; charset=utf-8"  # and no problem+json
            return f"{data.get('code')}: {data.get('detail')} {data.get('way_out', '')}\n"
        return "".join(f"{link['url']}\n" for link in data)


class Links(APIView):
    """Signed links for files of the release, all in one call."""

    permission_classes = (IsAuthenticated, HasScope)
    scope = Scope.DOWNLOAD
    renderer_classes = (JSONRenderer, Lines)
    refusal_media_types = (PROBLEM, "text/plain")

    @extend_schema(
        operation_id="create_links",
        description="Make signed links for files of the release, all in one call. With "
        "`Accept: text/plain`: one address a line, and refusals as one line.",
        request=LinksSerializer,
        responses={
            (200, "application/json"): LinkSerializer(many=True),
            (200, "text/plain"): OpenApiTypes.STR,
        },
    )
    def post(self, request: Request, slug: str) -> Response:
        asked = LinksSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        release = get_object_or_404(Release, slug=slug)
        assert isinstance(request.user, Account)
        given = asked.validated_data
        links = services.issue_links(
            release,
            actor=request.user,
            paths=given.get("paths"),
            terms=services.Terms(given.get("network", ""), given.get("uses")),
        )
        return Response(LinkSerializer(links, many=True).data)
