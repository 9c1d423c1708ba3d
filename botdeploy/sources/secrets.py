"""Secrets: references in an inventory become values here, and only here."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.model.bot import Secret
from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMAND_TIMEOUT_S = 30.0
_MAX_BYTES = 1024 * 1024  # systemd's own limit of a credential


def read_secret(
    name: str, reference: str, base_folder: str | Path, environ: Mapping[str, str]
) -> Secret:
    """Read one secret from ``env:NAME``, ``file:PATH`` or ``command:CMD``.

    ``file:`` paths and the working directory of ``command:`` are relative to ``base_folder``, the
    inventory's folder. One line end at the end of a file or of a command's output does not belong
    to the value.
    """
    try:
        return Secret(_value(reference, Path(base_folder), environ))
    except _Missing as missing:
        raise UserError(f"secret {name} ({reference}): {missing}") from None


def _value(reference: str, base: Path, environ: Mapping[str, str]) -> str:
    kind, _, rest = reference.partition(":")
    match kind if rest.strip() else "":
        case "env":
            value = _from_environment(rest.strip(), environ)
        case "file":
            value = _text(_from_file(base, rest.strip()))
        case "command":
            value = _text(_from_command(rest, base, environ))
        case _:
            raise _Missing("a reference is env:NAME, file:PATH or command:CMD")
    if not value:
        raise _Missing("the value is empty")
    if "\0" in value:
        raise _Missing("the value holds a NUL byte")
    return value


class _Missing(Exception):
    """Why there is no value, in words that hold nothing of it."""


def _from_environment(variable: str, environ: Mapping[str, str]) -> str:
    if variable not in environ:
        raise _Missing(f"the environment variable {variable} is not set")
    return environ[variable]


def _from_file(base: Path, path: str) -> bytes:
    place = base / os.path.expanduser(path)  # noqa: PTH111 (a uid may have no home)
    try:
        with place.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise _Missing(f"{place}: {(error.strerror or 'cannot be read').lower()}") from None
    return content


def _from_command(command: str, base: Path, environ: Mapping[str, str]) -> bytes:
    """Run a command in a session of its own, so that all of it can be ended when it hangs.

    What it prints on standard error is dropped: it may hold the value (``set -x``, a quoted
    argument), and no error message may.
    """
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=base,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise _Missing(f"the command cannot be started: {error.strerror}") from None
    with process:
        try:
            output = _output(process, time.monotonic() + _COMMAND_TIMEOUT_S)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: the number is still its own
            raise _Missing(f"the command did not end within {_COMMAND_TIMEOUT_S:g} s") from None
        if len(output) > _MAX_BYTES:
            os.killpg(process.pid, signal.SIGKILL)
            return output
    if process.returncode != 0:
        raise _Missing(
            f"the command ended with {process.returncode}; run it by hand to see what it says"
        )
    return output


def _output(process: subprocess.Popen[bytes], until: float) -> bytes:
    """Read what a command prints until it ends, or has printed too much; raises TimeoutError."""
    assert process.stdout is not None  # noqa: S101 (it was asked for)
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= _MAX_BYTES:
            if not selector.select(max(0.0, until - time.monotonic())):
                raise TimeoutError
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                break
            output += piece
        else:
            return output
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return output


def _text(content: bytes) -> str:
    if len(content) > _MAX_BYTES:
        raise _Missing("the value is longer than 1 MiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _Missing("the value is not UTF-8 text") from None
    return text.removesuffix("\r\n") if text.endswith("\r\n") else text.removesuffix("\n")
