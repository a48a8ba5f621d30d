"""The queue's keys: three applications are returned, approved and refused, and no mouse is touched."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.test_accessibility import tab_to

OpenAs = Callable[..., Page]
HEADING = re.compile(r"WB-\d{6} · ")


def take_the_next(page: Page) -> str:
    """`n` to the next application, `c` to claim it; its heading."""
    before = page.url
    page.keyboard.press("n")
    page.wait_for_url(lambda url: url != before)
    heading = page.get_by_role("heading", level=1, name=HEADING).inner_text()
    page.keyboard.press("c")
    expect(page.get_by_text("Claimed by Samuel Lind").first).to_be_visible()
    return heading


def focused_form(page: Page) -> str:
    heading: str = page.evaluate(
        "document.activeElement.closest('form').querySelector('h2').innerText"
    )
    return heading


def test_from_the_queue_to_three_decisions_by_keys_alone(open_as: OpenAs) -> None:
    page = open_as("second-reviewer@demo.test")
    page.goto("/admin/access_requests/application/")

    returned = take_the_next(page)
    page.keyboard.press("r")
    assert focused_form(page) == "Return for correction"
    page.keyboard.type("Please name the corpus: r, a, x, n and c are letters here.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Returned; the applicant is told by mail.")).to_be_visible()
    expect(page.get_by_text("r, a, x, n and c are letters here.").first).to_be_visible()

    approved = take_the_next(page)
    page.keyboard.press("a")
    assert focused_form(page) == "Approve"
    tab_to(page, "Approve")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Approved by Samuel Lind").first).to_be_visible()

    refused = take_the_next(page)
    page.keyboard.press("x")
    assert focused_form(page) == "Refuse"
    page.keyboard.type("The use described is a service.")
    tab_to(page, "Refuse")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Refused by Samuel Lind").first).to_be_visible()
    assert len({returned, approved, refused}) == 3


def test_the_keys_are_told_and_none_of_them_decides(open_as: OpenAs) -> None:
    page = open_as("reviewer@demo.test")
    page.goto("/admin/access_requests/application/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("n")  # is not heard behind the list
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("n")
    page.wait_for_url(re.compile(r"/\d+/change/"))
    state = page.locator(".wb-tag").first.inner_text()
    for key in ("r", "a", "x"):
        page.keyboard.press(key)
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
    page.reload()
    assert page.locator(".wb-tag").first.inner_text() == state
