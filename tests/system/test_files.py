"""Files are there whole or not at all, and of a number there is one."""

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_tfthreads.system.files import (
    NoNumberLeftError,
    replace_whole,
    why_no_file_in,
    why_unwritable,
    write_file,
    write_numbered,
)

# What children use: numbers as pytest-benchmark counts them, and a stop in the midst of writing.
PRELUDE = """
import fcntl, json, os, sys
from pathlib import Path
from pytest_tfthreads.system.files import replace_whole, write_numbered

here = Path(sys.argv[1])

def taken():
    return {int(file.name[:4]) for file in here.glob("[0-9][0-9][0-9][0-9]_*.json")}

def save(ending="_x.json"):
    return write_numbered(here, ending, json.dumps([os.getpid()] * 5000).encode(), taken)

def stop_in_the_midst():
    fsync = os.fsync
    def stop(descriptor):
        os.truncate(descriptor, os.fstat(descriptor).st_size // 2)  # as if it had come no further
        print("writing", flush=True)
        sys.stdin.readline()
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps([os.getpid()] * 5000).encode())
        fsync(descriptor)
        os.fsync = fsync
    os.fsync = stop

def no_locks(*_):
    raise OSError(37, "No locks available")
"""


def child(directory, source):
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + source, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def save(directory, data=b"{}"):
    def taken():
        return {int(file.name[:4]) for file in directory.glob("????_*.json")}

    return write_numbered(directory, "_x.json", data, taken).name


def names(directory):
    return sorted(file.name for file in directory.iterdir())


