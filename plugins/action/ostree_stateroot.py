# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stateroots of a node, by shell commands alone; the documentation is in plugins/modules/ostree_stateroot.py."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sno.image_upgrade.plugins.module_utils._ostree import (
    Refusal,
    SetDefault,
    Step,
    Sysroot,
    Unreadable,
    after,
    after_all,
    checked,
    facts,
    lines,
    mismatch,
    plan_absent,
    plan_default,
    valid_name,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._ostree_commands import (
    Commands,
    agreed,
    marked,
    parse_directories,
    parse_mounts,
    parse_rpm_status,
    parse_space,
    parse_status,
    sysroot_of,
)
from ansible_collections.sno.image_upgrade.plugins.module_utils._types import IbuError, InvalidOption

# The shell's word for "no such command".
_NO_COMMAND = 127

_display = Display()


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    output: str
    error: str

    @property
    def words(self) -> str:
        """Why it failed, in its own words."""
        return " ".join((self.error or self.output).split()) or f"exit status {self.code}"


class ActionModule(ActionBase):
    """Reads the node, plans, and does one step at a time with a fresh reading in between."""

    _supports_check_mode = True
    _supports_async = False

    OPTIONS: t.ClassVar[dict[str, dict[str, t.Any]]] = {
        "name": {"type": "str"},
        "state": {"type": "str", "choices": ["gathered", "absent", "default"], "default": "gathered"},
        "remove_pinned": {"type": "bool", "default": False},
        "sysroot": {"type": "str"},
        "command_prefix": {"type": "str", "default": ""},
    }

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Turn what is meant for people into a failure that says what was done before it."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=self.OPTIONS)
        self._steps: list[dict[str, t.Any]] = []
        try:
            self._prefix = _prefix(options["command_prefix"])
            self._commands = Commands(_path(options["sysroot"]))
            result.update(self._work(options))
        except IbuError as error:
            done = {"changed": bool(self._steps), "steps": self._steps}
            raise AnsibleActionFail(_with_done(str(error), self._steps), result=done) from error
        return result

    def _work(self, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        state, name = options["state"], options["name"]
        if state == "gathered":
            return {"changed": False, "msg": "nothing was asked for", "steps": [], **facts(checked(self._read()))}
        # Before the node is asked anything.
        valid_name(name)

        def plan(sysroot: Sysroot) -> tuple[Step, ...]:
            if state == "default":
                return plan_default(sysroot, name)
            return plan_absent(sysroot, name, remove_pinned=options["remove_pinned"])

        before = self._read()
        steps = plan(before)
        self._refuse_unable(steps)
        found = after_all(before, steps) if self._task.check_mode else self._do(before, steps, plan)
        said = [self._shown(step) for step in steps] if self._task.check_mode else self._steps
        result = {"changed": bool(said), "steps": said, "msg": _summary(name, state, before, said), **facts(found)}
        if self._task.diff:
            result["diff"] = {"before": lines(before), "after": lines(found)}
        return result

    def _do(self, found: Sysroot, steps: tuple[Step, ...], plan: t.Callable[[Sysroot], tuple[Step, ...]]) -> Sysroot:
        """Every step planned anew; never more of them than were planned at first."""
        for _number in range(len(steps)):
            if not steps:
                break
            step = steps[0]
            answer = self._ask(self._commands.of(step))
            if answer.code:
                raise Refusal(f"cannot {step}: {answer.words}")
            self._steps.append(self._shown(step))
            expected, found = after(found, step), self._read()
            if wrong := mismatch(expected, found, step):
                raise Unreadable(f"the command to {step} ended well, but {wrong}; is somebody else at work there?")
            steps = plan(found)
        if steps:
            raise Unreadable(
                f"all that was planned is done, and there is still to {steps[0]}; is somebody else at work?"
            )
        return found

    def _refuse_unable(self, steps: tuple[Step, ...]) -> None:
        wanted = any(isinstance(step, SetDefault) for step in steps)
        if wanted and "set-default" not in self._output(self._commands.abilities(), "ostree admin --help"):
            raise Refusal("the ostree of this node is too old: it has no `ostree admin set-default`")

    def _shown(self, step: Step) -> dict[str, t.Any]:
        return {"step": str(step), "command": shlex.join([*self._prefix, *self._commands.of(step)])}

    # -- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> Sysroot:
        commands = self._commands
        deployments = parse_status(self._output(commands.status(), "ostree admin status"))
        by_rpm, transaction = self._read_rpm()
        deployments = agreed(deployments, by_rpm)
        if running := commands.running():
            answer = self._ask(running)
            # Elsewhere than on a node of its own there is nothing that runs.
            deployments = deployments if answer.code else marked(deployments, parse_status(answer.output))
        return sysroot_of(
            deployments,
            parse_directories(self._output(commands.directories(), f"the list of {commands.deploy}")),
            live=commands.live,
            mounts=parse_mounts(self._output(commands.mounts(), "the list of mounts"), commands.deploy),
            transaction=transaction,
            space=parse_space(self._output(commands.space(), "df")),
        )

    def _read_rpm(self) -> tuple[t.Any, str | None]:
        wanted = self._commands.rpm_status()
        answer = self._ask(wanted) if wanted else None
        if answer is None or answer.code == _NO_COMMAND:
            return None, None
        if answer.code:
            # The very trouble that makes a manual cleanup necessary. ostree alone is enough for one.
            _display.warning(f"rpm-ostree status failed, so only ostree was asked: {answer.words}")
            return None, None
        return parse_rpm_status(answer.output)

    def _output(self, command: list[str], what: str) -> str:
        answer = self._ask(command)
        if answer.code == _NO_COMMAND:
            raise Unreadable(
                f"{what}: {answer.words}; is this the node? In a pod the node's own commands are behind a "
                "command_prefix such as `chroot /host`"
            )
        if answer.code:
            raise Unreadable(f"{what}: {answer.words}")
        return answer.output

    def _ask(self, command: list[str]) -> Answer:
        # With something to read on standard input, ssh asks for no terminal, which would mix errors into the output.
        answer = self._low_level_execute_command(shlex.join([*self._prefix, *command]), in_data=b"\n")
        return Answer(int(answer["rc"]), str(answer["stdout"]), str(answer.get("stderr") or ""))


def _prefix(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidOption("command_prefix", text, f"write it as in a shell: {error}") from None


def _path(text: str | None) -> str | None:
    if text is None or text == "/":
        return None
    if not text.startswith("/") or ".." in text.split("/") or not text.isprintable():
        raise InvalidOption(
            "sysroot", text, "give the absolute path of a mounted file system, for example /mnt/sysroot"
        )
    return text


def _with_done(message: str, steps: list[dict[str, t.Any]]) -> str:
    done = "; ".join(str(step["step"]) for step in steps)
    return f"{message}. Already done: {done}; run it again to go on" if done else message


def _summary(name: str, state: str, before: Sysroot, steps: list[dict[str, t.Any]]) -> str:
    if steps:
        return "; ".join(str(step["step"]) for step in steps)
    if state == "default":
        return f"the next boot takes stateroot {name} already"
    return f"there is no stateroot {name}; there are {', '.join(before.directories)}"
