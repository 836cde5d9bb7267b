"""docs/reference/saved-run.schema.json describes what real runs save: all of it, and no more."""

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest

from pytest_tfthreads.core.stats.scaling import Law

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs/reference/saved-run.schema.json").read_text(encoding="utf-8")
)
SHORT = "--benchmark-max-time=0.05"
PRODUCT = """
import time

def work(threads):
    time.sleep({1: 0.004, 2: 0.0025, 4: 0.0015}[threads])
"""
SUITE = """
import product

@pytest.mark.tf_threads(configs=[(1, 1), (1, 1, 1), (2, 1), (4, 1)], cpus=4)
def test_sweep(tf_benchmark, tf_threads):
    tf_benchmark(product.work, tf_threads.intra, items=8, unit="images")

@pytest.mark.tf_threads(intra=[1, 2], inter=1)
def test_pipeline(tf_benchmark):
    import tensorflow as tf
    tf_benchmark.dataset(tf.data.Dataset([1, 2]), threads="intra")

@pytest.mark.tf_threads(1, 1, instances=2)
def test_team(benchmark):
    benchmark(product.work, 1)

@pytest.mark.tf_threads(1, 1)
def test_failing(benchmark):
    assert False
"""


def seen(schema, value, fields):
    """Note the properties of every object in `value`, by the place that describes them."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        seen({**SCHEMA["$defs"][name], "title": name}, value, fields)
    for one in schema.get("anyOf", ()):
        if value is not None:
            seen(one, value, fields)
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                fields.add((schema.get("title"), name))
                seen(inner, value[name], fields)
    if isinstance(value, list):
        for one in value:
            seen(schema.get("items", {}), one, fields)


@pytest.fixture
def repository(suite, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    suite.write(SUITE, product=PRODUCT)
    git = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    for args in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *args], cwd=suite.path, check=True)
    return suite


def test_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_law_has_the_fields_of_the_schema():
    assert list(SCHEMA["$defs"]["law"]["properties"]) == list(Law.__dataclass_fields__)


def test_real_runs_have_the_fields_of_the_schema_and_no_others(repository):
    files = []
    for args in (
        ["--tf-threads-search", "--tf-threads=intra=1,2,4;inter=1", "--benchmark-save=first"],
        ["--benchmark-compare", "--tf-threads-duet=off", "--tf-threads-profile=traces"],
        ["--tf-threads-duet=HEAD", "--tf-threads-max-processes=1", "--dist=each", "--tx=popen"],
    ):
        result, _ = repository.results(SHORT, *args, subprocess=True)
        assert result.ret == pytest.ExitCode.TESTS_FAILED, "test_failing, and nothing worse"
        files.append(json.loads((repository.path / "out.json").read_text()))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    fields = set()
    for file in files:
        problems = [
            f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(file)
        ]
        assert problems == [], "mend docs/reference/saved-run.schema.json, and saved-files.md"
        seen(SCHEMA, file, fields)
    described = {
        (name, field)
        for name, one in SCHEMA["$defs"].items()
        if name != "law"  # which is there only where one fits
        for field in one.get("properties", {})
    }
    assert sorted(described - fields) == [], "fields that no run has"
