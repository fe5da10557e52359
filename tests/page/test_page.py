"""The page with real sounds: what comes in, what is shown, played, copied and recorded."""

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile as sf
from playwright.sync_api import expect

from tests.page.conftest import Open
from tests.page.steps import EXAMPLES, check, heard, until

NARROW = {"width": 360, "height": 740}
_KEEP_WHAT_IS_SENT = """() => { const append = FormData.prototype.append;
    FormData.prototype.append = function (name, file, filename) {
      window.sent = file;
      append.call(this, name, file, filename);
    }; }"""


def _answer(url: str, name: str) -> dict[str, Any]:
    query = {"timeline": "true", "candidates": "3"}
    response = httpx.post(f"{url}/caption", files={"file": (name, (EXAMPLES / name).read_bytes())}, params=query, timeout=60)
    result: dict[str, Any] = response.json()["results"][0]
    return result


def test_the_empty_page_says_what_is_served(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#model")).to_contain_text("embedded")
    expect(page.locator("#result")).to_be_hidden()
    expect(page.locator("#error")).to_be_hidden()
    check(page, "empty")


@pytest.mark.parametrize(
    ("name", "options"),
    [("result", {}), ("dark", {"color_scheme": "dark"}), ("narrow", {"viewport": NARROW, "device_scale_factor": 1})],
)
def test_a_long_sound_has_caption_timeline_candidates_and_times(
    open_page: Open, url: str, name: str, options: dict[str, Any]
) -> None:
    page = heard(open_page(**options))
    answer = _answer(url, "forty_seconds.mp3")
    expect(page.locator("#caption")).to_have_text(answer["caption"])
    expect(page.locator("#caption")).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text(f"Heard: {answer['caption']}")
    assert page.locator("#timeline .what").all_inner_texts() == [part["caption"] for part in answer["timeline"]]
    assert page.locator("#timeline .when").first.inner_text().startswith("▶ 0:00 – 0:10")
    assert page.locator("#candidates .what").all_inner_texts() == [one["caption"] for one in answer["candidates"]]
    assert page.locator("#candidates .score").all_inner_texts() == [f"{one['score']:.4f}" for one in answer["candidates"]]
    times = [float(text.removesuffix(" ms")) for text in page.locator("#times dd").all_inner_texts()]
    assert times[-1] == max(times) > 0
    assert sum(times[:-1]) == pytest.approx(times[-1], rel=0.2)
    page.evaluate("player.currentTime = 15")
    expect(page.get_by_role("button", name="Play 0:10 to 0:20")).to_have_attribute("aria-current", "true")
    check(page, name)


def test_a_part_of_the_timeline_is_played_to_its_end_by_keyboard(open_page: Open) -> None:
    page = heard(open_page())
    page.get_by_role("button", name="Play 0:20 to 0:30").focus()
    page.keyboard.press("Enter")
    until(page, "!player.paused && player.currentTime > 20")
    assert page.locator("#timeline button[aria-current=true] .when").inner_text().startswith("▶ 0:20")
    page.evaluate("player.currentTime = 29.9")
    until(page, "player.paused")
    assert 29.9 <= page.evaluate("player.currentTime") < 30.5
    page.get_by_role("button", name="Play 0:00 to 0:10").click()
    page.evaluate("player.currentTime = 35")
    until(page, "!player.paused && player.currentTime > 35.2")


def test_the_waveform_is_that_of_the_sound_and_a_click_plays_from_there(open_page: Open) -> None:
    page = heard(open_page())
    painted = page.evaluate(
        """() => { const c = document.querySelector('#waveform');
        const {data} = c.getContext('2d').getImageData(0, 0, c.width, c.height);
        return Array.from({length: c.width}, (_, x) => Array.from({length: c.height},
          (_, y) => data[4 * (y * c.width + x) + 3] > 0).filter(Boolean).length); }"""
    )
    heights = np.array(painted)
    samples, _ = sf.read(EXAMPLES / "forty_seconds.mp3")
    bars = heights[1::4][: len(heights) // 4]
    loud = [np.abs(part).max() for part in np.array_split(samples, len(bars))]
    assert np.corrcoef(loud, bars)[0, 1] > 0.8
    box = page.locator("#waveform").bounding_box()
    assert box
    page.locator("#waveform").click(position={"x": box["width"] / 2, "y": 20})
    until(page, "!player.paused && player.currentTime >= 20")
    assert page.evaluate("player.currentTime") < 22


def test_the_embedding_is_copied(open_page: Open, url: str) -> None:
    page = heard(open_page(permissions=["clipboard-read", "clipboard-write"]), "snare_drum.wav")
    page.get_by_role("button", name="Copy embedding").click()
    expect(page.get_by_role("status")).to_contain_text("Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    sound = (EXAMPLES / "snare_drum.wav").read_bytes()
    answer = httpx.post(f"{url}/bridge", files={"file": sound}, timeout=60).json()
    assert copied == pytest.approx(answer["results"][0]["embedding"], abs=1e-6)


def test_a_dropped_sound_is_captioned(open_page: Open) -> None:
    page = open_page()
    content = list((EXAMPLES / "piano.flac").read_bytes())
    data = page.evaluate_handle(
        """bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], 'piano.flac')); return data; }""",
        content,
    )
    page.dispatch_event("h1", "drop", {"dataTransfer": data})
    expect(page.locator("#filename")).to_have_text("piano.flac")
    expect(page.locator("#result")).to_be_visible()


def test_a_recording_is_captioned(open_page: Open) -> None:
    page = open_page(permissions=["microphone"])
    page.evaluate(_KEEP_WHAT_IS_SENT)
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("button", name="Stop recording 0:01")).to_be_visible()
    until(page, "level.value > 0")
    check(page)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#filename")).to_have_text("recording.wav")
    expect(page.locator("#result")).to_be_visible()
    assert float(page.locator("#duration").inner_text().removesuffix(" s")) >= 1
    recorded = bytes(page.evaluate("sent.arrayBuffer().then(content => Array.from(new Uint8Array(content)))"))
    samples, _ = sf.read(io.BytesIO(recorded))
    assert samples.ndim == 1
    assert np.abs(samples).max() > 0.1
