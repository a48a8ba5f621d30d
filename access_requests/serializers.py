"""What the REST face takes and gives."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from access_requests import evidence, selectors, versions, words
from access_requests.models import (
    Application,
    Grant,
    Message,
    Note,
    Opinion,
    State,
    Tier,
    Witness,
)
from access_requests.question_fields import AffiliationThenField, AnswersField, QuestionsField
from access_requests.workflow import QUEUE_STATES, THE_DESK, Role
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.fields import BoundedListField


class PersonSerializer(serializers.ModelSerializer[Account]):
    class Meta:
        model = Account
        fields = ("id", "name", "email")


class MessageSerializer(serializers.ModelSerializer[Message]):
    class Meta:
        model = Message
        fields = ("id", "body", "created_at", "from_applicant", "is_return")

    from_applicant = serializers.SerializerMethodField()

    def get_from_applicant(self, message: Message) -> bool:
        return message.author_id == message.application.applicant_id


class CheckSerializer(serializers.Serializer[Any]):
    """One piece of evidence: it advises, a person decides."""

    key = serializers.CharField()
    # These names hide attributes of Field; the declared fields are what serializes.
    label = serializers.CharField()  # type: ignore[assignment]
    source = serializers.CharField()  # type: ignore[assignment]
    result = serializers.ChoiceField(choices=evidence.RESULTS)
    finding = serializers.CharField()
    limits = serializers.CharField()
    at = serializers.CharField()


class WitnessSerializer(serializers.ModelSerializer[Witness]):
    """How far it is with one person who was named; never what they said."""

    class Meta:
        model = Witness
        fields = (
            "id",
            "kind",
            "name",
            "email",
            "position",
            "status",
            "asked_at",
            "reminded_at",
            "expires_at",
            "closed_at",
        )


class NoteSerializer(serializers.ModelSerializer[Note]):
    author = PersonSerializer(read_only=True)

    class Meta:
        model = Note
        fields = ("id", "author", "body", "created_at")


class OpinionSerializer(serializers.ModelSerializer[Opinion]):
    asked_by = PersonSerializer(read_only=True)
    reviewer = PersonSerializer(read_only=True)
    kind = serializers.CharField(read_only=True, help_text="review, or decision: the second one")
    advice = serializers.CharField(
        read_only=True, help_text="approve, refuse or unsure; empty until answered"
    )

    class Meta:
        model = Opinion
        fields = (
            *("id", "kind", "asked_by", "reviewer", "question", "advice", "answer"),
            *("asked_at", "answered_at"),
        )


class ReviewSerializer(serializers.Serializer[Any]):
    """What reviewers see beside an application."""

    claimed_by = PersonSerializer(allow_null=True)
    claimed_at = serializers.DateTimeField(allow_null=True)
    decided_by = PersonSerializer(allow_null=True)
    evidence = CheckSerializer(
        many=True, help_text="Made now; once it is decided, what was on the screen at the decision."
    )
    corrected = serializers.ListField(
        child=serializers.CharField(),
        help_text="What the applicant changed since it was returned: questions, and parts of the "
        "affiliation, by their names.",
    )
    version = serializers.CharField(
        allow_null=True,
        help_text="What a decision is about: send it back with it. Null for who may not act on it, "
        "and once it is decided.",
    )
    notes = NoteSerializer(many=True, help_text="Internal; empty for who may not act on it.")
    opinions = OpinionSerializer(many=True, help_text="Empty for who may not act on it.")


class TimesSerializer(serializers.Serializer[Any]):
    """Days from submission, or from the appeal, to the decision; of the last 90 days."""

    median_days = serializers.FloatField()
    p90_days = serializers.FloatField(help_text="Nine of ten were decided within it.")


class ApplicationSerializer(serializers.ModelSerializer[Application]):
    applicant = PersonSerializer(read_only=True)
    family = serializers.SlugRelatedField[Any](slug_field="slug", read_only=True)
    releases = serializers.SlugRelatedField[Any](slug_field="slug", many=True, read_only=True)
    state = serializers.ChoiceField(choices=State.choices)
    url = serializers.CharField(source="get_absolute_url", read_only=True)
    is_claimed = serializers.SerializerMethodField()

    class Meta:
        model = Application
        fields: tuple[str, ...] = (
            "id",
            "reference",
            "state",
            "applicant",
            "family",
            "releases",
            "created_at",
            "submitted_at",
            "is_claimed",
            "decided_at",
            "decision_reason",
            "apply_again_from",
            "appealed_at",
            "url",
        )

    def get_is_claimed(self, application: Application) -> bool:
        return application.claimed_by_id is not None


class ApplicationDetailSerializer(ApplicationSerializer):
    questions = QuestionsField(source="form.questions", read_only=True)
    answers = serializers.SerializerMethodField()
    affiliation = AffiliationThenField(read_only=True)
    messages = MessageSerializer(many=True, read_only=True)
    grants = serializers.PrimaryKeyRelatedField[Any](many=True, read_only=True)
    queue_position = serializers.SerializerMethodField()
    witnesses = WitnessSerializer(many=True, read_only=True)
    waits_for = serializers.SerializerMethodField()
    time_to_decision = serializers.SerializerMethodField()
    what_happens_next = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()

    class Meta(ApplicationSerializer.Meta):
        fields = (
            *ApplicationSerializer.Meta.fields,
            "questions",
            "answers",
            "affiliation",
            "messages",
            "grants",
            "queue_position",
            "witnesses",
            "waits_for",
            "time_to_decision",
            "what_happens_next",
            "review",
        )

    @extend_schema_field(AnswersField())
    def get_answers(self, application: Application) -> dict[str, Any]:
        """One's own as written; for reviewers, never what is still being typed."""
        if self.context["request"].user.pk == application.applicant_id:
            return application.answers
        return dict(selectors.answers_on_the_table(application).answers)

    def get_queue_position(self, application: Application) -> int | None:
        return selectors.queue_position(application)

    def get_waits_for(self, application: Application) -> list[str]:
        """Whose answer an approval still needs: `official`, `referee`."""
        return [kind.value for kind in selectors.kinds_missing(application)]

    @extend_schema_field(TimesSerializer(allow_null=True))
    def get_time_to_decision(self, application: Application) -> dict[str, Any] | None:
        """While it waits for a decision; null also when too few were decided lately to say."""
        times = selectors.time_to_decision() if application.state in QUEUE_STATES else None
        return dict(TimesSerializer(times).data) if times else None

    def get_what_happens_next(self, application: Application) -> str:
        """In words, for the applicant."""
        return words.next_of(application)

    @extend_schema_field(ReviewSerializer(allow_null=True))
    def get_review(self, application: Application) -> dict[str, Any] | None:
        """For reviewers; null for the applicant, and for a reviewer who applies with them."""
        role = selectors.role_in(self.context["request"].user, application)
        if role in (Role.APPLICANT, Role.STRANGER):
            return None
        return dict(ReviewSerializer(_Desk(application, role)).data)


