"""The sandbox as a research instrument: playground, tokens and branches, side by side, sweep.

On a running site, with a real model; nothing is reached into, everything is clicked.
"""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import sign_in
from tests.live import Site

OpenAs = Callable[..., Page]
WHO = "researcher@demo.test"
SLOW = 120_000  # ms: a model on a busy machine


@pytest.fixture(scope="module")
def session(browser: Browser, site: Site) -> Any:
    """The cookies of one who signed in once: a password is slow to check, and no test here signs out."""
    context = browser.new_context(base_url=site.url)
    sign_in(context.new_page(), WHO)
    yield context.storage_state()
    context.close()


@pytest.fixture
def page(open_as: OpenAs, session: Any) -> Page:
    page = open_as(storage_state=session, color_scheme="light")
    page.goto("/sandbox/?release=smollm2-135m")
    return page


def ask(
    page: Page, prompt: str, *, tokens: int, mode: str = "plain text", preset: str = "Greedy"
) -> None:
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_label(mode).check()
    page.get_by_role("button", name=preset, exact=True).click()
    page.get_by_label("Maximum tokens").fill(str(tokens))


def over(page: Page) -> Locator:
    """The panel of the run, once it is over."""
    panel = page.locator("article.run")
    expect(panel.locator(".tag")).to_have_text(re.compile("finished|cancelled"), timeout=SLOW)
    return panel


# ---- The playground ------------------------------------------------------------------------------


def test_presets_fill_the_fields_and_the_keyboard_sends_them(page: Page) -> None:
    ask(page, "Once upon a time", tokens=6, preset="Reproducible, alone")
    expect(page.get_by_label("Temperature")).to_have_value("0.7")
    expect(page.get_by_label("Seed")).to_have_value("1")
    page.get_by_text("More options").click()
    expect(page.get_by_label("Compute it alone")).to_be_checked()
    page.get_by_role("button", name="Greedy").click()
    expect(page.get_by_label("Temperature")).to_have_value("0")
    expect(page.get_by_label("Compute it alone")).not_to_be_checked()
    page.get_by_label("Prompt").press("Control+Enter")
    panel = over(page)
    expect(panel.locator(".tag")).to_have_text("finished")
    expect(panel).to_contain_text(
        re.compile(r"6 tokens, [\d.]+ tokens/s, the first after [\d.]+ s")
    )


def test_the_answer_comes_into_view_and_the_page_around_it_follows(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 640})
    ask(page, "A lighthouse stands", tokens=12)
    left = page.locator("#quota strong").inner_text()
    page.get_by_label("Prompt").press("Control+Enter")
    expect(page.locator("article.run .answer-turn .label")).to_be_in_viewport()
    over(page)
    expect(page.locator("article.run .tokens").first).to_be_in_viewport()
    earlier = page.locator("#earlier li").first
    expect(earlier).to_contain_text("A lighthouse stands")
    expect(earlier).to_contain_text("finished")
    expect(page.locator("#quota strong")).not_to_have_text(left)


def test_a_token_that_comes_beneath_a_resting_pointer_opens_no_card(page: Page) -> None:
    ask(page, "A lighthouse stands", tokens=12)
    page.get_by_label("Prompt").press("Control+Enter")
    over(page)
    expect(page.locator("#quota")).not_to_contain_text("reserved")  # which moves what is below it
    card, token = page.locator("#token-card"), page.locator(".answer-turn .tokens > .t").nth(1)
    box = token.bounding_box()
    assert box
    page.mouse.move(box["x"] + 4, box["y"] + 75 + 4)
    expect(card).to_be_hidden()
    page.evaluate("scrollBy(0, -75)")
    page.wait_for_timeout(500)
    after = token.bounding_box()
    assert after
    assert after["y"] == pytest.approx(box["y"] + 75, abs=1)
    expect(card).to_be_hidden()
    page.mouse.move(box["x"] + 6, box["y"] + 75 + 6)
    expect(card).to_be_visible()


