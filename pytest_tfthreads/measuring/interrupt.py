"""Ctrl-C in a process that tests share: one KeyboardInterrupt, however many signals come."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


class Interrupt:
    """Raises KeyboardInterrupt at the first SIGINT, and takes no notice of later ones.

    pytest sends SIGINT until the process ends, because one may be in vain. Later ones must not
    disturb fixtures that are being taken down.
    """

    def __init__(self) -> None:
        self._has_come = False
        self._is_held = False
        self._is_owed = False

    def listen(self) -> None:
        signal.signal(signal.SIGINT, self._take)

    def listen_no_more(self) -> None:
        """From here on, an interrupt has nothing to break off."""
        self._has_come = True

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What runs inside is not broken off: KeyboardInterrupt is raised after it."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._is_owed:
            self._is_owed = False
            raise KeyboardInterrupt

    def _take(self, *_: object) -> None:
        if self._has_come:
            return
        self._has_come = True
        # As far as the kernel can, it lets system calls go on when further signals come.
        signal.siginterrupt(signal.SIGINT, False)
        if self._is_held:
            self._is_owed = True
        else:
            raise KeyboardInterrupt