def test_numbers_follow_the_highest(tmp_path):
    assert save(tmp_path, b"[1]") == "0001_x.json"
    (tmp_path / "0041_other.json").write_text("{}")
    assert save(tmp_path) == "0042_x.json"
    assert (tmp_path / "0001_x.json").read_bytes() == b"[1]"
    assert names(tmp_path) == ["0001_x.json", "0041_other.json", "0042_x.json"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    umask = os.umask(0o027)
    try:
        save(tmp_path)
        assert replace_whole(tmp_path / "out.json", b"{}")
    finally:
        os.umask(umask)
    for name in ("0001_x.json", "out.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


@pytest.mark.parametrize("locks", ["", "fcntl.flock = no_locks\n"], ids=["locks", "no-locks"])
def test_processes_that_save_at_once_share_no_number(tmp_path, locks):
    source = locks + (
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(15): save(f'_{os.getpid()}.json')"
    )
    children = [child(tmp_path, source) for _ in range(5)]
    for one in children:
        assert one.stdout.readline() == "ready\n"
    for one in children:
        one.stdin.write("\n")
        one.stdin.flush()
    for one in children:
        one.communicate(timeout=60)
        assert one.returncode == 0
    files = list(tmp_path.iterdir())
    numbers = {file.name[:4] for file in files}
    assert len(files) == len(numbers) == 5 * 15
    for file in files:
        pid = int(file.stem.partition("_")[2])
        assert json.loads(file.read_text()) == [pid] * 5000


def test_a_process_killed_while_it_writes_leaves_no_run(tmp_path):
    with child(tmp_path, "stop_in_the_midst(); save()") as process:
        assert process.stdout.readline() == "writing\n"
        process.kill()
    assert names(tmp_path) == [".0001.part"]
    assert not list(tmp_path.glob("*.json"))
    (tmp_path / ".0007.part").write_text("of another that was killed")
    assert save(tmp_path) == "0001_x.json"
    assert names(tmp_path) == ["0001_x.json"]


def test_who_is_still_writing_is_left_alone_and_not_waited_for(tmp_path):
    with child(tmp_path, "stop_in_the_midst(); print(save().name)") as process:
        assert process.stdout.readline() == "writing\n"
        assert save(tmp_path) == "0002_x.json"
        assert names(tmp_path) == [".0001.part", "0002_x.json"]
        assert process.communicate("\n", timeout=30)[0] == "0001_x.json\n"
    assert names(tmp_path) == ["0001_x.json", "0002_x.json"]
    assert json.loads((tmp_path / "0001_x.json").read_text()) == [process.pid] * 5000


def test_a_number_that_another_program_took_meanwhile(tmp_path, monkeypatch):
    fsync = os.fsync

    def meanwhile(descriptor):
        (tmp_path / "0001_theirs.json").touch()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert save(tmp_path) == "0002_x.json"
    assert names(tmp_path) == ["0001_theirs.json", "0002_x.json"]


def test_a_part_that_another_began_since_is_not_removed(tmp_path, monkeypatch):
    part = tmp_path / ".0001.part"
    part.write_text("of a process that is about to end")
    lock, others = fcntl.flock, []

    def meanwhile(descriptor, operation):
        lock(descriptor, operation)
        if not others:
            part.rename(tmp_path / "0001_theirs.json")
            others.append(part.open("w"))
            lock(others[0].fileno(), fcntl.LOCK_EX)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    assert save(tmp_path) == "0002_x.json"
    assert names(tmp_path) == [".0001.part", "0001_theirs.json", "0002_x.json"]
    others[0].close()


def test_a_part_that_another_began_under_the_name_one_had_is_not_removed(tmp_path, monkeypatch):
    replace = Path.replace

    def meanwhile(part, path):
        replace(part, path)
        part.touch()

    monkeypatch.setattr(Path, "replace", meanwhile)
    assert save(tmp_path) == "0001_x.json"
    assert names(tmp_path) == [".0001.part", "0001_x.json"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EIO])
@pytest.mark.parametrize("write", [replace_whole, write_file])
def test_what_was_there_outlives_a_disk_that_takes_no_other_file(
    tmp_path, monkeypatch, write, number
):
    """Nor would such a disk take the data in the place of what was there."""
    open_ = os.open

    def refuse(path, flags, *mode, **place):
        if flags & os.O_EXCL:
            raise OSError(number, os.strerror(number))
        return open_(path, flags, *mode, **place)

    (tmp_path / "out.json").write_text("before")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError) as caught:
        write(tmp_path / "out.json", b"after")
    assert caught.value.errno == number
    assert (tmp_path / "out.json").read_text() == "before"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_where_no_other_file_may_be_made_the_file_is_written_in_place(
    tmp_path, monkeypatch, number
):
    open_ = os.open

    def refuse(path, flags, *mode, **place):
        if flags & os.O_EXCL:
            raise OSError(number, os.strerror(number))
        return open_(path, flags, *mode, **place)

    (tmp_path / "out.json").write_text("before")
    monkeypatch.setattr(os, "open", refuse)
    assert not replace_whole(tmp_path / "out.json", b"after")
    assert (tmp_path / "out.json").read_text() == "before"
    write_file(tmp_path / "out.json", b"after")
    assert (tmp_path / "out.json").read_text() == "after"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_what_was_there_outlives_a_disk_that_takes_no_other_name(tmp_path, monkeypatch, number):
    def full(*_):
        raise OSError(number, os.strerror(number))

    (tmp_path / "out.json").write_text("before")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError) as caught:
        write_file(tmp_path / "out.json", b"after")
    assert caught.value.errno == number
    assert (tmp_path / "out.json").read_text() == "before"
    assert names(tmp_path) == ["out.json"]


@pytest.mark.parametrize("length", [99, 100, 101, 247, 255])
def test_the_longest_names_are_replaced_as_a_whole_too(tmp_path, length):
    path = tmp_path / ("x" * (length - 2) + "é")
    path.write_text("before")
    before = path.stat().st_ino
    with path.open() as file:
        assert replace_whole(path, b"after")
        assert path.stat().st_ino != before
        assert file.read() == "before"
    assert path.read_text() == "after"
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_nothing_is_left_of_what_cannot_be_written(tmp_path, monkeypatch, problem):
    def end(_):
        raise problem

    (tmp_path / "out.json").write_text("before")
    monkeypatch.setattr(os, "fsync", end)
    with pytest.raises(type(problem)):
        save(tmp_path)
    with pytest.raises(type(problem)):
        replace_whole(tmp_path / "out.json", b"after")
    assert names(tmp_path) == ["out.json"]
    assert (tmp_path / "out.json").read_text() == "before"


