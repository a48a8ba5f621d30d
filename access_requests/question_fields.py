"""How the REST API describes a form's questions, and the answers to them: each form has its own."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from access_requests.questions import TYPES

TEXT = {"type": "string"}
# By the types of questions: `answers.JSON_TYPES`.
ANSWER = {
    "description": "A text (also for a choice, a country as `NL`, a date as `2026-05-31`), a number, "
    "true or false, a list of texts for a multiple choice, a list of objects for a table. The answer to "
    "an attachment is `{id, name, size, type}`; send files to the application's attachments. Null or an "
    "empty text clears an answer.",
    "nullable": True,
    "anyOf": [
        TEXT,
        {"type": "number"},
        {"type": "boolean"},
        {"type": "array", "items": TEXT},
        {"type": "array", "items": {"type": "object", "additionalProperties": TEXT}},
        {"type": "object", "additionalProperties": {}},
    ],
}


@extend_schema_field({"anyOf": [TEXT, {"type": "boolean"}]})
class TextOrBooleanField(serializers.JSONField):
    """The value of a choice, or of a checkbox."""


class PairField(serializers.ListField):
    def __init__(self, **kwargs: Any) -> None:
        child = serializers.CharField()
        super().__init__(child=child, min_length=2, max_length=2, **kwargs)


class ShowIfSerializer(serializers.Serializer[Any]):
    """The question counts only while the earlier question `key` is answered so."""

    key = serializers.CharField()
    equals = TextOrBooleanField()


class QuestionSerializer(serializers.Serializer[Any]):
    """One question of an application form; the answer to it has the same `key`."""

    key = serializers.CharField()
    # These names hide attributes of Field; the declared fields are what is described.
    label = serializers.CharField()  # type: ignore[assignment]
    type = serializers.ChoiceField(
        choices=list(TYPES), help_text="`heading` and `explanation` take no answer."
    )
    required = serializers.BooleanField(required=False)  # type: ignore[assignment]
    help = serializers.CharField(required=False)
    max_length = serializers.IntegerField(required=False, help_text="Characters.")
    choices = serializers.ListField(
        child=PairField(), required=False, help_text="[value, label]; answer with the value."
    )
    columns = serializers.ListField(
        child=PairField(), required=False, help_text="[key, label] of a table's columns."
    )
    pattern = serializers.CharField(required=False)
    pattern_hint = serializers.CharField(required=False)
    show_if = ShowIfSerializer(required=False)


@extend_schema_field(QuestionSerializer(many=True))
class QuestionsField(serializers.JSONField):
    """The questions as the form has them."""


class AnswersField(serializers.JSONField):
    """An object: question key to answer. What an answer may be, `answers.clean_answers` decides."""


class AnswersFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = AnswersField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            "Answer", ResolvedComponent.SCHEMA, ANSWER, "Answer"
        )
        auto_schema.registry.register_on_missing(component)
        return {
            "type": "object",
            "description": "Question key to answer; the questions are those of the form.",
            "additionalProperties": component.ref,
        }


class AffiliationThenSerializer(serializers.Serializer[Any]):
    """The affiliation as it was at submission, in words; empty in a draft."""

    category = serializers.CharField(required=False)
    institution = serializers.CharField(required=False)
    country = serializers.CharField(required=False)
    position = serializers.CharField(required=False)
    web_page = serializers.CharField(required=False)
    orcid = serializers.CharField(required=False)


@extend_schema_field(AffiliationThenSerializer)
class AffiliationThenField(serializers.JSONField):
    """As the application keeps it."""
