# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the control node keeps of a seed cluster: the run under way, its pull secret, its record, the imager's log.

None of it goes onto the cluster, where it would become a part of the seed image.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

import yaml

from ansible_collections.sno.image_upgrade.plugins.module_utils._files import replace_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._gather import safe_name
from ansible_collections.sno.image_upgrade.plugins.module_utils._mask import masked_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._seed_facts import SeedFacts, from_document
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption

PRIVATE, PUBLIC = 0o600, 0o644


class Keep:
    """The files of one host in one folder. In check mode nothing is written."""

    def __init__(self, folder: str, host: str, record: str | None, now: t.Callable[[], str], *, check: bool) -> None:
        self._folder = os.path.abspath(os.path.expanduser(folder))
        self._stem = os.path.join(self._folder, safe_name(host))
        self._host, self._record_path, self._now, self._check = host, record, now, check

    def open(self) -> None:
        """Make the folder, for this user alone. Raises InvalidOption."""
        if self._check:
            return
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise InvalidOption("folder", self._folder, f"it cannot be written to: {error.strerror}") from error

    # --- the run that is under way ------------------------------------------------------------------------------------

    @property
    def under_way(self) -> bool:
        """True where an earlier run has asked for a seed image and has not seen how that ended."""
        return bool(self._run().get("asked"))

    def begin(self, image: str, facts: SeedFacts, digest_before: str) -> None:
        """Before anything is changed."""
        document = {
            "host": self._host,
            "image": image,
            "began": self._now(),
            "digest_before": digest_before,
            "facts": facts.to_document(),
        }
        self._write(self._run_path, json.dumps(document, indent=1) + "\n", PRIVATE)

    def asked(self, uid: str) -> None:
        """From now on a silent API is what is to be expected."""
        self._write(self._run_path, json.dumps({**self._run(), "asked": uid or "yes"}, indent=1) + "\n", PRIVATE)

    def begun(self, image: str) -> tuple[SeedFacts | None, str]:
        """The facts that an unfinished run for this image has read beforehand, and the digest of the image before."""
        run = self._run()
        if run.get("image") != image:
            return None, ""
        try:
            facts = from_document(run.get("facts"))
        except IbuError:
            return None, str(run.get("digest_before") or "")
        return facts, str(run.get("digest_before") or "")

    def end(self) -> None:
        """It is over, one way or the other."""
        if not self._check:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._run_path)

    @property
    def _run_path(self) -> str:
        return f"{self._stem}.run.json"

    def _run(self) -> dict[str, t.Any]:
        try:
            with open(self._run_path, encoding="utf-8") as stream:
                found = json.load(stream)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.get("host") == self._host else {}

    # --- the pull secret ----------------------------------------------------------------------------------------------

    @property
    def _copy_path(self) -> str:
        return f"{self._stem}.pull-secret.json"

    @property
    def copy_of_pull_secret(self) -> str:
        """Where the copy lies; empty where there is none."""
        return self._copy_path if os.path.exists(self._copy_path) else ""

    def keep_pull_secret(self, text: str) -> str:
        """Keep a copy, readable by this user alone."""
        self._write(self._copy_path, text, PRIVATE)
        return self._copy_path

    # --- the record and the log ---------------------------------------------------------------------------------------

    @property
    def record_path(self) -> str:
        """Where the record goes."""
        return os.path.abspath(os.path.expanduser(self._record_path or f"{self._stem}.seed.yml"))

    def has_record(self, digest: str | None) -> str:
        """The path of a record of this very image; empty where there is none."""
        try:
            with open(self.record_path, encoding="utf-8") as stream:
                facts = from_document(yaml.safe_load(stream))
        except (OSError, IbuError, yaml.YAMLError):
            return ""
        return self.record_path if digest is None or facts.digest == digest else ""

    def save_record(self, facts: SeedFacts, image: str) -> str:
        """Write what targets are compared with. There is no secret in it."""
        head = {"image": image, "cluster": self._host, "made": self._now()}
        # By way of JSON: what came through Ansible's templates carries tags, which YAML would refuse.
        document = json.loads(json.dumps(facts.to_document(head)))
        text = yaml.safe_dump(document, sort_keys=False, default_flow_style=False, width=120)
        self._write(self.record_path, f"---\n{text}", PUBLIC)
        return self.record_path

    def save_log(self, text: str) -> str:
        """Write the imager's log without what looks like a secret."""
        path = f"{self._stem}.imager.log"
        self._write(path, masked_text(text), PRIVATE)
        return path

    def _write(self, path: str, text: str, mode: int) -> None:
        """Replace a file at once: a kill at any moment leaves the old or the new one."""
        if self._check:
            return
        try:
            replace_text(path, text, mode)
        except OSError as error:
            raise InvalidOption("folder", path, f"it cannot be written: {error.strerror}") from error