def test_a_long_answer_counts_itself_and_is_stopped(page: Page) -> None:
    ask(page, "The history of the sea:", tokens=1000, preset="Creative")
    page.get_by_label("Prompt").press("Control+Enter")
    meters = page.locator(".meters")
    expect(meters).to_contain_text(re.compile(r"first token after [\d.]+ s"), timeout=SLOW)
    expect(meters).to_contain_text(re.compile(r"\d+ tokens?, [\d.]+ tokens/s"), timeout=SLOW)
    page.get_by_role("button", name="Stop").click()
    panel = over(page)
    expect(panel.locator(".tag")).to_have_text("cancelled")
    expect(panel).to_contain_text("It was cancelled.")
    expect(panel.locator(".output")).not_to_be_empty()


def test_a_conversation_goes_on_and_an_answer_is_made_anew(page: Page) -> None:
    ask(page, "What is the capital of France?", tokens=12, mode="a conversation", preset="Balanced")
    page.get_by_role("button", name="Run").click()
    panel = over(page)
    first = panel.locator(".output").inner_text()
    panel.get_by_role("button", name="Regenerate").click()
    page.wait_for_url(re.compile("/sandbox/runs/"))
    panel = over(page)
    expect(page.locator("dl.facts")).to_contain_text("Seed")
    panel.get_by_label("Go on with the conversation").fill("And of Italy?")
    panel.get_by_label("Go on with the conversation").press("Control+Enter")
    expect(page.locator(".turns")).to_contain_text("And of Italy?")
    panel = over(page)
    expect(panel.locator(".turn.user")).to_have_count(2)
    expect(panel.locator(".turn.assistant")).to_have_count(1)
    expect(panel.locator(".tree")).to_contain_text("said: And of Italy?")
    assert first


def test_without_javascript_the_answer_is_on_the_page_when_it_is_whole(
    open_as: OpenAs, session: Any
) -> None:
    page = open_as(storage_state=session, java_script_enabled=False)
    page.goto("/sandbox/?release=smollm2-135m")
    expect(page.get_by_role("group", name="Presets")).to_be_hidden()
    page.get_by_label("Prompt").fill("Once")
    page.get_by_label("plain text").check()
    page.get_by_label("Maximum tokens").fill("4")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("article.run .tag")).to_have_text("finished", timeout=SLOW)
    page.get_by_role("link", name="As a table").first.click()
    page.get_by_role("button", name=re.compile("Go on from token 2")).first.click()
    expect(page.locator("article.run .tag")).to_have_text("finished", timeout=SLOW)
    expect(page.locator("article.run")).to_contain_text("A branch: its first 2 tokens come from")


# ---- Tokens and branches -------------------------------------------------------------------------


def test_a_token_shows_its_alternatives_and_one_of_them_leads_on(page: Page) -> None:
    ask(page, "The best thing about the sea is", tokens=10)
    page.get_by_role("button", name="Run").click()
    panel = over(page)
    tokens, card = panel.locator(".output .t"), page.get_by_role("dialog", name="One token")
    expect(tokens).to_have_count(10)
    expect(card).to_be_hidden()

    tokens.nth(2).hover()
    expect(card).to_contain_text("token 3, number")
    expect(card).to_contain_text(
        re.compile(r"Probability [\d.]+ %, surprisal [\d.]+ bits, entropy")
    )
    expect(card.get_by_role("listitem")).to_have_count(8)
    page.mouse.move(2, 2)
    expect(card).to_be_hidden()

    before = "".join(tokens.nth(place).inner_text() for place in range(2))
    tokens.nth(2).click()
    second = card.get_by_role("button").first
    taken = second.locator("code").inner_text().replace("·", " ")
    second.click()
    page.wait_for_url(re.compile("/sandbox/runs/"))
    panel = over(page)
    expect(panel).to_contain_text("A branch: its first 3 tokens come from")
    assert panel.locator(".output").inner_text().startswith(before + taken)
    expect(panel.locator(".tree li")).to_have_count(2)
    expect(panel.locator(".tree")).to_contain_text("This run at token 3 went on with")
    panel.get_by_role("link", name="The first run").click()
    expect(page.locator(".tree")).to_contain_text("This run")
    page.get_by_role("link", name="Branch", exact=True).click()
    expect(page.locator("article.run")).to_contain_text("A branch:")


