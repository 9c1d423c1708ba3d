"""The program that acts on a host: its text, its digest, and the command lines that run it."""

from __future__ import annotations

import base64
import hashlib
import re
from enum import Enum, auto
from importlib import resources
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from botdeploy import __version__
from botdeploy.core.lines.line import JOURNAL_FIELDS
from botdeploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The parts, in the order in which they stand in the program: the ground first, ``main`` last.
PARTS = (
    "lib",
    "places",
    "run_systemd",
    "store",
    "mounts",
    "lock",
    "lease",
    "change",
    "ready",
    "guard",
    "observe",
    "prepare",
    "unit",
    "files",
    "stage",
    "rollout",
    "fetch",
    "switch",
    "revert",
    "retain",
    "retire",
    "succession",
    "group",
    "gate",
    "note",
    "follow",
    "read",
    "probe",
    "check",
    "setup",
    "main",
)

LIBRARY = "/usr/local/lib/botdeploy"

_BOT = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NONCE = re.compile(r"[A-Za-z0-9]{1,64}")


def _assemble() -> bytes:
    folder = resources.files("botdeploy.hosts").joinpath("shell")
    text = "\n".join(folder.joinpath(f"{part}.sh").read_text("utf-8") for part in PARTS)
    text = text.replace("@JOURNAL_FIELDS@", ",".join(JOURNAL_FIELDS))
    return text.replace("@VERSION@", __version__).encode()


PROGRAM: bytes = _assemble()
"""The whole program, as it is installed."""

DIGEST: str = hashlib.sha256(PROGRAM).hexdigest()[:12]
"""What its folder is called: the program is never changed in place."""


def path(bot: str) -> str:
    """Give the program's place on a host; its file name is the bot's name."""
    if not _BOT.fullmatch(bot) or bot == "botdeploy":
        raise UserError(f"{bot!r} is not a bot's name: a-z, 0-9, _ and -, at most 32 characters")
    return f"{LIBRARY}/{DIGEST}/{bot}"


# The wrapper around a run. $0 is the program (or the bot's name), $1 the nonce, $2 the act. See
# _shell for what comes before it, and for what may stand in it.
_TELL = (
    'tell() { m=$(printf %s "$2" | tr -c "A-Za-z0-9 .,:;_/()=+-" " " | tail -c 600); '
    'for t in "{@fault@: @$1@, @message@: @$m@}" "{@final@: true, @rc@: 3}"; do '
    'say "$t"; done; exit 3; }; '
    'say() { echo "@@$n $(printf %s "$1" | tr @ \'"\')"; }; n=$1; '
)

# The text stays in a variable, for setup installs it. The dot keeps its last line end.
_EVAL = (
    'BOTDEPLOY_TEXT=$(cat; echo .); case $BOTDEPLOY_TEXT in "#"?"/bin/sh"*) ;; '
    '*) tell input "of what was sent the beginning is missing" ;; esac; '
    'eval "${BOTDEPLOY_TEXT%.}"'
)

# A version's program says which it is in a line of its own.
_NEED_PROGRAM = (
    f'[ -x "$0" ] || {{ p=$(ls -t {LIBRARY}/*/"${{0##*/}}" 2>/dev/null | head -n 1); '
    '[ -n "$p" ] || tell missing "this version of the program is not on the host"; '
    'tell version "$(sed -n "s/^VERSION=//p" "$p") ($p)"; }; '
)

# Arguments that a login shell might read in its own way come as base64, marked by "=".
_DECODE = (
    "for a; do shift; "
    'case $a in =*) a=$(printf %s "${a#=}" | base64 -d; echo .); a=${a%.} ;; esac; '
    'set -- "$@" "$a"; done; '
)


class How(Enum):
    """Which program runs an act."""

    INSTALLED = auto()
    """The one that is installed, as root."""
    SENT = auto()
    """One that comes on standard input, as root; an act that reads its input is not for it."""
    UNPRIVILEGED = auto()
    """One that comes on standard input, without root's rights: ``check``."""
    INSTALLING = auto()
    """None: the program that comes on standard input is installed; repeatable."""


class Rights(NamedTuple):
    """How a program becomes root."""

    with_password: bool = False
    """The first line of standard input is sudo's password, which need not ask for it."""
    become_user: str | None = None


WITHOUT_PASSWORD = Rights()


def call(
    bot: str,
    nonce: str,
    act: str,
    arguments: Iterable[str] = (),
    how: How = How.INSTALLED,
    rights: Rights = WITHOUT_PASSWORD,
) -> str:
    """Give the command line that runs an act; safe for any login shell.

    Where the installed program is not there it tells the fault ``missing``, or ``version`` with
    the one that is there of another version; where sudo refuses ``sudo``; where not all of a
    program came on standard input ``input``.
    """
    program = path(bot)
    match how:
        case How.INSTALLED:
            script = _NEED_PROGRAM
            script += _as_root('"$0" "$@"', '"$0" "$1" version', rights)
        case How.SENT:
            script = _as_root(_nested(_EVAL), "true", rights)
        case How.INSTALLING:
            script = _as_root(_nested(_installation()), "true", rights)
        case How.UNPRIVILEGED:
            script = _EVAL
    name = program if how is How.INSTALLED else bot
    return _shell(_TELL + script, [name, _checked(nonce), act, *arguments], rights.become_user)


