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
    is_bare: bool = False
    """Whether it is frames only: then the line before it says what happened."""
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
    """Column of the bar that marks a group's members; 0 outside of groups."""
    is_boxed: bool = False


_PYTHON_BEGINS = re.compile(
    r"[\s|+]*(?:Exception Group )?Traceback \(most recent call last\)|\s*╭─+ Traceback \(most rec"
)
_PYTHON_FRAME = re.compile(r'[\s|+>]*File "([^"]*)", line \d+(?:,? in (.+?))?\s*$')
_PYTHON_BARE = re.compile(r'  File "[^"]*", line \d+$')
_RICH_FRAME = re.compile(r"\s*│\s+(\S+):\d+ in (\S+)")
_PYTHON_RAISED = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::\s?(.*))?$")
_CAUSE = "The above exception was the direct cause of the following exception"
_CONTEXT = "During handling of the above exception, another exception occurred"
_GROUP_RULE = re.compile(r"\s*\+-[+-]*-+ (?:\d+|\.\.\.) -+$|\s*\+-+$")
_GROUP_MARK = re.compile(r"(\s*)[|+](?!-)")
_GROUP_CODE = re.compile(r"[\s|+]*[|+] {2,}")
_FAULT = "Fatal Python error: "

_JS_FRAME = re.compile(
    r"\s+at (?:async )?(?:(?P<func>[^()]+?(?: \[as [^\]]+\])?) \()?"
    r"(?P<file>(?:file://|webpack://|node:)?[^()]*?):\d+:\d+\)?,?(?: \{)?$"
)
_JVM_FRAME = re.compile(r"\s+at (?:[\w.@-]+/+)*(?P<func>[\w.$<>/]+)\((?P<file>[^()]*)\)")
_NET_FRAME = re.compile(
    r"\s+at (?P<func>[\w.`<>\[\],+|$]+)\((?P<args>.*?)\)(?: in (?P<file>.+?):line \d+)?\s*$"
)
_AT = re.compile(r"\s+at \S")
_PREAMBLE = re.compile(r"(?:node:|file://|/|[A-Za-z]:\\)\S*:\d+$")
_KIND = (
    r"(?:[A-Za-z_$][\w$]*[.:\\]{1,2})*[\w$]*?"
    r"(?:(?:Error|Exception|Throwable|Failure|Fault|Rejection|Interrupt|Exit)\w*"
    r"|(?<=errors\.)[A-Z]\w*|(?<=exceptions\.)[A-Z]\w*)"
)
_RAISED = re.compile(
    r"\[?(?:Uncaught |Unhandled exception\. |Exception in thread \"[^\"]*\" "
    r"|\[cause\]: |[Cc]aused by: |Suppressed: )*"
    rf"(?P<type>{_KIND})(?P<code>\s?\[[^\]]*\])?(?: \[[^\]]*\])?(?::\s?(?P<message>.*))?$"
)
_GO_BEGINS = re.compile(r"(?:panic: |fatal error: |goroutine \d+ \[|SIG[A-Z]+: )")
_GO_FUNC = re.compile(
    r"(?P<func>[\w./*()\-·\[\]{}…%@]+)\((?:[^()\s]|, |\.\.\.|\{|\})*\)$|created by (?P<by>\S+)"
)
_GO_PLAIN = re.compile(r"(?P<func>[\w./*()\-·]+\.[\w.*()\-·]+)$")
_GO_FILE = re.compile(r"\s+(?P<file>\S+\.(?:go|s)):\d+")
_RUST_BEGINS = re.compile(
    r"thread '(?P<thread>[^']*)'(?: \(\d+\))? panicked at (?:'(?P<old>.*)', )?"
    r"(?P<file>[^:,']+):\d+(?::\d+)?:?$"
)
_RUBY_RAISED = re.compile(
    r"(?P<file>[^\s:]+):\d+:in [`'](?P<func>[^']+)': (?P<message>.*) \((?P<type>[A-Z][\w:]*)\)$"
)
_RUBY_FRAME = re.compile(
    r"\s*(?:from |\d+: from )?(?P<file>[^\s:]+\.(?:rb|ru|rake)|[^\s:]*/[^\s:]+):\d+"
    r":in [`'](?P<func>[^']+)'$"
)
_RUBY_LOGGED = re.compile(r"(?P<message>.*) \((?P<type>[A-Z][\w:]*)\)$")
_PHP_RAISED = re.compile(
    r"(?:PHP )?(?:Fatal error|Parse error|Recoverable fatal error):\s+(?:Uncaught )?"
    r"(?:(?P<type>[\w\\]+): )?(?P<message>.*?) in (?P<file>\S+?)(?::\d+| on line \d+)"
)
_ELIXIR_RAISED = re.compile(
    r"\s*\*\* \((?P<type>[A-Z][\w.]*|exit|throw|stop|EXIT[^)]*)\) ?(?P<message>.*)$"
)
_ELIXIR_FRAME = re.compile(
    r"\s+(?:\([\w.]+ [\w.+-]+\) )?(?P<file>\S+\.(?:exs?|erl)):\d+: (?P<func>\S.*?)(?:/\d+)?$"
)
_ELIXIR_FOREIGN = re.compile(r"\s+\((?:stdlib|kernel|elixir|mix|ex_unit|logger|phoenix|plug)\w* ")
_FAULT_FRAME = re.compile(r'\s+File "([^"]*)", line \d+ in (.+)$')
_WITHIN = re.compile(r"(?:^|[\s:(\"])((?:[A-Za-z_$][\w$]*\.)*[\w$]*(?:Error|Exception)\b.*)$")
_JVM_FILE = re.compile(r"[\w.$]+\.\w+(?::\d+)?|Native Method|Unknown Source|<generated>")
_JVM_NOISE = re.compile(r"\$\d+|lambda\$")
_JVM_FOREIGN = re.compile(
    r"(?:java|javax|jakarta|jdk|sun|com\.sun|kotlin|kotlinx|scala|org\.springframework|org\.apache"
    r"|org\.hibernate|io\.netty|reactor|net\.dv8tion)\."
)
_GO_SAID = re.compile(r"(?:.*\s)?(panic|fatal error): (.*)$")
_GO_UNCAUGHT = ("goroutine ", "exit status ", "[signal ", "\tpanic: ", "runtime stack:")
"""What the runtime writes below a panic that ends a program."""
_GO_RECOVERED = re.compile(r" \[recovered.*\]$")
_PHP_FRAME = re.compile(r"#\d+ ")
_PARTS = (
    "Caused by:",
    "Suppressed:",
    "Stack trace:",
    "stack backtrace:",
    "Require stack:",
    "note: ",
    "goroutine ",
    "created by ",
    "[signal ",
    "exit status ",
    "Node.js v",
    "...additional frames",
    "--- End of ",
    "Current thread 0x",
    "Thread 0x",
    "Extension modules: ",
    "future: <",
    "handle: <",
    "task: <",
    "protocol: <",
    "transport: <",
    "source_traceback: ",
    "** (",
    "Last message",
    "State: ",
    "Initial Call: ",
    "Ancestors: ",
    "Function: ",
    "caused by: ",
)


