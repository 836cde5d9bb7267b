"""Print the rooms of the package as docs/design.md shows them: `python docs/rooms.py`.

Rooms come in the order of the import-linter's layers, from above to below. What a module is for is
the first line of its docstring.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pytest_tfthreads"


def purpose(module: Path) -> str:
    """The first line of a module's docstring, without the period."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].removesuffix(".")


def layers() -> list[str]:
    """All rooms, highest first."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'containers = \["pytest_tfthreads"\].*?layers = \[(.*?)\n\]', text, re.S)
    assert found is not None
    return re.findall(r"\w+", found[1])


def line(name: str, module: Path, indent: str = "") -> str:
    """What stands in the list for one room or module."""
    return f"{indent + name:<26}{purpose(module)}"


def lines_of(directory: Path, indent: str = "  ") -> list[str]:
    """One line for each module of a package, and for the packages in it."""
    lines = []
    for path in sorted(directory.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.is_dir() and (path / "__init__.py").exists():
            lines += [line(path.name + "/", path / "__init__.py", indent)]
            lines += lines_of(path, indent + "  ")
        elif path.suffix == ".py" and path.name != "__init__.py":
            lines += [line(path.name, path, indent)]
    return lines


def rooms() -> str:
    """The whole house, a line a room or module."""
    lines = []
    for name in layers():
        room = PACKAGE / name
        if room.is_dir():
            lines += [line(name + "/", room / "__init__.py"), *lines_of(room)]
        else:
            lines += [line(name + ".py", room.with_suffix(".py"))]
    return "\n".join(lines)


if __name__ == "__main__":
    print(rooms())