class _Desk:
    """The application as `ReviewSerializer` reads it."""

    def __init__(self, application: Application, role: Role) -> None:
        inside = role in THE_DESK
        self.claimed_by = application.claimed_by
        self.claimed_at = application.claimed_at
        self.decided_by = application.decided_by
        kept = evidence.kept(application)
        checks = kept or evidence.snapshot(application)
        self.evidence = evidence.readable(checks, role)
        self.corrected = words.corrections(application)
        acts = inside and not kept
        self.version = versions.version_of(application, checks) if acts else None
        self.notes = list(application.notes.all()) if inside else []
        self.opinions = list(application.opinions.all()) if inside else []


class NewApplicationSerializer(serializers.Serializer[Any]):
    releases = BoundedListField(
        child=serializers.CharField(max_length=200),
        allow_empty=False,
        max_length=100,
        help_text="Slugs or repo ids, all of one family.",
    )
    answers = AnswersField(required=False)


class ApplicationChangesSerializer(NewApplicationSerializer):
    releases = BoundedListField(
        child=serializers.CharField(max_length=200),
        allow_empty=False,
        max_length=100,
        required=False,
    )


class SubmitSerializer(serializers.Serializer[Any]):
    typed_name = serializers.CharField(
        max_length=150, help_text="Your account's name: by typing it you accept the licence."
    )
    licence_sha256 = serializers.CharField(
        max_length=64,
        required=False,
        help_text="The digest of the text that you read; refused when it is not the current one.",
    )


