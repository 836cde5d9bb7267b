"""Projects under git whose measured calls sleep, for tests that compare commits."""

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
    """A module whose function `work` sleeps for so many milliseconds."""
    return f"import time\n\ndef work():\n    time.sleep({ms} / 1000)\n"
