"""The projects of examples/ do what their READMEs say; with the real TensorFlow."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

from repository import TOP

EXAMPLES = TOP / "examples"
# Enough to see that all is measured; the figures mean nothing.
SHORT = ("--tf-threads-processes=1", "--benchmark-max-time=0.05", "--benchmark-min-rounds=2")
# Options and lists of plugins that the tests of this repository are run with are not the project's.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
GRIDS = {
    "image-service": {
        "test_request": {"intra1-inter1", "intraphysical-inter1"},
        "test_batch": {"intra1-inter1", "intraphysical-inter1", "intraauto-interauto"},
    },
    "input-pipeline": {
        "test_fixed": {"intra1-inter1", "intra2-inter1", "intra4-inter1"},
        "test_autotuned": {"intra1-inter1"},
    },
    "training-library": {
        "test_step": {
            f"{batch}-intra{intra}-inter1" for batch in (32, 256) for intra in (1, "physical")
        },
    },
}

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="no TensorFlow"
)


def test_all_projects_are_tried():
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == set(GRIDS)
    for project in GRIDS:
        assert len((EXAMPLES / project / "README.md").read_text().splitlines()) <= 20


@pytest.mark.parametrize("project", sorted(GRIDS))
def test_a_project_passes_its_tests_and_is_measured(project, tmp_path, fake_cpuinfo):
    directory = shutil.copytree(EXAMPLES / project, tmp_path / project)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *SHORT, "--benchmark-json=out.json"],
        cwd=directory,
        env={
            **_ENVIRONMENT,
            "PYTHONPATH": os.pathsep.join([str(directory), str(fake_cpuinfo)]),
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    benchmarks = json.loads((directory / "out.json").read_text())["benchmarks"]
    found = {}
    for benchmark in benchmarks:
        name, _, identifier = benchmark["name"].partition("[")
        found.setdefault(name, set()).add(identifier.removesuffix("]"))
        measured = benchmark["extra_info"]["tf_threads"]
        assert measured["throughput"]["value"] > 0
        if "intra1-inter1" in identifier:
            assert measured["effective"] == {"intra": 1, "inter": 1}
    assert found == GRIDS[project]
