"""Walks the site with the client that openapi-python-client made of its document, and knows nothing else of it.

Run in that client's own environment: openapi_walk.py URL APPLICANT_TOKEN REVIEWER_TOKEN
"""

import hashlib
import json
import sys

import httpx
from weighbridge_client import AuthenticatedClient
from weighbridge_client.api.account import get_account, update_account
from weighbridge_client.api.applications import (
    approve_application,
    claim_application,
    get_application,
    start_application,
    submit_application,
)
from weighbridge_client.api.grants import list_grants
from weighbridge_client.api.releases import (
    create_links,
    get_application_form,
    get_checksums,
    get_manifest,
    get_metalink,
    list_files,
)
from weighbridge_client.api.runs import get_run, start_run, stream_run
from weighbridge_client.models import (
    AffiliationChangesRequest,
    ApplicationStateEnum,
    ApproveRequest,
    CategoryEnum,
    LinksRequest,
    NewApplicationRequest,
    NewApplicationRequestAnswers,
    NewRunRequest,
    PatchedAccountChangesRequest,
    Problem,
    Question,
    QuestionTypeEnum,
    RunEnd,
    RunStatusEnum,
    RunToken,
    SubmitRequest,
)

RELEASE = "smollm2-135m"


def main(url: str, applicant: str, reviewer: str) -> None:
    alice, rita = (
        AuthenticatedClient(url, token, raise_on_unexpected_status=True, timeout=httpx.Timeout(90))
        for token in (applicant, reviewer)
    )
    refused = create_links.sync(RELEASE, client=alice, body=LinksRequest())
    assert isinstance(refused, Problem), refused
    assert (refused.status, refused.code) == (403, "not_granted")
    application = apply(alice)
    approve(alice, rita, application)
    download(alice)
    prompt(alice)


def apply(alice: AuthenticatedClient) -> int:
    before = get_account.sync(client=alice)
    assert before.affiliation is None
    affiliation = AffiliationChangesRequest(category=CategoryEnum.ACADEMIA, country="NL")
    wrong = update_account.sync(
        client=alice, body=PatchedAccountChangesRequest(affiliation=affiliation)
    )
    assert set(wrong.fields.to_dict()) == {"affiliation.institution", "affiliation.position"}
    affiliation.institution, affiliation.position = "University of Testing", "PhD student"
    account = update_account.sync(
        client=alice, body=PatchedAccountChangesRequest(affiliation=affiliation)
    )
    assert account.affiliation.country == "NL"
    form = get_application_form.sync(RELEASE, client=alice)
    answers = {one.key: answer(one) for one in form.questions if one.required}
    draft = start_application.sync(
        client=alice,
        body=NewApplicationRequest(
            releases=[RELEASE], answers=NewApplicationRequestAnswers.from_dict(answers)
        ),
    )
    assert draft.answers.to_dict() == answers
    submission = SubmitRequest(typed_name=account.name, licence_sha256=form.licence.sha256)
    submitted = submit_application.sync(draft.id, client=alice, body=submission)
    assert submitted.state is ApplicationStateEnum.SUBMITTED
    assert submitted.affiliation.institution == "University of Testing"
    return submitted.id


def answer(question: Question) -> str | bool:
    if question.type_ is QuestionTypeEnum.CHOICE:
        return question.choices[0][0]
    if question.type_ is QuestionTypeEnum.BOOLEAN:
        return True
    return "How small models keep facts."


def approve(alice: AuthenticatedClient, rita: AuthenticatedClient, pk: int) -> None:
    forbidden = claim_application.sync(pk, client=alice)
    assert isinstance(forbidden, Problem), "nobody reviews their own application"
    assert claim_application.sync(pk, client=rita).is_claimed
    version = get_application.sync(pk, client=rita).review.version
    approved = approve_application.sync(pk, client=rita, body=ApproveRequest(version=version))
    assert approved.state is ApplicationStateEnum.APPROVED
    (grant,) = list_grants.sync(client=alice).results
    assert grant.is_open
    assert grant.refusal is None


def download(alice: AuthenticatedClient) -> None:
    listed = {one.path: one for one in list_files.sync(RELEASE, client=alice).results}
    body = LinksRequest(paths=["tokenizer.json"])
    (link,) = create_links.sync(RELEASE, client=alice, body=body)
    content = httpx.get(link.url).content
    assert hashlib.sha256(content).hexdigest() == link.sha256 == listed[link.path].sha256
    assert f"{link.sha256}  {link.path}\n" in get_checksums.sync(RELEASE, "main", client=alice)
    manifest = get_manifest.sync(RELEASE, "main", client=alice)
    assert {one.path for one in manifest.files} == set(listed)
    assert "<metalink" in get_metalink.sync(RELEASE, "main", client=alice)


def prompt(alice: AuthenticatedClient) -> None:
    body = NewRunRequest(
        release=RELEASE, prompt="The capital of France is", max_tokens=8, temperature=0, seed=1
    )
    started = start_run.sync(client=alice, body=body)
    text, end = "", None
    for event in stream_run.sync(started.id, client=alice).split("\n\n"):
        lines = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
        if lines.get("event") == "token":
            text += RunToken.from_dict(json.loads(lines["data"])).text
        elif lines.get("event") == "end":
            end = RunEnd.from_dict(json.loads(lines["data"]))
    run = get_run.sync(started.id, client=alice)
    assert end.status is run.status is RunStatusEnum.FINISHED
    assert text == run.output
    assert "Paris" in text
    assert run.parent is None
    assert len(run.output_ids) >= run.output_tokens - 1


main(*sys.argv[1:])
