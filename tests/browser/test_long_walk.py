"""One application through everything that can happen to it: a lab of three, a referee, a correction, a
refusal, an appeal, two approvals, a renewal. Everything is clicked, and every link comes by mail.
"""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.live import PASSWORD, Site

OpenAs = Callable[..., Page]
REFEREE = "referee@university.test"
LAB = {"alice": "Alice Longwalk", "bob": "Bob Longwalk", "carol": "Carol Longwalk"}
FIRST_TRY = "Everything about language."
MENDED = "How a small model stores facts, layer by layer."
NOTE = "Ask Sam; the group is new to us."


def address(who: str) -> str:
    return f"{who}.longwalk@university.test"


def test_a_lab_is_returned_refused_appeals_is_approved_by_two_and_renews(
    site: Site, open_as: OpenAs
) -> None:
    first, second, manager = (
        open_as(f"{who}@demo.test") for who in ("reviewer", "second-reviewer", "manager")
    )
    ask_for_two_approvals_and_a_referee(manager)
    alice = open_as()
    sign_up(alice, "alice")
    reference = apply(alice)
    lab = [invite_and_join(alice, open_as(), who) for who in ("bob", "carol")]

    return_it(first, reference)
    talk(alice, first)
    correct(alice)
    refer(open_as(), alice)
    see_what_changed_and_refuse(first)

    appeal(alice)
    expect_barred(first)
    approve(second, reference, "A second person has to approve before any grant opens")
    approve(manager, reference, "Approved by")
    for page in (alice, *lab):
        holds_a_grant(page)
    renew(alice, first, second)
    nothing_internal_is_shown(alice)


