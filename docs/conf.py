"""How Sphinx builds the site: `nox -s docs`.

The source folder is the repository, not docs/, so that the links of README.md and of docs/*.md are those that GitHub follows.
"""

from softgrad import __version__

project = "softgrad"
author = "The softgrad developers"
release = version = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "build", "docs/_*"]
templates_path = ["_templates"]
nitpicky = True
smartquotes = False  # "mean" is to be typed
highlight_language = "none"  # indented blocks are formulas

# Markdown
myst_heading_anchors = 3  # the names that GitHub gives headings

# Docstrings. `name` is a link where it is a function, emphasised where it is a parameter.
default_role = "autolink"
autodoc_mock_imports = ["torch"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say more
autosummary_generate = False
numpydoc_show_class_members = False
nitpick_ignore_regex = [("py:.*", r"numpy\..*")]  # its inventory is on the network

# Examples
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "docs/gallery",
    "filename_pattern": r"\.py$",  # all are run
    "abort_on_example_error": True,
    "reference_url": {"softgrad": None},
    "download_all_examples": False,
    "notebook_extensions": set(),
    "show_signature": False,
    "write_computation_times": False,
}

# The site
html_title = f"softgrad {release}"
html_theme = "pydata_sphinx_theme"
html_theme_options = {"header_links_before_dropdown": 7, "navigation_with_keys": False}
html_sidebars = {"*": [], "docs/*": [], "docs/gallery/*": []}  # docs/api/ has one
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_additional_pages = {"index": "index.html"}  # the root document is not at the root
