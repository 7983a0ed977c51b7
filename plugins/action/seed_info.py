# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Tells what is known of a seed image; the documentation is in plugins/modules/seed_info.py."""

from __future__ import annotations

import json
import os
import typing as t

import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import FleetAction
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._seed_lookup import SEED_OPTIONS, NotKnown, seed_facts


class ActionModule(FleetAction):
    """Asks once; knows nothing of clusters."""

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "image": {"type": "str"},
        "record_file": {"type": "path"},
        **SEED_OPTIONS,
    }

    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Look the image up, and write the record where one is asked for."""
        image = options["image"] or self._wanted(task_vars)
        found = seed_facts(image, options)
        facts, reason = (found.facts, found.reason) if isinstance(found, NotKnown) else (found, "")
        document = facts.to_document({"image": image})
        path = options["record_file"]
        if path and not document["spec"]:
            # A file without a fact would be carried to where nobody can ask, and tell as little there.
            raise IbuError(f"nothing is known of {image}, so {path} was not written: {reason}")
        changed = bool(path) and self._write(path, _text(document))
        return {"changed": changed, "image": image, "facts": document["spec"], "reason": reason}

    def _wanted(self, task_vars: t.Mapping[str, t.Any]) -> str:
        reference = self._templar.template(task_vars.get("ibu_seed_image_ref"))
        image = reference.get("image") if isinstance(reference, dict) else None
        if not image:
            raise InvalidOption("image", image, "give the seed image here (ibu_image), or in ibu_seed_image_ref.image")
        return str(image)

    def _write(self, path: str, text: str) -> bool:
        """Whether the file has to be written; in check mode it is not."""
        try:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as stream:
                    if stream.read() == text:
                        return False
            if not self.check_mode:
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write(text)
        except OSError as error:
            raise InvalidOption("record_file", path, f"it cannot be written: {error.strerror}") from error
        return True


def _text(document: t.Any) -> str:
    # Through JSON: Ansible's own kind of text, which remembers where it comes from, cannot be dumped as it is.
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False)
