"""Where the program starts: one handler turns every error into an exit code."""

from __future__ import annotations

import gc
import io
import os
import sys
from typing import TYPE_CHECKING

from botdeploy import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import typer
    from typer.models import CommandInfo

_GLOBAL_FLAGS = frozenset({"--json", "--verbose", "-v", "--version"})
_GLOBAL_WITH_VALUE = "--inventory-dir"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    for stream in (sys.stdout, sys.stderr):
        # A locale that has no arrow must not turn a rollout into a fault.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = globals_first(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(words))


def globals_first(words: list[str]) -> list[str]:
    """Move the global options to the front, so that they may stand anywhere."""
    front: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            rest += words[position - 1 :]
            break
        if word in _GLOBAL_FLAGS or word.startswith(f"{_GLOBAL_WITH_VALUE}="):
            front.append(word)
        elif word == _GLOBAL_WITH_VALUE and position < len(words):
            front += [word, words[position]]
            position += 1
        elif word in _TAKES_VALUE and position < len(words):
            rest += [word, words[position]]
            position += 1
        else:
            rest.append(word)
    return front + rest


_TAKES_VALUE = frozenset(
    {
        "--limit", "--source", "--ref", "--release", "--set", "--ring", "--message",
        "--to", "--lines", "-n", "--user", "--out", "--baseline", "--replay", "--soak",
        "--preset", "--env", "--at", "--since", "--take-over", "--machine",
    }
)  # fmt: skip


def run(words: list[str]) -> int:
    """Run one command; gives its exit code."""
    if words == ["--version"]:
        return _tell_version()
    # A tenth of the time to start went into looking for garbage among what imports make.
    gc.set_threshold(50_000, 20, 20)
    import typer

    from botdeploy.cli.app import app
    from botdeploy.cli.fault import Fault
    from botdeploy.errors import ExitCode

    # Typer brings its own copy of click in newer versions; this is the base of its errors in all.
    usage_problem: type[Exception] = typer.BadParameter.__mro__[2]
    try:
        result = _with_one_command(app, words)(words, standalone_mode=False)
    except typer.Exit as ended:
        return int(ended.exit_code)
    except Fault as fault:
        return _fault(fault.__cause__ or fault, words, fault.mask)
    except usage_problem as problem:
        show = getattr(problem, "show", None)
        if show is not None:
            show()
        return int(getattr(problem, "exit_code", ExitCode.USAGE)) or int(ExitCode.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("botdeploy: interrupted\n")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        return _unread()
    except Exception as error:  # noqa: BLE001 (the one place where a bug becomes exit 3)
        return _fault(error, words)
    return int(result or 0)


def _tell_version() -> int:
    """Answer ``--version`` alone without Typer, as it would."""
    try:
        sys.stdout.write(f"botdeploy {__version__}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return _unread()
    return 0


def _unread() -> int:
    """End well where nobody reads what is printed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _with_one_command(app: typer.Typer, words: list[str]) -> typer.Typer:
    """Leave only the command that is called: Typer reads the options of each that it has.

    Where none is called by its name, for help, for a word that is wrong and for completion, all
    stay.
    """
    position = 0
    while position < len(words) and words[position].startswith("-"):
        position += 2 if words[position] == _GLOBAL_WITH_VALUE else 1
    called = words[position] if position < len(words) else ""
    one = [command for command in app.registered_commands if _name_of(command) == called]
    if len(one) != 1 or any(name.endswith("_COMPLETE") for name in os.environ):
        return app
    from copy import copy

    lean = copy(app)
    lean.registered_commands = one
    return lean


def _name_of(command: CommandInfo) -> str:
    callback = command.callback
    return command.name or (callback.__name__.replace("_", "-") if callback else "")


def _fault(error: BaseException, words: list[str], mask: Callable[[str], str] | None = None) -> int:
    """Write a report that can be pasted, name it, and say what state the hosts are in."""
    import traceback
    from datetime import UTC, datetime
    from pathlib import Path

    from botdeploy.core.text.printable import visible
    from botdeploy.core.text.secret_mask import Mask
    from botdeploy.core.text.token_patterns import mask_tokens
    from botdeploy.errors import ExitCode

    mask = mask or mask_tokens
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    typed = Mask(_secret_parts(words))
    text = mask(
        f"botdeploy {__version__}, Python {sys.version}\n"
        f"command: botdeploy {' '.join(_without_values(words))}\n\n"
        + typed("".join(traceback.format_exception(error)))
    )
    place = Path(f"botdeploy-fault-{stamp}-{os.getpid()}.txt")
    for folder in (Path.cwd(), Path(os.environ.get("TMPDIR", "/tmp"))):  # noqa: S108
        try:
            _write_for_its_owner(folder / place.name, text)
        except OSError:
            continue
        place = folder / place.name
        break
    else:
        sys.stderr.write(text)
    sys.stderr.write(
        f"botdeploy: a fault in botdeploy itself: {mask(typed(visible(repr(error))))[:500]}\n"
        f"The report is {place}. Hosts keep what they run; an unconfirmed host goes back when its "
        "lease ends. See: botdeploy status\n"
    )
    return int(ExitCode.FAULT)


def _write_for_its_owner(place: Path, text: str) -> None:
    """Write a new file that nobody else may read; raises OSError where one is there."""
    file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w", encoding="utf-8", errors="backslashreplace") as out:
        out.write(text)


#: Options whose values say nothing that may be a secret.
_TOLD = frozenset(
    {"--limit", "--ring", "--lines", "-n", "--soak", "--preset", "--at", "--to", "--release"}
)


def _without_values(words: list[str]) -> list[str]:
    """Leave out what options were given, ``--set`` and ``--message`` above all, in both forms."""
    from botdeploy.core.text.printable import visible

    told = []
    hides_next = False
    for word in words:
        name, is_with_value, _ = word.partition("=")
        if hides_next:
            told.append("…")
        elif word.startswith("-") and is_with_value and name not in _TOLD:
            told.append(f"{name}=…")
        else:
            told.append(visible(word))
        hides_next = word in _TAKES_VALUE - _TOLD and not hides_next
    return told


def _secret_parts(words: list[str]) -> list[str]:
    """Give what ``--set`` and ``--message`` were given, to be hidden wherever it stands."""
    parts = []
    for position, word in enumerate(words):
        for name in ("--set", "--message"):
            if word.startswith(f"{name}="):
                parts.append(word.removeprefix(f"{name}="))
            elif position and words[position - 1] == name:
                parts.append(word)
    return [*parts, *(part.partition("=")[2] for part in parts)]


if __name__ == "__main__":
    main()
