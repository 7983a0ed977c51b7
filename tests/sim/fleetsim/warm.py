# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that start at once: forks of one that has done its imports.

To import the simulator takes longer than most tests of it, and to import Ansible longer than most playbooks. A `Warm`
process is started once, imports a module, calls its function `prepare` if there is one, and then forks a child for each
`spawn`; the child calls the module's function `warm` with the given arguments. It has the directory, the environment
and the open files that it is given, and nothing of other children's. The warm process and its children end with their
owner, whatever becomes of that one.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PACKAGE_PARENT = Path(__file__).resolve().parents[1]
_PID = struct.Struct("=i")
_START_TIMEOUT = 60.0
# So long a child may take to end once its owner is gone.
_END_SECONDS = 10
_MOST_FILES = 16


class WarmProcess:
    """A child. Its result comes through a pipe, as it is no child of this process."""

    def __init__(self, result: int) -> None:
        self._result = result
        told = os.read(result, _PID.size)
        if len(told) != _PID.size:
            os.close(result)
            raise RuntimeError("the warm process could not fork")
        self.pid: int = _PID.unpack(told)[0]
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, negative for a signal; subprocess.TimeoutExpired when it goes on."""
        if self._code is None:
            if not select.select([self._result], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            told = os.read(self._result, _PID.size)
            self._code = _PID.unpack(told)[0] if len(told) == _PID.size else -signal.SIGKILL
            os.close(self._result)
        return self._code

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, if it goes on."""
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Warm:
    """One process that has imported a module; started by the first `spawn`."""

    def __init__(self, module: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self._module, self._cwd, self._env = module, cwd, env
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def spawn(
        self,
        arguments: Sequence[str],
        output: int,
        files: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        imports: Sequence[str] = (),
    ) -> WarmProcess:
        """Call `warm(arguments, files)` in a child that writes to `output`; `files` are its own numbers for these.

        `imports` stay for all later children: what takes too long for the few of them that need it, and for all others.
        """
        where = str(cwd or self._cwd or os.getcwd())
        request = {"arguments": list(arguments), "cwd": where, "env": dict(os.environ if env is None else env)}
        request["imports"] = list(imports)
        result, result_end = os.pipe()
        try:
            with self._lock:
                connection = self._socket = self._socket or self._start()
                text = json.dumps(request).encode()
                socket.send_fds(connection, [struct.pack("=I", len(text))], [result_end, output, *files])
                connection.sendall(text)
        finally:
            os.close(result_end)
        return WarmProcess(result)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        paths = (str(_PACKAGE_PARENT), (self._env or os.environ).get("PYTHONPATH"))
        environment = {**(self._env or os.environ), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "fleetsim.warm", self._module, str(theirs.fileno())],
                cwd=self._cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # A key that interrupts the tests is not for what is shared by them; it ends with the socket.
                start_new_session=True,
            )
        atexit.register(_end_warm, ours, process)
        ours.settimeout(_START_TIMEOUT)
        if ours.recv(1) != b"r":
            raise RuntimeError(f"{self._module} could not be imported; its words are above")
        return ours


def _end_warm(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """At the end of the owner, whose processor time then has that of all children."""
    connection.close()
    try:
        process.wait(_START_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next request, None when the owner is gone."""
    head, files, _flags, _address = socket.recv_fds(connection, 4, _MOST_FILES)
    if len(head) < 4:
        return None
    (length,), text = struct.unpack("=I", head), b""
    while len(text) < length:
        part = connection.recv(length - len(text))
        if not part:
            return None
        text += part
    return json.loads(text), files


def _reap(*_: object) -> None:
    """Attendants that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _attend(module: Any, request: dict[str, Any], files: list[int], connection: socket.socket) -> None:
    """In a fork: fork the child, tell its number, wait for it and tell its exit code."""
    result, output, *others = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection.close()
    child = os.fork()
    if child:
        for fd in (output, *others):
            os.close(fd)
        os.write(result, _PID.pack(child))
        _end_with_owner(child, result)
        status = os.waitpid(child, 0)[1]
        with contextlib.suppress(BrokenPipeError):
            os.write(result, _PID.pack(os.waitstatus_to_exitcode(status)))
        os._exit(0)
    os.close(result)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.exit(module.warm(request["arguments"], others))


def _end_with_owner(child: int, result: int) -> None:
    """Wait for the end of the child, and bring it about when nobody is left who would hear of it."""
    if not hasattr(os, "pidfd_open"):
        return
    end, watch = os.pidfd_open(child), select.poll()
    watch.register(end, select.POLLIN)
    # Nothing to wait for but that the reading end is closed, which is told unasked.
    watch.register(result, 0)
    if all(fd == result for fd, _event in watch.poll()):
        os.kill(child, signal.SIGTERM)
        if not select.select([end], [], [], _END_SECONDS)[0]:
            os.kill(child, signal.SIGKILL)


def main(name: str, number: int) -> None:
    """Import, then fork until the owner is gone."""
    connection = socket.socket(fileno=number)
    module = importlib.import_module(name)
    if hasattr(module, "prepare"):
        module.prepare()
    _keep()
    signal.signal(signal.SIGCHLD, _reap)
    connection.sendall(b"r")
    while asked := _receive(connection):
        if needed := [one for one in asked[0]["imports"] if one not in sys.modules]:
            # Not all of them are silent, whatever the filters are.
            with warnings.catch_warnings(record=True):
                for one in needed:
                    importlib.import_module(one)
            _keep()
        if os.fork() == 0:
            _in_fork(module, *asked, connection)
        for fd in asked[1]:
            os.close(fd)


def _keep() -> None:
    """What is there now stays: no fork needs to look at it, which would also copy its memory."""
    gc.collect()
    gc.freeze()


def _in_fork(module: Any, request: dict[str, Any], files: list[int], connection: socket.socket) -> None:
    """Never returns into the loop of the warm process."""
    code = 1
    try:
        _attend(module, request, files, connection)
    except SystemExit as end:
        # As the interpreter does it: a text is for standard error.
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        _end(code)


def _end(code: int) -> None:
    """What Python does at its end, and then no more of this stack."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
