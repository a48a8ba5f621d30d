"""axe finds nothing serious on any page, and a reviewer needs no mouse."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import AXE, violations

OpenAs = Callable[..., Page]
# Every page is looked at in tests/every_page; here those that the running site fills with most.
LIVED_IN = {
    None: ("/demo/mail/", "/releases/smollm2-135m/", "/audit/"),
    "researcher@demo.test": ("/applications/1/", "/sandbox/", "/sandbox/runs/"),
    "manager@demo.test": (
        "/admin/",
        "/admin/access_requests/application/2/change/",
        "/admin/access_requests/application/fairness/",
        "/admin/state/",
    ),
}


@pytest.mark.parametrize("email", LIVED_IN, ids=["stranger", "researcher", "manager"])
def test_axe_finds_no_serious_violation(open_as: OpenAs, email: str | None) -> None:
    """Nothing of a page is left out, unfold's own templates included."""
    page = open_as(email, color_scheme="light")
    found = []
    for address in LIVED_IN[email]:
        page.goto(address)
        found += violations(page, address)
    assert not found, "\n".join(found)


def test_axe_sees_what_is_wrong_or_its_silence_says_nothing(open_as: OpenAs) -> None:
    page = open_as()
    page.goto("/account/login/")
    page.evaluate(
        "document.querySelectorAll('label').forEach(label => label.remove());"
        "document.querySelectorAll('input').forEach(input => input.removeAttribute('placeholder'))"
    )
    page.evaluate(AXE)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert "label" in {one["id"] for one in result["violations"]}


def test_a_reviewer_decides_from_the_queue_by_keyboard_alone(open_as: OpenAs) -> None:
    page = open_as("second-reviewer@demo.test")
    page.goto("/admin/")
    applicant = "Sunita Iyer"
    row = page.get_by_role("row").filter(has_text=applicant)
    reference = row.get_by_role("link").first.inner_text()
    tab_to(page, reference)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=applicant)).to_be_visible()
    tab_to(page, "Claim it")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Claimed by Samuel Lind").first).to_be_visible()
    tab_to(page, "Decide")
    page.keyboard.press("Enter")
    tab_to(page, "Reason in your words")  # passes the fields of the two forms before it
    page.keyboard.type("The question is not one of research.")
    tab_to(page, "Refuse")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("Refused by Samuel Lind")).first).to_be_visible()
    expect(page.get_by_text("The question is not one of research.").first).to_be_visible()


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called `name`, and see that the focus shows."""
    for _ in range(150):
        page.keyboard.press("Tab")
        text, visible = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " const label = e.labels && e.labels.length ? e.labels[0].innerText : '';"
            " return [(label || e.innerText || e.ariaLabel || '').trim(),"
            " s.outlineStyle !== 'none' || s.boxShadow !== 'none']; }"
        )
        if text == name:
            assert visible, f"the focus on {name} does not show"
            return
    raise AssertionError(f"no Tab leads to {name}")
