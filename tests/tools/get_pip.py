# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put pip into an empty virtual environment from what Python itself bundles and the package index.

ansible-test downloads a script for this from a host of its own, unless it finds one in its cache. run_ansible_test.py
puts this one there, so that a machine which reaches only a package index can run the sanity tests.
"""

from __future__ import annotations

import subprocess
import sys


def main() -> None:
    """Called like the script that it stands for: get_pip.py [pip's options] pip==X [--no-setuptools] [--no-wheel]."""
    wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
    # In processes of their own: ensurepip shuts off pip's configuration, and with it the user's package index.
    subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)
    if "--no-setuptools" in sys.argv:
        # Before Python 3.12 ensurepip brings setuptools along.
        remove = [sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools"]
        subprocess.run(remove, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
