"""What is typed into an application is saved, or the page says that it is not and why; nothing is lost."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import sign_in

OpenAs = Callable[..., Page]
ALICE, MALLORY = "researcher@demo.test", "second-reviewer@demo.test"
PURPOSE = "What do you want to find out?"
KEPT = "JSON.stringify(Object.entries(localStorage).filter(([key]) => key.startsWith('draft:')))"


def status_says(page: Page, text: str) -> None:
    expect(page.locator("#draft-status")).to_contain_text(text)


def type_more(page: Page, text: str) -> None:
    """Key by key, as a person does."""
    page.get_by_label(PURPOSE).press("Control+End")
    page.get_by_label(PURPOSE).press_sequentially(text)


def purpose(page: Page) -> str:
    return page.get_by_label(PURPOSE).input_value()


def test_what_is_typed_is_saved_or_the_page_says_why_not(open_as: OpenAs) -> None:
    page = open_as(ALICE)
    page.goto("/applications/new/llama/?release=llama-7b")
    type_more(page, "One")
    status_says(page, "Saved at")  # nobody left the field
    assert page.url.endswith("/edit/")
    draft = page.url
    page.reload()
    assert purpose(page) == "One"

    type_more(page, " two")  # and away, before the pause is over
    page.goto("/applications/")
    page.goto(draft)
    assert purpose(page) == "One two"

    page.context.set_offline(True)
    type_more(page, " three")
    status_says(page, "Not saved: you are offline.")
    page.context.set_offline(False)
    status_says(page, "Saved at")
    assert page.evaluate(KEPT) == "[]"

    page.context.set_offline(True)
    type_more(page, " four")
    status_says(page, "Not saved")
    page.close()
    page.context.set_offline(False)
    page = page.context.new_page()
    page.goto(draft)
    assert purpose(page) == "One two three four"
    status_says(page, "Saved at")

    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=403, json={"code": "not_allowed", "detail": "That is closed."})
        else:
            route.continue_()

    page.route(draft, refuse)
    type_more(page, " five")
    status_says(page, "Not saved: That is closed.")
    page.unroute(draft)

    page.context.clear_cookies()
    type_more(page, " six")
    status_says(page, "Not saved: you are signed out.")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Sign in in a new tab").click()
    sign_in(opened.value, ALICE)
    opened.value.close()
    page.evaluate("dispatchEvent(new Event('focus'))")
    status_says(page, "Saved at")
    page.reload()
    assert purpose(page) == "One two three four five six"

    _two_windows(page, draft)
    _sign_out_clears(page, draft)
    page.get_by_role("button", name="Withdraw this application").click()
    expect(page.locator("main")).to_contain_text("is withdrawn")


def _two_windows(page: Page, draft: str) -> None:
    other = page.context.new_page()
    other.goto(draft)
    type_more(page, " (newer)")
    status_says(page, "Saved at")
    type_more(other, " (older)")
    status_says(other, "the draft was changed in another window")
    other.get_by_role("button", name="Compare both texts").click()
    status_says(other, "Not saved: choose below")
    assert purpose(other).endswith("six (older)")
    expect(other.locator("form")).to_contain_text(["six (newer)"])
    page.reload()
    assert purpose(page).endswith("six (newer)")  # until the person chooses
    other.get_by_role("button", name="Save the draft").last.click()
    expect(other.locator("main")).to_contain_text("The draft is saved.")
    page.reload()
    assert purpose(page).endswith("six (older)")
    other.close()


def _sign_out_clears(page: Page, draft: str) -> None:
    page.route("**/edit/", lambda route: route.abort())
    type_more(page, " (secret)")
    status_says(page, "Not saved")
    assert "(secret)" in page.evaluate(KEPT)
    page.unroute("**/edit/")
    page.context.set_offline(False)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert page.evaluate(KEPT) == "[]"
    sign_in(page, ALICE)
    page.goto(draft)


def test_a_double_click_on_submit_lands_on_the_receipt(open_as: OpenAs) -> None:
    page = open_as(ALICE)
    page.goto("/applications/new/llama/?release=llama-7b")
    page.get_by_label(PURPOSE).fill("How small models represent negation.")
    page.get_by_label("What will you do with the model?").fill("Probing.")
    page.get_by_label("Will you share outputs or derivatives?").select_option("nothing")
    twice = "button => { button.click(); setTimeout(() => button.click(), 120); }"
    page.get_by_role("button", name="Save and read the licence").evaluate(twice)
    expect(page).to_have_url(re.compile("/licence/$"))
    name = page.locator("form strong").inner_text()
    page.get_by_label("Type your full name to accept").fill(name)
    page.get_by_role("button", name="Accept and submit").evaluate(twice)
    expect(page).to_have_url(re.compile(r"/applications/\d+/$"))
    expect(page.locator("main")).to_contain_text("Waiting for a reviewer")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator("main")).to_contain_text("is withdrawn")
