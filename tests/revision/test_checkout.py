"""Checkouts of real repositories: what is in them, what is refused, and that nothing is left."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_tfthreads.revision import checkout as checkout_module
from pytest_tfthreads.revision import submodules
from pytest_tfthreads.revision.checkout import Checkout, clean_up_leftovers
from pytest_tfthreads.revision.git import RevisionError
from pytest_tfthreads.revision.overlay import Overlay
from pytest_tfthreads.system.locked_directory import PrivateDirectory

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.usefixtures("temp"),
]


def configure(monkeypatch, key, value):
    """One setting more of git's."""
    count = int(os.environ["GIT_CONFIG_COUNT"])
    monkeypatch.setenv(f"GIT_CONFIG_KEY_{count}", key)
    monkeypatch.setenv(f"GIT_CONFIG_VALUE_{count}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(count + 1))


def nothing_left(tree, temp):
    return tree.worktrees == 1 and not list(temp.iterdir())


def core(root):
    return (root / "mypkg/core.py").read_text()


# -- what is checked out ----------------------------------------------------------------


def test_checkout_is_the_other_revision_and_goes_with_its_block(tree, temp):
    commit = tree.git("rev-parse", "v1.0^{commit}")
    with Checkout.make(tree.path, commit, trusted=False) as checkout:
        assert (checkout.commit, checkout.title) == (commit, commit[:7])
        assert (checkout.top, checkout.notes) == (tree.path, ())
        assert core(checkout.root) == "VALUE = 1"
        assert checkout.root.name == tree.path.name
        assert checkout.counterpart(tree.path / "mypkg/core.py") == checkout.root / "mypkg/core.py"
        (private,) = temp.iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
    assert nothing_left(tree, temp)
    checkout.close()
    assert core(tree.path) == "VALUE = 2"


@pytest.mark.parametrize("rev", ["v1.0", "HEAD~1", "main~1", "@{0}~1"])
def test_any_revision_that_the_user_types(tree, rev):
    with Checkout.make(tree.path, rev, trusted=True) as checkout:
        assert core(checkout.root) == "VALUE = 1"
        assert checkout.title == f"{checkout.commit[:7]} ({rev})"


def test_abbreviated_id(tree):
    with Checkout.make(tree.path, tree.head[:9], trusted=False) as checkout:
        assert (checkout.commit, checkout.title) == (tree.head, tree.head[:7])


@pytest.mark.parametrize(
    "rev",
    [
        *("--upload-pack=x", "-", "HEAD;rm", "deadbeef", "v9", "", "^HEAD", "HEAD..v1.0"),
        *("HEAD~9", "HEAD:mypkg", "a\0b", "a\nb", "\udcff", "0" * 40),
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_what_is_no_commit_is_refused(tree, temp, rev, trusted):
    why = "no git revision|has no commit" if trusted else "no commit id|has no commit"
    with pytest.raises(RevisionError, match=why) as caught:
        Checkout.make(tree.path, rev, trusted)
    assert str(caught.value).isprintable()
    assert nothing_left(tree, temp)


@pytest.mark.parametrize("rev", ["v1.0", "HEAD", "abc123", "A" * 40, "a" * 65, f"{'a' * 40}\n"])
def test_a_baseline_may_name_nothing_but_an_id(tree, rev):
    with pytest.raises(RevisionError, match="no commit id"):
        Checkout.make(tree.path, rev, trusted=False)


def test_a_branch_that_looks_like_the_id_of_the_baseline(tree):
    tree.git("branch", "deadbeef")
    with pytest.raises(RevisionError, match="the name of something else"):
        Checkout.make(tree.path, "deadbeef", trusted=False)
    with Checkout.make(tree.path, "deadbeef", trusted=True) as checkout:
        assert checkout.commit == tree.head


def test_notes_say_what_the_sides_differ_in(tree):
    def notes(rev):
        with Checkout.make(tree.path, rev, trusted=True) as checkout:
            return checkout.notes

    tree.write(untracked="1")
    assert notes("v1.0") == ()
    assert "both sides are commit" in notes("HEAD")[0]
    tree.write(mypkg__core="VALUE = 3")
    assert "part of what is measured" in notes("v1.0")[0]
    assert "all that the sides differ in" in notes("HEAD")[0]


def test_notes_say_where_git_does_not_know_of_changes(tree):
    (tree.path / ".git/index").write_bytes(b"no index")
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        (note,) = checkout.notes
        assert core(checkout.root) == "VALUE = 1"
    assert "uncommitted changes is not known: `git status` failed" in note
    assert "index file" in note


def test_the_current_tree_stays_as_it_is(tree):
    tree.write(mypkg__core="VALUE = 3", untracked="1")
    tree.git("add", "mypkg")
    index = (tree.path / ".git/index").read_bytes()
    os.utime(tree.path / "tests/test_it.py", (1, 1))  # git would note this in its index
    with Checkout.make(tree.path, "v1.0", trusted=True):
        assert (tree.path / ".git/index").read_bytes() == index
    assert tree.git("status", "--porcelain").split() == ["M", "mypkg/core.py", "??", "untracked.py"]


# -- where the repository may be -------------------------------------------------------


def test_project_in_a_subfolder(tree):
    tree.commit(services__one__mypkg__core="VALUE = 1")
    here = tree.path / "services/one"
    with Checkout.make(here, "HEAD", trusted=True) as checkout:
        assert checkout.top == tree.path
        assert core(checkout.counterpart(here)) == "VALUE = 1"


def test_linked_worktree(tree, tmp_path, temp):
    linked = tree.at(tmp_path / "linked")
    tree.git("worktree", "add", "--quiet", "--detach", str(linked.path), "v1.0")
    linked.commit(mypkg__core="VALUE = 4")
    with Checkout.make(linked.path, "main", trusted=True) as checkout:
        assert checkout.top == linked.path.resolve()
        assert core(checkout.root) == "VALUE = 2"
    assert tree.worktrees == 2
    assert not list(temp.iterdir())


def test_tree_of_a_bare_repository(tree, tmp_path):
    bare = tree.at(tmp_path / "bare.git")
    tree.git("clone", "--quiet", "--bare", str(tree.path), str(bare.path))
    with pytest.raises(RevisionError, match=r"a tree checked out, and .* is in one without"):
        Checkout.make(bare.path, "v1.0", trusted=True)
    bare.git("worktree", "add", "--quiet", str(tmp_path / "of bare"), "main")
    with Checkout.make(tmp_path / "of bare", "v1.0", trusted=True) as checkout:
        assert core(checkout.root) == "VALUE = 1"


def test_shallow_clone(tree, tmp_path):
    old = tree.git("rev-parse", "v1.0^{commit}")
    shallow = tmp_path / "shallow"
    tree.git("clone", "--quiet", "--depth=1", f"file://{tree.path}", str(shallow))
    with pytest.raises(RevisionError, match="fetch-depth: 0") as caught:
        Checkout.make(shallow, old, trusted=False)
    assert f"git fetch --depth=1 origin {old}" in str(caught.value)
    tree.at(shallow).git("fetch", "--quiet", "--depth=1", "origin", old)
    with Checkout.make(shallow, old, trusted=False) as checkout:
        assert core(checkout.root) == "VALUE = 1"


def test_no_repository(tmp_path):
    with pytest.raises(RevisionError, match="not a git repository"):
        Checkout.make(tmp_path, "HEAD", trusted=True)


def test_repository_of_somebody_else(tree, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(RevisionError, match=r"safe\.directory"):
        Checkout.make(tree.path, "v1.0", trusted=True)


@pytest.mark.parametrize("setting", ["safe.directory", "safe.bareRepository"])
def test_a_checkout_goes_where_git_trusts_the_tree_alone(tree, temp, setting, monkeypatch):
    """As in a container whose root has allowed another user's tree, and nothing below the tree."""
    settings = {
        "safe.directory": (str(tree.path), True),
        "safe.bareRepository": ("explicit", False),
    }
    value, is_of_another = settings[setting]
    if is_of_another:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    configure(monkeypatch, setting, value)
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        assert core(checkout.root) == "VALUE = 1"
    assert clean_up_leftovers() == []
    assert nothing_left(tree, temp)


def test_no_git(tree, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RevisionError, match="no git on PATH"):
        Checkout.make(tree.path, "v1.0", trusted=True)


def test_no_temporary_directory(tree, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tree.path / "absent"))
    with pytest.raises(RevisionError, match="TMPDIR"):
        Checkout.make(tree.path, "v1.0", trusted=True)


def test_no_checkout_comes_into_the_current_directory(tree, current_directory_only):
    told = r"TMPDIR nor /tmp is a directory that can be written, and the current one, "
    with pytest.raises(RevisionError, match=told + str(current_directory_only)):
        Checkout.make(tree.path, "v1.0", trusted=True)
    assert not list(current_directory_only.iterdir())
    assert tree.worktrees == 1


def test_a_temporary_directory_that_cannot_be_locked_stays_empty(tree, temp, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError(errno.EBADF, "Bad file descriptor")  # on NFS, say

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with pytest.raises(RevisionError, match="a temporary directory that can be locked"):
        Checkout.make(tree.path, "v1.0", trusted=True)
    assert not list(temp.iterdir())


def test_broken_repository_is_told_in_gits_own_words(tree, temp):
    blob = tree.git("rev-parse", "v1.0:mypkg/core.py")
    (tree.path / f".git/objects/{blob[:2]}/{blob[2:]}").unlink()
    with pytest.raises(RevisionError, match=blob):
        Checkout.make(tree.path, "v1.0", trusted=True)
    assert nothing_left(tree, temp)


def test_run_from_a_hook_of_another_repository(tree, tmp_path, monkeypatch):
    other = tree.new(tmp_path / "other")
    other.commit(x="")
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git/index"))
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        assert checkout.top == tree.path
        assert core(checkout.root) == "VALUE = 1"


def test_hooks_are_not_run(tree, tmp_path):
    hook = tree.path / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/hooked'\n")
    hook.chmod(0o755)
    with Checkout.make(tree.path, "v1.0", trusted=True):
        pass
    assert not (tmp_path / "hooked").exists()


def test_temporary_directory_inside_the_tree(tree, monkeypatch):
    inside = tree.path / "tmp"
    inside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(inside))
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        assert checkout.counterpart(checkout.root / "mypkg/core.py") is None
        assert checkout.counterpart(tree.path / "mypkg") == checkout.root / "mypkg"
    assert nothing_left(tree, inside)


# -- submodules -------------------------------------------------------------------------


@pytest.fixture
def nested(tree, tmp_path):
    """The tree with a submodule, which has one too; both moved on since the tag `with-lib`."""
    inner = tree.new(tmp_path / "inner")
    inner.commit(deep="1")
    lib = tree.new(tmp_path / "lib")
    lib.git("submodule", "--quiet", "add", str(inner.path), "inner")
    lib.commit(lib="1")
    tree.git("submodule", "--quiet", "add", str(lib.path), "vendor/lib")
    tree.git("submodule", "--quiet", "update", "--init", "--recursive")
    tree.commit()
    tree.git("tag", "with-lib")
    current = tree.at(tree.path / "vendor/lib")
    tree.at(current.path / "inner").commit(deep="2")
    current.commit(lib="2")
    tree.commit()
    return tree


def test_submodules_are_there_as_the_revision_records_them(nested, temp):
    with Checkout.make(nested.path, "with-lib", trusted=True) as checkout:
        assert (checkout.root / "vendor/lib/lib.py").read_text() == "1"
        assert (checkout.root / "vendor/lib/inner/deep.py").read_text() == "1"
        assert checkout.notes == ()
    assert nested.git("status", "--porcelain") == ""
    assert (nested.path / "vendor/lib/lib.py").read_text() == "2"
    assert nothing_left(nested, temp)


def test_submodules_of_the_current_tree_stay_where_git_is_told_to_move_them_along(
    nested, temp, monkeypatch
):
    configure(monkeypatch, "submodule.recurse", "true")
    trees = [nested.at(nested.path / one) for one in (".", "vendor/lib", "vendor/lib/inner")]
    nested.write(vendor__lib__inner__deep="3")
    trees[2].git("add", "deep.py")
    before = [(one.head, one.git("status", "--porcelain=2")) for one in trees]
    with Checkout.make(nested.path, "with-lib", trusted=True) as checkout:
        assert (checkout.root / "vendor/lib/inner/deep.py").read_text() == "1"
    assert [(one.head, one.git("status", "--porcelain=2")) for one in trees] == before
    assert (nested.path / "vendor/lib/inner/deep.py").read_text() == "3"
    assert nothing_left(nested, temp)


def test_submodules_that_are_not_initialised_are_left_out(nested, tmp_path):
    clone = tmp_path / "clone"
    nested.git("clone", "--quiet", str(nested.path), str(clone))
    with Checkout.make(clone, "with-lib", trusted=True) as checkout:
        assert "vendor/lib" in checkout.notes[0]
        assert core(checkout.root) == "VALUE = 2"


def test_a_submodule_that_is_a_partial_clone_fetches_what_it_lacks(nested):
    lib = nested.at(nested.path / "vendor/lib")
    settings = {"remote.origin.promisor": "true", "extensions.partialClone": "origin"}
    for key, value in settings.items():
        lib.git("config", key, value)
    blob = lib.git("rev-parse", "HEAD~1:lib.py")
    (nested.path / f".git/modules/vendor/lib/objects/{blob[:2]}/{blob[2:]}").unlink()
    with Checkout.make(nested.path, "with-lib", trusted=True) as checkout:
        assert (checkout.root / "vendor/lib/lib.py").read_text() == "1"


def test_submodule_without_the_commit(nested, temp):
    lib = nested.path / "vendor/lib"
    nested.git("update-index", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    nested.git("commit", "--quiet", "-m", "a commit that nobody has")
    with pytest.raises(RevisionError, match=f"git -C vendor/lib fetch origin {'1' * 40}"):
        Checkout.make(lib.parent, "HEAD", trusted=True)
    assert nothing_left(nested, temp)


def test_a_link_on_the_way_to_a_submodule_is_not_followed(nested, tmp_path):
    # git itself makes no such commit; one that was made by hand may have both.
    checkout, outside = tmp_path / "checkout", tmp_path / "outside"
    for directory in (checkout, outside):
        directory.mkdir()
    (checkout / "vendor").symlink_to(outside)
    with open(tmp_path / "lock", "w") as lock, pytest.raises(RevisionError, match="has a link"):
        submodules.check_out(nested.head, nested.path, checkout, tmp_path / "index", lock.fileno())
    assert not list(outside.iterdir())


def test_a_loop_of_links_on_the_way_to_a_submodule_is_refused_too(nested, tmp_path):
    """By the operating system, whose errors `Checkout.make` puts into words."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "vendor").symlink_to("vendor")
    with open(tmp_path / "lock", "w") as lock, pytest.raises(OSError, match=r"links|exists"):
        submodules.check_out(nested.head, nested.path, checkout, tmp_path / "index", lock.fileno())


def test_inside_a_submodule(nested, temp):
    lib = nested.at(nested.path / "vendor/lib")
    with Checkout.make(lib.path, "HEAD~1", trusted=True) as checkout:
        assert checkout.top == lib.path
        assert (checkout.root / "lib.py").read_text() == "1"
    assert nothing_left(lib, temp)


# -- its end ----------------------------------------------------------------------------

_HOLD = """
import os, sys, time
from pathlib import Path
from pytest_tfthreads.revision.checkout import Checkout
checkout = Checkout.make(Path(sys.argv[1]), "v1.0", trusted=True)
if "fork" in sys.argv and os.fork() == 0:
    os.close(1)
    os.close(2)
    sys.stdin.read()  # outlives its parent, as long as the test
    checkout.close()
    os._exit(0)
print(checkout.root, flush=True)
time.sleep(600)
"""


class Holder:
    """Another run, with a checkout of its own."""

    def __init__(self, tree, *args):
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(tree.path), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.root = Path(os.fsdecode(self.process.stdout.readline()).rstrip("\n"))

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def holders():
    started = []

    def start(*args):
        started.append(Holder(*args))
        return started[-1]

    yield start
    for holder in started:
        holder.kill()
        holder.process.communicate()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_after_an_exception(tree, temp, error):
    with pytest.raises(error), Checkout.make(tree.path, "v1.0", trusted=True):
        raise error
    assert nothing_left(tree, temp)


def test_nothing_is_left_of_a_checkout_that_is_interrupted(tree, temp, monkeypatch):
    def interrupt(*_):
        assert tree.worktrees == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(checkout_module.submodules, "check_out", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Checkout.make(tree.path, "v1.0", trusted=True)
    assert nothing_left(tree, temp)


_INTERRUPTED = """
import shutil, sys, tempfile
from pathlib import Path
from pytest_tfthreads.revision import checkout as module
from pytest_tfthreads.system import locked_directory

where = sys.argv[2]
holder, name = {
    "made": (locked_directory.tempfile, "mkdtemp"),
    "locked": (locked_directory, "_locked"),
    "files": (module.shutil, "rmtree"),
    "git": (module, "ask_worktree"),
    "released": (module, "_try_to_remove"),
}[where]
original = getattr(holder, name)

def once(*args, **kwargs):
    if where != "released":
        original(*args, **kwargs)
    setattr(holder, name, original)
    raise KeyboardInterrupt

if where in ("made", "locked", "git"):
    setattr(holder, name, once)
with module.Checkout.make(Path(sys.argv[1]), "v1.0", trusted=True):
    setattr(holder, name, once)
    if where == "released":
        raise RuntimeError
raise SystemExit("nobody was interrupted")
"""


@pytest.mark.parametrize("where", ["made", "locked", "files", "git", "released"])
def test_what_an_interrupt_leaves_goes_when_the_process_ends(tree, temp, where):
    """The moments at which nobody who could remove it is there to do so."""
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED, str(tree.path), where], capture_output=True, text=True
    )
    assert "KeyboardInterrupt" in done.stderr, done.stderr
    assert nothing_left(tree, temp)


@pytest.mark.parametrize("child", [(), ("fork",)])
def test_what_a_killed_run_left_is_removed_by_the_next(tree, temp, holders, child):
    killed = holders(tree, *child)
    living = holders(tree)
    killed.kill()
    assert core(killed.root) == "VALUE = 1"
    assert tree.worktrees == 3
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        assert checkout.notes == ()
        assert not killed.root.exists()
        assert core(living.root) == "VALUE = 1"
        assert tree.worktrees == 3
    living.kill()
    assert clean_up_leftovers() == []
    assert nothing_left(tree, temp)


def test_leftover_of_a_repository_that_is_gone(tree, temp, holders):
    holders(tree).kill()
    shutil.rmtree(tree.path)
    assert clean_up_leftovers() == []
    assert not list(temp.iterdir())


def test_leftover_of_a_run_that_was_killed_in_git(tree, temp, holders):
    holder = holders(tree)
    holder.kill()
    (holder.root / ".git").unlink()
    (registered,) = (tree.path / ".git/worktrees").iterdir()
    (registered / "locked").write_text("initializing")
    assert clean_up_leftovers() == []
    assert nothing_left(tree, temp)


@pytest.mark.parametrize(
    "registration",
    [
        *([], {}, 1, None, {"common": 1, "worktree": "tree"}, {"common": "/"}),
        {"common": "/", "worktree": ["tree"]},
    ],
)
def test_a_leftover_of_another_version_is_told_and_stays(tree, temp, holders, registration):
    holder = holders(tree)
    holder.kill()
    private = holder.root.parents[1]
    (private / "registration.json").write_text(json.dumps(registration))
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        (note,) = checkout.notes
        assert core(checkout.root) == "VALUE = 1"
    assert f"the temporary directory {private} cannot be removed: " in note
    assert private.exists()


@pytest.mark.parametrize("text", ["", "{", "[" * 9999])
def test_a_leftover_of_a_run_that_was_killed_before_git_knew_of_it(temp, text):
    place = PrivateDirectory.make(temp, checkout_module._PREFIX)
    (place.path / "registration.json").write_text(text)
    place.release()
    assert clean_up_leftovers() == []
    assert not list(temp.iterdir())


@pytest.mark.timeout(20)
def test_a_registration_that_is_no_file_holds_nobody_up(tree, temp, holders):
    holder = holders(tree)
    holder.kill()
    file = holder.root.parents[1] / "registration.json"
    file.unlink()
    os.mkfifo(file)
    assert clean_up_leftovers() == []
    assert not list(temp.iterdir())


def test_other_worktrees_that_seem_to_be_gone_stay_registered(tree, tmp_path, holders):
    unmounted = tmp_path / "unmounted"
    tree.git("worktree", "add", "--quiet", "--detach", str(unmounted), "v1.0")
    shutil.rmtree(unmounted)
    holders(tree).kill()
    clean_up_leftovers()
    assert str(unmounted) in tree.git("worktree", "list")
    assert tree.worktrees == 2


def test_a_fork_closes_nothing(tree):
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        pid = os.fork()
        if pid == 0:
            checkout.close()
            os._exit(0)
        os.waitpid(pid, 0)
        assert core(checkout.root) == "VALUE = 1"
        assert clean_up_leftovers() == []
        assert core(checkout.root) == "VALUE = 1"


def test_git_keeps_the_directory_alive_while_it_writes(tree, temp, tmp_path):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("descriptors of a process can only be listed on Linux")
    tree.git("config", "filter.look.smudge", f"ls -l /proc/$$/fd >> '{tmp_path}/open'; cat")
    (tree.path / ".gitattributes").write_text("*.py filter=look")
    tree.commit()
    with Checkout.make(tree.path, "HEAD", trusted=True) as checkout:
        assert str(checkout.root.parents[1]) in (tmp_path / "open").read_text()


def test_a_directory_is_abandoned_when_its_last_program_has_ended(temp):
    place = PrivateDirectory.make(temp, checkout_module._PREFIX)
    writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[place.fd])
    place.release()
    clean_up_leftovers()
    assert place.path.exists()
    writer.communicate()
    clean_up_leftovers()
    assert not place.path.exists()


def test_links_of_others_are_not_followed(tree, temp, tmp_path):
    victim = tmp_path / "victim"
    (victim / "tree").mkdir(parents=True)
    (victim / "tree/precious").touch()
    victim.chmod(0o700)
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        ours = checkout.root.parents[1].name
    prefix = ours[: ours.rindex("-") + 1]
    (temp / f"{prefix}link").symlink_to(victim)
    trap = temp / f"{prefix}trap"
    trap.mkdir(0o700)
    (trap / "tree").symlink_to(victim)
    (trap / "registration.json").write_text(
        json.dumps({"common": str(tree.path / ".git"), "worktree": "../../victim"})
    )
    loose = temp / f"{prefix}loose"
    loose.mkdir()
    loose.chmod(0o777)
    assert clean_up_leftovers() == []
    assert (victim / "tree/precious").exists()
    assert sorted(temp.iterdir()) == sorted([temp / f"{prefix}link", loose])


def test_what_cannot_be_removed_is_told(tree, temp, holders, monkeypatch):
    def fail(path):
        raise OSError(f"no way to remove {path}")

    with monkeypatch.context() as patch:
        checkout = Checkout.make(tree.path, "v1.0", trusted=True)
        patch.setattr(checkout_module.shutil, "rmtree", fail)
        with pytest.raises(RevisionError, match="no way to remove"):
            checkout.close()
        with Checkout.make(tree.path, "HEAD~1", trusted=True) as other:
            assert "no way to remove" in other.notes[0]
            patch.undo()
    assert clean_up_leftovers() == []
    assert nothing_left(tree, temp)


# -- runs beside each other ------------------------------------------------------------


def test_many_at_once(tree, temp):
    def one(_):
        with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
            return core(checkout.root), checkout.notes

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(16))) == {("VALUE = 1", ())}
    assert nothing_left(tree, temp)


def test_registration_that_another_git_is_just_writing(tree):
    half = tree.path / ".git/worktrees/half"
    half.mkdir(parents=True)
    (half / "gitdir").write_text(f"{tree.path}/half/.git\n")
    (half / "HEAD").write_text(f"{tree.head}\n")
    (half / "commondir").touch()
    finished = threading.Timer(0.2, shutil.rmtree, [half])
    finished.start()
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        assert core(checkout.root) == "VALUE = 1"
    finished.join()


# -- the current tests over the old code ----------------------------------------------


def overlay(tree, *modules, conftests=(), config_file=None):
    return Overlay.of(tree.path, [tree.path / one for one in modules], conftests, config_file)


def test_tests_are_replaced_and_code_is_not(tree):
    tree.commit(tests__conftest="stale = 1", tests__helper="1")
    (tree.path / ".gitignore").write_text("cache\n")
    old = tree.commit()
    tree.git("rm", "--quiet", "tests/conftest.py")
    tree.write(mypkg__core="VALUE = 5", tests__test_it="edited", tests__sub__test_new="new")
    tree.write(conftest="top", mypkg__test_beside="beside", tests__cache__x="ignored")
    (tree.path / "tests/link").symlink_to("../mypkg/core.py")
    (tree.path / "pytest.ini").write_text("[pytest]")
    with Checkout.make(tree.path, old, trusted=True) as checkout:
        tests = overlay(
            tree,
            "tests/test_it.py",
            "mypkg/test_beside.py",
            conftests=[tree.path / "conftest.py", tree.path.parent / "conftest.py"],
            config_file=tree.path / "pytest.ini",
        )
        checkout.lay_over(tests)
        root = checkout.root
        assert core(root) == "VALUE = 2"
        assert (root / "tests/link").is_symlink()
        assert (root / "tests/link").read_text() == "VALUE = 2"
        found = {str(one.relative_to(root)) for one in root.rglob("*") if not one.is_dir()}
        assert found == {
            *(".git", ".gitignore", "conftest.py", "pytest.ini"),
            *("mypkg/core.py", "mypkg/test_beside.py"),
            *("tests/link", "tests/helper.py", "tests/sub/test_new.py", "tests/test_it.py"),
        }
        assert (root / "tests/test_it.py").read_text() == "edited"


def test_tests_that_git_ignores_come_along_if_they_run(tree):
    tree.write(tests__test_private="mine")
    (tree.path / ".git/info/exclude").write_text("test_private.py\n")
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        checkout.lay_over(overlay(tree, "tests/test_private.py"))
        assert (checkout.root / "tests/test_private.py").read_text() == "mine"


def test_links_of_the_old_revision_lead_nowhere(tree, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "test_it.py").write_text("precious")
    tree.git("rm", "-r", "--quiet", "tests")
    (tree.path / "tests").symlink_to(outside)
    (tree.path / "conftest.py").symlink_to(outside / "test_it.py")
    (tree.path / "unit").symlink_to(outside)
    trap = tree.commit()
    for name in ("tests", "conftest.py", "unit"):
        (tree.path / name).unlink()
    tree.write(tests__test_it="new", conftest="new", unit__test_it="new")
    with Checkout.make(tree.path, trap, trusted=False) as checkout:
        modules = ("tests/test_it.py", "unit/test_it.py")
        checkout.lay_over(overlay(tree, *modules, conftests=[tree.path / "conftest.py"]))
        for name in (*modules, "conftest.py"):
            assert (checkout.root / name).read_text() == "new"
    assert (outside / "test_it.py").read_text() == "precious"


@pytest.mark.parametrize("ignored", ["", "pkg\n"], ids=["of git", "ignored"])
def test_a_link_of_the_old_revision_above_its_tests_is_not_followed(tree, tmp_path, ignored):
    outside = tmp_path / "outside"
    (outside / "tests").mkdir(parents=True)
    (outside / "tests/precious").touch()
    (tree.path / "pkg").symlink_to(outside)
    trap = tree.commit()
    (tree.path / "pkg").unlink()
    (tree.path / ".git/info/exclude").write_text(ignored)
    tree.write(pkg__tests__test_it="new")
    with Checkout.make(tree.path, trap, trusted=False) as checkout:
        checkout.lay_over(overlay(tree, "pkg/tests/test_it.py"))
        assert not (checkout.root / "pkg").is_symlink()
        assert (checkout.root / "pkg/tests/test_it.py").read_text() == "new"
    assert [one.name for one in (outside / "tests").iterdir()] == ["precious"]


def test_a_test_that_is_a_link_brings_its_text(tree):
    tree.write(shared__test_it="shared")
    (tree.path / "test_linked.py").symlink_to("shared/test_it.py")
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        checkout.lay_over(overlay(tree, "test_linked.py"))
        assert (checkout.root / "test_linked.py").read_text() == "shared"


def test_tests_in_a_submodule(nested):
    nested.git("mv", "vendor/lib", "tests/lib")
    nested.at(nested.path / "tests/lib").write(new="new")
    with Checkout.make(nested.path, "with-lib", trusted=True) as checkout:
        checkout.lay_over(overlay(nested, "tests/test_it.py"))
        assert (checkout.root / "tests/lib/lib.py").read_text() == "2"
        assert (checkout.root / "tests/lib/new.py").read_text() == "new"
        assert (checkout.root / "tests/lib/inner/deep.py").read_text() == "2"


def test_version_files_of_a_build_come_along(tree):
    tree.commit(mypkg__version="tracked")
    (tree.path / ".gitignore").write_text("_version.py\nbuild\nversion_of_x.py\n.venv\n")
    (tree.path / ".venv").mkdir()
    (tree.path / ".venv/pyvenv.cfg").touch()
    tree.write(mypkg___version="1", build___version="1", absent___version="1", mypkg__version="2")
    tree.write(mypkg__version_of_x="1")
    with Checkout.make(tree.path, "v1.0", trusted=True) as checkout:
        assert checkout.bring_version_files() == [Path("mypkg/_version.py")]
        assert (checkout.root / "mypkg/_version.py").read_text() == "1"
        assert {one.name for one in (checkout.root / "mypkg").iterdir()} == {
            *("core.py", "_version.py"),
        }
        assert checkout.bring_version_files() == []  # a file of its own stays


def test_version_files_come_to_no_package_that_is_a_link(tree):
    tree.commit(src__mypkg__core="VALUE = 0")
    tree.git("rm", "-r", "--quiet", "mypkg")
    (tree.path / "mypkg").symlink_to("src/mypkg")
    linked = tree.commit()
    (tree.path / "mypkg").unlink()
    (tree.path / ".gitignore").write_text("_version.py\n")
    tree.write(mypkg__core="VALUE = 2", mypkg___version="1")
    with Checkout.make(tree.path, linked, trusted=True) as checkout:
        assert checkout.bring_version_files() == []
        assert core(checkout.root) == "VALUE = 0"


def test_no_room_for_the_tests(tree, monkeypatch):
    def copy(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copy2", copy)
    with (
        Checkout.make(tree.path, "v1.0", trusted=True) as checkout,
        pytest.raises(RevisionError, match="No space left"),
    ):
        checkout.lay_over(overlay(tree, "tests/test_it.py"))
