"""The applicant's pages, as a browser sees them."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, Grant, State
from portal.accounts.models import Account
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from tests.access_requests.people import ANSWERS
from tests.people import signed_in


def posted(release: Release, **changes: str) -> dict[str, object]:
    answers = {f"answers-{key}": value for key, value in {**ANSWERS, **changes}.items()}
    return {"releases": [release.slug], **answers}


def url(name: str, *args: object) -> str:
    return reverse(f"access_requests:{name}", args=args)


def text(client: Client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status, response
    return response.content.decode()


def test_the_way_from_the_form_to_the_status_page(alice: Account, release: Release) -> None:
    client = signed_in(alice)
    page = text(client, url("apply", "llama") + "?release=llama-7b")
    assert "What do you want to find out?" in page
    assert 'value="llama-7b"' in page
    assert "checked" in page

    response = client.post(url("apply", "llama"), {**posted(release), "go_on": "1"})
    application = Application.objects.get()
    assert response.url == url("licence", application.pk)
    page = text(client, response.url)
    assert "Not for commerce." in page
    assert "Not ready to submit" not in page

    sha = application.family.licence.current.sha256
    response = client.post(
        response.url, {"typed_name": "Alice Example", "text_sha256": sha}, follow=True
    )
    page = response.content.decode()
    assert "Waiting for a reviewer" in page
    assert "Place in the queue" in page
    assert "You submitted it and accepted the licence." in page
    assert ANSWERS["research_purpose"] in page
    application.refresh_from_db()
    assert application.state == State.SUBMITTED


def test_a_visitor_is_sent_to_sign_in_and_back(release: Release, client: Client) -> None:
    response = client.get(url("apply", "llama"))
    assert response.url.startswith("/account/login/?next=/applications/new/llama/")


def test_who_has_no_affiliation_is_sent_to_fill_it_in_and_back(
    mallory: Account, release: Release
) -> None:
    response = signed_in(mallory).get(url("apply", "llama") + "?release=llama-7b")
    assert response.url == "/account/?next=%2Fapplications%2Fnew%2Fllama%2F%3Frelease%3Dllama-7b"


def test_a_form_that_does_not_fit_keeps_all_that_was_typed(
    alice: Account, release: Release
) -> None:
    long = "y" * 4001
    response = signed_in(alice).post(url("apply", "llama"), posted(release, research_purpose=long))
    page = response.content.decode()
    assert response.status_code == 422
    assert "4001" in page
    assert long in page
    assert ANSWERS["intended_use"] in page
    assert not Application.objects.exists()


@pytest.mark.parametrize("chosen", [[], ["llama-900b"]])
def test_a_form_without_a_release_that_exists_says_so(
    alice: Account, release: Release, chosen: list[str]
) -> None:
    response = signed_in(alice).post(url("apply", "llama"), {**posted(release), "releases": chosen})
    page = response.content.decode()
    assert response.status_code == 422
    assert "Choose at least one release." in page or "There is no release llama-900b" in page
    assert ANSWERS["intended_use"] in page


def test_a_withdrawn_release_cannot_be_chosen(
    alice: Account, release: Release, second_release: Release
) -> None:
    Release.objects.filter(pk=release.pk).update(status=Release.Status.WITHDRAWN)
    client = signed_in(alice)
    assert 'value="llama-7b"' not in text(client, url("apply", "llama"))
    assert client.post(url("apply", "llama"), posted(release)).status_code == 422


def test_what_people_write_is_escaped(alice: Account, release: Release) -> None:
    client = signed_in(alice)
    evil = "<script>alert(1)</script>"
    client.post(url("apply", "llama"), posted(release, intended_use=evil))
    application = Application.objects.get()
    services.submit(application.pk, actor=alice, typed_name=alice.name)
    page = text(client, url("application", application.pk))
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page


def test_an_open_application_is_gone_on_with(draft: Application, alice: Account) -> None:
    client = signed_in(alice)
    assert client.get(url("apply", "llama")).url == url("edit", draft.pk)
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    assert client.get(url("apply", "llama")).url == url("application", draft.pk)
    assert client.get(url("edit", draft.pk)).url == url("application", draft.pk)
    assert client.get(url("licence", draft.pk)).url == url("application", draft.pk)


def test_an_answer_can_be_cleared(draft: Application, alice: Account, release: Release) -> None:
    signed_in(alice).post(url("edit", draft.pk), posted(release, research_purpose=""))
    draft.refresh_from_db()
    assert "research_purpose" not in draft.answers


def test_the_licence_page_names_what_is_still_missing(alice: Account, release: Release) -> None:
    application = services.start(actor=alice, releases=[release], answers={})
    page = text(signed_in(alice), url("licence", application.pk))
    assert "Not ready to submit" in page
    assert "What do you want to find out?" in page


def test_a_wrong_name_is_told_on_the_page_and_kept(draft: Application, alice: Account) -> None:
    sha = draft.family.licence.current.sha256
    response = signed_in(alice).post(
        url("licence", draft.pk), {"typed_name": "Alicia", "text_sha256": sha}
    )
    page = response.content.decode()
    assert response.status_code == 422
    assert "Type your name as it stands on your account: Alice Example." in page
    assert "Alicia" in page
    assert sha in page


def test_a_licence_that_changed_while_one_read_is_shown_anew(
    draft: Application, alice: Account, licence: Licence
) -> None:
    read = licence.current.sha256
    new = LicenceVersion.objects.create(licence=licence, number=2, text="The second text.")
    client = signed_in(alice)
    response = client.post(
        url("licence", draft.pk), {"typed_name": alice.name, "text_sha256": read}
    )
    page = response.content.decode()
    assert response.status_code == 422
    assert "while you were reading" in page
    assert "The second text." in page
    assert f'value="{new.sha256}"' in page
    assert (
        client.post(
            url("licence", draft.pk), {"typed_name": alice.name, "text_sha256": new.sha256}
        ).status_code
        == 302
    )


def test_a_second_click_on_submit_lands_on_the_status_page(
    draft: Application, alice: Account
) -> None:
    client = signed_in(alice)
    data = {"typed_name": alice.name, "text_sha256": draft.family.licence.current.sha256}
    for _ in range(2):
        response = client.post(url("licence", draft.pk), data)
        assert response.url == url("application", draft.pk)


def test_a_returned_application_shows_what_the_reviewer_asks(
    returned: Application, alice: Account, release: Release
) -> None:
    client = signed_in(alice)
    assert "Say which corpus." in text(client, url("application", returned.pk))
    page = text(client, url("edit", returned.pk))
    assert "Say which corpus." in page
    assert "Correct your application" in page


def test_a_decision_is_told_with_its_reason(refused: Application, alice: Account) -> None:
    page = text(signed_in(alice), url("application", refused.pk))
    assert "No research question." in page
    assert "Start a new application" in page


def test_the_reviewer_is_not_named_to_the_applicant(
    approved: Application, alice: Account, rita: Account
) -> None:
    page = text(signed_in(alice), url("application", approved.pk))
    assert "A reviewer took it." in page
    assert rita.name not in page


def test_withdrawing_is_a_post_of_the_applicant(
    submitted: Application, alice: Account, mallory: Account, rita: Account
) -> None:
    assert signed_in(mallory).post(url("withdraw", submitted.pk)).status_code == 404
    assert signed_in(rita).post(url("withdraw", submitted.pk)).status_code == 404
    client = signed_in(alice)
    assert client.get(url("withdraw", submitted.pk)).status_code == 405
    assert client.post(url("withdraw", submitted.pk)).url == url("application", submitted.pk)
    submitted.refresh_from_db()
    assert submitted.state == State.WITHDRAWN


def test_my_access_lists_grants_applications_and_agreements(
    grant: Grant, alice: Account, mallory: Account
) -> None:
    page = text(signed_in(alice), url("mine"))
    assert "LLaMA 7B" in page
    assert ">open<" in page
    assert grant.acceptance.text_sha256 in page
    assert grant.application is not None
    assert grant.application.reference in page
    empty = text(signed_in(mallory), url("mine"))
    assert "Nothing yet" in empty
    assert grant.application.reference not in empty


def test_my_access_says_why_a_grant_is_shut(grant: Grant, alice: Account) -> None:
    Grant.objects.filter(pk=grant.pk).update(ends_at=timezone.now() - timedelta(days=1))
    page = text(signed_in(alice), url("mine"))
    assert ">ended<" in page
    assert "Apply again" in page


def test_a_new_licence_is_accepted_on_its_page(
    grant: Grant, alice: Account, mallory: Account, rita: Account, licence: Licence
) -> None:
    client = signed_in(alice)
    assert "There is nothing to do" in text(client, url("accept", grant.pk))
    new = LicenceVersion.objects.create(
        licence=licence, number=2, text="The second text.", standing_grants="suspend"
    )
    page = text(client, url("accept", grant.pk))
    assert "The second text." in page
    wrong = client.post(url("accept", grant.pk), {"typed_name": "Al", "text_sha256": new.sha256})
    assert wrong.status_code == 422
    for other in (mallory, rita):
        assert signed_in(other).get(url("accept", grant.pk)).status_code == 404
    done = client.post(
        url("accept", grant.pk), {"typed_name": alice.name, "text_sha256": new.sha256}
    )
    assert done.url == grant.release.get_absolute_url()
    grant.refresh_from_db()
    assert grant.acceptance.licence_version == new


def test_the_release_page_shows_the_one_next_step(alice: Account, release: Release) -> None:
    page = text(signed_in(alice), release.get_absolute_url())
    assert page.count('class="next-step"') == 1
    assert url("apply", "llama") + "?release=llama-7b" in page


def test_a_family_that_does_not_exist_is_not_found(alice: Account, family: Family) -> None:
    assert signed_in(alice).get(url("apply", "gpt")).status_code == 404
