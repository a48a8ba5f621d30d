"""What everybody may see of the releases."""

import pytest
from django.test import Client

from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.people import signed_in


def test_the_home_page_and_the_catalogue_list_the_release(client: Client, release: Release) -> None:
    for address in ("/", "/releases/"):
        page = client.get(address)
        assert page.status_code == 200
        assert release.name in page.text


def test_an_empty_site_says_what_comes_next(client: Client, db: None) -> None:
    assert "A release manager adds" in client.get("/releases/").text


def test_the_release_page_says_that_weights_are_not_published_here(
    client: Client, release: Release
) -> None:
    assert "not stated" in client.get("/releases/llama-7b/").text
    announced = {"parameters": 6_738_415_616, "layers": 32}
    Release.objects.filter(pk=release.pk).update(**announced)
    page = client.get("/releases/llama-7b/")
    assert "Weights not published here" in page.text
    assert "6.7 B" in page.text
    assert "1.0 T" in page.text


def test_the_release_page_gives_a_stranger_one_step_and_a_person_another(
    client: Client, release: Release, alice: Account
) -> None:
    assert "Sign in" in client.get("/releases/llama-7b/").text.split('class="next-step"')[1][:600]
    assert (
        "Apply"
        in signed_in(alice).get("/releases/llama-7b/").text.split('class="next-step"')[1][:600]
    )


def test_an_unknown_release_is_a_friendly_404(client: Client, db: None) -> None:
    page = client.get("/releases/nothing/", headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "What to do now" in page.text


@pytest.mark.parametrize(
    "card",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        '<img src=x onerror="alert(1)">',
        "![x](https://spy.example/x.png)",
    ],
)
def test_a_model_card_cannot_run_anything(client: Client, release: Release, card: str) -> None:
    release.model_card = card
    release.save(update_fields=["model_card"])
    prose = (
        client.get("/releases/llama-7b/")
        .text.split('<div class="prose">')[1]
        .split("</section>")[0]
    )
    for danger in ("<script", 'href="javascript', "<img"):
        assert danger not in prose


def test_a_model_card_is_rendered_as_markdown_below_the_title(
    client: Client, release: Release
) -> None:
    release.model_card = "# Card\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    release.save(update_fields=["model_card"])
    page = client.get("/releases/llama-7b/").text
    assert "<h2>Card</h2>" in page
    assert "<td>1</td>" in page


def test_the_catalogue_over_rest_is_open_to_everybody(client: Client, release: Release) -> None:
    listed = client.get("/api/v1/releases/").json()["results"]
    assert [one["repo_id"] for one in listed] == ["meta/llama-7b"]
    assert client.get("/api/v1/releases/llama-7b/").json()["parameters"] is None
    Release.objects.filter(pk=release.pk).update(parameters=6_738_415_616)
    assert client.get("/api/v1/releases/llama-7b/").json()["parameters"] == 6_738_415_616
    assert client.get("/api/v1/releases/nothing/").json()["code"] == "not_found"