class SeenSerializer(serializers.Serializer[Any]):
    """For what is decided on: the version that was read."""

    version = serializers.CharField(
        source="seen",
        max_length=versions.MOST,
        help_text="`review.version` of the application as you read it. Where it has changed since, "
        "nothing is decided: 409 `changed`.",
    )


class ReturnSerializer(SeenSerializer):
    message = serializers.CharField(max_length=4000, help_text="What has to be mended.")


class ApproveSerializer(SeenSerializer):
    releases = BoundedListField(
        child=serializers.CharField(max_length=200),
        required=False,
        max_length=100,
        help_text="Some of those asked for; all of them if left out.",
    )
    tier = serializers.ChoiceField(choices=Tier.choices, default=Tier.WEIGHTS)
    ends_at = serializers.DateTimeField(required=False, help_text="A year from now if left out.")
    reason = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    checklist = BoundedListField(
        child=serializers.CharField(max_length=500),
        required=False,
        default=list,
        max_length=100,
        help_text="The items of the releases' checklists that you checked; an approval needs all.",
    )


class RefuseSerializer(SeenSerializer):
    reason = serializers.CharField(max_length=4000, help_text="Told to the applicant.")
    apply_again_from = serializers.DateTimeField(
        required=False, help_text="When a new application is possible; at once if left out."
    )


class TextSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=4000)


class ColleagueSerializer(serializers.Serializer[Any]):
    reviewer = serializers.IntegerField(
        min_value=1, max_value=2**63 - 1, help_text="The id of one of `colleagues/`."
    )


class AskColleagueSerializer(ColleagueSerializer):
    kind = serializers.ChoiceField(choices=Opinion.Kind.choices, default=Opinion.Kind.REVIEW)
    question = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")


class AdviseSerializer(SeenSerializer):
    advice = serializers.ChoiceField(choices=[one for one in Opinion.Advice.choices if one[0]])
    answer = serializers.CharField(max_length=4000, help_text="Why, in a sentence or more.")


class ConflictSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=4000, help_text="For reviewers alone.")


class ReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=4000, help_text="Told to the person.")


class OptionalReasonSerializer(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")


class GrantSerializer(serializers.ModelSerializer[Grant]):
    account = serializers.IntegerField(source="account_id", read_only=True)
    release = serializers.SlugRelatedField[Release](slug_field="slug", read_only=True)
    application = serializers.IntegerField(source="application_id", read_only=True, allow_null=True)
    licence_version = serializers.IntegerField(
        source="acceptance.licence_version.number", read_only=True
    )
    status = serializers.CharField(read_only=True, help_text="active, suspended or revoked")
    is_open = serializers.SerializerMethodField()
    refusal = serializers.SerializerMethodField()

    class Meta:
        model = Grant
        fields = (
            "id",
            "account",
            "release",
            "application",
            "tier",
            "status",
            "status_reason",
            "starts_at",
            "ends_at",
            "licence_version",
            "is_open",
            "refusal",
        )

    def get_is_open(self, grant: Grant) -> bool:
        """Whether it opens at least the sandbox now."""
        return selectors.standing_of(grant).is_open

    def get_refusal(self, grant: Grant) -> str | None:
        """The code of what keeps it shut; null when it is open."""
        refusal = selectors.standing_of(grant).refusal
        return str(refusal.code) if refusal else None
