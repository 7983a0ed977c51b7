# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation into .cache/site; every warning is an error.

The pages are put together in .cache/docs, in the folders that they have in the checkout, so that one relative link
serves the site and the checkout: docs/, the READMEs of roles and tests, CONTRIBUTING and its kind. `reference/` is
generated: modules, plugins and roles by antsibull-docs, the playbooks by playbook_index.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import playbook_index
from checkout import ROOT

SOURCE = ROOT / ".cache" / "docs"
DOCTREES = ROOT / ".cache" / "doctrees"
SITE = ROOT / ".cache" / "site"
DOCSITE = ROOT / "docs" / "docsite"
COLLECTION = ROOT / ".collections" / "ansible_collections" / "sno" / "image_upgrade"
BIN = Path(sys.executable).parent

PAGES = ("docs/**/*", "roles/*/README.md", "extensions/**/README.md", "tests/**/README.md", "*.md")
# Files that pages link to: the site offers them for download.
DOWNLOADS = ("awx/**/*.yml", "extensions/eda/rulebooks/*.yml")
# The site has a first page of its own.
LEFT_OUT = {"README.md", "docs/docsite"}
# A link to a file that is no page leads to the page that was made from it.
REDIRECTS = (
    (re.compile(r"\]\((?:\.\./)*plugins/modules/(\w+)\.py\)"), r"](/reference/\1_module.rst)"),
    (re.compile(r"\]\((?:\.\./)*plugins/inventory/(\w+)\.py\)"), r"](/reference/\1_inventory.rst)"),
    (re.compile(r"\]\((?:\.\./)*docs/docsite/index\.md\)"), r"](/index.md)"),
    (re.compile(r"\]\((?:\.\./)*README\.md\)"), r"](/index.md)"),
    # A folder is no page at all.
    (re.compile(r"\[([^]]+)\]\((?:\.\./)*[a-z_]+/?\)"), r"\1"),
)
GENERATED_TITLE = "Modules, plugins and roles\n=========================="
TREE_ENTRY = re.compile(r"^    (\w+)_(module|role|inventory|event_source)$", re.MULTILINE)
REFERENCE = Path("reference")
INDEX = Path("index.md")
RUNBOOKS = Path("docs/runbooks/README.md")
RUNBOOKS_TREE = "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def environment() -> dict[str, str]:
    """Where antsibull-docs finds Ansible, this collection and the ones it refers to."""
    paths = [str(ROOT / ".collections"), str(ROOT / ".cache" / "collections")]
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(paths),
        "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]),
    }


def write(path: Path, content: bytes) -> bool:
    """Write only what has changed, because Sphinx reads by time stamps; whether it was written."""
    if path.exists() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return True


def page_files() -> list[Path]:
    """The files that become pages or stand on one, relative to the checkout."""
    found = {path for pattern in PAGES + DOWNLOADS for path in ROOT.glob(pattern) if path.is_file()}
    names = sorted(path.relative_to(ROOT) for path in found if not path.is_symlink())
    return [name for name in names if not any(name.as_posix().startswith(left) for left in LEFT_OUT)]


def redirected(text: str) -> str:
    """The text with links into the code leading to generated pages."""
    for pattern, replacement in REDIRECTS:
        text = pattern.sub(replacement, text)
    return text


def expanded(text: str, pages: set[str]) -> str:
    """The first page with the patterns in its tables of contents replaced by the pages that are named nowhere else."""
    lines: list[str] = []
    left = pages - {"index", *text.splitlines()}
    for line in text.splitlines():
        if "*" not in line or line.startswith(("`", "|")):
            lines.append(line)
            continue
        pattern = re.compile(re.escape(line).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*"))
        found = sorted(filter(pattern.fullmatch, left))
        lines += found
        left -= set(found)
    return "\n".join([*lines, ""])


def gather() -> set[Path]:
    """Copy the pages; return what belongs there."""
    made = {REFERENCE / "playbooks.md": playbook_index.page(), REFERENCE / "roles.md": playbook_index.roles_page()}
    copied = {INDEX: DOCSITE / "index.md", **{name: ROOT / name for name in page_files()}}
    for name, origin in copied.items():
        if name.suffix == ".md":
            made[name] = redirected(origin.read_text(encoding="utf-8"))
        else:
            write(SOURCE / name, origin.read_bytes())
    made[RUNBOOKS] += RUNBOOKS_TREE
    made[INDEX] = expanded(made[INDEX], {name.with_suffix("").as_posix() for name in made})
    for name, text in made.items():
        changed = write(SOURCE / name, text.encode())
        if changed and name == INDEX:
            # Every page shows the table of contents.
            shutil.rmtree(DOCTREES, ignore_errors=True)
    return {*made, *copied}


def generate_reference() -> set[Path]:
    """The pages of modules, plugins and roles."""
    fresh = ROOT / ".cache" / "docs-reference"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o755)
    command: list[str | Path] = [BIN / "antsibull-docs", "collection", "--use-current", "--squash-hierarchy"]
    command += ["--fail-on-error", "--no-add-antsibull-docs-version", "--dest-dir", fresh, "sno.image_upgrade"]
    subprocess.run(command, env=environment(), check=True)
    made = set()
    for path in fresh.glob("*.rst"):
        name = Path("reference") / path.name
        text = path.read_text(encoding="utf-8")
        if path.name == "index.rst":
            text = text.replace("Sno.Image_Upgrade\n=================", GENERATED_TITLE)
            # Short names in the table of contents.
            text = re.sub(
                r"^    (\w+)_(module|role|inventory|event_source)$", r"    \1 <\1_\2>", text, flags=re.MULTILINE
            )
            text += "\n.. toctree::\n    :hidden:\n\n    environment_variables\n"
        text = text.replace(" -- ", " – ")
        # The theme shows the contents of a page beside it.
        text = re.sub(r"^\.\. contents::\n(?:   :.*\n)+", "", text, flags=re.MULTILINE)
        write(SOURCE / name, text.encode())
        made.add(name)
    return made


def sweep(wanted: set[Path]) -> None:
    """Remove pages that are not there any more."""
    for path in SOURCE.rglob("*"):
        if path.is_file() and path.relative_to(SOURCE) not in wanted:
            path.unlink()


def check_docs() -> int:
    """What antsibull-docs says about docs/docsite and every documentation in the collection, references included."""
    command: list[str | Path] = [BIN / "antsibull-docs", "lint-collection-docs", "--plugin-docs"]
    command += ["--validate-collection-refs=all", "--skip-rstcheck", "."]
    return subprocess.run(command, cwd=COLLECTION, env=environment(), check=False).returncode


def build() -> int:
    """Run Sphinx."""
    command: list[str | Path] = [sys.executable, "-m", "sphinx", "-b", "html", "-c", DOCSITE, "-W", "--keep-going"]
    command += ["-q", "-d", DOCTREES, SOURCE, SITE]
    return subprocess.run(command, env=environment(), check=False).returncode


def main() -> int:
    """Entry point."""
    sweep(gather() | generate_reference())
    failed = check_docs() or build()
    if not failed:
        print(f"The documentation is in {(SITE / 'index.html').relative_to(ROOT)}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