def test_tokens_are_read_and_taken_without_a_mouse(page: Page) -> None:
    ask(page, "Once upon a time", tokens=6)
    page.get_by_label("Prompt").press("Control+Enter")
    panel = over(page)
    card, said = page.get_by_role("dialog", name="One token"), page.locator("#token-said")
    panel.get_by_role("link", name="As a table").first.focus()
    page.keyboard.press("Tab")
    expect(card).to_contain_text("token 1,")
    expect(said).to_contain_text("Enter for the alternatives.")
    page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("token 2,")
    page.keyboard.press("End")
    expect(card).to_contain_text("token 6,")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(card.get_by_role("button").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    expect(panel.locator(".output .t").first).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/sandbox/runs/"))
    expect(page.locator("article.run")).to_contain_text(
        "A branch: its first 2 tokens", timeout=SLOW
    )


def test_a_tap_shows_the_card_at_the_foot_of_a_phone(open_as: OpenAs, session: Any) -> None:
    phone = {"width": 390, "height": 844}
    page = open_as(storage_state=session, viewport=phone, has_touch=True)
    page.goto("/sandbox/?release=smollm2-135m")
    ask(page, "Once upon a time", tokens=6)
    page.get_by_role("button", name="Run").tap()
    token = over(page).locator(".output .t").nth(1)
    token.tap()
    card = page.get_by_role("dialog", name="One token")
    expect(card).to_contain_text("token 2,")
    box, place = card.bounding_box(), token.bounding_box()
    assert box
    assert place
    assert round(box["y"] + box["height"]) == 844
    assert place["y"] + place["height"] <= box["y"], "the token is not covered by its own card"
    page.get_by_role("heading", level=1).tap()
    expect(card).to_be_hidden()


def test_the_prompt_is_shown_as_the_model_read_it(page: Page) -> None:
    ask(page, "Naïve llamas\n\tsleep 🦙.", tokens=2)
    page.get_by_role("button", name="Run").click()
    panel = over(page)
    panel.get_by_text("The prompt as the model read it").click()
    expect(panel).to_contain_text(re.compile(r"\d+ tokens, perplexity [\d.,]+"))
    prompt = panel.locator("details.fold .tokens")
    assert prompt.inner_text().replace("\u200b", "") == "Naïve llamas\n\tsleep 🦙."
    panel.locator("details.fold").get_by_role("radio", name="Cuts").check()
    cut = prompt.locator(".t").first
    shown = cut.evaluate("token => getComputedStyle(token, '::after').content")
    assert shown == f'"{cut.get_attribute("data-i")}"', "its number stands beside it"
    prompt.locator(".t").nth(1).hover()
    card = page.get_by_role("dialog", name="One token")
    expect(card).to_contain_text("The likeliest in this place.")
    expect(card.get_by_role("button")).to_have_count(0)


def test_a_run_is_done_again_and_says_whether_it_is_identical(page: Page) -> None:
    ask(page, "The sea is", tokens=24)
    page.get_by_role("button", name="Run").click()
    over(page).locator("p a").first.click()
    first = page.url
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: url != first)
    note = page.get_by_label("Note")
    note.fill("Twice the same?")
    # Without a reload, and without taking away what is being typed.
    expect(page.locator("#verdict")).to_contain_text("Identical. All 24 tokens", timeout=SLOW)
    expect(page.get_by_text("Report this answer")).to_be_visible()
    expect(page.locator("#facts")).to_contain_text("First token")
    expect(note).to_have_value("Twice the same?")
    page.locator("#verdict").get_by_role("link", name="the first run").click()
    assert page.url == first


# ---- Side by side, sweep -------------------------------------------------------------------------


