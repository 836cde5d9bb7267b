"""Projects under git whose measured calls take a known time, for tests that compare commits."""

import subprocess


def git(directory, *args):
    """What git prints, run there by nobody in particular."""
    done = subprocess.run(
        ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", *args],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def product(ms):
    """A module whose function `work` takes exactly so many ms, with the fake TensorFlow."""
    return f"from exact_time import sleep\n\ndef work():\n    sleep({ms} / 1000)\n"
