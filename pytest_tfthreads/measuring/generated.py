"""What TensorFlow's AutoGraph leaves in the directory of temporary files, removed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys

_PREFIX = "__autograph_generated_file"
"""How the names of the modules begin that AutoGraph makes, one for each function it converts."""


def remove_bytecode() -> None:
    """Remove the bytecode of the modules that AutoGraph has made in this process.

    TensorFlow writes such a module to the directory of temporary files, imports it, and removes
    its source at exit. The bytecode that Python has written beside it stays. The names are random,
    so nobody reads that file again, and each measuring process would leave files of its own.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith(_PREFIX) and module.__file__:
            bytecode = importlib.util.cache_from_source(module.__file__)
            with contextlib.suppress(OSError):  # Python could not write it, or a fork was faster
                os.unlink(bytecode)
                os.rmdir(os.path.dirname(bytecode))
