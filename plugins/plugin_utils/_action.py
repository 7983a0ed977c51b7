# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.
# Do not import it from elsewhere.

"""What the fleet's action plugins share: options, host variables, sessions. Controller side only."""

from __future__ import annotations

import abc
import contextlib
import gc
import re
import resource
import signal
import threading
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.module_utils.basic import missing_required_lib
from ansible.module_utils.common import validation
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC

from ansible_collections.sno.image_upgrade.plugins.module_utils import _connection, _session
from ansible_collections.sno.image_upgrade.plugins.module_utils._contact import over_a_busy_moment
from ansible_collections.sno.image_upgrade.plugins.module_utils._goals import GOAL_OPTIONS, goals_of
from ansible_collections.sno.image_upgrade.plugins.module_utils._report import names_in_short
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import Action, Goal, IbuError, InvalidOption

PREFIX = "ibu_"
HUB_PREFIX = "ibu_hub_"

_display = Display()

# A connection for requests and one for the watch, and what the interpreter itself holds open.
_FILES_PER_CLUSTER = 2
_FILES_BESIDE = 200

# Ansible's own words about a value of the wrong type lack the value, the variable and what to give instead.
_TYPES: t.Mapping[str, tuple[t.Callable[[t.Any], t.Any], str]] = {
    "bool": (validation.check_type_bool, "give true or false"),
    "dict": (validation.check_type_dict, "give a dictionary; on the command line as JSON: -e '{\"VARIABLE\": {…}}'"),
    "float": (validation.check_type_float, "give a number"),
    "int": (validation.check_type_int, "give a whole number"),
}

_T = t.TypeVar("_T")


class Host:
    """One cluster of the batch, as its host variables describe it."""

    def __init__(self, name: str, variables: t.Mapping[str, t.Any]) -> None:
        self.name = name
        self._variables = variables
        # The first variable whose template fails. It is an error of this host, told where the others' are.
        self._broken: InvalidOption | None = None
        self._cluster = self._options(PREFIX)
        self._hub = self._options(HUB_PREFIX)
        # The cluster's name on the hub.
        self.managed_cluster = str(self._quiet("ibu_managed_cluster") or name)
        # The link that the cluster shares with others; empty where it is not said.
        self.link = str(self._quiet("ibu_link") or "")

    @property
    def is_reachable(self) -> bool:
        """True where the variables say how to reach the cluster, or try to."""
        return self._broken is not None or _connection.has_connection(self._cluster)

    @property
    def has_hub(self) -> bool:
        """True where a hub connection is configured for this cluster."""
        return _connection.has_connection(self._hub)

    @property
    def hub_key(self) -> str:
        """The same for hosts whose hub connection is the same. May hold a credential: for comparing only."""
        return repr(sorted((name, repr(value)) for name, value in self._hub.items()))

    def open(self) -> _session.Session:
        """A session to the cluster. Raises InvalidOption for unusable connection variables."""
        if self._broken is not None:
            raise self._broken
        if not _connection.has_connection(self._cluster) and (why := self._variables.get("ibu_connection_error")):
            # Set by the inventory from the hub, which knows better than "nothing is given".
            raise InvalidOption(f"{PREFIX}kubeconfig", None, str(why))
        return _session.open_session(self._cluster, PREFIX)

    def open_hub(self) -> _session.Session:
        """A session to the cluster's hub. Raises InvalidOption, which names the variables."""
        return open_hub(self._hub)

    def goals(self, actions: t.Sequence[Action], options: t.Mapping[str, t.Any], **accepted: bool) -> list[Goal]:
        """The goals of this cluster: an option of the task counts for all hosts, else the host's variable does."""
        values = {
            name: options[name] if options.get(name) is not None else self._value(f"{PREFIX}{name}")
            for name in GOAL_OPTIONS
        }
        return goals_of(actions, values, PREFIX, **accepted)

    def _options(self, prefix: str) -> dict[str, t.Any]:
        found = {name: self._quiet(f"{prefix}{name}") for name in AUTH_ARG_SPEC}
        return {name: value for name, value in found.items() if value is not None and value != ""}

    def _value(self, variable: str) -> t.Any:
        """A host variable, None where there is none. Raises InvalidOption where its template fails."""
        try:
            return self._variables.get(variable)
        except Exception as error:  # noqa: BLE001
            # Before ansible-core 2.19, whatever goes wrong in a template comes as it is.
            words = " ".join(str(error).split())
            raise InvalidOption(variable, "<template>", f"mend the template, or what it reads: {words}") from None

    def _quiet(self, variable: str) -> t.Any:
        """The same, but the error is kept until somebody wants to use the host."""
        try:
            return self._value(variable)
        except InvalidOption as error:
            self._broken = self._broken or error
            return None


