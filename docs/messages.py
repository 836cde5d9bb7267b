"""Print all messages as docs/reference/messages.md shows them: `python docs/messages.py`.

They are read from the code: the text of each error of the classes in `KINDS`, where it is raised.
"…" stands for what differs from case to case.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pytest_tfthreads"
# Heading of the page: the classes whose messages stand below it.
KINDS = {
    "Markers, options and ini keys": ("ConfigError", "UsageError", "ArgumentTypeError"),
    "Revisions and checkouts": ("RevisionError",),
    "The other environment of a duet": ("EnvironmentUnfitError", "OwnEnvironmentError"),
    "Saved runs": ("BaselineError", "NotOursError"),
    "Commands": ("CommandError", "OutputError"),
    "TensorFlow's threads": ("MisconfiguredError",),
    "Traces": ("UntraceableError", "UnwrittenTraceError", "_NoTraceError", "_NotStoredError"),
}
# The text of a ValueError or a TypeError is for users where a fixture raises it.
FIXTURES = "Fixtures"
OF_FIXTURES = "tf_benchmark"


def messages() -> dict[str, list[str]]:
    """For each heading its messages, in the order of the alphabet."""
    found: dict[str, set[str]] = {kind: set() for kind in (*KINDS, FIXTURES)}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                name = ast.unparse(node.exc.func).rpartition(".")[2]
                text = re.sub("…+", "…", " ".join(_text(node.exc.args).split()))
                kind = _kind(name, text)
                # Where no words are left, others have made the message.
                if kind is not None and re.search(r"[a-z]{2}", text):
                    found[kind].add(text)
    return {kind: sorted(texts, key=_order) for kind, texts in found.items()}


def page_list(texts: list[str]) -> str:
    """They as a list of Markdown, each as code; a blank parts its own backticks from the others."""
    return "\n".join(f"- `` {text} ``" if "`" in text else f"- `{text}`" for text in texts)


def _kind(name: str, text: str) -> str | None:
    if name in ("ValueError", "TypeError"):
        return FIXTURES if text.startswith(OF_FIXTURES) else None
    return next((kind for kind, names in KINDS.items() if name in names), None)


def _text(arguments: list[ast.expr]) -> str:
    """The parts of a message; a ConfigError names what is wrong before a colon."""
    return ": ".join(_fixed(argument) for argument in arguments)


def _fixed(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_fixed(part) for part in node.values)
    return "…"


def _order(text: str) -> tuple[str, str]:
    return re.sub(r"\W+", " ", text).strip().lower(), text


if __name__ == "__main__":
    for heading, texts in messages().items():
        print(f"## {heading}\n\n{page_list(texts)}\n")
