"""The dashboard's page in a real browser."""

from __future__ import annotations

import csv
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="the dashboard's extra is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import expect, sync_playwright
from websockets.sync.client import connect

from streamer.dashboard.pages import MAXIMUM_PAGES, UPDATE_INTERVAL
from streamer.publisher import Publisher
from tests.conftest import REPOSITORY
from tests.streamer.dashboards import DEADLINE, dashboard, estimate, wait_for

ANY_PORT = "tcp://127.0.0.1:*"
CHROMIUM = shutil.which("chromium")
PAGE = REPOSITORY / "streamer" / "dashboard" / "page"
MILLISECONDS = DEADLINE * 1000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; scripts/test installs it")
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as tools:
        running = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    context.set_default_timeout(MILLISECONDS)
    yield context
    context.close()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with Publisher(ANY_PORT) as publisher:
        yield publisher


class Music:
    """Publishes estimates of a stream, ten a second, until it is left; where they lie may be changed."""

    def __init__(self, publisher: Publisher, stream: str, valence: float | None, arousal: float | None) -> None:
        self.place = valence, arousal
        self._publisher = publisher
        self._stream = stream
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> Music:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _play(self) -> None:
        self._publisher.set_status(self._stream, "running")
        sequence = 0
        while not self._over.wait(0.1):
            valence, arousal = self.place
            state = "silence" if valence is None else "tracking"
            self._publisher.publish(estimate(self._stream, sequence, valence, arousal, state))
            sequence += 1


def picture(page: Any, canvas: str) -> str:
    return str(page.evaluate("id => document.getElementById(id).toDataURL()", canvas))


