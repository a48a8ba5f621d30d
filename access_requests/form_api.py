"""What an application asks, over REST: read before one is started."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests import selectors
from access_requests.question_fields import QuestionsField
from portal.accounts.models import Scope
from portal.accounts.permissions import HasScope
from portal.catalog.models import LicenceVersion
from portal.catalog.selectors import visible_releases


class LicenceTextSerializer(serializers.Serializer[LicenceVersion]):
    """The licence that a submission accepts."""

    slug = serializers.SlugField(source="licence.slug")
    name = serializers.CharField(source="licence.name")
    version = serializers.IntegerField(source="number")
    text = serializers.CharField(help_text="Markdown.")
    sha256 = serializers.CharField(help_text="Send it as `licence_sha256` when you submit.")


class ApplicationFormSerializer(serializers.Serializer[Any]):
    family = serializers.SlugField()
    version = serializers.IntegerField(help_text="Of the questions; the family's newest.")
    questions = QuestionsField()
    licence = LicenceTextSerializer()


class ApplicationForm(APIView):
    permission_classes = (HasScope,)
    scope = Scope.READ

    @extend_schema(operation_id="get_application_form", responses=ApplicationFormSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """What an application for a release asks, and the licence that it accepts."""
        release = get_object_or_404(visible_releases(), slug=slug)
        form = selectors.current_form(release.family)
        shown = {
            "family": release.family.slug,
            "version": form.version,
            "questions": form.questions,
            "licence": release.family.licence.current,
        }
        return Response(ApplicationFormSerializer(shown).data)
