"""The house keeps its shape: floors, torch, security headers."""

import subprocess
import sys

import pytest
from django.test import Client

from portal.accounts.models import Account
from tests.people import signed_in


def test_the_web_process_never_imports_torch() -> None:
    """Every URL module is loaded, as by the first request; torch must not come with it."""
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings';"
        "import portal.asgi, importlib;"
        "from django.urls import get_resolver; get_resolver().url_patterns;"
        "import portal.celery; portal.celery.app.loader.import_default_modules();"
        "heavy = {'torch', 'transformers'} & set(sys.modules); sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pages_forbid_inline_scripts_and_foreign_hosts(client: Client, db: None) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_a_page_loads_nothing_from_elsewhere(client: Client, db: None) -> None:
    for part in (
        client.get("/").text.split('src="')[1:]
        + client.get("/").text.split('rel="stylesheet" href="')[1:]
    ):
        assert part.startswith("/"), part[:80]


@pytest.mark.parametrize(
    "address", ["/account/", "/account/tokens/", "/applications/", "/sandbox/"]
)
def test_a_page_about_oneself_asks_to_sign_in(client: Client, db: None, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("/account/login/")


def test_the_admin_is_closed_to_everybody_without_a_role(alice: Account, rita: Account) -> None:
    assert "/login/" in signed_in(alice).get("/admin/", follow=True).redirect_chain[-1][0]
    assert signed_in(rita).get("/admin/", follow=True).status_code == 200


def test_the_api_describes_itself(client: Client, db: None) -> None:
    from openapi_spec_validator import validate
    from yaml import safe_load

    document = safe_load(client.get("/api/schema/").content)
    validate(document)
    assert {
        "/api/v1/releases/",
        "/api/v1/applications/",
        "/api/v1/grants/",
        "/api/v1/runs/",
    } <= set(document["paths"])


def test_the_side_bar_shows_a_reviewer_only_what_opens(rita: Account, manager: Account) -> None:
    assert (
        "Releases"
        not in signed_in(rita)
        .get("/admin/", follow=True)
        .text.split("People and record")[0]
        .split("Grants")[1]
    )
    assert "/admin/catalog/release/" in signed_in(manager).get("/admin/", follow=True).text
    assert signed_in(rita).get("/admin/catalog/release/").status_code == 403


def test_the_menu_marks_where_one_is(client: Client, db: None) -> None:
    assert 'href="/releases/" aria-current="true"' in client.get("/releases/").text
    assert "aria-current" not in client.get("/").text


def test_the_button_of_a_refusal_says_where_it_leads(client: Client, db: None) -> None:
    page = client.get("/nothing-here/", headers={"accept": "text/html"}).text
    assert '<a class="button" href="/releases/">See the releases</a>' in page