def test_the_last_number(tmp_path):
    (tmp_path / "9998_x.json").touch()
    assert save(tmp_path) == "9999_x.json"
    with pytest.raises(NoNumberLeftError, match="has a file of the number 9999"):
        save(tmp_path)
    assert names(tmp_path) == ["9998_x.json", "9999_x.json"]


@pytest.mark.parametrize("where", ["missing", "file"])
def test_a_directory_that_is_none(tmp_path, where):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        save(tmp_path / where)


def test_parts_where_there_are_no_locks_are_never_taken_for_dead(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    (tmp_path / ".0001.part").write_text("of somebody")
    (tmp_path / ".out.json.0.part").write_text("of somebody")
    assert save(tmp_path) == "0002_x.json"
    assert replace_whole(tmp_path / "out.json", b"{}")
    assert names(tmp_path) == [".0001.part", ".out.json.0.part", "0002_x.json", "out.json"]


def test_replaced_files_keep_their_permissions_and_links(tmp_path):
    file, link = tmp_path / "out.json", tmp_path / "link.json"
    file.write_text("before")
    file.chmod(0o604)
    link.symlink_to("out.json")
    assert replace_whole(link, b"after")
    assert link.is_symlink()
    assert file.read_text() == "after"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    assert names(tmp_path) == ["link.json", "out.json"]


def test_what_cannot_be_replaced_is_not_touched(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/null", "/dev/stdout", tmp_path / "pipe", tmp_path, tmp_path / "no" / "x"):
        assert not replace_whole(tmp_path / path, b"{}")

    def mounted(*_):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    (tmp_path / "out.json").write_text("before")
    monkeypatch.setattr(Path, "replace", mounted)
    assert not replace_whole(tmp_path / "out.json", b"after")
    assert (tmp_path / "out.json").read_text() == "before"
    assert names(tmp_path) == ["out.json", "pipe"]


def test_a_process_killed_while_it_replaces_leaves_what_was_there(tmp_path):
    (tmp_path / "out.json").write_text("before")
    source = "stop_in_the_midst(); replace_whole(here / 'out.json', b'after' * 1000)"
    with child(tmp_path, source) as process:
        assert process.stdout.readline() == "writing\n"
        # Two at once: the one that is ready first does not wait, nor spoil the other's.
        assert replace_whole(tmp_path / "out.json", b"between")
        process.kill()
    assert (tmp_path / "out.json").read_text() == "between"
    assert names(tmp_path) == [".out.json.0.part", "out.json"]
    assert replace_whole(tmp_path / "out.json", b"after")
    assert names(tmp_path) == ["out.json"]


# -- links of others ------------------------------------------------------------------------------


@pytest.fixture
def open_to_all(tmp_path, monkeypatch):
    """A directory such as /tmp, with links that seem to be another user's if they are `theirs…`."""
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o1777)
    (tmp_path / "victim").write_text("before")
    lstat = os.lstat

    def of_another(path, *args, **kwargs):
        found = lstat(path, *args, **kwargs)
        if not Path(os.fsdecode(path)).name.startswith("theirs"):
            return found
        fields = list(found[:10])
        fields[4] = found.st_uid + 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "lstat", of_another)
    (directory / "theirs").symlink_to(tmp_path / "victim")
    (directory / "theirs-new").symlink_to(tmp_path / "new")
    return directory


@pytest.mark.parametrize("name", ["theirs", "theirs-new", "../mine"])
@pytest.mark.parametrize("write", [replace_whole, write_file])
def test_a_link_that_others_have_put_into_a_directory_open_to_all_is_not_followed(
    open_to_all, tmp_path, name, write
):
    (tmp_path / "mine").symlink_to("open/theirs")  # a link of ours to one of theirs
    before = names(tmp_path)
    with pytest.raises(PermissionError) as caught:
        write(open_to_all / name, b"after")
    told = f"is a link that user {os.geteuid() + 1} has made in a directory open to all"
    assert told in caught.value.strerror
    assert told in why_unwritable(open_to_all / name)
    assert told in why_unwritable(open_to_all / name, makes_directories=True)
    assert names(tmp_path) == before
    assert (tmp_path / "victim").read_text() == "before"
    assert names(open_to_all) == ["theirs", "theirs-new"]


