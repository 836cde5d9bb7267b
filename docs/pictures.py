"""Makes the pictures of the documentation from real runs: `python docs/pictures.py`.

Each picture is written to docs/_static. A terminal picture is what a command printed, as SVG; a
picture of the report is a screenshot by Chromium. It needs TensorFlow and the group `pictures` of
pyproject.toml, and it takes some minutes. Run it on a quiet machine, look at the pictures, and
mend the captions that name their figures.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).parents[1]
STATIC = TOP / "docs" / "_static"
COLUMNS = 120
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SIZE_PX = {"width": 1072, "height": 1091}
# The section of a run's output that is this plugin's, up to the next one.
SUMMARY = re.compile(r"^[^\n]*-+ tf_threads -+.*?(?=^[^\n]*-{4,} [\w ]+: |\Z)", re.M | re.S)


def regression(directory: Path) -> None:
    """A gate that fails: the training library of examples/, with wider layers than in HEAD."""
    shutil.copytree(TOP / "examples" / "training-library", directory, dirs_exist_ok=True)
    git = ("git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "A small model"]):
        subprocess.run([*git, *command], cwd=directory, check=True)
    models = directory / "tiny_trainer" / "models.py"
    narrow = models.read_text(encoding="utf-8")
    wide = narrow.replace("width: int = 256", "width: int = 384")
    if wide == narrow:
        raise SystemExit(f"{models}: there is no width of 256 to change any more")
    models.write_text(wide, encoding="utf-8")
    arguments = ("tests/test_step_speed.py", "-k256", "--tf-threads=1x1", "--tf-threads-duet=HEAD")
    _terminal(
        "regression.svg", f"pytest {' '.join(arguments)}", _pytest(directory, *arguments, code=1)
    )


def report(directory: Path) -> None:
    """A test in the report, over intra × inter."""
    file = directory / "report.html"
    _pytest(
        TOP / "benchmarks",
        "test_inference.py",
        "-k32",
        "--tf-threads=intra=1,2,4,8;inter=1,2",
        "--tf-threads-processes=4",
        "--benchmark-max-time=0.3",
        f"--tf-threads-report={file}",
        code=0,
    )
    _screenshot(file, "report.png")


PICTURES: dict[str, Callable[[Path], None]] = {one.__name__: one for one in (regression, report)}


def _pytest(directory: Path, *arguments: str, code: int) -> str:
    """What pytest prints, in colour. Ends the program where pytest ends with another code."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "GITHUB_ACTIONS", "NO_COLOR", "PYTEST_ADDOPTS")
    }
    environment |= {"COLUMNS": str(COLUMNS), "PYTHONPATH": str(directory)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--color=yes", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
    )
    if run.returncode != code:
        raise SystemExit(f"pytest ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    return run.stdout


def _terminal(name: str, command: str, printed: str) -> None:
    """The command, the plugin's summary, and the last line."""
    from rich.console import Console
    from rich.text import Text

    summary = SUMMARY.search(printed)
    if summary is None:
        raise SystemExit(f"{name}: no summary of the plugin was printed:\n{printed}")
    shown = [
        Text(f"$ {command}", style="bold"),
        Text("…"),
        Text.from_ansi(summary[0].rstrip()),
        Text("…"),
        Text.from_ansi(printed.rstrip().rpartition("\n")[2]),
    ]
    # A table may be wider than the terminal, and shall not be broken.
    width = max(len(line.plain) for text in shown for line in text.split())
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, highlight=False
    )
    for text in shown:
        console.print(text)
    # The same id in every run: else the whole file changes with each of its words.
    svg = console.export_svg(title="", unique_id=name.removesuffix(".svg"))
    # Lines end in blanks, which are not seen.
    text = "\n".join(line.rstrip() for line in svg.splitlines())
    (STATIC / name).write_text(text + "\n", encoding="utf-8")


def _screenshot(file: Path, name: str) -> None:
    """The section of the report's first test, as much of it as `SIZE_PX` shows."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        raise SystemExit(f"{name}: Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE_PX)
        page.goto(file.as_uri())
        test = page.locator("section[id^=test-]").first
        plots = test.locator(".plot")
        for number in range(min(4, plots.count())):  # drawn when they come into sight
            plots.nth(number).scroll_into_view_if_needed()
            plots.nth(number).locator("svg.main-svg").first.wait_for()
        test.evaluate("section => section.scrollIntoView()")
        page.screenshot(path=STATIC / name)
        browser.close()


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help=", ".join(PICTURES))
    chosen = parser.parse_args().pictures or list(PICTURES)
    if unknown := set(chosen) - PICTURES.keys():
        parser.error(f"{', '.join(sorted(unknown))}: known are {', '.join(PICTURES)}")
    STATIC.mkdir(exist_ok=True)
    for picture in chosen:
        with tempfile.TemporaryDirectory() as directory:
            PICTURES[picture](Path(directory))
        print(f"made: {picture}")


if __name__ == "__main__":
    main()
