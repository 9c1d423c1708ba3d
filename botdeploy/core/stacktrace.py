"""Stack traces in text: where one begins, what belongs to it, and what it is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Trace:
    """What a stack trace is about, whatever the language."""

    type: str
    """Name of the exception without its module: ``KeyError``, ``panic`` …"""
    frame: str
    """Innermost own frame, ``file:function``; empty where none is known."""
    message: str
    """What the exception says, unmasked; its first line."""
    is_fatal: bool = False
    """Whether nobody caught it, by its form (a panic, ``Exception in thread``)."""


@dataclass(slots=True)
class _Raised:
    frames: list[tuple[str, str]] = field(default_factory=list)
    type: str = ""
    message: str = ""
    is_cause: bool = False
    """Whether the exception that follows it was raised from it on purpose."""
    depth: int = 0


_PYTHON_BEGINS = re.compile(
    r"[\s|+]*(?:(?:Exception Group )?Traceback \(most recent call last\)|╭─+ Traceback \(most recent)"
)
_PYTHON_FRAME = re.compile(r'[\s|>]*File "([^"]*)", line \d+(?:, in (.+?))?\s*$')
_RICH_FRAME = re.compile(r"\s*│\s+(\S+):\d+ in (\S+)")
_PYTHON_RAISED = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::\s?(.*))?$")
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_GROUP_RULE = re.compile(r"\s*\+-[+-]*-+ (?:\d+|\.\.\.) -+$|\s*\+-+$")

_JS_FRAME = re.compile(
    r"\s+at (?:async )?(?:(?P<func>[^()]+?) \()?(?P<file>(?:file://)?[^()]*?):\d+:\d+\)?,?(?: \{)?$"
)
_JVM_FRAME = re.compile(r"\s+at (?:[\w.@-]+/)?(?P<func>[\w.$<>/]+)\((?P<file>[^()]*)\)")
_NET_FRAME = re.compile(
    r"\s+at (?P<func>[\w.`<>\[\],+|$]+)\((?P<args>.*?)\)(?: in (?P<file>.+?):line \d+)?\s*$"
)
_AT = re.compile(r"\s+at \S")
_RAISED = re.compile(
    r"(?:Uncaught |Unhandled exception\. |Exception in thread \"[^\"]*\" |\[cause\]: |Caused by: )?"
    r"(?P<type>(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*(?:Error|Exception|Throwable|Failure|Fault|Rejection)\w*)"
    r"(?P<code>\s?\[[^\]]*\])?(?::\s?(?P<message>.*))?$"
)
_GO_BEGINS = re.compile(r"(?:panic: |fatal error: |goroutine \d+ \[|SIG[A-Z]+: )")
_GO_FUNC = re.compile(r"(?P<func>[\w./*()\-·\[\]{}…%@]+)\((?:.*)\)$|created by (?P<by>\S+)")
_GO_FILE = re.compile(r"\t(?P<file>\S+\.(?:go|s)):\d+")
_RUST_BEGINS = re.compile(
    r"thread '(?P<thread>[^']*)'(?: \(\d+\))? panicked at (?:'(?P<old>.*)', )?(?P<file>[^:,']+):\d+(?::\d+)?:?$"
)
_RUST_FRAME = re.compile(r"\s+\d+: \S|\s+at \S+:\d+|stack backtrace:|note: ")
_RUBY_RAISED = re.compile(
    r"(?P<file>[^\s:]+):\d+:in [`'](?P<func>[^']+)': (?P<message>.*) \((?P<type>[A-Z][\w:]*)\)$"
)
_RUBY_FRAME = re.compile(r"\s+(?:from |\d+: from )\S+:\d+:in ")
_PHP_RAISED = re.compile(
    r"(?:PHP )?(?:Fatal error|Parse error|Recoverable fatal error):\s+(?:Uncaught )?(?:(?P<type>[\w\\]+): )?"
    r"(?P<message>.*?) in (?P<file>\S+?)(?::\d+| on line \d+)"
)
_PHP_FRAME = re.compile(r"#\d+ |Stack trace:|\s+thrown in ")


def begins_trace(text: str) -> bool:
    """Whether a line of text opens a stack trace by itself, without an error line before it."""
    if "Traceback (most" in text:
        return _PYTHON_BEGINS.match(text) is not None
    first = text[:1]
    if first in "pfgS":
        return _GO_BEGINS.match(text) is not None
    if first == "t":
        return _RUST_BEGINS.match(text) is not None
    if first in " \t":
        return _AT.match(text) is not None
    return False


def belongs_to_trace(text: str) -> bool:
    """Whether a line can only be a part of a trace or of the error line before it.

    Indented lines, exception lines without a header, chain texts, frames of every language.
    """
    if not text or text[0] in " \t│╰╭|+})]":
        return True
    first = text[0]
    if first == "T" and (text.startswith((_CAUSE, "Traceback (most"))):
        return True
    if first == "D" and text.startswith(_CONTEXT):
        return True
    if text.startswith(
        (
            "Caused by:",
            "Suppressed:",
            "Stack trace:",
            "stack backtrace:",
            "note: ",
            "goroutine ",
            "created by ",
            "[signal ",
            "exit status ",
            "Node.js v",
            "...additional frames",
        )
    ):
        return True
    if first == "#":
        return _PHP_FRAME.match(text) is not None
    return _RAISED.match(text) is not None or _PYTHON_BEGINS.match(text) is not None


def is_go_line(text: str) -> bool:
    """Whether a line belongs to a Go goroutine dump that has begun."""
    return (
        not text
        or text[0] == "\t"
        or text.startswith(
            ("goroutine ", "created by ", "[signal ", "exit status ", "runtime", "panic: ")
        )
        or _GO_FUNC.match(text) is not None
    )


def read_trace(text: str) -> Trace | None:
    """Find the stack trace in a text of several lines and say what it is about; None without one."""
    if "\n" not in text and not begins_trace(text) and " panicked at " not in text:
        found = _PHP_RAISED.match(text) if "rror: " in text else _RUBY_RAISED.match(text)
        return _of_one_line(found) if found else None
    lines = text.split("\n")
    if "Traceback (most recent" in text:
        return _python(lines)
    if " panicked at " in text and (trace := _rust(lines)):
        return trace
    if (
        (("goroutine " in text or "\t" in text) and (trace := _go(lines)))
        or (("    at " in text or "\tat " in text or "   at " in text)
        and (trace := _frames_at(lines)))
    ):
        return trace
    for line in lines:
        found = _RUBY_RAISED.match(line) or (_PHP_RAISED.search(line) if "rror: " in line else None)
        if found:
            return _of_one_line(found)
    if any(_PYTHON_FRAME.match(line) for line in lines):
        return _python(lines)
    return None


def short_type(name: str) -> str:
    """Name an exception without its module."""
    return re.split(r"[.:\\/]+", name)[-1] or name


def short_file(path: str) -> str:
    """Name a file so that the same file has the same name on every host and in every release."""
    path = path.replace("\\", "/").removeprefix("file://").rstrip("/")
    folder, _, name = path.rpartition("/")
    if name in {
        "__init__.py",
        "__main__.py",
        "mod.rs",
        "index.js",
        "index.ts",
        "index.mjs",
        "index.cjs",
    }:
        parent = folder.rpartition("/")[2]
        if parent.isidentifier() and not any(c.isdigit() for c in parent) and parent != "current":
            return f"{parent}/{name}"
    return name


def _is_own_python(path: str) -> bool:
    return not (
        path.startswith("<")
        or "site-packages" in path
        or "dist-packages" in path
        or re.search(r"/lib(?:64)?/python3|/python3\.\d+/|\\Lib\\", path) is not None
    )


def _python(lines: Sequence[str]) -> Trace | None:
    raised = list(_python_exceptions(lines))
    if not raised:
        return None
    top = min(one.depth for one in raised)
    chain = [one for one in raised if one.depth == top]
    last = chain[-1]
    if any(one.depth > top for one in raised):
        return _python_group(last, [one for one in raised if one.depth > top])
    # Wrappers without a frame of the bot's own (CommandInvokeError and its like) tell nothing.
    own = [one for one in chain if any(_is_own_python(file) for file, _ in one.frames)]
    shown = own[-1] if own else last
    kind = short_type(shown.type)
    root = _root_of(chain, shown)
    if root is not shown and root.type and root.type != shown.type:
        kind = f"{kind}<{short_type(root.type)}"
    return Trace(kind, _python_frame(shown.frames), shown.message)


def _root_of(chain: Sequence[_Raised], shown: _Raised) -> _Raised:
    at = next(i for i, one in enumerate(chain) if one is shown)
    while at > 0 and chain[at - 1].is_cause:
        at -= 1
    return chain[at]


def _python_group(last: _Raised, leaves: Sequence[_Raised]) -> Trace:
    inner = [one for one in leaves if not one.type.endswith("Group") and one.type]
    kinds = sorted({short_type(one.type) for one in inner})
    first = next((one for one in inner if any(_is_own_python(f) for f, _ in one.frames)), None)
    frames = first.frames if first else last.frames
    message = inner[0].message if len({one.message for one in inner}) == 1 else ""
    return Trace(
        f"{short_type(last.type) or 'ExceptionGroup'}[{'+'.join(kinds)}]",
        _python_frame(frames),
        message,
    )


def _python_frame(frames: Iterable[tuple[str, str]]) -> str:
    frames = list(frames)
    own = [frame for frame in frames if _is_own_python(frame[0])]
    if not (own or frames):
        return ""
    file, func = (own or frames)[-1]
    return f"{short_file(file)}:{func}" if func else short_file(file)


def _python_exceptions(lines: Iterable[str]) -> Iterable[_Raised]:
    now: _Raised | None = None
    done: _Raised | None = None
    for line in lines:
        bare = line.lstrip(" |+") if line[:1] in " |+" else line
        if not bare:
            continue
        depth = line.find(bare[0]) if line[:1] in " |+" and ("|" in line or "+" in line) else 0
        if bare.startswith((_CAUSE[:-1], _CONTEXT[:-1])):
            if done is not None:
                done.is_cause = bare.startswith(_CAUSE[:-1])
            continue
        if _PYTHON_BEGINS.match(line):
            if now is not None and now.frames and not now.type:
                yield now
            now = _Raised(depth=line.count("|") + line.count("+") if depth else 0)
            continue
        if _GROUP_RULE.match(line):
            continue
        if found := _PYTHON_FRAME.match(line) or _RICH_FRAME.match(line):
            if now is None:
                now = _Raised()
            now.frames.append((found[1], found[2] or ""))
            continue
        if now is None or not (now.frames or now.depth) or line[:1] in "│╰╭":
            continue
        if line[:1] in " |+" and not now.depth:
            continue
        if now.depth and re.match(r"[\s|+]*[|+] {2,}", line):
            continue
        if found := _PYTHON_RAISED.match(bare):
            now.type, now.message = found[1], found[2] or ""
            done = now
            yield now
            now = None
    if now is not None and now.frames:
        yield now


def _frames_at(lines: Sequence[str]) -> Trace | None:
    """Read JavaScript's, the JVM's and .NET's traces: an error line, then ``at`` lines."""
    head, raised, frame = "", None, ""
    causes: list[str] = []
    any_frame = ""
    is_fatal = False
    for line in lines:
        if _AT.match(line):
            if not frame:
                own, name = _frame_at(line)
                any_frame = any_frame or name
                frame = name if own else ""
            continue
        bare = line.strip()
        if found := _RAISED.match(bare) or _RAISED.search(_after_header(bare)):
            is_cause = bare.startswith(("Caused by: ", "[cause]: "))
            if raised is None:
                raised = found
                is_fatal = bare.startswith(
                    ("Uncaught ", "Unhandled exception", "Exception in thread")
                )
            elif is_cause:
                causes.append(short_type(found["type"]))
        elif not head and bare and not any_frame:
            head = bare
    if not any_frame:
        return None
    if raised is None:
        return Trace("Error", frame or any_frame, head, is_fatal)
    kind = short_type(raised["type"]) + (raised["code"] or "").strip()
    if causes and causes[-1] != short_type(raised["type"]):
        kind = f"{kind}<{causes[-1]}"
    return Trace(kind, frame or any_frame, raised["message"] or "", is_fatal)


