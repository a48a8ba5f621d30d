"""Every page fits a phone, in light and dark; and what matters works without JavaScript."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

OpenAs = Callable[..., Page]

PUBLIC = (
    "/",
    "/releases/",
    "/releases/smollm2-135m/",
    "/releases/llama-65b/",
    "/account/login/",
    "/account/signup/",
    "/account/password/reset/",
    "/demo/mail/",
    "/audit/",
    "/nothing/here/",
)
RESEARCHER = (
    "/applications/",
    "/applications/1/",
    "/releases/smollm2-135m/files/",
    "/sandbox/",
    "/sandbox/runs/",
    "/account/",
    "/account/tokens/",
    "/account/email/",
    "/account/password/change/",
    "/account/2fa/",
    "/account/2fa/webauthn/add/",
    "/account/erase/",
    "/applications/1/people/",
    "/applications/1/witnesses/",
    "/applications/grants/1/renew/",
    "/applications/grants/1/close/",
    "/applications/agreements/1/",
    "/applications/new/llama/",
)
STAFF = (
    "/admin/",
    "/admin/access_requests/application/2/change/",
    "/admin/access_requests/grant/1/change/",
    "/admin/access_requests/grant/then/",
    "/admin/access_requests/grant/then/?release=smollm2-135m&at=2027-01-01T00:00:00&tier=weights&show=all",
    "/admin/access_requests/application/fairness/",
    "/admin/access_requests/form/add/",
    "/admin/access_requests/form/1/change/",
    "/admin/access_requests/evidencelist/",
    "/admin/access_requests/automaticrule/add/",
    "/admin/access_requests/secondlook/",
    "/admin/catalog/licence/1/change/",
    "/admin/state/",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("email", "addresses"),
    [(None, PUBLIC), ("researcher@demo.test", RESEARCHER), ("manager@demo.test", STAFF)],
    ids=["stranger", "researcher", "manager"],
)
def test_no_page_is_wider_than_a_phone(
    open_as: OpenAs, email: str | None, addresses: tuple[str, ...], scheme: str
) -> None:
    page = open_as(email, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for address in addresses:
        page.goto(address)
        wider = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider <= 0, f"{address} is {wider} px wider than the screen"
        assert page.title()


def test_every_field_has_a_label_and_every_page_one_heading(open_as: OpenAs) -> None:
    page = open_as("researcher@demo.test")
    for address in RESEARCHER:
        page.goto(address)
        assert page.locator("h1").count() == 1, address
        nameless = page.eval_on_selector_all(
            "main input:not([type=hidden]), main select, main textarea",
            "all => all.filter(e => !e.labels.length && !e.ariaLabel).map(e => e.name)",
        )
        assert nameless == [], f"{address}: {nameless}"


def test_without_javascript_a_person_applies_and_prompts(open_as: OpenAs) -> None:
    page = open_as("researcher@demo.test", java_script_enabled=False)
    page.goto("/applications/new/llama/?release=llama-7b")
    page.get_by_label("What do you want to find out?").fill("Typed without a script.")
    page.get_by_role("button", name="Save the draft").click()
    page.goto("/applications/")
    page.get_by_role("row").filter(has_text="Draft").get_by_role("link").first.click()
    expect(page.locator("main")).to_contain_text("Typed without a script.")

    page.goto("/sandbox/?release=smollm2-135m")
    page.get_by_label("Prompt").fill("The capital of France is")
    page.get_by_label("plain text").check()
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("tokens").fill("5")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for _ in range(60):
        if "Paris" in page.locator("main").inner_text():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(page.locator(".output")).to_contain_text("Paris")