def test_two_settings_are_answered_side_by_side(page: Page) -> None:
    page.get_by_role("link", name="Side by side").first.click()
    page.get_by_label("Prompt").fill("Once upon a time")
    page.get_by_label("plain text").check()
    page.get_by_label("Maximum tokens").fill("8")
    third = page.get_by_role("group", name="Column 3")
    third.get_by_label("Release").select_option(label="SmolLM2 135M")
    third.get_by_label("Temperature").fill("0")
    page.get_by_role("button", name="Run all columns").click()
    page.wait_for_url(re.compile("/sandbox/jobs/"))
    columns = page.locator("article.column")
    expect(columns).to_have_count(3)
    for number in range(3):
        expect(columns.nth(number).locator(".output .t")).to_have_count(8, timeout=SLOW)
    expect(page.locator("#compared")).to_contain_text("Column 3:", timeout=SLOW)
    boxes = [columns.nth(number).bounding_box() for number in range(3)]
    assert len({round(box["y"]) for box in boxes if box}) == 1, "one beside the other"
    page.set_viewport_size({"width": 390, "height": 844})
    boxes = [columns.nth(number).bounding_box() for number in range(3)]
    assert len({round(box["x"]) for box in boxes if box}) == 1, "and on a phone one under the other"
    columns.nth(1).locator(".output .t").first.click()
    expect(page.get_by_role("dialog", name="One token").get_by_role("button").first).to_be_visible()
    page.keyboard.press("Escape")
    columns.nth(1).get_by_role("link", name="The whole run").click()
    page.get_by_role("link", name="a comparison").click()
    expect(columns).to_have_count(3)


def test_a_grid_is_swept_and_taken_home(page: Page) -> None:
    page.get_by_role("link", name="Sweep").first.click()
    page.get_by_label("Prompt").fill("The best thing about the sea is")
    page.get_by_label("plain text").check()
    page.get_by_label("Temperatures").fill("0, 0.9")
    page.get_by_label("Seeds").fill("1-40")
    page.get_by_label("Maximum tokens").fill("4")
    page.get_by_role("button", name="Run the grid").click()
    expect(page.get_by_text("a sweep has at most 64")).to_be_visible()
    page.get_by_label("Seeds").fill("1-3")
    page.get_by_role("button", name="Run the grid").click()
    page.wait_for_url(re.compile("/sandbox/jobs/"))
    expect(page.locator("#results .tag.ok")).to_have_text("over", timeout=SLOW)
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "One prompt, 2 temperatures × 3 seeds"
    )
    greedy = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="0.0"))
    expect(greedy.locator(".cell.shared")).to_have_count(3)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Results as CSV").click()
    text = Path(saved.value.path()).read_text()
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(line["temperature"], line["seed"]) for line in lines] == [
        (temperature, seed) for temperature in ("0.0", "0.9") for seed in ("1", "2", "3")
    ]
    assert len({line["output"] for line in lines[:3]}) == 1
    greedy.get_by_role("link").first.click()
    expect(page.locator("article.run .output .t")).to_have_count(4)


def test_a_whole_sweep_is_stopped(page: Page) -> None:
    page.goto("/sandbox/sweep/")
    page.get_by_label("Prompt").fill("A very long story:")
    page.get_by_label("Maximum tokens").fill("900")
    page.get_by_label("Seeds").fill("1-8")
    page.get_by_role("button", name="Run the grid").click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Stop all").click()
    expect(page.locator("#results .tag.ok")).to_have_text("over", timeout=SLOW)
    expect(page.locator("#results")).to_contain_text("0 different texts among 24 runs")


def test_axe_finds_nothing_serious_where_there_are_tokens(page: Page) -> None:
    ask(page, "Line one\nline two 🦙", tokens=24, mode="a conversation", preset="Creative")
    page.get_by_role("button", name="Run").click()
    panel = over(page)
    panel.get_by_text("The prompt as the model read it").click()
    found = violations(page, "playground")
    # Of what is drawn: a token can be a part of a character, which has no width.
    panel.locator(".output .t").filter(visible=True).nth(1).click()
    found += violations(page, "card")
    page.keyboard.press("Escape")
    panel.get_by_role("radio", name="Cuts").first.check()
    found += violations(page, "cuts")
    panel.get_by_role("link", name="As a table").first.click()
    found += violations(page, "table")
    for address in ("/sandbox/", "/sandbox/compare/", "/sandbox/sweep/"):
        page.goto(address)
        found += violations(page, address)
    assert not found, "\n".join(found)
