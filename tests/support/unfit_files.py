"""What others may put in the place of a file, and nobody should wait for or read to its end."""

import os
import stat

from pytest_tfthreads.core.file_reading import MOST_BYTES


def _pipe(path):
    os.mkfifo(path)


def _device(path):
    path.symlink_to("/dev/zero")


def _too_large(path):
    path.touch()
    os.truncate(path, 2 * MOST_BYTES)  # a hole: it takes no space


def _directory(path):
    path.mkdir()


def _socket(path):
    os.mknod(path, stat.S_IFSOCK | 0o600)


UNFIT = {
    "it is a named pipe, no file; remove it": _pipe,
    "it is a link to a device, no file; remove it": _device,
    "it has 2,147,483,648 bytes, and more than 1,073,741,824 are not read; remove it": _too_large,
    "it is a directory, no file; remove it": _directory,
    "it is a socket, no file; remove it": _socket,
}
"""What is said of each, and how it is made."""
IDS = ("pipe", "device", "too-large", "directory", "socket")
