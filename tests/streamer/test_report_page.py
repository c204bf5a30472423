"""The page of a report in a real browser, opened as a file, without a network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("playwright", reason="playwright is not installed")
from playwright.sync_api import expect, sync_playwright

from streamer.cli import cli
from tests.conftest import REPOSITORY
from tests.streamer.dashboards import DEADLINE

CHROMIUM = shutil.which("chromium")
MILLISECONDS = DEADLINE * 1000
STYLE = REPOSITORY / "streamer" / "report" / "page" / "style.css"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; scripts/test installs it")
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as tools:
        running = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, song: Path) -> Path:
    """Give the page of the demo piece."""
    path = tmp_path_factory.mktemp("reports") / "song.html"
    cli.main(["report", str(song), "-o", str(path), "--quiet"], standalone_mode=False)
    return path


Opener = Callable[..., Any]


@pytest.fixture
def opened(browser: Any) -> Iterator[Opener]:
    """Give a function that opens a page; at the end, it must neither have asked for anything nor complained."""
    contexts: list[Any] = []
    requests: list[str] = []
    problems: list[str] = []

    def open_page(path: Path, width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 800}, offline=True, **options)
        contexts.append(context)
        context.set_default_timeout(MILLISECONDS)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
    assert [url for url in requests if not re.match(r"file:///\S+\.html$|data:,$", url)] == []


def test_the_cursor_moves_by_keyboard_and_tells_the_values(opened: Opener, report: Path) -> None:
    page = opened(report)
    slider = page.get_by_role("slider", name="Time")
    slider.focus()
    expect(page.locator("#at")).to_have_text("0:00")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#at")).to_have_text("0:01")
    expect(page.locator("#word")).to_contain_text("warming up")
    before = page.locator("#here").get_attribute("cy")
    page.keyboard.press("End")
    expect(page.locator("#at")).to_have_text("0:59")
    expect(page.locator("#number")).to_have_text("section 4")
    said = slider.get_attribute("aria-valuetext")
    assert re.fullmatch(
        r"0:59: \w+, valence [+−]0\.\d\d ± 0\.\d\d, arousal [+−]0\.\d\d ± 0\.\d\d, −\d+ dB, section 4", said
    )
    assert page.locator("#here").get_attribute("cy") != before
    expect(page.locator("#spread")).to_be_visible()
    page.keyboard.press("Home")
    expect(page.locator("#at")).to_have_text("0:00")


def test_the_cursor_follows_the_pointer(opened: Opener, report: Path) -> None:
    page = opened(report)
    box = page.locator("#plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    expect(page.locator("#at")).to_have_text("0:30")
    left = page.locator("#cursor").bounding_box()["x"]
    assert abs(left - box["x"] - box["width"] * 0.504) < 4
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60)
    expect(page.locator("#at")).to_have_text("0:45")


def test_the_table_leads_to_the_moments(opened: Opener, report: Path) -> None:
    page = opened(report)
    rows = page.get_by_role("row")
    expect(rows).to_have_count(5)
    button = rows.nth(2).get_by_role("button")
    start = button.inner_text().split(" – ")[0]
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#at")).to_have_text(start)
    expect(page.locator("#number")).to_have_text("section 2")
    expect(page.get_by_role("slider", name="Time")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_it(opened: Opener, report: Path, scheme: str) -> None:
    page = opened(report, width=360, has_touch=True, is_mobile=True, color_scheme=scheme)
    expect(page.get_by_role("slider", name="Time")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for name in ("Summary", "Over time", "On the plane", "Sections of like mood", "How to read this"):
        expect(page.get_by_role("region", name=name)).to_be_visible()


def test_light_and_dark(opened: Opener, report: Path) -> None:
    page = opened(report, color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    switch = page.get_by_role("switch", name="Dark")
    expect(switch).to_be_checked()
    dark = page.evaluate(ground)
    switch.press("Space")
    expect(switch).not_to_be_checked()
    assert page.evaluate(ground) != dark
    page.emulate_media(media="print")
    expect(switch).to_be_hidden()
    expect(page.get_by_role("slider", name="Time")).to_be_hidden()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_without_its_script_the_page_shows_everything(opened: Opener, report: Path) -> None:
    page = opened(report, java_script_enabled=False)
    for name in ("Summary", "Over time", "On the plane", "Sections of like mood", "How to read this"):
        expect(page.get_by_role("region", name=name)).to_be_visible()
    expect(page.locator("path.line")).to_have_count(2)
    expect(page.get_by_role("slider")).to_have_count(0)


def test_a_hostile_name_is_not_run(opened: Opener, tmp_path: Path) -> None:
    name = "<img src=x onerror=document.title='taken'>.wav"
    soundfile.write(tmp_path / name, 0.1 * np.random.default_rng(1).standard_normal(30000), 22050)
    cli.main(["report", str(tmp_path / name), "-o", str(tmp_path / "page.html"), "--quiet"], standalone_mode=False)
    page = opened(tmp_path / "page.html", width=360)
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    assert page.title() == f"{name} · moodring"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_script_that_is_not_the_page_s_own_is_refused(browser: Any, report: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered.html"
    content = report.read_text(encoding="utf-8")
    altered.write_text(content.replace("<main>", "<main><script>document.title = 'taken'</script>"), encoding="utf-8")
    page = browser.new_page()
    page.goto(altered.as_uri())
    expect(page.locator("#at")).to_have_text("0:00")
    assert page.title() == "song.wav · moodring"
    page.close()


def test_silence_alone(opened: Opener, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(22050 * 12), 22050)
    cli.main(
        ["report", str(tmp_path / "quiet.wav"), "-o", str(tmp_path / "page.html"), "--quiet"], standalone_mode=False
    )
    page = opened(tmp_path / "page.html")
    expect(page.locator("#word")).to_have_text("silence")
    expect(page.get_by_role("slider", name="Time")).to_have_attribute(
        "aria-valuetext", "0:00: silence, no estimate, silent, section 1"
    )


def luminance(colour: str) -> float:
    """Give the relative luminance of WCAG 2.2 of a colour #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_stands_out_in_both_themes() -> None:
    style = STYLE.read_text(encoding="utf-8").split("@media print")[0]
    themes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root[^{]*{([^}]*)}", style)
    ]
    assert len(themes) == 2
    for theme in themes:
        for text in ("text", "soft", "valence", "arousal"):
            for ground in ("ground", "card"):
                light, dark = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text} on {ground}"
