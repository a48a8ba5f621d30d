"""axe on the page that is open: all of its rules in the light, those of colour in the dark."""

from pathlib import Path

from playwright.sync_api import Page

AXE = (Path(__file__).parents[1] / "vendor" / "axe-4.14.1.min.js").read_text()
# A colour on its way from one to the other is neither.
STILL = """() => { const still = new CSSStyleSheet();
    still.replaceSync('* { transition: none !important; animation: none !important }');
    document.adoptedStyleSheets = [still]; }"""
LIGHT = "axe.run(document, {resultTypes: ['violations'], preload: false})"
# What else a page says is the same in the dark. The admin takes its class when it is loaded.
DARK = """() => { document.documentElement.classList.add('dark');
    return axe.run(document, {runOnly: ['color-contrast', 'link-in-text-block'],
        resultTypes: ['violations'], preload: false}); }"""


def violations(page: Page, name: str) -> list[str]:
    """What is serious or critical, a line each. The page was opened in the light."""
    page.evaluate(STILL)
    # Evaluated, not added as a script: the content security policy lets no script in.
    page.evaluate(AXE)
    light = page.evaluate(LIGHT)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(DARK)
    page.emulate_media(color_scheme="light")
    return [
        f"{name} {scheme}: {one['impact']} {one['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for scheme, result in (("light", light), ("dark", dark))
        for one in result["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]
