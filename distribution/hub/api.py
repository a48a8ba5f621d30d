"""The metadata calls of the hub, as `huggingface_hub`'s HfApi makes them."""

from collections.abc import Callable, Iterable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotAuthenticated
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access_requests.models import Tier
from access_requests.selectors import (
    grant_for,
    may_read_metadata,
    no_such_release,
    release_known_to,
    releases_known_to,
    require_metadata,
)
from distribution import selectors
from distribution.hub import errors, info, reading, tree
from distribution.hub.reading import Asker
from distribution.models import Revision
from portal import hub_words, throttling
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import require_scope
from portal.catalog.models import Release
from portal.parsers import JSONBody
from portal.refusals import Code, Refusal

MAX_PATHS = 1_000  # of one call
# Which details a flag adds to the rows of a list.
LIST_FLAGS = {
    "full": {"siblings", "createdAt"},
    "cardData": {"cardData"},
    "config": {"config"},
}


@extend_schema(exclude=True)  # it is described where it comes from, and in docs/reference/api.md
class HubView(APIView):
    """Metadata are read with the scope `read`, and with `download` too: one token is enough for all that a
    download needs. Without a token, nobody we know asks.
    """

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (JSONBody, FormParser)
    throttle_classes = ()  # counted below, once the token is known
    refusal_responder = staticmethod(errors.respond)
    scopes: tuple[Scope, ...] = (Scope.READ, Scope.DOWNLOAD)  # one of them
    asker: Asker

    def get_exception_handler(self) -> Callable[..., Response | None]:
        return errors.handler

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.asker = reading.asker(request._request)
        if self.asker.token:
            require_scope(self.asker.token, *self.scopes)
        throttling.check(request._request, account=self.asker.account, token=self.asker.token)


class RepoView(HubView):
    """Checked in this order: the token, the repo, who may read its metadata, the revision."""

    release: Release

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.release = release_known_to(self.asker.account, kwargs["repo"])
        require_metadata(self.asker.account, self.release)
        selectors.require_published(self.release)

    def revision(self, name: str) -> Revision:
        return reading.revision(self.release, name)


class WhoAmI(HubView):
    def get(self, request: Request) -> Response:
        account, token = self.asker.account, self.asker.token
        if token is None or not isinstance(account, Account):
            raise NotAuthenticated
        return Response(
            {
                "type": "user",
                "id": account.handle,
                "name": account.handle,
                "fullname": account.name,
                "email": account.email,
                "orgs": [],
                "auth": {
                    "type": "access_token",
                    "accessToken": {"displayName": token.name, "role": "read"},
                },
            }
        )


class Harnesses(HubView):
    """Clients ask once a day which programs they may say they run in; here there are none to know of."""

    def get(self, request: Request) -> Response:
        return Response({"standardEnvVars": [], "harnesses": {}})


class Models(HubView):
    def get(self, request: Request) -> Response:
        found = releases_known_to(self.asker.account)
        if search := request.query_params.get("search", "").replace("\0", ""):
            found = found.filter(repo_id__icontains=search)
        if author := request.query_params.get("author", "").replace("\0", ""):
            found = found.filter(repo_id__startswith=f"{author}/")
        wanted = set(request.query_params.getlist("filter"))
        wanted |= set(request.query_params.getlist("pipeline_tag"))
        if request.query_params.get("gated") == "false":
            found = found.none()  # all that is here is given out by people
        rows = [
            (release, revision, row)
            for release, revision in self._with_current(found)
            if wanted <= set((row := info.listed(release, revision))["tags"])
        ]
        expand, names = request.query_params.getlist("expand"), _details_of_list(request)
        answer = []
        for release, revision, row in rows[: _limit(request) or len(rows)]:
            if revision:
                row |= info.details(release, revision, names)
            answer.append(info.only(row, expand) if expand else row)
        return Response(answer)

    def _with_current(
        self, releases: Iterable[Release]
    ) -> Iterable[tuple[Release, Revision | None]]:
        """Each release with the revision that people get now, where this person may read of it."""
        listed = list(releases)
        current = Revision.objects.filter(
            release__in=listed, is_current=True, taken_down_at=None
        ).prefetch_related("artifacts")
        by_release = {one.release_id: one for one in current}
        for release in listed:
            may_read = release.is_published and may_read_metadata(self.asker.account, release)
            yield release, by_release.get(release.pk) if may_read else None


class ModelInfo(RepoView):
    def get(self, request: Request, repo: str, rev: str = selectors.MAIN) -> Response:
        revision = self.revision(rev)
        blobs = reading.is_true(request.query_params, "blobs")
        expand = request.query_params.getlist("expand")
        fields = {
            **info.listed(self.release, revision),
            **info.details(self.release, revision, expand or info.DETAILS, blobs=blobs),
        }
        return Response(info.only(fields, expand) if expand else fields)


