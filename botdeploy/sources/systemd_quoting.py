"""systemd's text: values quoted so that systemd reads back exactly what was meant."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIRECTIVE = re.compile(r"[A-Z][A-Za-z0-9]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")

#: systemd 247 drops a variable whose value holds one of these, with a warning in its own journal
#: only; a bot without its token is worse than a refusal here. Tab and line feed come through.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

#: What systemd's own check calls invalid UTF-8: it would refuse the whole file.
_NO_CHARACTER = re.compile("[\ud800-\udfff\ufdd0-\ufdef]")

_QUOTED = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.""", re.DOTALL)
_SHELL_OPERATOR = re.compile(r"&&|\|\|?|;|&(?=\s|\Z)|(?:(?<=\s)|\A)(?:[0-9]?>>?|&>|<<?)\S*")

#: What a shell would put something else for, and systemd too: outside of single quotes.
_EXPANSION = re.compile(
    r"\$(?:[A-Z_][A-Z0-9_]*\b|\{[A-Za-z_][^}]*\}?|\([^)]*\)?)|`[^`]*`?|(?:(?<=\s)|\A)~(?=/|\s|\Z)\S*"
)
_SHELL = re.compile(r"(?:.*/)?(?:[bd]?a|z|k|c|fi)?sh")

#: A single environment string may be this long for the kernel (MAX_ARG_STRLEN), name included.
_MAX_VARIABLE_BYTES = 131_071


def check_name(name: str) -> str:
    """Give back a variable's name that systemd and every shell take; else raise UserError."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is not a variable's name: letters, digits and _ only")
    return name


def check_value(name: str, value: str) -> str:
    """Give back a value that reaches a process unchanged; else raise UserError, without it."""
    if _CONTROL.search(value):
        raise UserError(f"{name}: the value holds a control character, which systemd would drop")
    if not is_systemd_text(value):
        raise UserError(f"{name}: the value holds what systemd does not take for UTF-8")
    if len(name.encode()) + 1 + len(value.encode()) > _MAX_VARIABLE_BYTES:
        raise UserError(f"{name}: the value is longer than the 128 KiB that Linux allows")
    return value


def is_systemd_text(text: str) -> bool:
    """Tell whether systemd takes the text for UTF-8: no surrogates, no noncharacters."""
    return not _NO_CHARACTER.search(text) and not any(
        ord(character) & 0xFFFE == 0xFFFE  # noqa: PLR2004
        for character in text
        if character > "\ufffd"
    )


def quote_environment(value: str) -> str:
    """Quote a value for a file that ``EnvironmentFile=`` reads; a shell reads it alike.

    In single quotes everything stands for itself, line feeds too, and pieces in quotes join.
    Double quotes would not do: what a backslash means in them differs between systemd's versions
    (env-file.c: before ``"`` only, later before one of four characters).
    """
    text = str(value)
    if not text or _PLAIN_VALUE.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"


def quote_word(word: str) -> str:
    """Quote one word of a command line in a unit (``ExecStart=``): no value can break out.

    ``%`` would begin a specifier and ``$`` a variable; both stand for themselves when doubled.
    Raises UserError for a line end or another control character.
    """
    return _quote(str(word).replace("$", "$$"))


def quote_assignment(name: str, value: str) -> str:
    """Quote ``NAME=value`` for ``Environment=``, where ``$`` means nothing but ``%`` does."""
    return _quote(f"{check_name(name)}={value}")


def _quote(text: str) -> str:
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        raise UserError(f"{text!r} holds a line end or control character, which no unit can hold")
    if not is_systemd_text(text):
        raise UserError(f"{text!r} holds what systemd does not take for UTF-8")
    text = text.replace("%", "%%")
    if _PLAIN_WORD.fullmatch(text.replace("%%", "")):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    # Also in quotes, where it means nothing: who looks for a second command finds none.
    text = text.replace(";", "\\x3b")
    return f'"{text}"'


def check_directive(name: str, value: str) -> str:
    """Give back a directive's value as it will stand in the unit; raise UserError if it cannot."""
    if not _DIRECTIVE.fullmatch(name):
        raise UserError(f"unit: {name!r} is not the name of a systemd directive")
    if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) or not is_systemd_text(value):
        raise UserError(f"unit: {name}: the value holds a line end or control character")
    if value.endswith("\\"):
        raise UserError(f"unit: {name}: a backslash at the end would swallow the next line")
    return value


def exec_line(command: str, folder: str) -> str:
    """Turn a bot's command into ``ExecStart=``: an absolute program, every word quoted.

    ``.venv/bin/python`` is taken from ``folder`` (the release), ``python3`` from the host's PATH
    through ``/usr/bin/env``. There is no shell: nothing is expanded. Raises UserError for what
    cannot be one command, with what to write instead.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"command: {command!r} cannot be split into words: {error}") from error
    if not words or not words[0]:
        raise UserError("command: there is no program to run")
    operator = _SHELL_OPERATOR.search(_QUOTED.sub("q", command))
    if operator:
        raise UserError(
            f"command: no shell reads it, so {operator[0]!r} would be an argument; "
            f"for a shell write: sh -c {shlex.quote(command)}"
        )
    expansion = _EXPANSION.search(_QUOTED.sub(_without_literals, command))
    if expansion and not _is_for_shell(words):
        raise UserError(
            f"command: no shell reads it, so {expansion[0]!r} would reach the program unchanged; "
            f"for a shell write: sh -c {shlex.quote(command)}; for these signs themselves write "
            "them in single quotes"
        )
    program = words[0]
    if _ASSIGNMENT.match(program) or "/" not in program:
        words.insert(0, "/usr/bin/env")
    elif not program.startswith("/"):
        words[0] = _below(folder, program)
    if re.search(r"[\"'\\$\s]", words[0]):
        raise UserError(f"command: {program!r} is not a path that systemd runs")
    return " ".join(quote_word(word) for word in words)


def _without_literals(quoted: re.Match[str]) -> str:
    """Give what a shell would still look at within quotes, as the words are split here."""
    inner = quoted[0][1:-1] if quoted[0].startswith('"') else ""
    return "\x01" + re.sub(r'\\["\\]', "\x01", inner)


def _is_for_shell(words: Sequence[str]) -> bool:
    """Tell whether a shell gets a text to read: it expands what stands in it."""
    at = next((at for at, word in enumerate(words) if _SHELL.fullmatch(word)), len(words))
    return any(re.fullmatch(r"-[a-z]*c", word) for word in words[at + 1 : at + 4])


def _below(folder: str, program: str) -> str:
    parts = [part for part in program.split("/") if part not in {"", "."}]
    if ".." in parts or not parts:
        raise UserError(f"command: {program!r} leaves the release")
    return "/".join([folder, *parts])