def begins_trace(text: str) -> bool:
    """Whether a line of text opens a stack trace by itself, without an error line before it."""
    if "Traceback (most" in text:
        return _PYTHON_BEGINS.match(text) is not None
    first = text[:1]
    if first in "pfgS" and _GO_BEGINS.match(text):
        return True
    if first == "t":
        return _RUST_BEGINS.match(text) is not None
    if first == "F":
        return text.startswith(_FAULT)
    if first == "*":
        return text.startswith("** (") and _ELIXIR_RAISED.match(text) is not None
    if first in " \t":
        return _AT.match(text) is not None or _PYTHON_BARE.match(text) is not None
    return is_preamble(text) or (":in " in text and _RUBY_RAISED.match(text) is not None)


def is_python_trace(text: str) -> bool:
    """Whether a line opens a Python trace, be it a group's or one of its members'."""
    return "Traceback (most" in text and _PYTHON_BEGINS.match(text) is not None


def is_preamble(text: str) -> bool:
    """Whether a line is a place in the source and nothing else: Node prints it before an error."""
    return (
        text[-1:].isdigit()
        and ":" in text
        and " " not in text
        and _PREAMBLE.match(text) is not None
    )


def is_go_frame(text: str) -> bool:
    """Whether a line is the second one of a Go frame: its file."""
    return text[:1] == "\t" and ".go:" in text and _GO_FILE.match(text) is not None


