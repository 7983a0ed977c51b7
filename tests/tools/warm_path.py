# Copyright (c) 2026, the sno.image_upgrade authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command that starts Ansible's programs many times, each in a quarter of its time: `warm_path.py COMMAND...`.

In front of the command's PATH there are small programs with the names of those in `ANSIBLE`. Each hands over its
arguments, directory, environment and standard files to a process that has imported Ansible, which forks a child to do
the work (see fleetsim/warm.py), passes on the signals that it gets, and ends as that child does. There is one such
process for each set of ANSIBLE_* variables (but for `OF_ONE_RUN`) and text of ansible.cfg; a child whose settings do
not fit it nevertheless starts the real program, as the small programs do when nobody listens any more. Everything ends
with the command.

There is no terminal for the children, so nothing can be prompted for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from checkout import ROOT

sys.path.append(str(ROOT / "tests" / "sim"))

from fleetsim.warm import Warm, WarmProcess  # noqa: E402


@dataclass(frozen=True)
class Program:
    """The module whose function `warm` does what the real program does, the command of that one, and what the warm
    process imports besides."""

    module: str
    real: tuple[str, ...]
    imports: tuple[str, ...] = ()


def installed(module: str, *names: str, imports: tuple[str, ...] = ()) -> dict[str, Program]:
    """Those of the programs that there are."""
    return {name: Program(module, (path,), imports) for name in names if (path := shutil.which(name))}


ANSIBLE = installed("playbooks.warm_ansible", "ansible", "ansible-inventory", "ansible-playbook")
# Files and folders, which each run may have for itself.
OF_ONE_RUN = ("ANSIBLE_CACHE_PLUGIN_CONNECTION", "ANSIBLE_CONFIG", "ANSIBLE_LOCAL_TEMP")
_NUMBER = struct.Struct("=i")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Request:
    """What a small program was started with, and its standard input, output and error."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    files: list[int]

    @property
    def name(self) -> str:
        return Path(self.arguments[0]).name


class Server:
    """Answers the small programs, one thread for each."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._programs = programs
        self._lock = threading.Lock()
        self._warm: dict[tuple[str, ...], Warm] = {}

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        """Tell the number of the child and its exit code. Either side may go at any time."""
        with connection, contextlib.suppress(OSError):
            request = receive(connection)
            child = self._start(request)
            try:
                connection.sendall(_NUMBER.pack(child.pid))
                threading.Thread(target=end_with, args=(connection, child), daemon=True).start()
                connection.sendall(_NUMBER.pack(child.wait()))
            finally:
                connection.shutdown(socket.SHUT_RDWR)

    def _start(self, request: Request) -> WarmProcess:
        given, output, errors = request.files
        program = self._programs[request.name]
        arguments = [*program.real, *request.arguments[1:]]
        try:
            return self._warm_for(request).spawn(
                arguments, output, [errors, given], request.environment, request.folder, program.imports
            )
        finally:
            for fd in request.files:
                os.close(fd)

    def _warm_for(self, request: Request) -> Warm:
        """The process that has imported it with the same settings; each child reads them again and checks that."""
        module, environment = self._programs[request.name].module, request.environment
        file = Path(request.folder, environment.get("ANSIBLE_CONFIG") or "ansible.cfg")
        text = file.read_text(errors="replace") if file.is_file() else ""
        names = (name for name in environment if name.startswith("ANSIBLE_") and name not in OF_ONE_RUN)
        key = (module, text, *(f"{name}={environment[name]}" for name in sorted(names)))
        with self._lock:
            if key not in self._warm:
                path = (str(ROOT / "tests"), environment.get("PYTHONPATH", ""))
                own = {**environment, "PYTHONPATH": os.pathsep.join(filter(None, path))}
                self._warm[key] = Warm(module, cwd=Path(request.folder), env=own)
            return self._warm[key]


