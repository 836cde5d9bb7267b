"""Whether both sides of a comparison imported code of their own, and if not, what would mend it.

`sys.path` is not all that says where a module comes from: import hooks, builds, and what is
installed do so too. Modules are given as their files by name.
"""

from __future__ import annotations

import importlib.machinery
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.revision import git
from pytest_tfthreads.revision.counterparts import Counterparts
from pytest_tfthreads.revision.installs import Install, import_hooks
from pytest_tfthreads.revision.overlay import Overlay

_NAMED_MODULES = 5
_COMPILED = tuple(importlib.machinery.EXTENSION_SUFFIXES)
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_NO_NAME = re.compile(
    r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'"
)
_BUILD_BOTH = (
    "build each revision into an environment of its own (`pip install .` without -e), and compare "
    "the two: python=PATH in place of a revision."
)


@dataclass(frozen=True)
class Origins:
    """Where modules of the two sides come from.

    `rootdir` is pytest's; `tests` are laid over the other revision; `installs` lead to modules of
    the current tree.
    """

    counterparts: Counterparts
    rootdir: Path
    tests: Overlay
    installs: Sequence[Install] = ()

    def mistake(self, there: Mapping[str, str], here: Mapping[str, str]) -> str:
        """Why the other side ran code that it should not have, or nothing."""
        return self._shared(there) or self._installed(there) or self._uncompiled(there, here)

    def newness(self, there: Mapping[str, str]) -> str:
        """Why there is nothing to compare with: the code is new since; or nothing."""
        new = sorted(name for name, file in there.items() if self.counterparts.is_current(file))
        if not new:
            return ""
        return (
            f"the other revision has no {_listed(new)}, which the test needs: the current tree's "
            "was imported"
        )

    def wrong_path(self, problem: str, here: Mapping[str, str]) -> str:
        """Why a test that fails there for want of a module would run there, or nothing.

        `here` are the modules of the current side, on which the test passes.
        """
        name = _missing_module(problem)
        if not name:
            return ""
        file = here.get(name)
        place = self._place_there(name, file)
        if place is not None:
            found = f" from {file}" if file else ""
            relative = place.relative_to(self.counterparts.root)
            return (
                f"The other revision has {name} ({relative}), but its "
                f"side does not find it: the module path that leads to it here{found} leads "
                f"nowhere there. {self._how(name)}Install the package such that a path in a .pth "
                "file leads to its sources (`pip install -e . --config-settings "
                "editable_mode=compat` with setuptools), or name their directory in pytest's "
                f"`pythonpath`; or {_BUILD_BOTH}"
            )
        if file is None:
            return ""
        if not self.counterparts.is_current(file):
            if self._place_there(name.partition(".")[0], None) is not None:
                return ""  # another revision of the package, which has no such module
            return (
                f"{name} is imported from {file} here, and the other side does not find it: "
                f"something other than sys.path leads there. {self._how(name)}Name its directory "
                f"in pytest's `pythonpath`, or {_BUILD_BOTH}"
            )
        if not self._is_made_here(file) or not self._is_mentioned(name):
            return ""
        what = "compiled" if _is_compiled(file) else "generated"
        return (
            f"The other revision needs {name}, which is {what} here ({file}) and is not in git, so "
            f"a checkout of the other revision is without it. {self._how(name)}For packages with "
            f"such parts, {_BUILD_BOTH}"
        )

    def _shared(self, there: Mapping[str, str]) -> str:
        shared = sorted(
            name
            for name, file in there.items()
            if self.counterparts.is_current(file)
            and (self._place_there(name, file) is not None or self._is_built(name, file))
        )
        if not shared:
            return ""
        first = shared[0]
        what = (
            f"The side of the other revision imported {_listed(shared)} from the current tree "
            f"({there[first]}), so the two sides do not run different code. "
        )
        install = self._install_of(first)
        if install is not None and install.comes_first:
            return (
                f"{what}{install.tool}'s editable install leads there: its import hook comes "
                f"before sys.path and knows the build of this tree only. To compare revisions, "
                f"{_BUILD_BOTH}"
            )
        if install is not None:
            return (
                f"{what}The editable install by {install.tool} leads there, to "
                f"{install.places.get(first, Path(there[first]).parent)}. Give the directory the "
                f"name of the package, or {_BUILD_BOTH}"
            )
        hooks = import_hooks()
        known = f" (import hooks here: {', '.join(hooks)})" if hooks else ""
        return (
            f"{what}Something other than sys.path leads there{known}: install the package so that "
            "a path in a .pth file does (`pip install -e . --config-settings "
            "editable_mode=compat` with setuptools), or uninstall it and name its directory in "
            f"pytest's `pythonpath`; or {_BUILD_BOTH}"
        )

    def _installed(self, there: Mapping[str, str]) -> str:
        """Packages that the other revision has, imported from elsewhere."""
        installed = sorted(
            name
            for name, file in there.items()
            if name.partition(".")[0] not in sys.stdlib_module_names
            and os.path.isabs(file)
            and not self.counterparts.is_current(file)
            and not self.counterparts.is_checked_out(file)
            and any(_module_file(directory, name) for directory in self._sources())
        )
        if not installed:
            return ""
        place = Path(there[installed[0]]).parent
        verb = "is" if len(installed) == 1 else "are"
        what = (
            f"{_listed(installed)} {verb} imported from {place} on both sides, although the other "
            "revision has code of that name: what is installed is measured against itself. "
        )
        if any(_has_compiled_parts(there[name]) for name in installed):
            return f"{what}It has compiled parts: {_BUILD_BOTH}"
        return f"{what}Install it editable (`pip install -e .`), or {_BUILD_BOTH}"

    def _uncompiled(self, there: Mapping[str, str], here: Mapping[str, str]) -> str:
        """Modules that are compiled on the current side only, though the other needs them too."""
        compiled = sorted(
            name
            for name, file in here.items()
            if _is_compiled(file)
            and self.counterparts.is_current(file)
            and not _is_compiled(there.get(name, ""))
            and (name in there or self._is_mentioned(name))
        )
        if not compiled:
            return ""
        first = compiled[0]
        instead = there.get(first)
        return (
            f"{_listed(compiled)} {'is' if len(compiled) == 1 else 'are'} compiled on the current "
            f"side ({here[first]}) and not on the other, which "
            f"{f'imported {instead}' if instead else 'ran without'}: a build that git does not "
            "hold is missing in a checkout, and compiled code was measured against what stands in "
            f"for it. For packages with compiled parts, {_BUILD_BOTH}"
        )

    def _sources(self) -> Iterator[Path]:
        """Where a checkout has its packages: at its top or rootdir, or in `src` there."""
        tops = {
            self.counterparts.root,
            self.counterparts.counterpart(self.rootdir) or self.counterparts.root,
        }
        return (directory for top in sorted(tops) for directory in (top, top / "src"))

    def _place_there(self, name: str, file: str | None) -> Path | None:
        """The file that the other revision has for a module; `file` is the current one."""
        counterpart = self.counterparts.counterpart(Path(file)) if file else None
        if counterpart is not None and os.path.isfile(counterpart):
            return counterpart
        found = (_module_file(directory, name) for directory in self._sources())
        return next((one for one in found if one is not None), None)

    def _install_of(self, name: str) -> Install | None:
        return next((install for install in self.installs if install.leads_to(name)), None)

    def _how(self, name: str) -> str:
        install = self._install_of(name)
        return "" if install is None else f"It is installed editable by {install.tool}. "

    def _is_built(self, name: str, file: str) -> bool:
        """Whether it was built here, for a package whose hook leads nowhere else."""
        install = self._install_of(name)
        return (install is not None and install.comes_first) or _is_compiled(file)

    def _is_made_here(self, file: str) -> bool:
        """Whether git has no such file and would not take it: a build, or generated."""
        in_git = git.run(self.counterparts.top, "ls-files", "-z", "--", file).output
        ignored = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", file)
        return not in_git and (
            _is_compiled(file) or bool(git.run(self.counterparts.top, *ignored).output)
        )

    def _is_mentioned(self, name: str) -> bool:
        """Whether the other revision's code, without the tests, has the last part of the name."""
        answer = git.run(
            self.counterparts.root, "grep", "-zlwIF", "-e", name.rpartition(".")[2], "HEAD", "--"
        )
        laid_over = {
            self.counterparts.counterpart(one)
            for one in (*self.tests.files, *self.tests.directories)
        }
        files = [self.counterparts.root / one.partition(":")[2] for one in git.names(answer.output)]
        return any(laid_over.isdisjoint((file, *file.parents)) for file in files)


def _missing_module(problem: str) -> str:
    if found := _NO_MODULE.search(problem):
        return found.group(1)
    if found := _NO_NAME.search(problem):
        return f"{found.group(2)}.{found.group(1)}"
    return ""


def _module_file(directory: Path, name: str) -> Path | None:
    place = directory.joinpath(*name.split("."))
    candidates = (place / "__init__.py", place.with_name(f"{place.name}.py"))
    return next((candidate for candidate in candidates if os.path.isfile(candidate)), None)


def _is_compiled(file: str) -> bool:
    return file.endswith(_COMPILED)


def _has_compiled_parts(file: str) -> bool:
    """Whether a module is compiled, or a package has a compiled module."""
    path = Path(file)
    if path.name != "__init__.py":
        return _is_compiled(file)
    return any(_is_compiled(str(one)) for one in path.parent.rglob("*.so"))


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    first = ", ".join(known[:_NAMED_MODULES])
    more = len(known) - _NAMED_MODULES
    return f"{first} and {more} more" if more > 0 else first
