"""The HTML report in a real browser, which is started once for all that it has to show."""

import shutil

import pytest

from pytest_tfthreads.report.html.document import render

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",  # containers have little of it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MS = 120_000

# Legends that stick out of their figures.
CLIPPED = """() => [...document.querySelectorAll(".plot")].filter((plot) => {
  const box = plot.getBoundingClientRect();
  return [...plot.querySelectorAll(".legend, .infolayer .g-xtitle, .ytick, .xtick")].some((one) => {
    const own = one.getBoundingClientRect();
    return own.width && (own.right > box.right + 1 || own.left < box.left - 1);
  });
}).map((plot) => plot.id)"""

# Cells of the overview of which a part is beyond the page's edges, or which lie on one another.
OUT_OF_SIGHT = """() => [...document.querySelectorAll("#tests :is(th, td)")].filter((cell) => {
  const box = cell.getBoundingClientRect();
  return box.left < 0 || box.right > innerWidth || cell.scrollWidth > cell.clientWidth + 1;
}).map((cell) => cell.innerText)"""


@pytest.fixture
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        except sync_api.Error as error:
            pytest.skip(f"Chromium does not start: {error}")
        yield browser
        browser.close()


@pytest.fixture
def report(browser, content, tmp_path):
    """The report, opened, and what went wrong in it or out of it."""
    file = tmp_path / "report.html"
    file.write_bytes(render(content))
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(TIMEOUT_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    wrong = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url))
    page.goto(file.as_uri())
    yield page
    assert [one for one in wrong if not one.startswith(("file:", "data:", "blob:"))] == []


def draw_all(page):
    """Figures are drawn when they come into sight."""
    plots = page.locator(".plot")
    for number in range(plots.count()):
        plots.nth(number).scroll_into_view_if_needed()
        plots.nth(number).locator("svg.main-svg").first.wait_for()
    return plots.count()


def names_shown(page):
    return page.locator("#tests tbody tr:visible th a").all_inner_texts()


def test_the_report_in_a_browser(report, eventually):
    # Every section and every figure, and nothing that a test's name has brought.
    ids = report.locator("section").evaluate_all("all => all.map((one) => one.id)")
    assert ids[0] == "overview"
    assert {"odd", "test-5", "machine", "how"} <= set(ids)
    assert draw_all(report) > 30
    assert report.title() == "TensorFlow threads"
    assert report.locator("img").count() == 0
    assert report.evaluate(CLIPPED) == []

    # Sorting, by mouse and by keyboard.
    first = names_shown(report)
    heading = report.locator("#tests th", has_text="Throughput")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    keys = report.locator("#tests tbody tr").evaluate_all(
        "all => all.map((row) => row.cells[2].dataset.sort)"
    )
    known = [float(key) for key in keys if key]
    assert known == sorted(known)
    assert not any(keys[len(known) :])
    heading.locator("button").focus()
    report.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert sorted(names_shown(report)) == sorted(first)
    report.keyboard.press("Tab")
    assert "CPU" in report.evaluate("document.activeElement.textContent")

    # Filtering, by words and by verdict.
    report.get_by_label("Filter by words").fill("test_b duet")
    assert names_shown(report) == ["TestClass::test_duet"]
    assert report.locator("form.filter [role=status]").inner_text() == "1 of 5"
    report.get_by_label("Filter by words").fill("")
    report.locator("form.filter select").select_option("regression")
    assert names_shown(report) == ["test_grid"]

    # By keyboard to the contents, to a folded table, to a line that is copied.
    report.reload()
    report.keyboard.press("Tab")
    assert report.evaluate("document.activeElement.className") == "skip"
    report.keyboard.press("Enter")
    assert report.url.endswith("#content")
    report.locator("details.table summary").first.focus()
    report.keyboard.press("Space")
    assert report.locator("details.table table").first.is_visible()
    opened = "[...document.querySelectorAll('details.table')].map((one) => one.open)"
    assert report.evaluate(opened).count(True) == 1
    report.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert all(report.evaluate(opened))
    report.evaluate("dispatchEvent(new Event('afterprint'))")
    assert report.evaluate(opened).index(True) == 0
    assert report.evaluate(opened).count(True) == 1
    report.locator("button.copy").first.focus()
    report.keyboard.press("Enter")
    report.get_by_role("button", name="Copied").wait_for()
    copied = report.evaluate("navigator.clipboard.readText()")
    assert copied == "@pytest.mark.tf_threads(intra=8, inter=1)"

    # Figures follow the colour scheme and the width; nothing sticks out of a phone.
    report.locator(".xtick text").first.wait_for(state="attached")
    colour = "getComputedStyle(document.querySelector('.xtick text')).fill"
    light = report.evaluate(colour)
    report.emulate_media(color_scheme="dark")
    # Not the page's own wait_for_function, which the page's policy forbids.
    eventually(lambda: report.evaluate(colour) != light)
    report.set_viewport_size({"width": 390, "height": 844})
    widest = (
        "Math.max(...[...document.querySelectorAll('svg.main-svg')].map((one) => one.clientWidth))"
    )
    eventually(lambda: report.evaluate(widest) < 390)
    draw_all(report)
    assert report.evaluate("document.documentElement.scrollWidth") == 390
    assert report.evaluate(OUT_OF_SIGHT) == []
    assert report.evaluate(CLIPPED) == []

    # Paper is white, and has all figures and tables.
    assert report.pdf().startswith(b"%PDF")
    assert report.evaluate("document.documentElement.className") == ""