def _after_header(line: str) -> str:
    """Cut what stands before an exception's name within a line (``failed: java.lang.X: text``)."""
    found = re.search(
        r"(?:^|[\s:(\"])((?:[A-Za-z_$][\w$]*\.)*[A-Z][\w$]*(?:Error|Exception)\b.*)$", line
    )
    return found[1] if found else ""


def _frame_at(line: str) -> tuple[bool, str]:
    if found := _JS_FRAME.match(line):
        file, func = found["file"], found["func"] or ""
        own = (
            not file.startswith("node:") and "node_modules" not in file and "internal/" not in file
        )
        func = func.removeprefix("new ").removeprefix("Object.")
        return own and file != "<anonymous>", f"{short_file(file)}:{func}" if func else short_file(
            file
        )
    if (found := _JVM_FRAME.match(line)) and re.fullmatch(
        r"[\w.$]+\.\w+(?::\d+)?|Native Method|Unknown Source|<generated>", found["file"]
    ):
        func = re.sub(r"\$\d+|lambda\$", "", found["func"])
        own = not re.match(
            r"(?:java|javax|jdk|sun|com\.sun|kotlin|kotlinx|scala|org\.springframework|org\.apache|io\.netty|reactor)\.",
            func,
        )
        return own, f"{found['file'].split(':')[0]}:{func.rpartition('.')[2]}"
    if found := _NET_FRAME.match(line):
        func = found["func"]
        own = not func.startswith(("System.", "Microsoft."))
        name = ".".join(func.split(".")[-2:])
        return own, f"{short_file(found['file'])}:{name}" if found["file"] else name
    return False, line.strip().removeprefix("at ")[:60]


