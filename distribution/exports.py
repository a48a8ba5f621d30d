"""A revision's manifest in the forms that programs read: for whoever holds a grant to the weights.

They stand on the REST face, for a person in the browser and for a token alike.
"""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from access_requests.models import Tier
from access_requests.selectors import grant_for
from distribution import generated, manifest, metalink, selectors, services, signing
from distribution.models import Revision
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope
from portal.catalog.models import Release

TEXT = "text/plain; charset=utf-8"


class OneForm(BaseContentNegotiation):
    """There is one form at each address, whatever the program says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return JSONRenderer(), "application/json"


class Export(APIView):
    """What all exports have in common: who may have them, and how they leave."""

    permission_classes = (IsAuthenticated, HasScope)
    content_negotiation_class = OneForm
    scope = Scope.DOWNLOAD

    def revision(self, request: Request, slug: str, revision: str) -> Revision:
        """The revision that is meant. Raises the Refusal of the grant first, then of the name."""
        release = get_object_or_404(Release, slug=slug)
        assert isinstance(request.user, Account)
        grant_for(request.user, release, tier=Tier.WEIGHTS)
        return selectors.revision_named(release, revision)

    def file(
        self, content: bytes, name: str, content_type: str, *, of: Revision | None = None
    ) -> HttpResponse:
        """The same bytes at each request, so whole or in part. of: the revision whose content alone they are."""
        response = generated.respond(
            self.request._request,
            content,
            content_type,
            modified_at=of.created_at if of else None,
            of_branch=selectors.is_branch(self.kwargs["revision"]),
        )
        return self.attachment(response, name)

    def attachment(self, response: HttpResponse, name: str) -> HttpResponse:
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["Cache-Control"] = "private, no-store"
        return response


class ManifestFileSerializer(serializers.Serializer[Any]):
    path = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()
    chunks = serializers.ListField(child=serializers.CharField(), help_text="SHA-256 of each.")


class ManifestSerializer(serializers.Serializer[Any]):
    format = serializers.CharField()
    repo_id = serializers.CharField()
    revision = serializers.CharField()
    chunk_size = serializers.IntegerField()
    files = ManifestFileSerializer(many=True)


class Manifest(Export):
    @extend_schema(
        operation_id="get_manifest", responses={(200, "application/json"): ManifestSerializer}
    )
    def get(self, request: Request, slug: str, revision: str) -> HttpResponse:
        """The signed manifest: path, size, SHA-256 of each file and of each 64 MiB chunk.

        The bytes are always the same for a revision; `manifest.json.sig` signs exactly them.
        """
        found = self.revision(request, slug, revision)
        content = selectors.manifest_of(found)
        return self.file(content, "manifest.json", "application/json", of=found)


class Signature(Export):
    @extend_schema(
        operation_id="get_manifest_signature", responses={(200, "text/plain"): OpenApiTypes.STR}
    )
    def get(self, request: Request, slug: str, revision: str) -> HttpResponse:
        """The manifest's Ed25519 signature, as minisign reads it. Key: `/manifest-key.pub`."""
        found = self.revision(request, slug, revision)
        comment = f"file:manifest.json repo:{found.release.repo_id} revision:{found.digest}"
        signature = signing.sign(selectors.manifest_of(found), comment)  # another, with another key
        return self.file(signature.encode(), "manifest.json.sig", TEXT)


class Sums(Export):
    @extend_schema(operation_id="get_checksums", responses={(200, "text/plain"): OpenApiTypes.STR})
    def get(self, request: Request, slug: str, revision: str) -> HttpResponse:
        """One line for each file, for `sha256sum -c SHA256SUMS`."""
        found = self.revision(request, slug, revision)
        content = manifest.sums(selectors.entries(found)).encode()
        return self.file(content, "SHA256SUMS", TEXT, of=found)


class Metalink(Export):
    @extend_schema(
        operation_id="get_metalink", responses={(200, metalink.CONTENT_TYPE): OpenApiTypes.STR}
    )
    def get(self, request: Request, slug: str, revision: str) -> HttpResponse:
        """Metalink 4 with links of your own grant, for `aria2c`: sizes, hashes, 64 MiB pieces."""
        found = self.revision(request, slug, revision)
        assert isinstance(request.user, Account)
        links = services.issue_links(found.release, actor=request.user, revision=found)
        urls = {link.path: link.url for link in links}
        content = metalink.document(selectors.entries(found), urls)
        # Always whole: the links are others at each request, and a part of another answer would not fit.
        response = HttpResponse(content, content_type=metalink.CONTENT_TYPE)
        return self.attachment(response, f"{found.release.slug}.meta4")