def ask_for_two_approvals_and_a_referee(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_role("link", name="Decision policies").click()
    page.get_by_role("link", name=re.compile("Add")).first.click()
    page.locator("[name=release]").select_option(label="meta/llama-7b", force=True)
    page.locator("[name=approvals]").select_option("2", force=True)
    page.locator("[name=checklist]").fill("The affiliation was looked up")
    page.get_by_label("Ask for a referee").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text("meta/llama-7b")


def sign_up(page: Page, who: str, *, then: str = "/") -> None:
    page.goto("/")
    page.get_by_role("link", name="Sign in").first.click()
    page.get_by_role("link", name=re.compile("sign up", re.I)).first.click()
    page.get_by_label("Full name").fill(LAB[who])
    page.get_by_label("Email").fill(address(who))
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    newest_mail(page, address(who), "confirm-email").click()
    page.get_by_role("button", name="Yes, confirm it").click()
    expect(page.get_by_role("link", name=LAB[who].split()[0])).to_be_visible()


def newest_mail(page: Page, email: str, link: str) -> Locator:
    """The link that holds `link`, in the newest mail to that address that has one."""
    page.goto(f"/demo/mail/?to={email}")
    found = page.locator(f"article a[href*='{link}']").first
    expect(found).to_be_visible()
    return found


def say_who(page: Page) -> None:
    page.get_by_label("Category").select_option("academia")
    page.get_by_label("Institution").fill("University of Long Walks")
    page.get_by_label("Country").select_option("NL")
    page.get_by_label("Position").fill("PhD student")
    page.get_by_role("button", name=re.compile("Save")).click()


def apply(page: Page) -> str:
    page.get_by_role("link", name="Releases").first.click()
    page.get_by_role("link", name="LLaMA 7B").first.click()
    page.locator(".next-step a.button").click()
    say_who(page)
    page.get_by_label("What do you want to find out?").fill(FIRST_TRY)
    page.get_by_label("What will you do with the model?").fill("Probing, on our own server.")
    page.get_by_label("Will you share outputs or derivatives?").select_option("outputs")
    page.get_by_role("button", name="Save and read the licence").click()

    expect(page.get_by_text("name your referee")).to_be_visible()
    page.get_by_role("link", name="Name them").click()
    page.get_by_label("Name", exact=True).fill("Rena Referee")
    page.get_by_label("Position").fill("Professor")
    page.get_by_label("E-mail address at their institution").fill(REFEREE)
    page.get_by_role("button", name="Name your referee").click()
    page.get_by_role("link", name="Go on to the licence").click()
    page.get_by_label(re.compile("name", re.I)).fill(LAB["alice"])
    page.get_by_role("button", name="Accept and submit").click()
    expect(page.get_by_text("Waiting for a reviewer").first).to_be_visible()
    reference = re.search(r"WB-\d{6}", page.locator("main").inner_text())
    assert reference
    return reference[0]


def mine(page: Page) -> None:
    """The applicant's page of the application, from the home page."""
    page.goto("/")
    page.get_by_role("link", name="My access").first.click()
    page.get_by_role("link", name=re.compile(r"WB-\d{6}")).first.click()


def invite_and_join(alice: Page, page: Page, who: str) -> Page:
    mine(alice)
    alice.get_by_role("link", name="See and invite the people of your lab").click()
    alice.get_by_label(re.compile("mail", re.I)).fill(address(who))
    alice.get_by_role("button", name="Invite").click()
    expect(alice.get_by_role("cell").filter(has_text=address(who))).to_be_visible()

    sign_up(page, who)
    newest_mail(page, address(who), "applications/join").click()
    page.get_by_role("link", name="Say who you are").click()
    say_who(page)
    expect(page.get_by_role("heading", name="Join this application")).to_be_visible()
    page.get_by_label(re.compile("name", re.I)).fill(LAB[who])
    page.get_by_role("button", name="Accept and join").click()
    expect(page.get_by_text("Not accepted yet")).to_have_count(0)
    return page


def open_at_the_desk(page: Page, reference: str) -> None:
    page.goto("/admin/")
    page.get_by_role("link", name="Applications").first.click()
    page.get_by_role("link", name=reference).click()


def return_it(page: Page, reference: str) -> None:
    open_at_the_desk(page, reference)
    page.get_by_role("button", name="Claim it").click()
    page.get_by_label("A note for reviewers").fill(NOTE)
    page.get_by_role("button", name="Keep the note").click()
    expect(page.get_by_text(NOTE)).to_be_visible()
    page.get_by_label("What has to be mended").fill("The question is too wide.")
    page.get_by_role("button", name="Return it").click()
    expect(page.get_by_text("Returned for correction").first).to_be_visible()


def talk(alice: Page, reviewer: Page) -> None:
    mine(alice)
    expect(alice.get_by_text("The question is too wide.").first).to_be_visible()
    alice.get_by_label("Write to the reviewers").fill("Is one layer enough?")
    alice.get_by_role("button", name="Send", exact=True).click()
    reviewer.reload()
    reviewer.get_by_label("Write to the applicant").fill("One layer is a good start.")
    reviewer.get_by_role("button", name="Send", exact=True).click()
    newest_mail(alice, address("alice"), "#messages").click()
    expect(alice.get_by_text("One layer is a good start.")).to_be_visible()


def correct(page: Page) -> None:
    page.get_by_role("link", name="Correct it").click()
    page.get_by_label("What do you want to find out?").fill(MENDED)
    page.get_by_role("button", name=re.compile("Save and")).click()
    page.get_by_label(re.compile("name", re.I)).fill(LAB["alice"])
    page.get_by_role("button", name="Accept and submit").click()
    expect(page.get_by_text("In review").first).to_be_visible()


def refer(referee: Page, alice: Page) -> None:
    """Without an account, over the mailed link; and the link works once."""
    link = newest_mail(referee, REFEREE, "applications/").get_attribute("href")
    assert link
    referee.goto(link)
    expect(referee.get_by_role("heading", level=1)).to_contain_text(LAB["alice"])
    referee.get_by_label(re.compile("How do you know")).fill("I taught her for two years.")
    referee.get_by_role("group", name=re.compile("research")).get_by_label("Yes").check()
    referee.get_by_role("group", name=re.compile("reason against")).get_by_label("No").check()
    referee.get_by_role("button", name="Send my answers").click()
    expect(referee.get_by_role("heading", name="Thank you")).to_be_visible()
    referee.goto(link)
    expect(referee.locator("main")).to_contain_text("used already")
    mine(alice)
    expect(alice.locator("main")).not_to_contain_text("I taught her")


def see_what_changed_and_refuse(page: Page) -> None:
    page.reload()
    changed = page.locator(".wb-answer").filter(has_text="changed").first
    expect(changed).to_contain_text(FIRST_TRY)
    expect(changed).to_contain_text(MENDED)
    expect(page.get_by_text("I taught her for two years.").first).to_be_visible()
    page.get_by_label("Reason in your words").fill("The plan names no measure.")
    page.get_by_role("button", name="Refuse", exact=True).click()
    expect(page.get_by_text("Refused by").first).to_be_visible()


def appeal(page: Page) -> None:
    newest_mail(page, address("alice"), "/applications/").click()
    expect(page.get_by_text("The plan names no measure.").first).to_be_visible()
    page.get_by_label("Why the refusal is mistaken").fill(
        "The measure stands in the second answer."
    )
    page.get_by_role("button", name="Appeal").click()
    expect(page.get_by_text("Appeal waiting for another reviewer").first).to_be_visible()


def expect_barred(page: Page) -> None:
    """Whoever refused reads the appeal, and cannot take it."""
    page.reload()
    expect(page.get_by_text("The measure stands in the second answer.")).to_be_visible()
    expect(page.get_by_role("button", name="Claim it")).to_have_count(0)


def approve(page: Page, reference: str, told: str) -> None:
    open_at_the_desk(page, reference)
    page.get_by_role("button", name="Claim it").click()
    form = page.locator("form").filter(has=page.get_by_role("heading", name="Approve"))
    form.get_by_label("The affiliation was looked up").check()
    form.get_by_role("button", name="Approve").click()
    expect(page.locator("body")).to_contain_text(told)


def holds_a_grant(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="My access").first.click()
    row = page.get_by_role("row").filter(has_text="sandbox and download")
    expect(row.get_by_role("link", name="LLaMA 7B")).to_be_visible()


def renew(alice: Page, first: Page, second: Page) -> None:
    """Where two people approve, two renew."""
    alice.get_by_role("link", name="Renew it").click()
    alice.get_by_label("What did you use it for?").fill("Probing layer after layer.")
    alice.get_by_role("button", name="Ask for the renewal").click()
    for reviewer, said in ((first, "the first of two"), (second, "Renewed")):
        reviewer.goto("/admin/")
        reviewer.get_by_role("link", name="Renewals").click()
        reviewer.locator("#result_list tbody a").first.click()
        expect(reviewer.get_by_text("Probing layer after layer.")).to_be_visible()
        reviewer.get_by_role("button", name="Renew it").click()
        expect(reviewer.get_by_text(said).first).to_be_visible()
    alice.goto(f"/demo/mail/?to={address('alice')}")
    expect(alice.get_by_text("Your grant for LLaMA 7B is renewed")).to_be_visible()


def nothing_internal_is_shown(page: Page) -> None:
    """The reviewers' note is on no page of the applicant's, and in none of the mails."""
    mine(page)
    expect(page.locator("body")).not_to_contain_text(NOTE)
    page.goto(f"/demo/mail/?to={address('alice')}")
    expect(page.locator("body")).not_to_contain_text(NOTE)
