# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""``oc adm must-gather`` for one cluster: a process group of its own that never outlives what it was started for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import typing as t

from ansible_collections.sno.image_upgrade.plugins.module_utils._gather import kubeconfig_for, left_behind, oc_arguments
from ansible_collections.sno.image_upgrade.plugins.module_utils._session import HAS_KUBERNETES, Session
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    InvalidOption,
    NotThere,
    Refused,
    Unanswered,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._archive import (
    Archive,
    GatherFailed,
    TooBig,
    human,
    masked_bytes,
)

if HAS_KUBERNETES:
    import yaml

LOG = "oc.log"
_FOLDER = "data"
_TICK_SECONDS = 0.2
_LOOK_SECONDS = 2.0
_GRACE_SECONDS = 5.0
_LEFT_PATHS = {
    "namespace": "/api/v1/namespaces",
    "clusterrolebinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


class OcFailed(GatherFailed):
    """The tool has not done its work; the API may still be asked."""


def refuse_options(options: t.Mapping[str, t.Any]) -> None:
    """Raise OcFailed for an option that a kubeconfig cannot say."""
    if options.get("proxy_headers"):
        raise OcFailed("oc cannot be given ibu_proxy_headers")


def write_kubeconfig(options: t.Mapping[str, t.Any], folder: str) -> str:
    """The one kubeconfig that means what the options mean, for this user's eyes only."""
    value, document, base = options.get("kubeconfig"), None, os.getcwd()
    if isinstance(value, str):
        path = os.path.abspath(os.path.expanduser(value))
        base = os.path.dirname(path)
        try:
            with open(path, encoding="utf-8") as stream:
                document = yaml.safe_load(stream)
        except (OSError, yaml.YAMLError) as error:
            raise InvalidOption("ibu_kubeconfig", value, "it cannot be read any more") from error
    elif value:
        document = value
    target = os.path.join(folder, "kubeconfig")
    with os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as stream:
        # JSON is YAML.
        json.dump(kubeconfig_for(options, document, base), stream)
    return target


class MustGather:
    """One run of the tool. ``seconds`` is its deadline; the archive says what may be taken, and when to stop."""

    def __init__(
        self, oc: str, options: t.Mapping[str, t.Any], images: t.Sequence[str], archive: Archive, seconds: float
    ) -> None:
        self._oc = oc
        self._options = options
        self._images = images
        self._archive = archive
        self._seconds = seconds
        self._log = os.path.join(archive.workdir(), LOG)
        self._data = os.path.join(archive.workdir(), _FOLDER)

    def run(self, session: Session) -> None:
        """Collect, and put what was collected into the archive. Raises OcFailed and GatherFailed."""
        refuse_options(self._options)
        try:
            with tempfile.TemporaryDirectory(prefix="ibu-oc-") as private:
                code = self._run(write_kubeconfig(self._options, private), private)
        except BaseException:
            self._remove_left(session)
            raise
        if code:
            self._remove_left(session)
            raise OcFailed(f"oc adm must-gather ended with exit status {code}: {self._last_words()}")
        if not _has_data(self._data):
            raise OcFailed(f"oc adm must-gather has collected nothing: {self._last_words()}")
        try:
            self._archive.add_tree(self._data, "must-gather")
            self._archive.add(LOG, masked_bytes(self._read_log().encode()))
        except TooBig as error:
            raise OcFailed(f"what oc adm must-gather has collected does not fit: {error}") from error

    def _run(self, kubeconfig: str, private: str) -> int:
        command = [self._oc, *oc_arguments(self._images, self._data, self._seconds)]
        with open(self._log, "wb") as log:
            try:
                process = subprocess.Popen(  # noqa: S603
                    command,
                    cwd=self._archive.workdir(),
                    env=self._environment(kubeconfig, private),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # A group of its own, so that whatever the tool starts ends with it.
                    start_new_session=True,
                )
            except OSError as error:
                raise OcFailed(f"{self._oc} cannot be started: {error.strerror}") from error
        try:
            return self._follow(process)
        finally:
            _end(process)

    def _environment(self, kubeconfig: str, private: str) -> dict[str, str]:
        # Its caches of the API would otherwise be in the user's home, one for every cluster.
        more = {"KUBECONFIG": kubeconfig, "KUBECACHEDIR": private}
        if self._options.get("no_proxy"):
            more |= {"NO_PROXY": str(self._options["no_proxy"]), "no_proxy": str(self._options["no_proxy"])}
        return {**os.environ, **more}

    def _follow(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end, and look now and then whether it may go on."""
        # The tool has the same deadline, and then still cleans up after itself.
        deadline = time.monotonic() + self._seconds + 6 * _GRACE_SECONDS
        look_at = 0.0
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_TICK_SECONDS)
            now = time.monotonic()
            if now >= deadline:
                raise OcFailed(f"oc adm must-gather was not done after {self._seconds:.0f} s: raise timeout")
            size = 0
            if now >= look_at:
                look_at, size = now + _LOOK_SECONDS, _size_of(self._data)
            try:
                self._archive.check(size)
            except TooBig as error:
                raise OcFailed(f"oc adm must-gather has collected more than fits ({human(size)}): {error}") from error

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._read_log().splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it said nothing"

    def _read_log(self) -> str:
        try:
            with open(self._log, encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""

    def _remove_left(self, session: Session) -> None:
        """A tool that was killed leaves its privileged namespace on the cluster."""
        for kind, name in left_behind(self._read_log()):
            with contextlib.suppress(NotThere, Refused, Unanswered):
                session.delete(f"{_LEFT_PATHS[kind]}/{name}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group, also where only a child of the tool is left in it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
            if not _group_lives(process.pid):
                return


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _size_of(root: str) -> int:
    found = 0
    for folder, _folders, files in os.walk(root):
        for name in files:
            with contextlib.suppress(OSError):
                found += os.lstat(os.path.join(folder, name)).st_size
    return found


def _has_data(root: str) -> bool:
    """True where an image's pod has left anything; the tool itself writes files of its own at the top."""
    return any(files for folder, _folders, files in os.walk(root) if folder != root)
