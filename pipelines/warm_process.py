"""Steps that start warm: one process loads what the steps load, and each step is a fork of it.

A step is a process of its own, and torch alone takes seconds to import. The local runner starts a step by a command
line with ``python3`` in it: ``launcher`` makes a ``python3`` that asks the warm process for a fork, hands it its files,
environment and arguments, and ends as it ends. Anything else it passes on to the real interpreter.

Needs the standard library only: this file is also run by its path, as that ``python3``.
"""

import importlib
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

EXECUTOR = "kfp.dsl.executor_main"
_STANDARD_FILES = (0, 1, 2)


@contextmanager
def warm_process(folder: Path, modules: Sequence[str], lifeline: int) -> Iterator[str]:
    """Starts the warm process; gives the path of a ``python3`` whose steps are forks of it.

    Args:
        folder: for the socket and the ``python3``; a short path, a socket's name may have 108 bytes.
        modules: what to load beside Kubeflow's executor, up to the first that cannot be: a step will tell.
        lifeline: a file that ends when whoever wants the run is gone. Then the warm process removes ``folder``, which
            nobody else will, and ends its process group, which is the run's.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "warm"))
        listener.listen()
        command = [sys.executable, "-m", __name__, "serve", str(listener.fileno()), *modules]
        process = subprocess.Popen(command, stdin=lifeline, pass_fds=[listener.fileno()])
    try:
        yield _launcher(folder)
    finally:
        process.terminate()
        process.wait()


def _launcher(folder: Path) -> str:
    script = folder / "python3"
    command = shlex.join([sys.executable, "-I", "-S", __file__, "call", str(folder / "warm")])
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    return str(script)


def _serve(listener: socket.socket, lifeline: int) -> list[str]:
    """Forks a step for each call; returns in the step, with its arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that attend
    while True:
        ready, _, _ = select.select([listener.fileno(), lifeline], [], [])
        if lifeline in ready:
            shutil.rmtree(Path(listener.getsockname()).parent, ignore_errors=True)
            os.killpg(0, signal.SIGKILL)
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            return _run_step(connection)
        connection.close()


def _run_step(connection: socket.socket) -> list[str]:
    """Forks the step, waits for it and tells its exit code; returns in the step."""
    _, files, _, _ = socket.recv_fds(connection, 1, len(_STANDARD_FILES))
    with connection.makefile("rb") as stream:
        step_call: dict[str, Any] = json.load(stream)
    pid = os.fork()
    if pid == 0:
        connection.close()
        for target, file in zip(_STANDARD_FILES, files, strict=True):
            os.dup2(file, target)
            os.close(file)
        os.chdir(step_call["folder"])
        os.environ.clear()
        os.environ.update(step_call["environment"])
        return list(step_call["arguments"])
    _, status = os.waitpid(pid, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _request_step(path: str, arguments: list[str]) -> int:
    """Has a step run by the warm process; returns its exit code, as a shell gives it."""
    step_call = {"arguments": arguments, "environment": dict(os.environ), "folder": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"."], list(_STANDARD_FILES))
        connection.sendall(json.dumps(step_call).encode())
        connection.shutdown(socket.SHUT_WR)
        exit_code = int(connection.recv(16) or b"1")
    return exit_code if exit_code >= 0 else 128 - exit_code


def main(arguments: list[str]) -> int:
    """``serve <descriptor> <modules>`` is the warm process; ``call <socket> <arguments>`` is the ``python3``."""
    mode, address, *remaining_arguments = arguments
    if mode == "call":
        if remaining_arguments[:2] != ["-m", EXECUTOR]:
            os.execv(sys.executable, [sys.executable, *remaining_arguments])
        return _request_step(address, remaining_arguments[2:])
    executor = importlib.import_module(EXECUTOR)
    with suppress(ImportError):
        for module in remaining_arguments:
            importlib.import_module(module)
    sys.argv[1:] = _serve(socket.socket(fileno=int(address)), lifeline=sys.stdin.fileno())
    executor.executor_main()
    sys.stdout.flush()
    os._exit(0)  # all is written; to take apart everything that was loaded would cost half a second


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