def of_each(hosts: t.Iterable[Host], ask: t.Callable[[Host], _T]) -> dict[str, _T]:
    """What every host gives. Raises IbuError with all that is wrong with the hosts, each cause once."""
    found: dict[str, _T] = {}
    wrong: dict[str, list[str]] = {}
    for host in hosts:
        try:
            found[host.name] = ask(host)
        except InvalidOption as error:
            wrong.setdefault(str(error), []).append(host.name)
    if wrong:
        raise IbuError("; ".join(f"{names_in_short(names)}: {cause}" for cause, names in wrong.items()))
    return found


class FleetAction(ActionBase):
    """Base of the actions that serve a whole batch from one task."""

    BYPASS_HOST_LOOP = True
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Validate the options, do the work, and turn errors that are meant for people into failures."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        if not _session.HAS_KUBERNETES:
            raise AnsibleActionFail(missing_required_lib("kubernetes"))
        sources = {name: var for name, var in self.variables().items() if name not in self._task.args}
        given = {name: self._templar.template(task_vars[var]) for name, var in sources.items() if var in task_vars}
        self._task.args = {**given, **self._task.args}
        # This process ends with the task. What Ansible has brought along, hundreds of thousands of objects, need not be
        # searched for garbage again and again while all clusters wait.
        gc.freeze()
        try:
            self._check_types(sources)
            _validation, options = self.validate_argument_spec(argument_spec=self.OPTIONS)
            result.update(self.work(options, task_vars))
        except InvalidOption as error:
            known = sources if error.value is None else {name: sources[name] for name in given}
            raise AnsibleActionFail(str(_with_variable(error, known))) from None
        except IbuError as error:
            # Of a chain of errors Ansible prints every message, and ours hold those of their causes.
            raise AnsibleActionFail(str(error)) from None
        return result

    def _check_types(self, sources: t.Mapping[str, str]) -> None:
        for name, value in self._task.args.items():
            convert, remedy = _TYPES.get(self.OPTIONS.get(name, {}).get("type", ""), (str, ""))
            with contextlib.suppress(ValueError, TypeError):
                if value is not None:
                    convert(value)
                continue
            raise InvalidOption(name, value, remedy.replace("VARIABLE", sources.get(name, f"{PREFIX}{name}")))

    # The argument spec.
    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]]

    def variables(self) -> dict[str, str]:
        """By option: the variable of the play that it is taken from where the task does not give it.

        What a cluster shall become is looked for in the variables of its own host.
        """
        return {name: f"{PREFIX}{name}" for name in self.OPTIONS if name not in GOAL_OPTIONS}

    @abc.abstractmethod
    def work(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """Do it; the returned keys become the task's result. Raises IbuError."""

    @property
    def check_mode(self) -> bool:
        """True where nothing may be changed."""
        return bool(self._task.check_mode)

    @staticmethod
    def hosts(task_vars: t.Mapping[str, t.Any], names: t.Iterable[str] | None = None) -> list[Host]:
        """The named hosts, or those of the current batch."""
        hostvars = task_vars["hostvars"]
        chosen = task_vars["ansible_play_batch"] if names is None else names
        return [Host(str(name), hostvars[name]) for name in chosen]

    @staticmethod
    def show(line: str) -> None:
        """Print one line for the user, from a worker process too."""
        _display.display(line)


def _with_variable(error: InvalidOption, sources: t.Mapping[str, str]) -> InvalidOption:
    """The error with the variable that the user knows the option by, as ``timeouts.Prep (ibu_timeouts)``."""
    found = re.match(r"\w+", error.option)
    variable = sources.get(found[0]) if found else None
    return InvalidOption(f"{error.option} ({variable})", error.value, error.remedy) if variable else error


class StopOnSignal:
    """Turns TERM and INT into an event, so that a killed run leaves a complete outcome file."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: dict[int, t.Any] = {}
        self.number = signal.SIGTERM.value

    def __enter__(self) -> StopOnSignal:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: object) -> None:
        self.number = number
        self._stop.set()


def open_hub(options: t.Mapping[str, t.Any]) -> _session.Session:
    """A session to a hub from authentication options without prefix. A hub may be busy for a moment."""
    session = _session.open_session(options, HUB_PREFIX)
    session.repeat = over_a_busy_moment()
    return session


def allow_open_files(width: int) -> None:
    """Raise this process's limit of open files as far as the batch needs. Raises InvalidOption where it may not."""
    needed = width * _FILES_PER_CLUSTER + _FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise InvalidOption(
                "concurrency",
                width,
                f"it needs {needed} open files, {hard} are allowed; lower it, or raise `ulimit -n`",
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
