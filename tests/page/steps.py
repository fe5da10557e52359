"""What the tests do with the page, and how they look at it.

`DIFFUSION_LINK_SCREENSHOTS=docs/images` renews the pictures of the README.
"""

import io
import os
import time
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
WAIT_MS = 60_000

_MAX_PICTURE_BYTES = 120_000
_PICTURES = os.environ.get("DIFFUSION_LINK_SCREENSHOTS")


def until(page: Page, condition: str) -> None:
    """Wait for a condition; Playwright's own way asks the page for `eval`, which its policy forbids."""
    end = time.monotonic() + WAIT_MS / 1_000
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def give(page: Page, *names: str) -> None:
    page.get_by_label("Choose files").set_input_files([EXAMPLES / name for name in names])


def heard(page: Page, name: str = "forty_seconds.mp3") -> Page:
    give(page, name)
    expect(page.locator("#result")).to_be_visible(timeout=WAIT_MS)
    drawn(page)
    return page


def drawn(page: Page) -> None:
    """Wait for the waveform: the canvas has no width from a sound's choice until it is decoded."""
    until(page, "document.querySelector('#waveform').width > 0")


def rows(page: Page, what: str) -> list[str]:
    """One text of every row of the list: `name`, `what`, `score` or `cosine`."""
    return page.locator(f"#list .{what}").all_inner_texts()


def ended(page: Page) -> None:
    expect(page.locator("#progress")).to_be_hidden(timeout=WAIT_MS)


def check(page: Page, name: str = "") -> None:
    """No violation of axe-core's rules, nothing wider than the screen, and a picture where one is asked for."""
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    picture = page.screenshot(full_page=True, animations="disabled")
    if _PICTURES and name:
        path = Path(_PICTURES) / f"page-{name}.png"
        Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
        assert path.stat().st_size < _MAX_PICTURE_BYTES
