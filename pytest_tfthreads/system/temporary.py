"""The directory for temporary files, which all processes of a machine have in common."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

_VARIABLES = ("TMPDIR", "TEMP", "TMP")
_OF_THE_SYSTEM = ("/tmp", "/var/tmp")  # noqa: S108  # nosec B108 # nothing is made by these names


def temporary_directory() -> Path:
    """The directory that TMPDIR names, or the system has.

    Where there is none that can be written, Python takes the current directory. There processes do
    not meet, and what one leaves when it is killed lies among the user's own files. Raises
    `OSError` then, which names the mend, and where not even that can be written.
    """
    found = tempfile.gettempdir()
    if _is_last_resort(found):
        raise FileNotFoundError(
            errno.ENOENT,
            f"neither the environment variable TMPDIR nor {_OF_THE_SYSTEM[0]} is a directory that "
            f"can be written, and the current one, {found}, is none for temporary files; name one "
            "in TMPDIR",
        )
    return Path(found)


def _is_last_resort(directory: str) -> bool:
    try:
        if directory != os.getcwd():
            return False
    except OSError:  # somebody has removed it
        return False
    meant = [*filter(None, map(os.environ.get, _VARIABLES)), *_OF_THE_SYSTEM]
    return directory not in map(os.path.abspath, meant)
