"""The catalogue over REST: open to everybody, as the pages are."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, serializers
from rest_framework.permissions import AllowAny

from portal.catalog import selectors
from portal.catalog.models import Release


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    family: serializers.SlugRelatedField = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    licence = serializers.CharField(source="family.licence.slug", read_only=True)
    url = serializers.URLField(source="get_absolute_url", read_only=True)

    class Meta:
        model = Release
        fields = (
            "slug",
            "repo_id",
            "name",
            "family",
            "licence",
            "status",
            "summary",
            "parameters",
            "dimension",
            "heads",
            "layers",
            "training_tokens",
            "model_parallel",
            "context_length",
            "url",
        )


class ReleaseDetailSerializer(ReleaseSerializer):
    class Meta(ReleaseSerializer.Meta):
        fields = (*ReleaseSerializer.Meta.fields, "model_card")  # type: ignore[assignment]


@extend_schema_view(get=extend_schema(operation_id="list_releases"))
class ReleaseList(generics.ListAPIView[Release]):
    """All releases that are announced or published."""

    permission_classes = (AllowAny,)
    serializer_class = ReleaseSerializer

    def get_queryset(self) -> "QuerySet[Release]":
        return selectors.visible_releases()


@extend_schema_view(get=extend_schema(operation_id="get_release"))
class ReleaseDetail(generics.RetrieveAPIView[Release]):
    """One release, with its model card."""

    permission_classes = (AllowAny,)
    serializer_class = ReleaseDetailSerializer
    lookup_field = "slug"

    def get_queryset(self) -> "QuerySet[Release]":
        return selectors.visible_releases()