def _go(lines: Sequence[str]) -> Trace | None:
    kind, message, frame, any_frame, func = "", "", "", "", ""
    seen_panic_call = False
    for line in lines:
        if not kind and (found := re.search(r"(panic|fatal error): (.*)$", line)):
            kind, message = found[1], re.sub(r" \[recovered.*\]$", "", found[2])
        elif found := _GO_FILE.match(line):
            if func and not frame and not seen_panic_call:
                name = f"{short_file(found['file'])}:{func.rpartition('/')[2].split('.', 1)[-1]}"
                any_frame = any_frame or name
                own = (
                    "/pkg/mod/" not in line
                    and "/go/src/" not in line
                    and not func.startswith("runtime.")
                )
                frame = name if own else ""
            seen_panic_call = False
        elif found := _GO_FUNC.match(line) or re.match(
            r"(?P<func>[\w./*()\-·]+\.[\w.*()\-·]+)$", line
        ):
            func = found["func"] or ""
            # What stands above panic()'s own frame are deferred functions.
            seen_panic_call = func == "panic"
            if seen_panic_call:
                frame = any_frame = ""
    if not (kind or any_frame):
        return None
    if not kind and "goroutine " not in "\n".join(lines) and not any_frame:
        return None
    if kind.startswith("fatal"):
        kind = "fatal"
    head = next((line for line in lines if line.strip()), "")
    return Trace(
        kind or "Stack", frame or any_frame, message if kind else head, is_fatal=bool(kind)
    )


def _rust(lines: Sequence[str]) -> Trace | None:
    for at, line in enumerate(lines):
        start = line.find("thread '")
        if start >= 0 and (found := _RUST_BEGINS.match(line[start:].rstrip())):
            message = found["old"] or (lines[at + 1].strip() if at + 1 < len(lines) else "")
            return Trace("panic", short_file(found["file"]), message, is_fatal=True)
    return None


def _of_one_line(found: re.Match[str]) -> Trace:
    groups = found.groupdict()
    file = short_file(groups["file"])
    frame = f"{file}:{groups['func']}" if groups.get("func") else file
    return Trace(
        short_type(groups["type"] or "FatalError"), frame, groups["message"], is_fatal=True
    )
