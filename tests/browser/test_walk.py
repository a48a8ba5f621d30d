"""The whole way, as people walk it: see, sign up, apply, be reviewed, download, prompt, be revoked.

On a running site with real parts and real weights; nothing is reached into, everything is clicked.
"""

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.live import Site

EMAIL, NAME, PASSPHRASE = "alice@university.test", "Alice Walker", "a-long-passphrase-7"
OpenAs = Callable[..., Page]


def test_a_stranger_walks_the_whole_way_to_an_answer_and_is_revoked(
    site: Site, open_as: OpenAs, tmp_path: Path
) -> None:
    alice = open_as()
    see_the_catalogue(alice)
    sign_up(alice)
    reference = apply(alice)
    review(open_as("reviewer@demo.test"), reference)
    address = download(alice, tmp_path)
    prompt(alice)
    revoke(open_as("manager@demo.test"))
    be_refused_everywhere(alice, address)


def see_the_catalogue(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Model weights")
    page.get_by_role("link", name="See the releases").click()
    for size, shards in (("7B", "1"), ("13B", "2"), ("33B", "4"), ("65B", "8")):
        row = page.get_by_role("row").filter(has_text=f"meta/llama-{size.lower()}")
        expect(row.get_by_role("cell").nth(6)).to_have_text(shards)
    page.get_by_role("link", name="SmolLM2 135M").click()
    expect(page.get_by_text("They were read from the 4-bit file")).to_be_visible()
    expect(page.locator(".next-step")).to_have_count(1)
    expect(page.locator(".next-step a.button")).to_have_text("Sign in")


def sign_up(page: Page) -> None:
    page.goto("/account/signup/")
    page.get_by_label("Full name").fill(NAME)
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSPHRASE)
    page.get_by_label("Password (again)").fill(PASSPHRASE)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm your address")
    page.goto(f"/demo/mail/?to={EMAIL}")
    page.get_by_role("link", name=re.compile("confirm-email")).click()
    page.get_by_role("button", name="Yes, confirm it").click()
    expect(page.get_by_role("link", name="Alice")).to_be_visible()


def apply(page: Page) -> str:
    page.goto("/releases/smollm2-135m/")
    page.locator(".next-step a.button").click()
    page.get_by_label("Category").select_option("academia")
    page.get_by_label("Institution").fill("University of Testing")
    page.get_by_label("Country").select_option("NL")
    page.get_by_label("Position").fill("PhD student")
    page.get_by_label("ORCID iD").fill("0000-0002-1825-0098")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.get_by_text("not a valid ORCID iD")).to_be_visible()
    page.get_by_label("ORCID iD").fill("0000-0002-1825-0097")
    page.get_by_role("button", name="Save and go on").click()

    if page.locator(".next-step").count():
        page.locator(".next-step a.button").click()
    page.get_by_label("What do you want to find out?").fill("How small models keep facts.")
    page.get_by_role("button", name="Save the draft").click()
    page.get_by_role("button", name="Save and read the licence").click()
    expect(
        page.get_by_text("Not saved yet").or_(page.get_by_text("Not ready to submit")).first
    ).to_be_visible()
    if page.get_by_text("Not ready to submit").count():
        page.get_by_role("link", name="Go back and answer them").click()
    page.get_by_label("What will you do with the model?").fill("Probing, on our own server.")
    page.get_by_label("Will you share outputs or derivatives?").select_option("outputs")
    page.get_by_role("button", name="Save and read the licence").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Read, accept, submit")
    page.get_by_label(re.compile("name", re.I)).fill("Somebody Else")
    page.get_by_role("button", name="Accept and submit").click()
    expect(page.locator(".errors, .notice.bad").first).to_be_visible()
    page.get_by_label(re.compile("name", re.I)).fill(NAME)
    page.get_by_role("button", name="Accept and submit").click()
    expect(page.get_by_text("Waiting for a reviewer").first).to_be_visible()
    expect(page.locator("main")).to_contain_text("queue")
    expect(page.locator("main")).to_contain_text("median")
    reference = re.search(r"WB-\d{6}", page.locator("main").inner_text())
    assert reference
    page.goto(f"/demo/mail/?to={EMAIL}")
    expect(page.locator("article").filter(has_text=reference[0]).first).to_be_visible()
    return reference[0]


