"""How numbers and Markdown are shown, everywhere alike."""

import nh3
from django import template
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

register = template.Library()

# No raw HTML in the source and a second wall behind it: what people write can never run.
_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")


@register.filter
def markdown(text: str) -> SafeString:
    """Render Markdown safely. Headings start at h2, for the page has its own h1."""
    html = nh3.clean(
        _markdown.render(text),
        tags={
            "h1",
            "h2",
            "h3",
            "h4",
            "p",
            "ul",
            "ol",
            "li",
            "a",
            "em",
            "strong",
            "code",
            "pre",
            "blockquote",
            "hr",
            "br",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        },
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )
    for level in (3, 2, 1):
        html = html.replace(f"<h{level}>", f"<h{level + 1}>").replace(
            f"</h{level}>", f"</h{level + 1}>"
        )
    return mark_safe(html)  # noqa: S308 - cleaned above


@register.filter
def count(number: int | None) -> str:
    """65285660672 → 65.2 B, 1400000000000 → 1.4 T: cut after one digit, as the papers' tables do."""
    if number is None:
        return "not stated"
    for limit, unit in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if number >= limit:
            return f"{number * 10 // limit / 10:.1f} {unit}"
    return f"{number:,}"
