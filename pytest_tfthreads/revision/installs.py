"""How packages of a tree are installed to be edited there, other than by an entry of `sys.path`.

Build backends have several ways. A path in a .pth file needs nothing from here: it is in
`sys.path`, and so are the directories that pytest adds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PACKAGE_DIRECTORIES = {"site-packages", "dist-packages"}
_LINK_TREE = "__editable__."
# Import hooks that everybody has: Python's, pytest's, and those that only rename or patch.
_ORDINARY_HOOKS = ("_frozen_importlib", "_pytest", "_distutils_hack", "six")


@dataclass(frozen=True)
class Install:
    """What leads to modules of a tree.

    `places` are directories of packages, or files without their suffix, by the modules' full
    names. `comes_first`: it is asked before `sys.path`, so that no path leads elsewhere.
    """

    tool: str
    places: Mapping[str, Path]
    comes_first: bool = False

    @property
    def roots(self) -> list[Path]:
        """Directories that, in `sys.path`, lead to the same places."""
        found: dict[Path, None] = {}
        for name, place in sorted(self.places.items()):
            parts = name.split(".")
            # A directory of another name than the package (package_dir) has no such root.
            if place.parts[-len(parts) :] == tuple(parts):
                found[place.parents[len(parts) - 1]] = None
        return list(found)

    def leads_to(self, module: str) -> bool:
        return any(module == place or module.startswith(f"{place}.") for place in self.places)


def all_installs(
    sys_path: Sequence[str] | None = None,
    modules: Mapping[str, ModuleType] | None = None,
    meta_path: Sequence[object] | None = None,
) -> tuple[Install, ...]:
    """All that are found in an interpreter; by default in this one."""
    path = sys.path if sys_path is None else sys_path
    hooks = sys.meta_path if meta_path is None else meta_path
    found = [
        *_setuptools_finders(sys.modules if modules is None else modules),
        *_link_trees(path),
        *_linked_packages(path),
        *_redirections(hooks),
        *_build_hooks(hooks),
    ]
    return tuple(one for one in found if one.places)


def import_hooks(meta_path: Sequence[object] | None = None) -> list[str]:
    """Names of the import hooks that are not everybody's, for people."""
    names = []
    for hook in sys.meta_path if meta_path is None else meta_path:
        kind = hook if isinstance(hook, type) else type(hook)
        if not kind.__module__.startswith(_ORDINARY_HOOKS):
            names.append(f"{kind.__module__}.{kind.__qualname__}")
    return names


def _setuptools_finders(modules: Mapping[str, ModuleType]) -> Iterator[Install]:
    for name in sorted(modules):
        if name.startswith("__editable___") and name.endswith("_finder"):
            yield Install("setuptools", _places(getattr(modules[name], "MAPPING", None)))


def _link_trees(sys_path: Sequence[str]) -> Iterator[Install]:
    """The strict mode of setuptools: a directory below build/, with a link to each file."""
    for entry in dict.fromkeys(sys_path):
        if not Path(entry).name.startswith(_LINK_TREE):
            continue
        places = {}
        for directory, _, files in os.walk(entry):
            for file in files:
                link = Path(directory, file)
                if link.suffix == ".py" and os.path.islink(link):
                    within = _without_suffix(link.relative_to(entry))
                    places[".".join(within.parts)] = _without_suffix(Path(os.path.realpath(link)))
        yield Install("setuptools (editable_mode=strict)", places)


def _linked_packages(sys_path: Sequence[str]) -> Iterator[Install]:
    """`flit install --symlink`: a link among the installed packages."""
    for entry in dict.fromkeys(sys_path):
        if Path(entry).name not in PACKAGE_DIRECTORIES or not os.path.isdir(entry):
            continue
        try:
            with os.scandir(entry) as files:
                links = [file for file in files if file.is_symlink()]
        except OSError:  # nothing is imported from what cannot be read
            continue
        places = {
            Path(link.name).stem: _without_suffix(Path(os.path.realpath(link))) for link in links
        }
        yield Install("a link among the installed packages", places)


def _redirections(meta_path: Iterable[object]) -> Iterator[Install]:
    """The library `editables`, which hatchling (dev-mode-exact) and pdm-backend can use."""
    for hook in meta_path:
        places = _places(getattr(hook, "_redirections", None))
        yield Install("editables (hatchling, pdm-backend)", places)


def _build_hooks(meta_path: Iterable[object]) -> Iterator[Install]:
    """Hooks of backends for compiled packages: they know the build of one tree, and come first."""
    for hook in meta_path:
        kind = type(hook).__name__
        if kind == "MesonpyMetaFinder":
            build = Path(str(getattr(hook, "_build_path", "")))
            names = getattr(hook, "_top_level_modules", ())
            yield Install("meson-python", dict.fromkeys(map(str, names), build), comes_first=True)
        elif kind.startswith("ScikitBuild"):
            places = _places(getattr(hook, "known_source_files", None))
            places |= _places(getattr(hook, "known_wheel_files", None))
            names = getattr(hook, "known_packages", ())
            places |= {str(name): Path(name) for name in names if name not in places}
            yield Install("scikit-build-core", places, comes_first=True)


def _places(mapping: object) -> dict[str, Path]:
    """Nothing is taken for granted of what other tools keep for themselves."""
    if not isinstance(mapping, Mapping):
        return {}
    return {
        name: _without_suffix(Path(place))
        for name, place in mapping.items()
        if isinstance(name, str) and isinstance(place, str)
    }


def _without_suffix(file: Path) -> Path:
    """A module's file without its suffix, a package's directory."""
    if file.name == "__init__.py":
        return file.parent
    return file.with_suffix("") if file.suffix == ".py" else file