def review(page: Page, reference: str) -> None:
    page.goto("/admin/")
    page.get_by_role("link", name="Applications").first.click()
    page.get_by_role("link", name=reference).click()
    main = page.locator("#main, main").first
    for shown in (
        "How small models keep facts.",
        "University of Testing",
        "0000-0002-1825-0097",
        "ORCID",
    ):
        expect(main).to_contain_text(shown)
    page.get_by_role("button", name="Claim").click()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("body")).to_contain_text("Approved")


def download(page: Page, folder: Path) -> str:
    page.goto(f"/demo/mail/?to={EMAIL}")
    expect(
        page.locator("article").filter(has_text=re.compile("approved", re.I)).first
    ).to_be_visible()
    page.goto("/releases/smollm2-135m/")
    page.locator(".next-step a.button").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download params.json").click()
    assert b'"dim": 576' in Path(saved.value.path()).read_bytes()

    with page.expect_download() as saved:
        page.get_by_role("link", name="Download the script").click()
    script = folder / "download.sh"
    saved.value.save_as(script)
    done = subprocess.run(
        ["bash", str(script)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "verified" in done.stdout + done.stderr
    one = page.get_by_role("listitem").filter(has_text="consolidated.00.pth")
    one.get_by_text("With curl").click()
    listed = page.locator("main").inner_text()
    shards = sorted(folder.rglob("consolidated.*.pth"))
    assert len(shards) == 3
    for shard in shards:
        assert hashlib.sha256(shard.read_bytes()).hexdigest() in listed
    loads_in_plain_torch(shards)
    link = page.get_by_role("link", name="Download consolidated.00.pth")
    return str(link.evaluate("link => link.href"))


def loads_in_plain_torch(shards: list[Path]) -> None:
    """Outside the project: plain torch, weights only."""
    code = (
        "import sys, torch\n"
        "parts = [torch.load(p, weights_only=True, mmap=True) for p in sys.argv[1:]]\n"
        "wq = torch.cat([p['layers.0.attention.wq.weight'] for p in parts])\n"
        "assert wq.shape == (576, 576) and wq.dtype == torch.bfloat16, (wq.shape, wq.dtype)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code, *map(str, shards)], check=True)


def prompt(page: Page) -> None:
    page.goto("/sandbox/?release=smollm2-135m")
    page.get_by_label("Prompt").fill("")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Prompt").fill("What is the capital of Japan?")
    page.get_by_label("Temperature").fill("0")
    page.get_by_label(re.compile("tokens", re.I)).fill("40")
    page.get_by_role("button", name="Run").click()
    answer = page.locator("#live .output")
    expect(answer).to_contain_text("Tokyo", timeout=90_000)
    expect(page.locator("#live")).to_contain_text("tokens/s", timeout=90_000)
    expect(page.locator("#live .tag.ok")).to_be_visible(timeout=90_000)
    page.reload()
    page.get_by_role("link", name="What is the capital of Japan?").first.click()
    expect(page.locator(".output")).to_contain_text("Tokyo")


def revoke(page: Page) -> None:
    page.goto("/admin/access_requests/grant/?q=alice")
    page.locator("#result_list tbody a").first.click()
    form = page.locator("form").filter(has=page.get_by_role("button", name="Revoke"))
    form.get_by_label("Reason").fill("The copy was found on a public server.")
    confirm = form.get_by_label(re.compile("^Type G-[0-9]+ to confirm"))
    confirm.fill(re.search(r"G-\d+", form.inner_text())[0])
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("body")).to_contain_text(re.compile("revoked", re.I))


def be_refused_everywhere(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("main")).to_contain_text("revoked")
    expect(page.locator("main")).to_contain_text("What to do now")
    curl = subprocess.run(["curl", "-s", address], capture_output=True, text=True, check=True)
    assert curl.stdout.startswith("revoked: "), curl.stdout[:300]
    page.goto("/releases/smollm2-135m/files/")
    expect(page.locator("main")).to_contain_text(re.compile("revoked", re.I))
    expect(page.get_by_role("link", name="Download params.json")).to_have_count(0)
    page.goto("/sandbox/?release=smollm2-135m")
    expect(page.get_by_role("button", name="Run")).to_have_count(0)
