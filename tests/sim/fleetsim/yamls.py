# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as libyaml reads it: the agent's parser is a port of it and has its words, and it is ten times as fast."""

from __future__ import annotations

from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(text: str | bytes) -> Any:
    """The one document of a text; yaml.YAMLError where it is none."""
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader


def read_all(text: str | bytes) -> list[Any]:
    """Every document of a text, None for an empty one; yaml.YAMLError where one is none."""
    return list(yaml.load_all(text, Loader=_LOADER))