def is_chain_text(text: str) -> bool:
    """Whether a line says that another exception of the same error follows."""
    return text.lstrip(" |").startswith((_CAUSE, _CONTEXT))


def is_frame(text: str) -> bool:
    """Whether a line is one of a trace's frames."""
    if text[:1] in " \t":
        return (
            _AT.match(text) is not None
            or _PYTHON_FRAME.match(text) is not None
            or _GO_FILE.match(text) is not None
            or _RUBY_FRAME.match(text) is not None
            or _ELIXIR_FRAME.match(text) is not None
        )
    return (text[:1] == "#" and _PHP_FRAME.match(text) is not None) or (
        ":in " in text and _RUBY_FRAME.match(text) is not None
    )


def is_raised(text: str, *, alone: bool = False) -> bool:
    """Whether a line names an exception, as ``KeyError: 'x'`` does.

    ``alone``: and nothing on it says that it is the cause of another one.
    """
    found = _RAISED.match(text)
    return found is not None and not (
        alone and text.startswith(("Caused", "caused", "[cause]", "Suppressed"))
    )


def belongs_to_trace(text: str) -> bool:
    """Whether a line can only be a part of a trace or of the error line before it.

    Indented lines, exception lines without a header, chain texts, frames of every language.
    """
    if not text or text[0] in " \t│╰╭|+})]":
        return True
    if text.startswith(_PARTS) or is_chain_text(text):
        return True
    return (
        is_frame(text) or _RAISED.match(text) is not None or _PYTHON_BEGINS.match(text) is not None
    )


def is_go_line(text: str) -> bool:
    """Whether a line belongs to a Go goroutine dump that has begun."""
    return (
        not text
        or text[0] == "\t"
        or text.startswith(
            ("goroutine ", "created by ", "[signal ", "exit status ", "runtime", "panic: ")
        )
        or _GO_FUNC.match(text) is not None
        or _GO_PLAIN.match(text) is not None
        or re.match(r"r\w{1,5} +0x[0-9a-f]+$", text) is not None
    )


def read_trace(text: str) -> Trace | None:
    """Find the stack trace in a text and say what it is about; None without one."""
    if "Traceback (most recent" in text:
        return _python(text.split("\n"))
    if " panicked at " in text and (trace := _rust(text.split("\n"))):
        return trace
    if _FAULT in text:
        return _fault(text.split("\n"))
    lines = text.split("\n")
    if (" at " in text or "\tat " in text) and (trace := _frames_at(lines)) is not None:
        return trace
    if (
        "goroutine " in text or ".go:" in text or text.startswith(("panic: ", "fatal error: "))
    ) and (trace := _go(lines)):
        return trace
    if "rror: " in text and (found := next(filter(None, map(_PHP_RAISED.search, lines)), None)):
        return _of_one_line(found)
    if ":in " in text and (trace := _ruby(lines)) is not None:
        return trace
    if "** (" in text and (trace := _elixir(lines)) is not None:
        return trace
    if 'File "' in text and any(_PYTHON_FRAME.match(line) for line in lines):
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
        or "/bin/" in path
        or re.search(r"/lib(?:64)?/python3|/python3\.\d+/|\\Lib\\", path) is not None
    )


