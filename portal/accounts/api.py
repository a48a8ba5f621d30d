"""My account over REST: name and affiliation, under the rules of the page's forms."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from portal.accounts import profile
from portal.accounts.models import Account, Affiliation, Scope
from portal.accounts.permissions import HasScope


class AffiliationSerializer(serializers.Serializer[Any]):
    """The institution that you speak for. Reviewers read it first."""

    category = serializers.ChoiceField(choices=Affiliation.Category.choices)
    institution = serializers.CharField(
        allow_blank=True, help_text="Independent researchers write their own name."
    )
    country = serializers.CharField(allow_blank=True, help_text="ISO 3166, for example `NL`.")
    position = serializers.CharField(allow_blank=True, help_text="For example: PhD student.")
    web_page = serializers.CharField(
        allow_blank=True, help_text="A page that shows you at this institution; may be empty."
    )
    orcid = serializers.CharField(
        allow_blank=True, help_text="0000-0000-0000-0000, or the address of the page; may be empty."
    )


class AffiliationChangesSerializer(AffiliationSerializer):
    """What is left out stays; the first time, all but `web_page` and `orcid` are needed."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields


class AccountSerializer(serializers.ModelSerializer[Account]):
    affiliation = AffiliationSerializer(
        allow_null=True, read_only=True, help_text="Null until it is filled in."
    )

    class Meta:
        model = Account
        fields = ("id", "email", "name", "affiliation")
        read_only_fields = fields


class AccountChangesSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(
        allow_blank=True, help_text="You accept licences by typing this name."
    )
    affiliation = AffiliationChangesSerializer()


class MyAccount(APIView):
    """My name and affiliation."""

    permission_classes = (HasScope,)
    scopes = {"GET": Scope.READ, "PATCH": Scope.APPLY}

    @extend_schema(operation_id="get_account", responses=AccountSerializer)
    def get(self, request: Request) -> Response:
        """My account, with the affiliation that my next application is submitted with."""
        assert isinstance(request.user, Account)
        return _response(request.user)

    @extend_schema(
        operation_id="update_account",
        request=AccountChangesSerializer,
        responses=AccountSerializer,
    )
    def patch(self, request: Request) -> Response:
        """Change my name or my affiliation. What is left out stays."""
        serializer = AccountChangesSerializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        assert isinstance(request.user, Account)
        profile.update_profile(actor=request.user, **serializer.validated_data)
        return _response(request.user)


def _response(account: Account) -> Response:
    saved = Account.objects.select_related("affiliation").get(pk=account.pk)
    return Response(AccountSerializer(saved).data)
