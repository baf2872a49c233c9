"""Starts steps fast: one warm process imports the modules of the steps, and each step is a fork of it.

Each step is its own process, and importing torch takes seconds. The local runner starts a step with a command line that
contains ``python3``. ``_launcher`` writes a ``python3`` script that requests a fork from the warm process, passes its
files, environment and arguments to it, and returns the exit code of the fork. The script runs all other commands with
the real interpreter.

Needs the standard library only, because the script runs this file by its path.
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
    """Starts the warm process and yields the path of the ``python3`` script that forks it.

    Args:
        folder: folder for the socket and the script; a short path, because a socket's path may have 108 bytes at most.
        modules: modules to import after Kubeflow's executor, up to the first one that fails; the step reports that
            error.
        lifeline: descriptor of a pipe that closes when the parent of the run ends. The warm process then removes
            ``folder`` and ends its process group, which is that of the run.
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
    """Forks a process for each call; returns the arguments, in the process of the step."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the exit codes of these processes are not needed
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
    """Forks the step, waits for it and sends its exit code; returns the arguments, in the process of the step."""
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
    """Runs a step in the warm process; returns its exit code in the form of a shell."""
    step_call = {"arguments": arguments, "environment": dict(os.environ), "folder": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"."], list(_STANDARD_FILES))
        connection.sendall(json.dumps(step_call).encode())
        connection.shutdown(socket.SHUT_WR)
        exit_code = int(connection.recv(16) or b"1")
    return exit_code if exit_code >= 0 else 128 - exit_code


def main(arguments: list[str]) -> int:
    """``serve DESCRIPTOR MODULES`` runs the warm process; ``call SOCKET ARGUMENTS`` runs the ``python3`` script."""
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
    os._exit(0)  # all output is written; a regular exit would take half a second longer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
