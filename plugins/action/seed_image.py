# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a cluster to a seed image in a registry; the documentation is in plugins/modules/seed_image.py."""

from __future__ import annotations

import os
import shlex
import threading
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sno.image_upgrade.plugins.module_utils import _image_ref, _session
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import Clock, NoContact
from ansible_collections.sno.image_upgrade.plugins.module_utils._ends import Ended
from ansible_collections.sno.image_upgrade.plugins.module_utils._files import read_text
from ansible_collections.sno.image_upgrade.plugins.module_utils._findings import Finding
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import seconds_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._progress import clock as clock_words
from ansible_collections.sno.image_upgrade.plugins.module_utils._registry import ImageFacts, Reach, Registry
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen import Again, Wanted
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_cluster import SeedCluster, SeedHub
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_drive import SeedDrive
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_follow import Patience
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_plan import Detach, Remove
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_report import (
    end_lines,
    finding_lines,
    plain_report,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_restore import restore
from ansible_collections.sno.image_upgrade.plugins.module_utils._seedgen_tools import Report, Tools, Wish
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import (
    IbuError,
    InvalidOption,
    NotThere,
    Result,
)
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._action import Host, StopOnSignal
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._fleet_run import while_parent_lives
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._seed_keep import Keep
from ansible_collections.sno.image_upgrade.plugins.plugin_utils._seed_node import SeedNode

_display = Display()


class ActionModule(ActionBase):
    """Runs on the connection of the host, which may end on the node; the cluster's API is reached beside it."""

    _supports_check_mode = True
    _supports_async = False

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "image": {"type": "str"},
        "recert_image": {"type": "str"},
        "state": {"type": "str", "choices": ["generated", "restored"], "default": "generated"},
        "recreate": {"type": "str", "choices": [str(one) for one in Again], "default": "never"},
        "detach": {"type": "str", "choices": [str(one) for one in Detach], "default": "never"},
        "remove": {"type": "list", "elements": "str", "choices": [str(one) for one in Remove], "default": []},
        "auth_file": {"type": "path"},
        "auth_secret": {"type": "str", "no_log": False},
        "pull_secret_file": {"type": "path"},
        "folder": {"type": "path", "default": "seed-image"},
        "record": {"type": "path"},
        "verify": {"type": "bool", "default": True},
        "registry_ca": {"type": "path"},
        "registry_proxy": {"type": "str"},
        "registry_insecure": {"type": "bool", "default": False},
        "node_access": {"type": "bool", "default": False},
        "command_prefix": {"type": "str", "default": ""},
        "timeout": {"type": "float", "default": 7200},
        "detach_timeout": {"type": "float", "default": 3600},
        "removal_timeout": {"type": "float", "default": 900},
        "lost_timeout": {"type": "float", "default": 900},
        "contact_timeout": {"type": "float", "default": 60},
        "progress_interval": {"type": "float", "default": 60},
    }

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Validate the options, do the work, and turn how it ended into the task's result."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        if not _session.HAS_KUBERNETES:
            raise AnsibleActionFail(missing_required_lib("kubernetes"))
        _validation, options = self.validate_argument_spec(argument_spec=self.OPTIONS)
        variables = task_vars or {}
        self._clock, self._stop, self._host = Clock(), threading.Event(), _host(variables)
        self._begun = self._clock.monotonic()
        try:
            with StopOnSignal(self._stop) as signals:
                report = self._work(options)
                if self._stop.is_set():
                    # Whoever asked for the stop is gone or going, and nobody listens any more.
                    os._exit(128 + signals.number)
        except IbuError as error:
            raise AnsibleActionFail(f"{self._host.name}: {error}") from error
        result.update(plain_report(report))
        if report.result.is_failure:
            step = f" → {report.next_step}" if report.next_step else ""
            # Returned and not raised, so that the role can tell it in one sentence.
            result.update(failed=True, msg=f"{self._host.name}: {report.message}{step}")
        return result

    def _work(self, options: dict[str, t.Any]) -> Report:
        """Raises IbuError for what is wrong before anything was asked."""
        keep = Keep(options["folder"], self._host.name, options["record"], self._now, check=self._task.check_mode)
        keep.open()
        patience = Patience(
            contact=seconds_of("contact_timeout", options["contact_timeout"]),
            detach=seconds_of("detach_timeout", options["detach_timeout"]),
            removal=seconds_of("removal_timeout", options["removal_timeout"]),
            generation=seconds_of("timeout", options["timeout"]),
            lost=seconds_of("lost_timeout", options["lost_timeout"]),
            progress=seconds_of("progress_interval", options["progress_interval"]),
        )
        if options["state"] == "restored":
            return self._restore(options, keep, patience)
        return self._generate(options, keep, patience)

    def _generate(self, options: dict[str, t.Any], keep: Keep, patience: Patience) -> Report:
        if not options["image"]:
            raise InvalidOption(
                "image", None, "name the seed image to make, for example registry.example.com/seed:4.18.9"
            )
        _image_ref.parse(options["image"], "image")
        cluster = SeedCluster(self._host.open())
        auth = self._auth(options, cluster)
        wish = Wish(
            Wanted(options["image"], options["recert_image"], Again(options["recreate"])),
            Detach(options["detach"]),
            frozenset(Remove(one) for one in options["remove"]),
            auth,
            self._task.check_mode,
        )
        tools = Tools(
            cluster,
            keep,
            SeedHub(self._host.open_hub, self._host.managed_cluster) if self._host.has_hub else None,
            SeedNode(self._on_node(options["command_prefix"])) if options["node_access"] else None,
            self._registry(options, auth, cluster) if options["verify"] else None,
        )
        drive = SeedDrive(
            self._host.name,
            tools,
            wish,
            patience,
            clock=self._clock_of_run(),
            stop=self._stop,
            show=self._tell,
            show_findings=self._list,
        )
        report = drive.run()
        for line in end_lines(self._host.name, report, check=self._task.check_mode):
            self._show(line)
        return report

    def _restore(self, options: dict[str, t.Any], keep: Keep, patience: Patience) -> Report:
        def copy() -> str:
            path = options["pull_secret_file"] or keep.copy_of_pull_secret
            if not path:
                raise InvalidOption("pull_secret_file", None, "no copy was kept here; give a file with the pull secret")
            return read_text("pull_secret_file", path)

        cluster, report = SeedCluster(self._host.open()), Report(result=Result.DONE)
        try:
            done = restore(
                cluster,
                copy,
                patience,
                clock=self._clock_of_run(),
                stop=self._stop,
                check=self._task.check_mode,
                say=self._tell,
            )
        except NoContact as error:
            report.result, report.message, report.next_step = Result.UNREACHABLE, str(error), error.next_step
        except Ended as ended:
            report.result, report.message, report.next_step = ended.result, str(ended), ended.step
        else:
            report.changed, report.steps = bool(done), [done] if done else []
            report.message = done or "the cluster's pull secret is not a dummy: nothing to put back"
        finally:
            cluster.close()
        return report

    # --- what the work needs --------------------------------------------------------------------------------------

    def _auth(self, options: t.Mapping[str, t.Any], cluster: SeedCluster) -> str | None:
        """The credential to push with; None where Secret seedgen on the cluster shall be taken as it is."""
        if options["auth_file"] and options["auth_secret"]:
            raise InvalidOption("auth_secret", options["auth_secret"], "give it or auth_file, not both")
        if options["auth_file"]:
            return read_text("auth_file", options["auth_file"])
        if not options["auth_secret"]:
            return None
        namespace, slash, name = options["auth_secret"].partition("/")
        if not slash or not namespace or not name:
            raise InvalidOption("auth_secret", options["auth_secret"], "give NAMESPACE/NAME")
        try:
            text = cluster.auth_of(namespace, name)
        except NotThere:
            raise InvalidOption("auth_secret", options["auth_secret"], "the cluster has no such Secret") from None
        if not text:
            raise InvalidOption("auth_secret", options["auth_secret"], "it has no .dockerconfigjson")
        return text

    def _registry(
        self, options: t.Mapping[str, t.Any], auth: str | None, cluster: SeedCluster
    ) -> t.Callable[[str], ImageFacts]:
        """Asks the registry with the credential that is pushed with."""
        found: list[Registry] = []

        def ask(image: str) -> ImageFacts:
            if not found:
                text = auth if auth is not None else cluster.seed_auth()
                secret = _image_ref.read_pull_secret(text, "auth_file") if text else _image_ref.NO_SECRET
                reach = Reach(secret, options["registry_ca"], options["registry_proxy"], options["registry_insecure"])
                found.append(Registry(reach))
            return found[0].labels(image)

        return ask

    def _on_node(self, prefix: str) -> t.Callable[[str], tuple[int, str]]:
        try:
            words = shlex.split(prefix)
        except ValueError as error:
            raise InvalidOption("command_prefix", prefix, f"write it as in a shell: {error}") from None

        def run(command: str) -> tuple[int, str]:
            line = shlex.join([*words, "/bin/sh", "-c", command])
            # With something to read, ssh asks for no terminal, which would mix errors into the output.
            answer = self._low_level_execute_command(line, in_data=b"\n")
            return int(answer["rc"]), str(answer["stdout"]) + (str(answer.get("stderr") or "") if answer["rc"] else "")

        return run

    def _clock_of_run(self) -> Clock:
        return _ParentClock(self._stop)

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")

    def _tell(self, words: str) -> None:
        self._show(f"  {clock_words(self._clock.monotonic() - self._begun)}  {self._host.name}  {words}")

    def _list(self, findings: t.Sequence[Finding]) -> None:
        for line in finding_lines(self._host.name, findings):
            self._show(line)

    @staticmethod
    def _show(line: str) -> None:
        _display.display(line)


class _ParentClock(Clock):
    """Real time that asks for a stop when ansible-playbook was killed: its workers stay behind otherwise."""

    def __init__(self, stop: threading.Event) -> None:
        self._lives, self._stop = while_parent_lives(), stop

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Sleep in short pieces."""
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0 and not stop.is_set():
            super().wait(stop, min(left, 1.0))
            if not self._lives():
                self._stop.set()


def _host(variables: t.Mapping[str, t.Any]) -> Host:
    name = str(variables["inventory_hostname"])
    return Host(name, variables["hostvars"][name])
