"""The current tree and the checkout of another revision: which path here is which there."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.revision.installs import PACKAGE_DIRECTORIES, Install

_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
# Where a path begins in an option: what comes before may not be the beginning of a longer path.
_BEGINS = r"""(?:(?<![^\s=:,;'"(\[{@|])|(?<=://)|(?<=:///)|(?<=^-\w)|(?<=[\s=:,;'"(\[{@|]-\w))"""
_NAME_ENDS = r"""(?=$|[/\s:,;'")\]}|])"""


def own_prefixes() -> tuple[Path, ...]:
    """Where this interpreter and its packages live."""
    paths = sysconfig.get_paths()
    library = (paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    prefixes = (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    return tuple(sorted({_real(path) for path in (*prefixes, *library)}))


@dataclass(frozen=True)
class Counterparts:
    """`top` of the current tree and `root` of the checkout, both without symbolic links.

    `prefixes` are the interpreter's. Those that lie inside the tree, like every virtual environment
    there, are no part of it: both sides use them.
    """

    top: Path
    root: Path
    prefixes: tuple[Path, ...]

    def counterpart(self, path: Path) -> Path | None:
        """The path in the checkout, whether or not it exists there; None if it has none."""
        real = _real(path)
        if not self._is_current(real):
            return None
        # A link within the tree keeps its own name, if it can be said without following it.
        named = Path(os.path.abspath(path))
        if not named.is_relative_to(self.top) or _real(named) != real:
            named = real
        return self.root / named.relative_to(self.top)

    def in_text(self, text: str) -> str:
        """An option, or several of them, with the tree's paths turned into the checkout's.

        A path that only ends like the tree's, such as /srv/app beside /app, is another one.
        """
        top = re.compile(_BEGINS + re.escape(str(self.top)) + _NAME_ENDS)
        return top.sub(lambda _: str(self.root), text)

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
            parent
            for parent in (real, *real.parents)
            if parent != self.top and self.top in parent.parents
        ]
        return not any(
            one.name in PACKAGE_DIRECTORIES
            or one in self.prefixes
            or any(os.path.exists(one / mark) for mark in _ENVIRONMENT_MARKS)
            for one in inside
        )


def redirected(
    sys_path: Sequence[str], counterparts: Counterparts, installs: Sequence[Install] = ()
) -> list[str]:
    """`sys.path` for the checkout's side: the same, with the current tree's entries replaced.

    First come the counterparts of what leads to the tree's packages otherwise, unless that is asked
    before `sys.path`.
    """
    path: dict[str, None] = {}
    for install in installs:
        for root in () if install.comes_first else install.roots:
            if (counterpart := counterparts.counterpart(root)) is not None:
                path[str(counterpart)] = None
    for entry in sys_path:
        if entry and not os.path.isabs(entry) and not os.path.exists(entry):
            path[entry] = None  # a word for an import hook
            continue
        if (counterpart := counterparts.counterpart(Path(entry))) is not None:
            path[str(counterpart)] = None
            continue
        if _real(entry) == counterparts.top.parent:
            # The tree is itself a package: its counterpart has its name, in a directory of its own.
            path[str(counterparts.root.parent)] = None
        path[entry] = None
    return list(path)


def _real(path: str | Path) -> Path:
    # Path.resolve() raises on a loop of links before Python 3.13.
    return Path(os.path.realpath(path))
