"""A passkey in Chromium's own virtual authenticator: made, used without a password, used beside it, removed."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in
from tests.live import PASSWORD, Site

OpenAs = Callable[..., Page]
EMAIL = "newcomer@demo.test"


def with_authenticator(page: Page) -> None:
    """A device that holds passkeys and knows its owner's finger."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def add_one(page: Page, name: str) -> None:
    page.goto("/account/2fa/")
    page.get_by_role("link", name="Add a passkey").click()
    if "reauthenticate" in page.url:
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    expect(page.locator(".recovery li")).to_have_count(10)


def test_a_passkey_signs_in_alone_and_beside_the_password(site: Site, open_as: OpenAs) -> None:
    # Passkeys belong to a name: browsers give none to a numeric address.
    page = open_as(base_url=site.url.replace("127.0.0.1", "localhost"))
    with_authenticator(page)
    sign_in(page, EMAIL)
    add_one(page, "My laptop")

    page.get_by_role("button", name="Sign out").click()
    page.goto("/account/login/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(lambda url: "/login" not in url)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    sign_in(page, EMAIL)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your second factor")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(lambda url: "authenticate" not in url)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()

    page.goto("/account/2fa/")
    page.get_by_role("link", name="See and remove them").click()
    expect(page.get_by_role("heading", name="My laptop")).to_contain_text("signs in alone")
    page.get_by_role("link", name="Remove My laptop").click()
    if "reauthenticate" in page.url:
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("heading", name="None yet")).to_be_visible()


def test_without_a_passkey_the_page_says_what_else_there_is(site: Site, open_as: OpenAs) -> None:
    page = open_as(base_url=site.url.replace("127.0.0.1", "localhost"))
    with_authenticator(page)
    page.goto("/account/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("[data-passkey-says]")).to_contain_text("take another way")


def test_at_a_numeric_address_it_says_why_not(open_as: OpenAs) -> None:
    page = open_as()
    page.goto("/account/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("[data-passkey-says]")).to_contain_text("numeric address")
