# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the playbook runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .runs import Playground, playground

Prepare = Callable[..., Playground]


@pytest.fixture(name="prepare")
def fixture_prepare(tmp_path: Path) -> Iterator[Prepare]:
    """Start a fleet from a scenario; it ends with the test."""
    with contextlib.ExitStack() as stack:

        def prepare(scenario: dict[str, Any], **variables: Any) -> Playground:
            return stack.enter_context(playground(tmp_path / "run", scenario, **variables))

        yield prepare
