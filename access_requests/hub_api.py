"""The hub's API for access requests, as `huggingface_hub`'s HfApi calls it. Rules live in the services."""

import re
from typing import Any, cast
from urllib.parse import urlencode

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests import selectors, services
from access_requests.api import asker
from access_requests.words import answered
from portal import hub_words
from portal.absolute_urls import absolute_url
from portal.accounts.authentication import TokenAuthentication
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import HasScope
from portal.catalog.models import Release
from portal.parsers import JSONBody
from portal.refusals import Code, Refusal

LISTS = ("pending", "accepted", "rejected")
PAGE, LARGEST_PAGE = 100, 1000


class HubView(APIView):
    """Checked in this order: the token, the repo, the person."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = (HasScope,)
    parser_classes = (JSONBody,)
    refusal_responder = staticmethod(hub_words.respond)
    scope = Scope.REVIEW
    release: Release

    def get_exception_handler(self) -> Any:
        return hub_words.handler

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.release = selectors.hub_release(kwargs["repo"])
        services.only_for_reviewers(self.release, actor=asker(request))


@extend_schema(exclude=True)  # it is described where it comes from, and in docs/reference/api.md
class AccessRequests(HubView):
    def get(self, request: Request, repo: str, status: str) -> Response:
        if status not in LISTS:
            raise Refusal(
                Code.NOT_FOUND, f"There is no list {status}.", f"There are {', '.join(LISTS)}."
            )
        found, more = selectors.hub_requests(
            asker(request),
            self.release,
            cast(selectors.HubStatus, status),
            after=_cursor(request),
            limit=(limit := _limit(request)),
        )
        response = Response([_as_json(one) for one in found])
        if more:
            following = urlencode({"limit": limit, "cursor": found[-1].place})
            address = absolute_url(f"{request.path}?{following}")
            response["Link"] = f'<{address}>; rel="next"'
        return response


def _cursor(request: Request) -> str:
    cursor = request.query_params.get("cursor", "")
    if cursor and not re.fullmatch(r"[ag][0-9]{1,18}", cursor):
        raise Refusal(
            Code.INVALID, "This cursor is not one of ours.", "Follow the Link header as it is."
        )
    return cursor


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(PAGE))
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise Refusal(Code.INVALID, "A limit is a number from 1 to 1000.", "Leave it out.")
    return min(int(text), LARGEST_PAGE)


def _as_json(one: selectors.AccessRequest) -> dict[str, Any]:
    asked_at = one.application.submitted_at or one.application.created_at
    return {
        "requestId": one.request_id,
        "status": one.status,
        "timestamp": hub_words.moment(asked_at),
        "user": {
            "user": one.account.handle,
            "fullname": one.account.name,
            "email": one.account.email,
        },
        "fields": _fields(one),
    }


def _fields(one: selectors.AccessRequest) -> dict[str, str]:
    """What the person said: the affiliation, and the answers where they gave them themselves."""
    application = one.application
    fields = {"Application": application.reference}
    if one.grant:
        fields |= {"Tier": one.grant.tier, "Until": hub_words.moment(one.grant.ends_at)}
    own = application.applicant_id == one.account.pk
    members = [] if own else list(application.coapplicants.all())
    said = next((m.affiliation for m in members if m.account_id == one.account.pk), None)
    affiliation = application.affiliation if own else said or {}
    fields |= {
        name.replace("_", " ").capitalize(): str(value)
        for name, value in affiliation.items()
        if value
    }
    if own:
        fields |= {line.label: line.answer for line in answered(application)}
    return fields


class HubAct(HubView):
    def answer(self, account: Account, outcome: services.Outcome) -> Response:
        response = Response({"status": outcome.status, "message": outcome.warning})
        if outcome.warning:  # the client logs it, once for each topic
            topic = f"The request of {account.handle} for {self.release.repo_id}"
            response["X-HF-Warning"] = hub_words.one_line(f"{topic}; {outcome.warning}")
        return response

    def text(self, name: str) -> str:
        """A text of the body; empty when it is not there."""
        data = self.request.data
        value = data.get(name) if isinstance(data, dict) else None
        if value is not None and not isinstance(value, str):
            raise Refusal(Code.INVALID, f"`{name}` must be text.", "Send it as a JSON string.")
        return value or ""


@extend_schema(exclude=True)
class Handle(HubAct):
    def post(self, request: Request, repo: str) -> Response:
        user, request_id = self.text("user"), self.text("requestId")
        if bool(user) == bool(request_id):
            raise Refusal(Code.INVALID, "Name one request.", "Send either `user` or `requestId`.")
        account = (
            selectors.hub_account(user)
            if user
            else selectors.hub_account_of_request(request_id, self.release)
        )
        actor = asker(request)
        match self.text("status"):
            case "accepted":
                return self.answer(
                    account, services.accept_request(account, self.release, actor=actor)
                )
            case "rejected":
                reason = self.text("rejectionReason")
                return self.answer(
                    account,
                    services.reject_request(account, self.release, actor=actor, reason=reason),
                )
            case "pending":
                return self.answer(account, services.set_back(account, self.release, actor=actor))
        raise Refusal(Code.INVALID, f"`status` is one of {', '.join(LISTS)}.", "Send one of them.")


@extend_schema(exclude=True)
class GrantAccess(HubAct):
    def post(self, request: Request, repo: str) -> Response:
        if not (user := self.text("user")):
            raise Refusal(Code.INVALID, "Whom to grant access?", "Send `user`.")
        account = selectors.hub_account(user)
        return self.answer(
            account, services.grant_access(account, self.release, actor=asker(request))
        )
