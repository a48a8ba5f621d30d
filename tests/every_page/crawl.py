"""What a person comes to by following links and looking at buttons, without typing an address."""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from django.urls import Resolver404, resolve

from tests.walker.addresses import readable
from tests.walker.walk import Walker

# How much of one pattern one person sees: the things in each of their states; a list in some of its
# orders and filters.
THINGS, OTHERS, QUERIES = 20, 4, 2
HOST = "http://testserver"
DOORS = ("/", "/admin/")
FILTERS_KEPT = re.compile(r"[?&]_changelist_filters=[^&]*")  # the same page once more


@dataclass(frozen=True)
class Offer:
    """A link, or a form that can be sent."""

    method: str
    address: str


@dataclass(frozen=True)
class Page:
    """A page of HTML as it was given to a person."""

    who: str
    address: str
    body: str


@dataclass
class Crawl:
    # pattern → the pages at it; empty for what is no HTML
    pages: dict[str, list[Page]] = field(default_factory=lambda: defaultdict(list))
    # (method, pattern) → the addresses that some page offers
    offered: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def note(self, offers: Iterable[Offer]) -> Iterator[tuple[str, Offer]]:
        """Each with its pattern; without what is no address of the site."""
        for offer in offers:
            if (at := pattern_of(offer.address)) is not None:
                self.offered[offer.method, at].add(offer.address)
                yield at, offer


def pattern_of(address: str) -> str | None:
    """The route as tests/walker names it; None for what is no address of the site."""
    try:
        return readable(resolve(urlsplit(address).path).route)
    except Resolver404:
        return None


class Offers(HTMLParser):
    """Reads the links and the forms of a page: those that have a button, and those that htmx sends."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.found: list[Offer] = []
        self.forms: dict[str, Offer] = {}
        self.form = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for method in ("get", "post"):
            if f"hx-{method}" in given:
                self._add(method, given[f"hx-{method}"])
        if tag == "a" and "href" in given:
            self._add("get", given["href"])
        elif tag == "form":
            self.form = given.get("id") or f"form-{len(self.forms)}"
            self.forms[self.form] = Offer(given.get("method", "get"), given.get("action", ""))
        elif tag == "button" or (tag == "input" and given.get("type") in ("submit", "search")):
            self._button(given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = ""

    def _button(self, given: dict[str, str]) -> None:
        form = self.forms.get(given.get("form", self.form))
        if form is not None and given.get("type") not in ("button", "reset"):
            method = given.get("formmethod", form.method)
            self._add(method, given.get("formaction", form.address))

    def _add(self, method: str, address: str) -> None:
        whole = urljoin(HOST + self.base, address).partition("#")[0]
        whole = FILTERS_KEPT.sub("", whole)
        if whole.startswith(HOST + "/") and method != "dialog":
            self.found.append(Offer(method.upper(), whole.removeprefix(HOST)))


def offers(page: Page) -> list[Offer]:
    reader = Offers(page.address)
    reader.feed(page.body)
    return reader.found


def crawl(walker: Walker, into: Crawl, *, only_new: bool = False) -> None:
    """Everything that this person finds from the two doors of the site, put `into` what others found.

    With `only_new`, where others have been is looked at once.
    """
    known = set(into.pages) if only_new else set()
    waiting, seen, taken = deque(DOORS), set(DOORS), Counter[str]()
    while waiting:
        for at, offer in into.note(_visit(walker, waiting.popleft(), into)):
            if offer.method == "GET" and offer.address not in seen:
                seen.add(offer.address)
                counted = at + "?" * ("?" in offer.address)
                taken[counted] += 1
                if taken[counted] <= (1 if at in known else _most(counted)):
                    waiting.append(offer.address)


def follow(walker: Walker, page: Page, into: Crawl) -> None:
    """Where a page leads that no link led to: one step, to what nobody found yet."""
    into.pages[pattern_of(page.address) or ""].append(page)
    for at, offer in into.note(offers(page)):
        if offer.method == "GET" and at not in into.pages:
            list(into.note(_visit(walker, offer.address, into)))


def _most(counted: str) -> int:
    if counted.endswith("?"):
        return QUERIES
    return OTHERS if re.match(r"admin/(?!access_requests/application/)", counted) else THINGS


def _visit(walker: Walker, address: str, into: Crawl) -> Iterator[Offer]:
    response = walker.ask("GET", address).response
    pattern = pattern_of(address)
    if response.status_code >= 400 or pattern is None:
        return
    pages = into.pages[pattern]
    if response.status_code >= 300:
        yield Offer("GET", urljoin(HOST + address, response["Location"]).removeprefix(HOST))
    elif response["Content-Type"].startswith("text/html") and not response.streaming:
        page = Page(walker.who, address, response.content.decode())
        pages.append(page)
        yield from offers(page)
