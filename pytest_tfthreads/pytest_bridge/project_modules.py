"""Which modules marked tests use, as the collection has imported them."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterable, Iterator

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook

from pytest_tfthreads.engine.preload import Preload
from pytest_tfthreads.pytest_bridge.options import PreloadWish

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_NEVER = {"builtins", "pytest", "_pytest", "pluggy", "pytest_tfthreads", "pytest_benchmark"}


def modules_to_preload(
    items: Iterable[pytest.Item],
    collected: Iterable[pytest.Item],
    config: pytest.Config,
    wish: PreloadWish,
) -> Preload:
    """What the files of these items, and the conftest files of the run, refer to.

    Never the file of any that was `collected`, nor a conftest file.

    Learned from this process and not from the first measuring process: so all processes of a run
    are alike, and so are those of two runs.
    """
    conftests = [plugin for plugin in config.pluginmanager.get_plugins() if _is_conftest(plugin)]
    keep_out = {name for name, module in list(sys.modules.items()) if _is_rewritten(module)}
    keep_out |= {module.__name__ for module in (*_modules_of(collected), *conftests)}
    names: dict[str, None] = dict.fromkeys(wish.names)
    if wish.is_auto:
        for module in (*conftests, *_modules_of(items)):
            for name in _names_in(module):
                if name not in keep_out and _is_of_project(name):
                    names[name] = None
    in_order = {name: number for number, name in enumerate(list(sys.modules))}
    return Preload(
        tuple(sorted(names, key=lambda name: (in_order.get(name, len(in_order)), name))),
        tuple(sorted(keep_out)),
    )


def _modules_of(items: Iterable[pytest.Item]) -> Iterable[types.ModuleType]:
    """Of their files; an item of another plugin may have none."""
    return dict.fromkeys(filter(None, (getattr(item, "module", None) for item in items)))


def _names_in(module: types.ModuleType) -> Iterator[str]:
    """The modules that a module's names lead to: modules, and where classes and functions are."""
    for value in list(vars(module).values()):
        kind = type(value)  # and not isinstance, which wakes what is lazy
        if issubclass(kind, types.ModuleType):
            # By its dictionary, for a module that is loaded when it is first used would be.
            name = vars(value).get("__name__")
        elif issubclass(kind, (type, *_FUNCTIONS)):
            name = value.__module__
        else:
            name = kind.__module__
        if isinstance(name, str):
            yield name


def _is_of_project(name: str) -> bool:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in _NEVER:
        return False
    spec = getattr(sys.modules.get(name), "__dict__", {}).get("__spec__")
    return spec is not None  # else it was made, and cannot be imported


def _is_rewritten(module: object) -> bool:
    """Whether pytest has rewritten its assertions, as it will in each measuring process."""
    loader = getattr(module, "__dict__", {}).get("__loader__")
    return isinstance(loader, AssertionRewritingHook)


def _is_conftest(plugin: object) -> bool:
    file = getattr(plugin, "__dict__", {}).get("__file__")
    return isinstance(file, str) and os.path.basename(file) == "conftest.py"
