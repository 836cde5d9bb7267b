"""What a project's directories hold."""

from pytest_tfthreads.runner import variants


def test_packages_of_a_directory(tmp_path):
    for name in ("one/__init__.py", "two/sub/__init__.py", "three.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert variants._packages_in(str(tmp_path)) == {"one"}
    # As where this user may not look.
    assert variants._packages_in(str(tmp_path / ("x" * 300))) == set()
