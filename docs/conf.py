"""Sphinx: guides in Markdown, reference from docstrings.  python -m sphinx -W -b html docs build/docs"""

import netloom

project = "netloom"
author = "The netloom authors"
project_copyright = "The netloom authors"
release = netloom.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
include_patterns = ["index.md", "toolkit.md", "generators.md", "api.rst"]  # the rest of this folder is read in the repository
html_theme = "alabaster"
html_theme_options = {"description": "Reads a table, weaves a small network for it"}
html_show_sourcelink = False
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say types with shapes
myst_heading_anchors = 2
nitpicky = False
