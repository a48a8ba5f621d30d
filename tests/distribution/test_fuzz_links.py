"""Altered tokens and file names open nothing, and never break the site.

A few thousand in the suite. `WEIGHBRIDGE_FUZZ=100000` alters that many, and sends a tenth of them through the site.
"""

import os
import random
import string
from datetime import timedelta
from urllib.parse import quote, unquote

import pytest
from django.core import signing
from django.utils import timezone

from distribution import links, pasted
from distribution.models import Artifact, Download, Revision
from distribution.services import issue_links
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.distribution.asking import ask
from tests.distribution.weights import granted

TIMES = int(os.environ.get("WEIGHBRIDGE_FUZZ", "4000"))
ODD = "\0\n\r\t /\\%&=;:#?'\"<>..--__é\u200b\u202e\ud7ff😀" + string.ascii_letters + string.digits
NAMES = ("params.json", "../params.json", "*", "consolidated.0?.pth", "", ".", "%00", "/etc/passwd")


class Fuzzer:
    """Alters links in one way after another, the same for the same seed."""

    def __init__(self, valid: list[tuple[str, str]], seed: int) -> None:
        self.valid, self.random = valid, random.Random(seed)

    def altered(self) -> tuple[str, str]:
        token, name = self.random.choice(self.valid)
        for _ in range(self.random.choice((1, 1, 1, 2, 5))):
            token, name = self._once(token, name)
        return token, name

    def _once(self, token: str, name: str) -> tuple[str, str]:
        ways = (self._text, self._text, self._text, self._piece, self._number)
        match self.random.randrange(6):
            case 0:
                return token, self._text(name)
            case 1:
                return token, self.random.choice((*NAMES, self.random.choice(self.valid)[1]))
            case _:
                return self.random.choice(ways)(token), name

    def _text(self, text: str) -> str:
        at, odd = self.random.randint(0, len(text)), self.random.choice(ODD)
        match self.random.randrange(8):
            case 0:
                return text[:at] + odd + text[at:]
            case 1:
                return text[:at] + odd + text[at + 1 :]
            case 2:
                return text[:at]
            case 3:
                return text[at:]
            case 4:
                return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
            case 5:
                return text.swapcase() if self.random.random() < 0.5 else text.upper()
            case 6:
                return quote(text, safe="") + quote(odd)
        return text * self.random.randint(2, 40)

    def _piece(self, token: str) -> str:
        """A piece of another link in this one, one too many, or one too few."""
        pieces = token.split(".")
        other = self.random.choice(self.valid)[0].split(".")
        at = self.random.randrange(len(pieces))
        match self.random.randrange(3):
            case 0:
                pieces[at] = self.random.choice(other)
            case 1:
                pieces.insert(at, self.random.choice(other))
            case 2:
                del pieces[at]
        return ".".join(pieces)

    def _number(self, token: str) -> str:
        """Another grant, file or time under the same signature."""
        pieces = token.split(".")
        number = self.random.choice((0, 1, 2, 3, 7, 2**31, 2**63, 2**70, int(2e9), -1))
        pieces[self.random.randrange(max(1, len(pieces) - 1))] = signing.b62_encode(number)
        return ".".join(pieces)


@pytest.fixture
def valid(
    revision: Revision, release: Release, alice: Account, mallory: Account
) -> list[tuple[str, str]]:
    """The links of two people, as pairs of token and file name."""
    made = []
    for account in (alice, mallory):
        granted(account, release)
        made += [link.url.split("/download/")[1] for link in issue_links(release, actor=account)]
    return [(token, name) for token, _, name in (one.partition("/") for one in made)]


def what_it_says(token: str) -> links.Claim | Refusal:
    try:
        return links.read(token)
    except Refusal as refusal:
        return refusal


def is_the_same(token: str, name: str, valid: list[tuple[str, str]]) -> bool:
    """Whether only what pasting does was done to one of the links: it may open that one."""
    given = (pasted.clean(token), set(pasted.readings(name)))
    return any(given[0] == one and file in given[1] for one, file in valid)


def test_an_altered_token_says_nothing_that_was_not_signed(valid: list[tuple[str, str]]) -> None:
    fuzzer, claims = Fuzzer(valid, 1), {token: links.read(token) for token, _ in valid}
    read = 0
    for _ in range(TIMES):
        token, _ = fuzzer.altered()
        found = what_it_says(token)
        if isinstance(found, Refusal):
            assert found.code == Code.SIGNATURE_INVALID
            assert "\n" not in found.line("x").rstrip("\n")
        else:
            read += 1
            assert claims[pasted.clean(token)] == found
    assert read < TIMES / 2


def test_an_altered_link_opens_nothing_and_never_breaks_the_site(
    valid: list[tuple[str, str]],
) -> None:
    fuzzer, opened = Fuzzer(valid, 2), 0
    for _ in range(max(200, TIMES // 10)):
        token, name = fuzzer.altered()
        path = f"/download/{quote(token, safe='')}/{quote(name, safe='')}"
        answer = ask(path, "HEAD")
        if answer.status == 200:
            opened += 1
            # As the site read it: the percents were decoded once.
            token, _, name = unquote(path.removeprefix("/download/")).partition("/")
            whole = (token, name) if name else pasted.split(token)
            assert is_the_same(*whole, valid), path
        else:
            assert answer.status in (403, 404), path
            assert answer.headers["X-Error-Code"] in (Code.SIGNATURE_INVALID, Code.NOT_FOUND), path
    assert Download.objects.exclude(outcome="denied").count() == opened


def test_the_link_of_another_grant_file_or_time_opens_nothing(
    valid: list[tuple[str, str]], shard: Artifact
) -> None:
    """Each number of a genuine link, put in the place of another's, with either signature."""
    for token, name in valid:
        mine = token.split(".")
        for other, other_name in valid:
            theirs = other.split(".")
            for place in range(4):
                mixed = [*mine]
                mixed[place] = theirs[place]
                if ".".join(mixed) in (token, other):
                    continue
                for last in (name, other_name):
                    assert ask(f"/download/{'.'.join(mixed)}/{last}", "HEAD").status == 403
    later = timezone.now() + timedelta(days=400)
    token, name = valid[0]
    pieces = token.split(".")
    pieces[2] = signing.b62_encode(int(later.timestamp()))
    assert ask(f"/download/{'.'.join(pieces)}/{name}", "HEAD").status == 403
    assert ask(f"/download/{token}/{name}", "HEAD").status == 200
