"""What a clone lacks, and the command that brings it there: clones of CI seldom have everything."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from pytest_tfthreads.revision.git import ask, lines, names, run

_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ABBREVIATED_ID = re.compile(r"[0-9a-f]{7,63}")
# Of what git allows in a name, what can be shown in a command without a second look.
_NAME = re.compile(r"[\w./@+#=-]{1,80}")
_OF_A_REQUEST = re.compile(r"(?:refs/)?(pull|merge-requests)/(.+)")
_LIKE_A_RELEASE = re.compile(r"[vV]?\d+(\.\d+)*\b.*|.*release.*", re.IGNORECASE)
_STEPS = re.compile(r"~(\d{0,9})|\^(\d{0,9})")
_ALL_BRANCHES = "refs/heads/*"


@dataclass(frozen=True)
class Revision:
    """A revision as people type it: the name that it starts with, and the way from there."""

    name: str
    way: str  # "~2", "^", "@{1}", or nothing

    @classmethod
    def of(cls, rev: str) -> Revision:
        way = re.search(r"[~^:]|@\{", rev)
        return cls(rev, "") if way is None else cls(rev[: way.start()], rev[way.start() :])

    @property
    def steps(self) -> int:
        """How many commits the way goes back, at most."""
        found = _STEPS.findall(self.way)
        return sum(int(back or 1) if parent == "" else 1 for back, parent in found)


@dataclass(frozen=True)
class Clone:
    """How much of its origin a repository has."""

    remotes: tuple[str, ...]
    is_shallow: bool
    is_partial: bool  # the contents of files are fetched when they are needed
    branches: tuple[str, ...]  # the only ones that `git fetch` brings; none: all

    @classmethod
    def of(cls, top: Path) -> Clone:
        remotes = lines(ask(top, "remote"))
        default = run(top, "config", "--get", "checkout.defaultRemote").output.strip()
        for first in ("origin", default):
            if first in remotes:
                remotes.sort(key=lambda one: one != first)
        branches: list[str] = []
        if remotes:
            refspecs = run(top, "config", "-z", "--get-all", f"remote.{remotes[0]}.fetch").output
            sources = [name.lstrip("+").partition(":")[0] for name in names(refspecs)]
            if _ALL_BRANCHES not in sources:
                branches = [source.removeprefix("refs/heads/") for source in sources]
        return cls(
            tuple(remotes),
            ask(top, "rev-parse", "--is-shallow-repository") == "true",
            run(top, "config", "--get-regexp", r"^remote\..*\.promisor$").code == 0,
            tuple(branches),
        )

    def lacks(self, rev: str, start: str | None, asked_by: str) -> str:
        """What to do where it has no such revision, in sentences.

        `start` is the commit that the revision's name is here, if it is one: then the way from
        there leads nowhere. `asked_by`: what is typed before the name of a revision.
        """
        if not self.remotes:
            return (
                "This repository has no remote to fetch it from: add one (`git remote add origin "
                f"URL`) and fetch, or name another revision, {asked_by}REV. A commit that was "
                "amended, rebased or squashed away comes back by no fetch: save a run of the "
                "commit that took its place."
            )
        revision = Revision.of(rev)
        if start is not None and not self.is_shallow:
            return (
                f"{_quoted(revision.name)} is here, but {_quoted(revision.way)} leads from there "
                f"to no commit: look at `git log`, or name another revision, {asked_by}REV."
            )
        sentences = [*self._what_it_is(), *self._commands(revision, start), *self._in_ci()]
        return " ".join(sentences)

    def lacks_contents(self) -> str:
        """What to do where the contents of files could not be fetched."""
        remote = self.remotes[0] if self.remotes else "origin"
        return (
            "This is a partial clone (made with --filter): the contents of old files are fetched "
            "when they are needed, and that has failed. Fetch all of them while there is a "
            f"network (`git fetch --refetch --no-filter {shlex.quote(remote)}`), or clone without "
            "--filter."
        )

    def _what_it_is(self) -> list[str]:
        only = ", ".join(self.branches[:3]) + (", …" if len(self.branches) > 3 else "")
        if self.is_shallow:
            return [f"This is a shallow clone{f' of {only} only' if only else ''}."]
        return [f"This clone fetches {only} only."] if only else []

    def _commands(self, revision: Revision, start: str | None) -> list[str]:
        remote = shlex.quote(self.remotes[0])
        fetch = f"git fetch --depth={revision.steps + 1}" if self.is_shallow else "git fetch"
        whole = f"git fetch --unshallow --tags {remote}" if self.is_shallow else "git fetch --tags"
        name = revision.name.removeprefix("refs/heads/").removeprefix(f"{self.remotes[0]}/")
        if start is not None:
            return [f"`{fetch} {remote} {start}` brings it, `{whole}` the whole history."]
        if _FULL_ID.fullmatch(name):
            gone = "" if self.is_shallow else " If nobody has it any more, name another revision."
            return [f"`{fetch} {remote} {name}` brings it, `{whole}` the whole history.{gone}"]
        if _ABBREVIATED_ID.fullmatch(name):
            return [
                f"`{whole}` brings the history. With all digits of an id, one commit can be "
                f"fetched alone: `{fetch} {remote} ID`."
            ]
        if not _NAME.fullmatch(name) or name.startswith("-") or name in ("HEAD", "@"):
            return [f"`{whole}` brings the history; or name another revision."]
        if found := _OF_A_REQUEST.fullmatch(name):
            kind, which = found.groups()
            return [
                f"`{fetch} {remote} +refs/{kind}/{which}:refs/remotes/{kind}/{which}` brings it."
            ]
        tag = name.removeprefix("refs/tags/").removeprefix("tags/")
        as_tag = f"`{fetch} {remote} tag {tag}`"
        if tag != name:
            return [f"{as_tag} brings it."]
        branch = f"`{fetch} {remote} +refs/heads/{name}:refs/remotes/{remote}/{name}`"
        if name != revision.name:
            return [f"{branch} brings it."]
        if _LIKE_A_RELEASE.fullmatch(name):
            return [f"{as_tag} brings it if it is a tag, {branch} if it is a branch."]
        return [f"{branch} brings it if it is a branch, {as_tag} if it is a tag."]

    def _in_ci(self) -> list[str]:
        if not self.is_shallow:
            return []
        settings = {
            "GITHUB_ACTIONS": "`fetch-depth: 0` of actions/checkout",
            "GITLAB_CI": "the variable `GIT_DEPTH: 0` of GitLab CI",
        }
        ours = [text for name, text in settings.items() if os.environ.get(name)]
        several = ours or list(settings.values())
        return [f"In CI, {' or '.join(several)} brings the whole history."]


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
