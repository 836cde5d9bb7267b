"""The documentation as a site: `tox -e docs`, then open build/docs/index.html."""

from importlib import metadata

project = "pytest-tfthreads"
copyright = "2026, the pytest-tfthreads authors"
try:
    release = metadata.version("pytest-tfthreads")
except metadata.PackageNotFoundError:  # built from a checkout, where nothing is installed
    release = ""
version = release

extensions = ["myst_parser", "sphinx_copybutton"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

# Headings of all pages can be linked to, as on GitHub.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
# Every link within the site must lead to something: a warning is an error in `tox -e docs`.
nitpicky = True

# A prompt is not copied with its command, and output not at all.
copybutton_prompt_text = "$ "
copybutton_copy_empty_lines = False

html_theme = "furo"
html_title = f"pytest-tfthreads {release}".strip()
html_extra_path = ["reference/saved-run.schema.json"]

# `tox -e docs-external` follows the links that lead out of the site; that needs the network.
linkcheck_anchors = False
linkcheck_timeout = 20
linkcheck_retries = 2