@pytest.mark.parametrize("moment", ["before it is looked at", "after"])
def test_nor_is_one_that_takes_the_place_of_a_file_which_is_written_in_place(
    open_to_all, tmp_path, monkeypatch, moment
):
    file, open_ = open_to_all / "theirs-too", os.open
    file.write_text("before")

    def swap():
        file.unlink()
        file.symlink_to(tmp_path / "victim")

    def not_permitted(*_):
        if moment != "after":
            swap()
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def open_late(path, flags, *mode, **place):
        if moment == "after" and not flags & os.O_EXCL and Path(path) == file:
            swap()
        return open_(path, flags, *mode, **place)

    monkeypatch.setattr(Path, "replace", not_permitted)
    monkeypatch.setattr(os, "open", open_late)
    with pytest.raises(OSError) as caught:
        write_file(file, b"after")
    assert caught.value.errno == (errno.ELOOP if moment == "after" else errno.EACCES)
    assert (tmp_path / "victim").read_text() == "before"


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1755])
def test_other_directories_are_their_owners_business(open_to_all, tmp_path, mode):
    open_to_all.chmod(mode)
    assert why_unwritable(open_to_all / "theirs") == ""
    assert replace_whole(open_to_all / "theirs", b"after")
    assert (tmp_path / "victim").read_text() == "after"


@pytest.mark.parametrize("who", ["ours", "of-the-directorys-owner"])
def test_links_of_this_user_and_of_the_directorys_owner_are_followed(
    open_to_all, tmp_path, monkeypatch, who
):
    (open_to_all / who).symlink_to(tmp_path / "victim")
    if who != "ours":
        uid = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: uid + 7)
    assert why_unwritable(open_to_all / who) == ""
    assert replace_whole(open_to_all / who, b"after")
    assert (tmp_path / "victim").read_text() == "after"
    assert (open_to_all / who).is_symlink()


def test_links_lead_where_the_kernel_has_them_lead(tmp_path, monkeypatch):
    (tmp_path / "below/deep").mkdir(parents=True)
    (tmp_path / "to-deep").symlink_to("below/deep")
    (tmp_path / "below/first").symlink_to("../to-deep/../second")
    (tmp_path / "below/second").symlink_to(tmp_path / "to-deep/file")
    monkeypatch.chdir(tmp_path)
    assert replace_whole(Path("below/first"), b"after")
    assert (tmp_path / "below/deep/file").read_text() == "after"
    assert names(tmp_path / "below/deep") == ["file"]


@pytest.mark.parametrize("through", ["/dev/stdout", "/proc/self/fd/1", "link"])
def test_what_is_open_already_is_written_to_as_it_is(tmp_path, through):
    (tmp_path / "link").symlink_to("/dev/stdout")
    script = """
import os, sys
from pathlib import Path
from pytest_tfthreads.system.files import replace_whole, write_file
assert not replace_whole(Path(sys.argv[1]), b"no")
write_file(Path(sys.argv[1]), b"first ")
os.write(1, b"second")
"""
    command = [sys.executable, "-c", script, through]
    piped = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert piped.stdout == b"first second", piped.stderr
    with open(tmp_path / "out", "ab") as file:
        subprocess.run(command, cwd=tmp_path, stdout=file, check=True)
    assert (tmp_path / "out").read_bytes() == b"first second"
    assert os.path.islink("/dev/stdout")