def _nested(script: str) -> str:
    return f'/bin/sh -c {quote(_TELL + script)} "$0" "$@"'


def _installation() -> str:
    """Write shell that installs what comes on standard input, and tells ``{"installed": path}``.

    Written beside, checked against the sum that stands in this command, then renamed: a cut
    connection leaves no half program. Tells the fault ``install`` where it can't be written.
    """
    whole = hashlib.sha256(PROGRAM).hexdigest()
    return (
        f'umask 022; d={LIBRARY}/{DIGEST}; t=$d/$0.new.$$; trap "rm -f $t" EXIT; '
        'e="cannot write $d/$0"; mkdir -p "$d" && chown root:root "$d" && chmod 0755 "$d" && '
        'cat >"$t" || tell install "$e"; '
        f'[ "$(sha256sum <"$t")" = "{whole}  -" ] || '
        'tell input "what was sent did not arrive as it is"; '
        'chmod 0755 "$t" && chown root:root "$t" && '
        'sync "$t" && mv -T "$t" "$d/$0" && sync "$d" || tell install "$e"; '
        'for t in "{@installed@: @$d/$0@}" "{@final@: true, @rc@: 0}"; do say "$t"; done; t='
    )


def _as_root(run: str, probe: str, rights: Rights) -> str:
    """Shell that runs ``run`` as root. What it says on standard error comes after its end.

    sudo alone ends with 1 (the program never does); 127 is a host without sudo. A password is tried
    with ``probe`` first: there its end is the end of the input, so that a wrong one is refused at
    once and sudo neither waits for another nor takes what is meant for the program for one.
    """
    drop, feed, ask = "", "", 'o="-n"; '
    if rights.with_password:
        drop = "IFS= read -r x; "
        # Not asked although there is a password: the line must not reach the program.
        ask = (
            f"{drop}o=-n; sudo -k -n -- {probe} >/dev/null 2>&1 </dev/null || {{ "
            "l=$(echo; echo .); l=${l%.}; "
            f'e=$(printf %s "$x$l" | sudo -k -S -p "" -- {probe} 2>&1 >/dev/null) || '
            'tell sudo "$e"; o="-k -S"; }; '
        )
        # cat would wait for more input after the program's end, and the shell for cat.
        feed = (
            'case $o in -n) ;; *) { read -r p y </proc/self/stat; printf %s "$p$l$x$l"; exec cat; }'
            ' | { read -r p; trap "kill -s PIPE $p" EXIT; run "$@"; }; exit $? ;; esac; '
        )
    return (
        f'if [ "$(id -u)" = 0 ]; then {drop}exec {run}; fi; LC_ALL=C; export LC_ALL; {ask}'
        f'run() {{ {{ e=$(sudo $o -p "" -- {run} 2>&1 >&3 3>&-); }} 3>&1; r=$?; '
        'case $r:$2 in 1:follow | 1:lines | 1:entries) ;; 1:* | 127:*) tell sudo "$e" ;; esac; '
        f'printf %s "$e" >&2; exit $r; }}; {feed}run "$@"'
    )


def _checked(nonce: str) -> str:
    if not _NONCE.fullmatch(nonce):
        raise ValueError(f"{nonce!r} is not a nonce")
    return nonce


#: What every login shell takes for itself within single quotes. fish unescapes a backslash there,
#: tcsh expands an exclamation mark, and of other characters old shells know nothing.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./ -][A-Za-z0-9_@%+=:,./ -]*|")


def _shell(script: str, arguments: Iterable[str], become_user: str | None) -> str:
    """Give a command line that sh, bash, dash, zsh, tcsh and fish of any age read alike.

    The line end that it says first ends what the login shell's own files have said without one.
    """
    if become_user not in {None, "", "root"}:
        raise UserError(f"ansible_become_user is {become_user!r}; botdeploy can become root only")
    words = list(arguments)
    for word in words:
        if "\0" in word or "\n" in word:
            raise ValueError(f"an argument must be one line: {word!r}")
    sent = [word if _PLAIN.fullmatch(word) else _encoded(word) for word in words]
    script = f"echo; {'' if sent == words else _DECODE}{script}"
    return " ".join(["exec", "/bin/sh", "-c", *(_quote(word) for word in (script, *sent))])


def _encoded(word: str) -> str:
    return "=" + base64.b64encode(word.encode("utf-8", "surrogateescape")).decode("ascii")


def _quote(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"