def test_the_page_moves_with_the_music(context: Any, publisher: Publisher) -> None:
    with dashboard(publisher.endpoint) as running, Music(publisher, "stage", 0.6, 0.6) as music:
        page = context.new_page()
        requests: list[str] = []
        problems: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda live: requests.append(live.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(running.link)
        expect(page.locator("#word")).to_have_text("excited")
        expect(page.locator("#valence")).to_have_text("+0.60")
        row = page.get_by_role("row", name="stage")
        expect(row).to_contain_text("running")
        expect(row).to_contain_text("0.0 s")
        expect(row).to_contain_text(re.compile(r"\d+ ms"))
        expect(page.locator("#plane")).to_have_attribute("aria-label", re.compile("stage: excited, valence .0.60"))
        before = picture(page, "plane"), picture(page, "curves")
        music.place = -0.6, -0.6
        expect(page.locator("#word")).to_have_text("sad")
        expect(page.locator("#speech")).to_contain_text("stage: ")
        wait_for(lambda: picture(page, "plane") != before[0], "another plane")
        wait_for(lambda: picture(page, "curves") != before[1], "other curves")
        music.place = None, None
        expect(page.locator("#word")).to_have_text("silence")
        assert {urlsplit(url).netloc for url in requests} == {urlsplit(running.link).netloc}
        assert problems == []


def test_a_dead_tracker_is_seen_and_its_restart_survived(context: Any) -> None:
    page = context.new_page()
    with Publisher(ANY_PORT) as publisher:
        endpoint = publisher.endpoint
        with dashboard(endpoint) as running:
            with Music(publisher, "stage", 0.6, 0.6):
                page.goto(running.link)
                expect(page.locator("#word")).to_have_text("excited")
            began = time.monotonic()
            publisher.close()
            expect(page.get_by_role("alert")).to_contain_text("The tracker has gone")
            assert time.monotonic() - began < 3 + 2  # on a machine that is busy with something else
            expect(page.get_by_role("row", name="stage")).to_contain_text("tracker gone")
            expect(page.locator("#word")).to_have_text("–")
            with Publisher(endpoint) as again, Music(again, "stage", -0.6, -0.6):
                expect(page.locator("#word")).to_have_text("sad")
                expect(page.get_by_role("alert")).to_be_hidden()
                expect(page.get_by_role("row", name="stage")).to_contain_text("1 restart seen")
        expect(page.get_by_role("alert")).to_contain_text("The dashboard program does not answer")
        expect(page.get_by_role("row", name="stage")).to_contain_text("no news")


def test_nothing_that_comes_is_said(context: Any) -> None:
    with dashboard("tcp://127.0.0.1:9") as running:
        page = context.new_page()
        page.goto(running.link)
        expect(page.get_by_role("alert")).to_contain_text("nothing has come from tcp://127.0.0.1:9 yet")
        expect(page.locator("#word")).to_have_text("–")


def test_a_page_too_many_says_so(context: Any) -> None:
    with dashboard("tcp://127.0.0.1:9") as running, ExitStack() as closing:
        for _ in range(MAXIMUM_PAGES):
            live = closing.enter_context(connect(f"ws://127.0.0.1:{running.port}/live", proxy=None))
            live.recv(DEADLINE)
        page = context.new_page()
        page.goto(running.link)
        expect(page.get_by_role("alert")).to_contain_text(f"Too many pages are open: {MAXIMUM_PAGES} pages are open")
        closing.close()
        expect(page.get_by_role("alert")).to_contain_text("nothing has come from tcp://127.0.0.1:9 yet")


def test_a_link_that_is_out_of_date_says_so(context: Any) -> None:
    with dashboard("tcp://127.0.0.1:9", "--host", "0.0.0.0") as running:
        page = context.new_page()
        link = urlsplit(running.link)
        page.goto(link._replace(netloc=f"127.0.0.1:{running.port}").geturl())
        assert urlsplit(page.url).query == ""
        expect(page.get_by_role("alert")).to_contain_text("nothing has come")
        running.process.terminate()
        assert running.process.wait(DEADLINE) == 0
        with dashboard("tcp://127.0.0.1:9", "--host", "0.0.0.0", "--port", str(running.port)):
            expect(page.get_by_role("alert")).to_contain_text("This link is not valid any more")


def test_pause_and_scrub_back_with_the_keyboard(context: Any, publisher: Publisher) -> None:
    with dashboard(publisher.endpoint) as running, Music(publisher, "stage", 0.6, 0.6) as music:
        page = context.new_page()
        page.goto(running.link)
        expect(page.locator("#word")).to_have_text("excited")
        page.wait_for_timeout(1500)  # what is to be scrubbed back to takes time
        music.place = -0.6, -0.6
        expect(page.locator("#word")).to_have_text("sad")
        page.get_by_role("button", name="Pause").focus()
        page.keyboard.press("Enter")
        music.place = 0.6, -0.6
        expect(page.locator("#ago")).to_have_text("paused")
        page.keyboard.press("Tab")
        expect(page.get_by_role("slider", name="Look back, seconds")).to_be_focused()
        expect(page.get_by_role("row", name="stage")).to_contain_text("sad")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#ago")).to_have_text("0:01 back")
        expect(page.locator("#word")).to_have_text("excited")
        page.get_by_role("button", name="Go live").click()
        expect(page.locator("#ago")).to_have_text("live")
        expect(page.locator("#word")).to_have_text("calm")


def test_the_session_is_saved_as_a_table_and_as_a_picture(context: Any, publisher: Publisher, tmp_path: Path) -> None:
    with dashboard(publisher.endpoint) as running, Music(publisher, "stage", 0.6, 0.6):
        page = context.new_page()
        page.goto(running.link)
        expect(page.locator("#word")).to_have_text("excited")
        with page.expect_download() as table:
            page.get_by_role("link", name="Save CSV").click()
        table.value.save_as(tmp_path / "session.csv")
        with page.expect_download() as image:
            page.get_by_role("button", name="Save PNG").click()
        image.value.save_as(tmp_path / "session.png")
        assert image.value.suggested_filename.startswith("moodring-stage-")
    with open(tmp_path / "session.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {row["stream"] for row in rows} == {"stage"}
    image_module = pytest.importorskip("PIL.Image", reason="looks into a PNG file")
    saved = image_module.open(tmp_path / "session.png").convert("RGB")
    assert saved.size == (1600, 900)
    assert len(saved.getcolors(1 << 20)) > 100


def test_a_thousand_updates_a_second_do_not_freeze_it(context: Any, publisher: Publisher) -> None:
    streams = [f"s{number}" for number in range(5)]
    over = threading.Event()
    sent = 0

    def flood() -> None:
        nonlocal sent
        began = time.monotonic()
        while not over.is_set():
            due = int((time.monotonic() - began) * 1000)
            for number in range(sent, due):
                publisher.publish(estimate(streams[number % 5], number // 5, 0.6, 0.6))
            sent = due
            time.sleep(0.002)

    with dashboard(publisher.endpoint) as running:
        page = context.new_page()
        frames: list[float] = []
        page.on("websocket", lambda live: live.on("framereceived", lambda _: frames.append(time.monotonic())))
        page.goto(running.link)
        for stream in streams:
            publisher.set_status(stream, "running")
        expect(page.get_by_role("row")).to_have_count(6)
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            expect(page.locator("#word")).to_have_text("excited")
            frames.clear()
            longest = page.evaluate("""() => new Promise((done) => {
                let [longest, last] = [0, performance.now()];
                const began = last;
                const turn = () => {
                    const now = performance.now();
                    longest = Math.max(longest, now - last);
                    last = now;
                    if (now - began < 2000) setTimeout(turn, 0);
                    else done(longest);
                };
                turn();
            })""")
            took = frames[-1] - frames[0]
            received = len(frames)
        finally:
            over.set()
            thread.join()
        print(f"sent {sent}, frames {received} in {took:.2f} s, longest pause {longest:.0f} ms")
        assert sent > 1000
        assert longest < 1000
        assert 2 < received <= 1.5 * took / UPDATE_INTERVAL + 2

        def kept() -> int:
            return int(page.request.get(f"{running.link}session.csv").text().count("\n") - 1)

        def missed() -> int:
            text = page.locator("#rows").inner_text()
            return sum(map(int, re.findall(r"(\d+) estimates? missed here", text)))

        wait_for(lambda: kept() + missed() >= 0.98 * sent, "what was sent")
        assert kept() > 0.5 * sent


def test_twelve_streams_on_a_phone(browser: Any, publisher: Publisher) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    context.set_default_timeout(MILLISECONDS)
    with dashboard(publisher.endpoint) as running:
        page = context.new_page()
        hostile = "<img src=x onerror=document.title='taken'>"
        publisher.set_status("x" * 100, "failed", reason=hostile + "y" * 300)
        for number in range(11):
            publisher.set_status(f"bar.{number}", "running")
            publisher.publish(estimate(f"bar.{number}", 0, -0.9, 0.9))
        page.goto(running.link)
        expect(page.get_by_role("row")).to_have_count(13)
        expect(page.locator("#rows")).to_contain_text(hostile)
        assert page.title() == "moodring"
        names = page.get_by_role("row").locator("button").all_inner_texts()
        assert names == [*(f"bar.{number}" for number in range(11)), "x" * 100]
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360
        page.get_by_role("button", name="bar.7", exact=True).click()
        expect(page.locator("#name")).to_have_text("bar.7")
    context.close()


def test_light_and_dark(browser: Any) -> None:
    context = browser.new_context(color_scheme="dark", reduced_motion="reduce")
    context.set_default_timeout(MILLISECONDS)
    with dashboard("tcp://127.0.0.1:9") as running:
        page = context.new_page()
        page.goto(running.link)
        switch = page.get_by_role("switch", name="Dark")
        expect(switch).to_be_checked()
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        switch.press("Space")
        expect(switch).not_to_be_checked()
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != dark
        page.reload()
        expect(page.get_by_role("switch", name="Dark")).not_to_be_checked()
    context.close()


def luminance(colour: str) -> float:
    """Give the relative luminance of WCAG 2.2 of a colour #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_stands_out_in_both_themes() -> None:
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root[^{]*{([^}]*)}", style)
    ]
    assert len(themes) == 2
    for theme in themes:
        for text in ("text", "soft", "valence", "arousal", "good", "warn", "bad"):
            for ground in ("ground", "card"):
                light, dark = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {ground}"