def test_parts_of_several_that_were_killed_at_once_are_removed(tmp_path):
    kept = [".out.json.x.part", ".other.json.1.part", "out.json.1.part"]
    for name in (".out.json.0.part", ".out.json.1.part", ".out.json.12.part", *kept):
        (tmp_path / name).write_text("of one that was killed")
    with child(tmp_path, "stop_in_the_midst(); replace_whole(here / 'out.json', b'')") as process:
        assert process.stdout.readline() == "writing\n"
        assert replace_whole(tmp_path / "out.json", b"after")
        assert names(tmp_path) == sorted([*kept, ".out.json.0.part", "out.json"])


# -- what is known before -------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A working directory with places of many kinds in it."""
    monkeypatch.chdir(tmp_path)
    Path("directory").mkdir()
    Path("file").write_text("before")
    Path("link").symlink_to("directory/new")
    Path("broken").symlink_to("none/new")
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    return tmp_path


@pytest.mark.parametrize("path", ["new", "file", "directory/new", "link", "pipe", "/dev/null"])
def test_nothing_is_known_against_what_can_be_written_and_nothing_is_touched(places, path):
    before = sorted(places.rglob("*"))
    assert why_unwritable(Path(path)) == ""
    assert sorted(places.rglob("*")) == before
    assert Path("file").read_text() == "before"


@pytest.mark.parametrize(
    ("path", "why", "made"),
    [
        ("directory", "it is a directory", False),
        ("none/new", "there is no directory none", True),
        ("none/below/new", "there is no directory none/below", True),
        ("file/new", "file is no directory", False),
        ("file/below/new", "file is no directory", False),
        ("broken", "there is no directory {places}/none", False),
        ("broken/new", "broken is no directory", False),
        ("loop", "too many levels of symbolic links", False),
        ("loop/new", "too many levels of symbolic links", False),
        ("x" * 300, "file name too long", False),
    ],
)
def test_what_is_against_a_file_is_known_before_it_is_written(places, path, why, made):
    path = Path(path)
    assert why_unwritable(path) == why.format(places=places)
    assert why_unwritable(path, makes_directories=True) == ("" if made else why_unwritable(path))
    with pytest.raises(OSError):
        write_file(path, b"after")


@pytest.mark.parametrize("path", ["closed/new", "closed/below/new", "closed_file"])
def test_who_may_not_write_is_told_so(places, path):
    Path("closed").mkdir()
    Path("closed_file").touch()
    for one, mode in ((places, 0o755), (Path("closed"), 0o555), (Path("closed_file"), 0o444)):
        one.chmod(mode)
    # In a process of its own: root, who may run this test, may write everywhere.
    script = """
import os, sys
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
from pathlib import Path
path = Path(sys.argv[1])
print(why_unwritable(path, makes_directories=True))
try:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"after")
except PermissionError:
    print("refused")
"""
    imports = "from pytest_tfthreads.system.files import why_unwritable\n"
    run = subprocess.run(
        [sys.executable, "-c", imports + script, path], capture_output=True, text=True
    )
    told, tried = run.stdout.splitlines()
    assert told.endswith("permission denied"), run.stderr
    assert tried == "refused"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("name", "numbered"),
    [(".out.json.0.part", "0001_x.json"), (".0001.part", "0002_x.json")],
)
def test_a_link_to_nowhere_in_the_place_of_a_part_is_nobodys(tmp_path, name, numbered):
    """Whoever may write there could stop the run, which would look for the part again and again."""
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    assert replace_whole(tmp_path / "out.json", b"{}")
    assert (tmp_path / "out.json").read_bytes() == b"{}"
    assert write_numbered(tmp_path, "_x.json", b"{}", set).name == numbered
    assert (tmp_path / name).is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_a_file_system_that_is_read_only_is_told_of(places, monkeypatch):
    # The kernel's answers there; root may mount one, others may not.
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    read_only = os.statvfs_result((4096, 4096, 1, 1, 1, 1, 1, 1, os.ST_RDONLY, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    assert why_unwritable(Path("file")) == "read-only file system"
    assert why_no_file_in(Path("directory")) == "directory: read-only file system"
    monkeypatch.delattr(os, "statvfs")  # as on Windows
    assert why_unwritable(Path("file")) == "permission denied"
