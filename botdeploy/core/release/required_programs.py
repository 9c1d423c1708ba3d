"""What a release needs of a host: the programs that its command and its build run.

Only what can be told for sure: a word that a shell would expand, or a program that an earlier line
of the build may have installed, is not asked for. A host says of each whether it is there.
"""

from __future__ import annotations

import base64
import re
import shlex
from typing import TYPE_CHECKING, Any

from botdeploy.core.model.bot import ReadyKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from botdeploy.core.model.bot import Bot

Item = dict[str, Any]
"""One item of a check: name, ok, message, mend."""
Files = "Mapping[str, int]"
"""The paths of a source's files, with their modes."""

_PLAIN = re.compile(r"[A-Za-z0-9_./+@-]+")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PYTHON = re.compile(r"(/\S*/)?python[0-9.]*")
_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*|node|nodejs|sh|bash|dash|perl|ruby|php")
_ENDS = frozenset({"&&", "||", ";", "|", "&", "(", "|&", ";;"})
_GO_ON = frozenset(
    {"if", "then", "elif", "else", "fi", "while", "until", "do", "done"}
    | {"!", "{", "}", "time", "exec", "command"}
)
"""Words behind which another command begins."""
_GIVE_UP = frozenset({"for", "case", "select", "function", ".", "source", "eval", "alias", "env"})
"""Words behind which it is not known what the rest of a build means."""


def encoded(bot: Bot, unit: str, read: Callable[[str], bytes] | None) -> str:
    """Write down what a release wants of a host, as the act ``check`` takes it.

    ``read`` gives the beginning of a file of the source, and raises KeyError where it has none;
    None where there is no source to look at.
    """
    rows = [f"ready={bot.ready.kind}"]
    if bot.probe is not None and bot.probe.kind != "command":
        rows.append(f"ready={ReadyKind.HTTP}")
    rows += [f"program={one}" for one in programs_of(bot, read)]
    names, modules = build_needs(bot.build, read)
    rows += [f"build={one}" for one in (names or (["sh"] if bot.build else []))]
    rows += [f"module={interpreter} {module}" for interpreter, module in modules]
    text = "\n".join([*rows, "", unit])
    return base64.b64encode(text.encode()).decode("ascii")


# --- the command ----------------------------------------------------------------------------------


def programs_of(bot: Bot, read: Callable[[str], bytes] | None) -> list[str]:
    """Name what a host must have for the bot's command: its program, or what runs its script."""
    program = _words(bot.command)[0]
    if program.startswith("/") or "/" not in program:
        return [program] if _PLAIN.fullmatch(program) else []
    interpreter = _interpreter(program, read) if read is not None else ""
    return [interpreter] if interpreter else []


def command_item(bot: Bot, files: Mapping[str, int]) -> Item | None:
    """Say what is wrong with the command by the source alone; None where nothing can be told."""
    return None if bot.build else _lacking(_words(bot.command), bot, files, "command")


def _lacking(words: Sequence[str], bot: Bot, files: Mapping[str, int], what: str) -> Item | None:
    program = words[0]
    if any(_is_shared(one, bot) for one in words):
        return None
    if "/" in program and not program.startswith("/"):
        return _missing(program, files, what, must_run=True)
    if _INTERPRETER.fullmatch(program.rpartition("/")[2]):
        script = _script(words[1:])
        if script and not script.startswith("/") and _PLAIN.fullmatch(script):
            return _missing(script, files, what, must_run=False)
    return None


def _missing(path: str, files: Mapping[str, int], what: str, *, must_run: bool) -> Item | None:
    plain = "/".join(part for part in path.split("/") if part not in {"", "."})
    if not _PLAIN.fullmatch(plain) or ".." in plain.split("/"):
        return None
    if plain not in files:
        message = f"the source holds no {plain}, which the {what} runs"
        return item(what, message, f"add it to the source, or change bot: {what}:")
    if must_run and not files[plain] & 0o100:
        message = f"{plain}, which the {what} runs, is not executable"
        return item(what, message, f"chmod +x {plain}")
    return None


def _script(words: Sequence[str]) -> str:
    """Give the file that an interpreter is given; empty where it is a module or a text."""
    for word in words:
        if word in {"-m", "-c", "-e", "--"} or word.startswith(("-m", "-c")):
            return ""
        if word in {"-X", "-W"}:
            return ""
        if not word.startswith("-"):
            return word if "." in word or "/" in word else ""
    return ""


def _is_shared(word: str, bot: Bot) -> bool:
    return any(word == name or word.startswith(f"{name}/") for name in bot.shared)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        return [""]
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    return words or [""]


def _interpreter(program: str, read: Callable[[str], bytes]) -> str:
    """Name what runs a script of the source, by its first line; empty where nothing is told."""
    plain = "/".join(part for part in program.split("/") if part not in {"", "."})
    try:
        first = read(plain).split(b"\n", 1)[0].decode("utf-8", "replace")
    except KeyError:
        return ""
    if not first.startswith("#!"):
        return ""
    words = first[2:].split()
    if words and words[0].endswith("/env"):
        words = [word for word in words[1:] if not word.startswith("-")]
    found = words[0] if words else ""
    return found if _PLAIN.fullmatch(found) else ""


# --- the build ------------------------------------------------------------------------------------


def build_needs(
    build: Sequence[str], read: Callable[[str], bytes] | None = None
) -> tuple[list[str], list[tuple[str, str]]]:
    """Give the programs that a build runs, and the modules that it has an interpreter run.

    None that an earlier command may have installed: one that was named there before. Of a script
    of the source it is what runs that, where ``read`` gives files of the source.
    """
    names: dict[str, None] = {}
    modules: dict[tuple[str, str], None] = {}
    said: set[str] = set()
    for words in _commands("\n".join(build)):
        name = words[0]
        if "/" in name and not name.startswith("/"):
            name = _interpreter(name, read) if read is not None else ""
        if name and name not in said and _PLAIN.fullmatch(name):
            names[name] = None
            if _PYTHON.fullmatch(name) and words[1:2] == ["-m"]:
                module = words[2] if len(words) > 2 else ""  # noqa: PLR2004
                is_bare = module == "venv" and "--without-pip" in words
                if _MODULE.fullmatch(module) and module not in said and not is_bare:
                    modules[name, module] = None
        said.update(part for word in words[1:] for part in re.split(r"[^A-Za-z0-9_.+-]", word))
    return list(names), list(modules)


def build_item(bot: Bot, files: Mapping[str, int]) -> Item | None:
    """Say what of the source the build's first command lacks; None where nothing can be told."""
    words = next(_commands("\n".join(bot.build)), [""])
    return _lacking(words, bot, files, "build")


def _commands(script: str) -> Iterator[list[str]]:
    """Give the simple commands of a shell script, as far as it can be read without a shell."""
    for line in script.split("\n"):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            tokens = list(lexer)
        except ValueError:
            return  # a quote over several lines
        command: list[str] = []
        for word in [*tokens, ";"]:
            given = _ASSIGNMENT.match(word)
            if word in _ENDS or set(word) <= set("();&|"):
                if word == "()":
                    return  # a function
                if command:
                    yield command
                command = []
            elif not command and (word in _GO_ON or given):
                if given is not None and given[1] == "PATH":
                    return
            elif not command and word in _GIVE_UP:
                return
            else:
                command.append(word)
            if word.startswith(("PATH=", "<<")):
                return  # other programs from here on, or a text in the script


def item(name: str, message: str, mend: str = "", *, ok: bool = False) -> Item:
    """Give an item of a check as the host's own items are."""
    return {"name": name, "ok": ok, "message": message, "mend": mend}
