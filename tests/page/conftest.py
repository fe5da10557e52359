"""A server process with the embedded artifact, and headless Chromium.

Skipped where there is no Chromium, unless `DIFFUSION_LINK_REQUIRE_CHROMIUM=1`.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.page.steps import EXAMPLES, WAIT_MS
from tests.test_end_to_end import Server

WIDE = {"width": 1100, "height": 560}

_REQUIRED = os.environ.get("DIFFUSION_LINK_REQUIRE_CHROMIUM") == "1"
_FLAGS = [
    "--disable-background-networking",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    f"--use-file-for-fake-audio-capture={EXAMPLES / 'snare_drum.wav'}",
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        (pytest.fail if _REQUIRED else pytest.skip)("Chromium is not installed")
    with sync_playwright() as playwright:
        # Chromium's sandbox does not start for root, as whom continuous integration runs.
        started = playwright.chromium.launch(executable_path=found, args=_FLAGS, chromium_sandbox=os.geteuid() != 0)
        yield started
        started.close()


@pytest.fixture(scope="package")
def url(browser: Browser) -> Iterator[str]:
    server = Server()
    yield server.url
    assert server.stop() == 0


KEY = "of-the-page-0123456789"


@pytest.fixture(scope="package")
def strict_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that wants a key, has one place, and takes no more than 100,000 bytes."""
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(KEY, encoding="ascii")
    limits = {"API_KEYS_FILE": str(keys), "QUEUE_CAPACITY": "1", "MAX_FILES": "1", "MAX_UPLOAD_BYTES": "100000"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in limits.items():
            patch.setenv(f"DIFFUSION_LINK_{name}", value)
        server = Server()
    yield server.url
    assert server.stop() == 0


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, url: str) -> Iterator[Open]:
    """Opens the page; fails where the browser asked another host, broke the policy, or met an error in a script."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(address: str = url, path: str = "/", **options: Any) -> Page:
        context = browser.new_context(viewport=options.pop("viewport", WIDE), **options)
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: _note(message.type, message.text, faults))
        page.on("request", lambda request: _note_request(request.url, address, faults))
        page.goto(address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def _note(kind: str, text: str, faults: list[str]) -> None:
    # A refused request is an error to the console too, whatever the page makes of it.
    if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
        faults.append(text)


def _note_request(asked: str, address: str, faults: list[str]) -> None:
    if not asked.startswith((f"{address}/", f"blob:{address}/", "data:")):
        faults.append(f"asked {asked}")
