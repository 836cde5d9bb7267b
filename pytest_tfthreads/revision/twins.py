"""The current tree and the checkout of another revision: which path here is which there.

And whether the two sides of a comparison really ran code of their own: `sys.path` is not all that
says where a module comes from.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PACKAGE_DIRECTORIES = {"site-packages", "dist-packages"}
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
_NAMED_MODULES = 5


def own_prefixes() -> tuple[Path, ...]:
    """Where this interpreter and its packages live."""
    paths = sysconfig.get_paths()
    library = (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    prefixes = (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    return tuple(sorted({_real(path) for path in (*prefixes, *library)}))


@dataclass(frozen=True)
class Twins:
    """`top` of the current tree and `root` of the checkout, both without symbolic links.

    `prefixes` are the interpreter's. Those that lie inside the tree, like every virtual environment
    there, are no part of it: both sides use them.
    """

    top: Path
    root: Path
    prefixes: tuple[Path, ...]

    def twin(self, path: Path) -> Path | None:
        """The path in the checkout, whether or not it exists there; None if it has no twin."""
        real = _real(path)
        if not self._is_current(real):
            return None
        # A link within the tree keeps its own name, if it can be said without following it.
        named = Path(os.path.abspath(path))
        if not named.is_relative_to(self.top) or _real(named) != real:
            named = real
        return self.root / named.relative_to(self.top)

    def is_current(self, file: str) -> bool:
        """Whether a module's file really lies in the current tree."""
        return os.path.isabs(file) and self._is_current(_real(file))

    def is_checked_out(self, file: str) -> bool:
        """Whether a module's file really lies in the checkout."""
        return os.path.isabs(file) and _real(file).is_relative_to(self.root)

    def _is_current(self, real: Path) -> bool:
        # The temporary directory, and so the checkout, may lie in the tree.
        if not real.is_relative_to(self.top) or real.is_relative_to(self.root):
            return False
        inside = [
            one for one in (real, *real.parents) if one != self.top and self.top in one.parents
        ]
        return not any(
            one.name in PACKAGE_DIRECTORIES
            or one in self.prefixes
            or any((one / mark).exists() for mark in _ENVIRONMENT_MARKS)
            for one in inside
        )


def redirected(
    sys_path: Sequence[str], twins: Twins, modules: Mapping[str, ModuleType] | None = None
) -> list[str]:
    """`sys.path` for the checkout's side: the same, with the current tree's entries replaced.

    First come the twins of what setuptools' editable installs look up without `sys.path`; their
    finders stand in `modules`, by default `sys.modules`.
    """
    path: dict[str, None] = {}
    for root in _editable_roots(sys.modules if modules is None else modules):
        if (twin := twins.twin(root)) is not None:
            path[str(twin)] = None
    for entry in sys_path:
        if (twin := twins.twin(Path(entry))) is not None:
            path[str(twin)] = None
            continue
        if _real(entry) == twins.top.parent:
            # The tree is itself a package: its twin has its name, in a directory of its own.
            path[str(twins.root.parent)] = None
        path[entry] = None
    return list(path)


def _editable_roots(modules: Mapping[str, ModuleType]) -> Iterable[Path]:
    """Directories that setuptools' finders import from, as if they were in `sys.path`."""
    for name in sorted(modules):
        if not (name.startswith("__editable___") and name.endswith("_finder")):
            continue
        mapping = getattr(modules[name], "MAPPING", None)
        for package, path in sorted(mapping.items() if isinstance(mapping, dict) else ()):
            parts = package.split(".")
            # A directory of another name than the package (package_dir) has no such root.
            if Path(path).parts[-len(parts) :] == tuple(parts):
                yield Path(path).parents[len(parts) - 1]


def shared_modules(modules: Mapping[str, str], twins: Twins) -> str | None:
    """What is wrong if the checkout's side imported modules of the current tree; else None.

    `modules` are its modules' files by name.
    """
    shared = sorted(name for name, file in modules.items() if twins.is_current(file))
    if not shared:
        return None
    return (
        f"The side of the other revision imported {_listed(shared)} from the current tree "
        f"({modules[shared[0]]}), so the two sides do not run different code. Something other than "
        "sys.path leads there: install the package so that a path in a .pth file does (`pip "
        "install -e . --config-settings editable_mode=compat`), or uninstall it and name its "
        "directory in pytest's `pythonpath`, or compare two environments with "
        "--tf-threads-duet=python=PATH."
    )


def installed_code(modules: Mapping[str, str], twins: Twins, rootdir: Path) -> str | None:
    """What is wrong if packages that the checkout has were imported from elsewhere; else None.

    `modules` are the files by name of what its side imported. Packages are looked for at the top
    of the checkout and of the twin of pytest's `rootdir`, and in `src` there.
    """
    tops = {twins.root, twins.twin(rootdir) or twins.root}
    sources = [directory for top in sorted(tops) for directory in (top, top / "src")]
    installed = sorted(
        name
        for name, file in modules.items()
        if name.partition(".")[0] not in sys.stdlib_module_names
        and os.path.isabs(file)
        and not twins.is_current(file)
        and not twins.is_checked_out(file)
        and any(_has_module(directory, name) for directory in sources)
    )
    if not installed:
        return None
    verb = "is" if len(installed) == 1 else "are"
    return (
        f"{_listed(installed)} {verb} imported from {Path(modules[installed[0]]).parent} on both "
        "sides, although the other revision has code of that name: what is installed is measured "
        "against itself. Install it editable (`pip install -e .`), or compare two environments "
        "with --tf-threads-duet=python=PATH."
    )


def _real(path: str | Path) -> Path:
    # Path.resolve() raises on a loop of links before Python 3.13.
    return Path(os.path.realpath(path))


def _has_module(directory: Path, name: str) -> bool:
    place = directory.joinpath(*name.split("."))
    return (place / "__init__.py").is_file() or place.with_name(f"{place.name}.py").is_file()


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(names[:_NAMED_MODULES])
    more = len(names) - _NAMED_MODULES
    return f"{first} and {more} more" if more > 0 else first