def _python(lines: Sequence[str]) -> Trace | None:
    raised = list(_python_exceptions(lines))
    if not raised:
        return None
    if raised[-1].depth:
        top = min(one.depth for one in raised if one.depth)
        last = [one for one in raised if one.depth == top][-1]
        return _python_group(last, [one for one in raised if one.depth > top])
    chain = [one for one in raised if not one.depth]
    # Wrappers without a frame of the bot's own (CommandInvokeError and its like) tell nothing.
    own = [one for one in chain if any(_is_own_python(file) for file, _ in one.frames)]
    shown = own[-1] if own else _root_of(chain, chain[-1])
    kind = short_type(shown.type or "Exception")
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
    indent = ""
    for written in lines:
        line = written.removeprefix(indent)
        bare = line.lstrip(" |+") if line[:1] in " |+" else line
        if not bare:
            continue
        mark = _GROUP_MARK.match(line)
        depth = len(mark[1]) + 1 if mark else 0
        if bare.startswith((_CAUSE, _CONTEXT)):
            if done is not None:
                done.is_cause = bare.startswith(_CAUSE)
            continue
        if _PYTHON_BEGINS.match(line):
            if now is not None and now.frames and not now.type:
                yield now
            now = _Raised(depth=depth)
            if not depth and line[:1].isspace():  # Tornado and Twisted indent a whole trace
                indent += line[: len(line) - len(line.lstrip())]
            continue
        if _GROUP_RULE.match(line):
            # A member that was never raised has no trace: its line comes at once.
            if " -" in line and not (now and now.frames):
                now = _Raised(depth=line.index("+") + 3)
            continue
        if found := _PYTHON_FRAME.match(line) or _RICH_FRAME.match(line):
            if now is None:
                now = _Raised()
            now.frames.append((found[1], found[2] or ""))
            now.is_boxed = now.is_boxed or "│" in line
            continue
        if now is None or not (now.frames or now.depth) or bare[0] in "│╰╭❱":
            continue
        if now.is_boxed:
            bare = line.strip()
        elif line[:1] in " |+" and (not now.depth or _GROUP_CODE.match(line)):
            continue
        if found := _PYTHON_RAISED.match(bare):
            now.type, now.message = found[1], found[2] or ""
            done = now
            yield now
            now = None
    if now is not None and now.frames:
        yield now


def _fault(lines: Sequence[str]) -> Trace:
    """Read what Python's faulthandler prints: innermost frame first."""
    message = next(line for line in lines if _FAULT in line).partition(_FAULT)[2]
    frames = [(found[1], found[2] or "") for line in lines if (found := _FAULT_FRAME.match(line))]
    return Trace("Fatal", _python_frame(reversed(frames)), message, is_fatal=True)


def _frames_at(lines: Sequence[str]) -> Trace | None:
    """Read JavaScript's, the JVM's and .NET's traces: an error line, then ``at`` lines."""
    head = frame = any_frame = ""
    raised: re.Match[str] | None = None
    causes: list[str] = []
    is_fatal = is_preamble(lines[0])
    for line in lines:
        if _AT.match(line):
            if not frame:
                own, name = _frame_at(line)
                any_frame = any_frame or name
                frame = name if own else ""
            continue
        bare = line.strip()
        if bare.startswith("Node.js v"):
            is_fatal = True
        found = _RAISED.match(bare) or _RAISED.search(_after_header(bare))
        if found is None:
            head = head or ("" if any_frame else bare)
        elif raised is None:
            raised = found
            is_fatal = is_fatal or bare.startswith(("Unhandled exc", "Exception in thread"))
        elif bare.startswith(("Caused by: ", "caused by: ", "[cause]: ")):
            causes.append(short_type(found["type"]))
    if not any_frame:
        return None
    if raised is None:
        return Trace("Error", frame or any_frame, head, is_bare=True, is_fatal=is_fatal)
    code = raised["code"] or ""
    kind = short_type(raised["type"]) + code.strip()
    if causes and causes[-1] != short_type(raised["type"]):
        kind = f"{kind}<{causes[-1]}"
    message = (raised["message"] or "").removesuffix(" {").removesuffix("]")
    return Trace(kind, frame or any_frame, message, is_fatal=is_fatal)


def _after_header(line: str) -> str:
    """Cut what stands before an exception's name within a line (``failed: java.lang.X: text``)."""
    found = _WITHIN.search(line)
    return found[1] if found else ""


