"""Leases on CPUs: measurements never disturb each other, whichever processes of a user make them.

A process that measures has the whole machine, or with `packed` some CPUs, to itself. One that
computes without measuring shares the machine with others of its kind, and with nobody who measures:
what is not pinned may run on any CPU.

A lease belongs to the process that took it, with all its threads, and ends with it. It does not
belong to the processes that it starts: if one of them asks for a lease that its parent's excludes,
and the parent waits for it, both wait until the time is out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_tfthreads.system.leases import queue
from pytest_tfthreads.system.leases.lease_directory import (
    UnsafePlaceError,
    find_place,
    machine_folder,
)
from pytest_tfthreads.system.leases.notes import Holder, read_notes, remove_note, write_note
from pytest_tfthreads.system.leases.queue import NoLocksError, Ticket, Want
from pytest_tfthreads.system.originals import ORIGINALS

# Who waits looks again and again: waiting in the kernel could be ended after a time only by a
# signal, which may be the test's, or with a thread, and a process with threads cannot be forked.
# A look costs some 0.15 ms of CPU time: who waits for long takes 0.15 % of one CPU from the others.
_SHORTEST_NAP_S = 0.002
_LONGEST_NAP_S = 0.1

_TELL_AFTER_S = 1.0
_TELL_AGAIN_S = 60.0

Listener = Callable[[tuple[Holder, ...]], None]

# What each process has, by its id and the place: a fork finds nothing of its own here. Locks belong
# to the process and not to an object in it, so a second object that opened the file would free the
# first one's by closing it. All `Leases` of a process look here before they do.
_held_here: dict[tuple[int, Path], _Lease] = {}


class LeaseTimeoutError(Exception):
    """Others had the CPUs for longer than this process waits; the message says who."""


class Leases:
    """Leases of this process on the CPUs of its machine, among all that use the same place.

    `place` is a directory, by default that of `find_place`. Who does not get its CPUs within
    `timeout_s` seconds gets a `LeaseTimeoutError`; with None it waits for ever. After a second of
    waiting, and then every minute, `on_wait` is told who is in front, as far as that is known.

    `unavailable` says why leases cannot be kept here, and is empty where they can: some
    file systems have no such locks; the place may be missing, a file, read-only, or one that others
    may write. Then whoever asks for CPUs has them at once. It may turn out with the first lease
    only; `on_unavailable` is told when it does, once.

    Leases may be nested in one process. Computing within any lease is part of it. Measuring within
    `shared` gives that up meanwhile, so two that do so do not wait for each other; within
    `exclusive` it has what it needs, and within `packed` it is a `RuntimeError`.
    """

    def __init__(
        self,
        place: Path | None = None,
        timeout_s: float | None = None,
        on_wait: Listener | None = None,
        on_unavailable: Callable[[str], None] | None = None,
    ) -> None:
        self.unavailable = ""
        self.timeout_s = timeout_s
        self.on_wait = on_wait
        self._on_unavailable = on_unavailable
        try:
            self._place = place or find_place()
        except OSError as error:
            self.do_without(f"there is no directory for them: {error.strerror}")
            return
        try:
            self._folder = self.folder()
        except NoLocksError as error:
            self.do_without(str(error))

    @contextlib.contextmanager
    def shared(self, purpose: str) -> Iterator[None]:
        """Compute while nobody measures. `purpose` is shown to those who wait, such as a test's id.

        Raises `LeaseTimeoutError`.
        """
        if self._held is not None:
            yield
            return
        with self._lease(Want(is_shared=True), purpose):
            yield

    @contextlib.contextmanager
    def exclusive(self, purpose: str) -> Iterator[None]:
        """Measure with the whole machine to itself.

        Raises `LeaseTimeoutError`, also at the end, where it takes again what was shared around it.
        """
        with self._measuring(Want(), purpose):
            yield

    @contextlib.contextmanager
    def packed(self, purpose: str, count: int, offered: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Measure with `count` CPUs to itself, the first ones free of those offered: yields them.

        Raises `LeaseTimeoutError` as `exclusive` does, and `ValueError` if too few are offered.
        """
        with self._measuring(Want(count=count, offered=tuple(offered)), purpose) as cpus:
            yield cpus

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let others measure while this process only waits: gives up what is shared, meanwhile.

        What is its own it keeps. Raises `LeaseTimeoutError` at the end.
        """
        held = self._held
        if held is None or not held.want.is_shared:
            yield
            return
        held.give_back()
        try:
            yield
        finally:
            held.take()

    def holders(self) -> tuple[Holder, ...]:
        """Who has CPUs or waits for some, as far as notes tell; not to be asked within a lease."""
        if self.unavailable:
            return ()
        try:
            folder = self.folder()
            with contextlib.closing(Ticket(folder / "lock", Want())) as ticket:
                return read_notes(folder, queue.TICKETS, ticket.lives)
        except NoLocksError as error:
            self.do_without(str(error))
            return ()

    def folder(self) -> Path:
        """Where locks and notes are; made, if it is not there. Raises `NoLocksError`."""
        try:
            # One name for it, whichever way leads there: see `_held_here`.
            return machine_folder(self._place).resolve()
        except UnsafePlaceError as error:
            raise NoLocksError(str(error)) from error
        except OSError as error:
            raise NoLocksError(f"{self._place} cannot be used: {error.strerror}") from error

    def do_without(self, why: str) -> None:
        """From now on, nobody of this process waits for CPUs."""
        if self.unavailable:
            return
        self.unavailable = why
        if self._on_unavailable is not None:
            self._on_unavailable(why)

    @property
    def is_measuring(self) -> bool:
        """Whether this process has CPUs to itself."""
        return self._held is not None and not self._held.want.is_shared

    @property
    def is_held(self) -> bool:
        """Whether this process has one, of any kind."""
        return self._held is not None

    @property
    def _held(self) -> _Lease | None:
        return None if self.unavailable else _held_here.get((os.getpid(), self._folder))

    @contextlib.contextmanager
    def _measuring(self, want: Want, purpose: str) -> Iterator[tuple[int, ...]]:
        held = self._held
        if held is None or held.want.is_shared:
            with self.paused(), self._lease(want, purpose) as cpus:
                yield cpus
        elif held.want.count is None:
            yield want.offered[: want.count]
        else:
            raise RuntimeError(
                f"{purpose} asks for CPUs within {held.purpose}, which has some of its own: all "
                "must be asked for at once."
            )

    @contextlib.contextmanager
    def _lease(self, want: Want, purpose: str) -> Iterator[tuple[int, ...]]:
        lease = _Lease(self, want, purpose)
        try:
            lease.take()
            yield lease.cpus
        finally:
            lease.give_back()


class _Lease:
    """CPUs that this process has, gives back and may take again; a fork of it does neither."""

    def __init__(self, leases: Leases, want: Want, purpose: str) -> None:
        self.want = want
        self.purpose = purpose
        self._leases = leases
        self._pid = os.getpid()
        self._folder = Path()
        self._ticket: Ticket | None = None

    @property
    def cpus(self) -> tuple[int, ...]:
        """Those of `packed`; without locks, the first ones."""
        return self._ticket.cpus if self._ticket else self.want.offered[: self.want.count]

    def take(self) -> None:
        """Wait for them. Raises `LeaseTimeoutError`; then, and after any error, it has none."""
        if self._leases.unavailable or self._pid != os.getpid():
            return
        try:
            self._folder = self._leases.folder()
            self._ticket = Ticket(self._folder / "lock", self.want)
            self._wait(self._ticket)
            self._tell(self._ticket, _deed(self.want, self._ticket.cpus))
            _held_here[self._pid, self._folder] = self
        except NoLocksError as error:
            self.give_back()
            self._leases.do_without(str(error))
        except BaseException:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Leave the CPUs, or the line, to others."""
        if self._ticket is None or self._pid != os.getpid():
            return
        if self._ticket.number is not None:
            remove_note(self._folder, self._ticket.number)
        _held_here.pop((self._pid, self._folder), None)
        self._ticket.close()
        self._ticket = None

    def _wait(self, ticket: Ticket) -> None:
        begun_s = ORIGINALS.monotonic()
        tell_at_s, is_told_of = _TELL_AFTER_S, False
        while not ticket.advance():
            if not is_told_of and ticket.number is not None:
                self._tell(ticket, _wish(self.want))
                is_told_of = True
            waited_s = ORIGINALS.monotonic() - begun_s
            nap_s = min(_LONGEST_NAP_S, max(_SHORTEST_NAP_S, waited_s / 10))
            if self._leases.timeout_s is not None:
                nap_s = min(nap_s, self._leases.timeout_s - waited_s)
            if nap_s <= 0:
                raise LeaseTimeoutError(self._too_late(ticket, waited_s))
            if self._leases.on_wait is not None and waited_s >= tell_at_s:
                self._leases.on_wait(self._in_front(ticket))
                tell_at_s = waited_s + _TELL_AGAIN_S
            ORIGINALS.sleep(nap_s)

    def _tell(self, ticket: Ticket, doing: str) -> None:
        assert ticket.number is not None
        holder = Holder.this_process(self.purpose, doing, self.want.is_shared)
        write_note(self._folder, ticket.number, holder)

    def _in_front(self, ticket: Ticket) -> tuple[Holder, ...]:
        before = queue.TICKETS if ticket.number is None else ticket.number
        holders = read_notes(self._folder, before, ticket.lives)
        return tuple(holder for holder in holders if not (holder.is_shared and self.want.is_shared))

    def _too_late(self, ticket: Ticket, waited_s: float) -> str:
        in_front = [f"  {holder}" for holder in self._in_front(ticket)]
        return "\n".join(
            [
                f"{self.purpose} waited {waited_s:.0f} s for CPUs of this machine, which others "
                "have leased:",
                *(in_front or ["  (none of them has left a note)"]),
                "Wait for them or end them, or allow more seconds: --tf-threads-lease-timeout.",
            ]
        )


def _wish(want: Want) -> str:
    if want.is_shared:
        return "waiting to compute"
    if want.count is None:
        return "waiting to measure alone"
    return f"waiting to measure on {want.count} of CPUs {', '.join(map(str, want.offered))}"


def _deed(want: Want, cpus: Sequence[int]) -> str:
    if want.is_shared:
        return "computing"
    if want.count is None:
        return "measuring alone"
    return f"measuring on CPUs {', '.join(map(str, cpus))}"