def receive(connection: socket.socket) -> Request:
    """What `client` sends: the length, and the texts with zeros between."""
    head, files, _flags, _address = socket.recv_fds(connection, 8, 3)
    if len(head) < 8 or len(files) != 3:
        raise ConnectionError("not a request")
    (length, count), text = struct.unpack("=II", head), b""
    while len(text) < length:
        part = connection.recv(min(length - len(text), _MOST_BYTES))
        if not part:
            raise ConnectionError("half a request")
        text += part
    texts = [os.fsdecode(one) for one in text.split(b"\0")]
    environment = dict(one.split("=", 1) for one in texts[count + 1 :] if "=" in one)
    return Request(texts[:count], texts[count], environment, files)


def end_with(connection: socket.socket, child: WarmProcess) -> None:
    """A program that was killed cannot pass that on; its child takes its own children with it."""
    with contextlib.suppress(OSError):
        while connection.recv(1):
            pass
    child.kill(signal.SIGTERM)


CLIENT = """#!{python} -ISE
# A small program of tests/tools/warm_path.py: what it imports is built into Python.
import _signal, _socket, posix, sys

name = sys.argv[0].rpartition("/")[2]
# The number of the child, once it is known, and the signals that came before.
child, early = [], []


def real():
    command = [*{real}, *sys.argv[1:]]
    posix.execve(command[0], command, posix.environ)


def pass_on(number, frame):
    if child:
        posix.kill(child[0], number)
    else:
        early.append(number)


def number():
    told = b""
    while len(told) < 4:
        part = connection.recv(4 - len(told))
        if not part:
            posix.write(2, name.encode() + b": its warm process is gone\\n")
            posix._exit(1)
        told += part
    return int.from_bytes(told, sys.byteorder, signed=True)


connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
try:
    connection.connect({address!r})
    files = (0).to_bytes(4, sys.byteorder) + (1).to_bytes(4, sys.byteorder) + (2).to_bytes(4, sys.byteorder)
    words = [one.encode("utf-8", "surrogateescape") for one in (name, *sys.argv[1:], posix.getcwd())]
    text = b"\\0".join([*words, *(key + b"=" + value for key, value in posix.environ.items())])
    head = len(text).to_bytes(4, sys.byteorder) + (len(words) - 1).to_bytes(4, sys.byteorder)
    connection.sendmsg([head], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
except OSError:
    real()
for one in (_signal.SIGINT, _signal.SIGTERM):
    _signal.signal(one, pass_on)
if _signal.getsignal(_signal.SIGHUP) != _signal.SIG_IGN:
    _signal.signal(_signal.SIGHUP, pass_on)
connection.sendall(text)
child.append(number())
for one in early:
    posix.kill(child[0], one)
code = number()
if code < 0:
    _signal.signal(-code, _signal.SIG_DFL)
    posix.kill(posix.getpid(), -code)
posix._exit(code)
"""


@contextlib.contextmanager
def warm_path(programs: Mapping[str, Program] = ANSIBLE) -> Iterator[str]:
    """The PATH with the small programs in front. They work as long as the context."""
    server = Server(programs)
    with tempfile.TemporaryDirectory(prefix="warm-") as folder, socket.socket(socket.AF_UNIX) as listener:
        address = str(Path(folder, "socket"))
        listener.bind(address)
        listener.listen(64)
        threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
        for name, program in programs.items():
            client = Path(folder, "bin", name)
            client.parent.mkdir(exist_ok=True)
            text = CLIENT.format(python=sys.executable, real=program.real, address=address)
            client.write_text(text, encoding="utf-8")
            client.chmod(0o755)
        try:
            yield f"{folder}/bin{os.pathsep}{os.environ['PATH']}"
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def main() -> int:
    """Run the command; its exit code."""
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    if not command:
        sys.exit(f"usage: {sys.argv[0]} [--] COMMAND...")
    with warm_path() as path:
        process = subprocess.Popen(command, env={**os.environ, "PATH": path})
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _frame: process.send_signal(number))
        code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