def _frame_at(line: str) -> tuple[bool, str]:
    """Read an ``at`` line: whether it is the bot's own, and its name."""
    if found := _JS_FRAME.match(line):
        file, func = found["file"], (found["func"] or "").partition(" [as ")[0]
        own = not file.startswith(("node:", "internal/")) and "node_modules" not in file
        func = func.removeprefix("new ").removeprefix("Object.")
        name = short_file(file).removeprefix("node:")
        if "<anonymous>" in func or not func:
            return own and file != "<anonymous>", name
        return own, f"{name}:{func}"
    if (found := _JVM_FRAME.match(line)) and _JVM_FILE.fullmatch(found["file"]):
        func = _JVM_NOISE.sub("", found["func"])
        own = _JVM_FOREIGN.match(func) is None
        return own, f"{found['file'].split(':')[0]}:{func.rpartition('.')[2]}"
    if found := _NET_FRAME.match(line):
        func = found["func"]
        own = not func.startswith(("System.", "Microsoft."))
        name = ".".join(func.split(".")[-2:])
        return own, f"{short_file(found['file'])}:{name}" if found["file"] else name
    return False, line.strip().removeprefix("at ")[:60]


def _go(lines: Sequence[str]) -> Trace | None:
    kind = message = frame = any_frame = func = ""
    is_panic_call = False
    is_uncaught = any(line.startswith(_GO_UNCAUGHT) for line in lines[1:])
    for line in lines:
        if not kind and (found := _GO_SAID.match(line)):
            kind, message = found[1], _GO_RECOVERED.sub("", found[2])
        elif found := _GO_FILE.match(line):
            if func and not frame and not is_panic_call:
                name = f"{short_file(found['file'])}:{func.rpartition('/')[2].split('.', 1)[-1]}"
                any_frame = any_frame or name
                foreign = "/pkg/mod/" in line or "/go/src/" in line or func.startswith("runtime.")
                frame = "" if foreign else name
        elif found := _GO_FUNC.match(line) or _GO_PLAIN.match(line):
            func = found.groupdict().get("by") or found["func"]
            # What stands above panic()'s own frame are deferred functions.
            is_panic_call = func == "panic"
            if is_panic_call:
                frame = any_frame = ""
    if not (kind or any_frame):
        return None
    if not kind:
        head = next((line for line in lines if line.strip()), "")
        return Trace("Stack", frame or any_frame, head, is_bare=True)
    return Trace(kind.partition(" ")[0], frame or any_frame, message, is_fatal=is_uncaught)


def _elixir(lines: Sequence[str]) -> Trace | None:
    """Read Elixir's: ``** (KeyError) key :a not found``, then the frames, innermost first."""
    raised = next(filter(None, map(_ELIXIR_RAISED.match, lines)), None)
    if raised is None:
        return None
    frames = [(line, found) for line in lines if (found := _ELIXIR_FRAME.match(line))]
    own = [found for line, found in frames if not _ELIXIR_FOREIGN.match(line)]
    shown = next(iter(own or [found for _, found in frames]), None)
    frame = f"{short_file(shown['file'])}:{shown['func']}" if shown is not None else ""
    kind = raised["type"].partition(" ")[0]
    return Trace(kind, frame, raised["message"])


def _rust(lines: Sequence[str]) -> Trace | None:
    for at, line in enumerate(lines):
        start = line.find("thread '")
        if start >= 0 and (found := _RUST_BEGINS.match(line[start:].rstrip())):
            message = found["old"] or (lines[at + 1].strip() if at + 1 < len(lines) else "")
            return Trace("panic", short_file(found["file"]), message, is_fatal=True)
    return None


def _ruby(lines: Sequence[str]) -> Trace | None:
    for line in lines:
        if found := _RUBY_RAISED.search(line):
            return _of_one_line(found)
    frames = [found for line in lines if (found := _RUBY_FRAME.match(line))]
    said = _RUBY_LOGGED.search(strip_ruby(lines[0]))
    if not frames or said is None:
        return None
    own = [found for found in frames if "/gems/" not in found["file"]]
    frame = (own or frames)[0]
    return Trace(
        short_type(said["type"]), f"{short_file(frame['file'])}:{frame['func']}", said["message"]
    )


def strip_ruby(line: str) -> str:
    """Cut the front that Ruby's Logger writes."""
    return line.partition(" -- ")[2].partition(": ")[2] or line


def _of_one_line(found: re.Match[str]) -> Trace:
    groups = found.groupdict()
    file = short_file(groups["file"])
    frame = f"{file}:{groups['func']}" if groups.get("func") else file
    kind = short_type(groups["type"] or "FatalError")
    return Trace(kind, frame, groups["message"], is_fatal=True)