class Tree(RepoView):
    def get(self, request: Request, repo: str, rest: str) -> Response:
        rev, folder = reading.in_two(rest)
        revision = self.revision(rev)
        files = tree.files_of(self.release, revision)
        recursive = reading.is_true(request.query_params, "recursive")
        rows = tree.listing(files, folder.rstrip("/"), recursive=recursive)
        if not rows:
            raise errors.entry_not_found(repo, folder, revision.digest)
        expand = reading.is_true(request.query_params, "expand")
        return Response(_expanded(expand, rows, revision))


class PathsInfo(RepoView):
    def post(self, request: Request, repo: str, rev: str) -> Response:
        revision = self.revision(rev)
        paths = _texts(request.data, "paths")
        if len(paths) > MAX_PATHS:
            raise Refusal(
                Code.TOO_LONG,
                f"This call names {len(paths):,} paths; it takes {MAX_PATHS:,}.",
                "Ask for the others in further calls, or list the whole tree.",
            )
        rows = tree.rows_at(
            tree.files_of(self.release, revision), dict.fromkeys(path.strip("/") for path in paths)
        )
        return Response(_expanded(reading.is_true(request.data, "expand"), rows, revision))


class Refs(RepoView):
    def get(self, request: Request, repo: str) -> Response:
        current = self.revision(selectors.MAIN)
        branch = {"name": selectors.MAIN, "ref": "refs/heads/main", "targetCommit": current.digest}
        tags = [
            {"name": tag.name, "ref": f"refs/tags/{tag.name}", "targetCommit": tag.revision.digest}
            for tag in self.release.tags.filter(revision__taken_down_at=None).select_related(
                "revision"
            )
        ]
        return Response({"branches": [branch], "tags": tags, "converts": [], "pullRequests": []})


class Commits(RepoView):
    def get(self, request: Request, repo: str, rev: str) -> Response:
        last = self.revision(rev)
        earlier = Revision.objects.filter(
            release=self.release, pk__lte=last.pk, taken_down_at=None
        ).order_by("-pk")
        author = {"user": self.release.family.publisher}
        rows = [
            {**_commit(one), "message": "", "authors": [author]}
            for one in earlier.prefetch_related("artifacts")
        ]
        return Response(rows, headers={"X-Total-Count": str(len(rows))})


class AuthCheck(HubView):
    """Whether this token downloads the release now: what is checked is what a file's address checks."""

    scopes = (Scope.DOWNLOAD,)

    def get(self, request: Request, repo: str) -> Response:
        release = release_known_to(self.asker.account, repo)
        grant_for(self.asker.account, release, tier=Tier.WEIGHTS)
        selectors.current_revision(release)
        return Response({"ok": True})


class WriteCheck(RepoView):
    def get(self, request: Request, repo: str) -> Response:
        if self.asker.token is None:
            raise NotAuthenticated
        raise Refusal(
            Code.NOT_ALLOWED,
            "Nothing is uploaded here over the hub protocol.",
            "Managers publish with `script/manage publish`.",
        )


class Elsewhere(HubView):
    """What is no repo of ours, and calls about one that this site does not have."""

    def get(self, request: Request, rest: str, **_: Any) -> Response:
        repo = "/".join(rest.split("/")[:2])
        if not request.path.startswith("/api/models/"):
            raise no_such_release(rest)
        release_known_to(self.asker.account, repo)
        raise Refusal(
            Code.NOT_FOUND,
            "This site does not have this call of the hub.",
            "The page about its REST API lists those it has.",
        )

    post = get


def _details_of_list(request: Request) -> set[str]:
    """The details that a call wants in the rows of a list."""
    names = set(request.query_params.getlist("expand"))
    for flag, more in LIST_FLAGS.items():
        if reading.is_true(request.query_params, flag):
            names |= more
    return names


def _expanded(expand: bool, rows: list[dict[str, Any]], revision: Revision) -> list[Any]:
    """With the last commit of each entry, if that was asked for: here every file is of its revision's."""
    if not expand:
        return rows
    more = {"lastCommit": _commit(revision), "securityFileStatus": None}
    return [{**row, **more} for row in rows]


def _commit(revision: Revision) -> dict[str, Any]:
    count = len(revision.artifacts.all())
    title = f"Publish {count} file{'' if count == 1 else 's'}"
    return {"id": revision.digest, "title": title, "date": hub_words.moment(revision.created_at)}


def _texts(data: Any, name: str) -> list[str]:
    """A form's repeated field, or a list of a JSON body."""
    if hasattr(data, "getlist"):
        return list(data.getlist(name))
    values = data.get(name) if isinstance(data, dict) else None
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "")
    return int(text) if text.isdecimal() and len(text) < 10 else 0
