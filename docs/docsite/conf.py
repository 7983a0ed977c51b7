# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx. `make docs` puts the pages together, tests/tools/build_docs.py says from where."""

from __future__ import annotations

project = "sno.image_upgrade"
copyright = "2026, the sno.image_upgrade authors"  # noqa: A001
html_title = "sno.image_upgrade"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
exclude_patterns = ["docs/docsite", "**/examples/**"]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False
# Readable without a network: no fonts and no scripts from elsewhere.
html_theme_options = {
    "sidebar_hide_name": False,
    "light_css_variables": {"color-brand-primary": "#8a1c12", "color-brand-content": "#0b5394"},
    "dark_css_variables": {"color-brand-primary": "#ff9d8f", "color-brand-content": "#7db8f5"},
}

# "--limit" is no dash.
smartquotes = False

pygments_style = "ansible"
pygments_dark_style = "monokai"
highlight_language = "none"

# Headings can be linked to as on the pages of a forge.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block", "colon_fence"]

suppress_warnings = [
    # Pages of modules refer to those of kubernetes.core and ansible.builtin, which are not on this site and stay plain
    # text. antsibull-docs checks references inside the collection; links of Markdown pages are of another kind.
    "ref.ref",
]
