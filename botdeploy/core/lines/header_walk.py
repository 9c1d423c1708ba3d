"""Reading a header piece by piece: times, brackets, names, pairs, and the level among them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from botdeploy.core.lines.level import (
    LETTERS,
    PLAIN_WORDS,
    UPPER_WORDS,
    WORDS,
    Level,
    level_of_priority,
)
from botdeploy.core.lines.timestamps import HEADER_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIME_WORDS = frozenset(
    re.findall("...", "MonTueWedThuFriSatSunJanFebMarAprMayJunJulAugSepOctNovDec")
)

# -- pieces ---------------------------------------------------------------------------------------

_FRONT = re.compile(
    r"\s*(?:[^\w\s\[\](){}<>|\"'`“«»#@/\\=$.:;,~&-]+\s*|[*!-]+\s+)*"
    r"(?:(?:PHP|npm)\s(?:(?:Fatal|Parse|Recoverable fatal)\s(?=error:))?)?"
)
_WORD = re.compile(r"\w{1,40}+(?:(?:[.$@#&+~/-]+|::)\w{1,40}+){0,9}(?!\w)")
_SEPARATOR = re.compile(r"\s*(?:[|:;,·•\])-]+\s*)*")
_BOX = re.compile(r"\[([^\[\]\n]{0,100})\]|\(([^()\n]{0,60})\)")
_PLACE = re.compile(r"\{[\w./-]{1,60}:\d+\}")
_ANGLE = re.compile(r"<([^<>\s]{1,60})>")
_NUMBER = re.compile(r"#?\d{1,19}(?![\w%.])|\d+\.\d+\.\d+(?![\w%])")
_PROCESS = re.compile(r"\s\(\d+\):")
_PAIR = re.compile(
    r"""(?x) ([\w.@-]{1,40})
    = ("(?:[^"\\]|\\.){0,400}" | '(?:[^'\\]|\\.){0,400}' | [^\s"']*) (?=\s|$|[,;])"""
)
_LETTER_TIMED = re.compile(
    r"(?:(?P<klog>[IWEFDC])\d{4} \d\d:\d\d:\d\d\.\d+\s|\[(?P<short>[DIWEFCT]) \d{6} \d\d:\d\d:\d\d"
    r"|(?P<front>[DIWEFCT])[ ,]+\[?(?=\d{4}-\d\d-\d\d[T ]\d\d:\d\d)"
    r"|(?P<logcat>[VDIWEFA])/[\w.$-]+\s*(?:\(\s*\d+\))?:|=(?P<report>ERROR|CRASH|WARNING|INFO)"
    r"(?:\sREPORT)?(?==)|<(?P<syslog>[0-7])>)"
)
_LOGGER = re.compile(
    r"\s\[|\s[\w$@/-]+(?:[.:]+[\w$@/-]+)+(?::?\s|\]|:\d)|\s[\w$.@/-]+(?::\d+)?\s-\s"
)
_NO_PERSON = frozenset({"root", "__main__"})
"""Names of loggers that have no dot."""
_ADJECTIVE = re.compile(r"(?i)\s(?:hits?|strikes?|damage|success|failures?|rolls?|acclaim|mass)\b")
"""What is critical in a game or a text."""
_SPOKEN = re.compile(r"\w+#\d{4}\b|@\w")
_IS_COUNT = re.compile(
    r"(?i)\(?s?\)?\s*(?:count|rate|total)?\s*[=:]\s*(?:0+(?:\.0+)?|none|null|nil|false|ok)\b"
    r"(?=\s*(?:$|[,;.)\]}|]|\w+[=:]))"
)
_KEYS = frozenset(
    ["level", "lvl", "severity", "levelname", "loglevel", "log.level", "severity_text", "at", "@l"]
)
_SOFT = frozenset(["alert", "panic", "emergency"])
"""Names of levels that are words of everybody's."""
_SHORT = frozenset(["FTL", "FATA", "PNC", "PANI", "DPANIC"])
"""Names of levels that are nobody's words."""
_PIECES = 14
"""Fields that a header may have."""
_WIDTH = 320
"""Characters in which a header ends."""
_NAMES = 4
"""Names of loggers, threads, hosts or programs that may stand before a level."""


class Header(NamedTuple):
    """What stands before the text of a line."""

    level: Level | None
    """The level that it states, if any."""
    body: int
    """Where the text begins, in characters."""
    is_quote: bool = False
    """Whether the text is somebody's else: behind ``<alice>``, ``> `` or a quotation mark."""
    is_timed: bool = False
    """Whether a time was read."""


class Walk:
    """Reads a header piece by piece."""

    __slots__ = (
        "at",
        "body",
        "declared",
        "has_logger",
        "is_boxed",
        "is_dated",
        "is_marked",
        "is_program",
        "is_quote",
        "is_timed",
        "level",
        "loose",
        "mark",
        "names",
        "pieces",
        "text",
    )

    def __init__(self, text: str, declared: Mapping[str, Level]) -> None:
        """Begin; ``declared``: words of the user's, in lower case, that are levels."""
        self.text = text
        self.declared = declared
        self.at = self.body = 0
        self.level: Level | None = None
        self.is_timed = self.is_dated = self.is_boxed = self.is_marked = self.is_quote = False
        self.is_program = self.has_logger = False
        self.mark = ""
        self.names = self.loose = self.pieces = 0

    # -- going on -----------------------------------------------------------------------------

    def run(self) -> Header:
        """Read it all."""
        found = _FRONT.match(self.text)
        if self.declared and self._sign():
            return Header(self.level, self.body)
        self.at = self.body = found.end() if found else 0
        if not self._by_letter():
            while self.pieces < _PIECES and self.at < _WIDTH and self._step():
                self.pieces += 1
        return Header(self.level, self.body, self.is_quote, self.is_timed)

    def _step(self) -> bool:
        """Read a piece; whether another one may follow."""
        text, at = self.text, self.at
        one = text[at : at + 1]
        if not one:
            return False
        if one in "[(<" or one.isdigit() or text[at : at + 3] in _TIME_WORDS:
            found = HEADER_TIME.match(text, at)
            if found is not None:
                return self._time(found)
        if one in "[(":
            return self._box()
        if one == "<":
            return self._angle()
        if one == "{" and (found := _PLACE.match(text, at)) is not None:
            return self._to(found.end())
        if one.isalpha() or one == "_":
            return self._word()
        if one.isdigit() or one == "#":
            return self._number()
        if one in ">»\"'“«`":
            self.is_quote = True
        return bool(self.declared) and self._sign()

    def _to(self, end: int, *, is_body: bool = True) -> bool:
        """Go behind a piece and the marks that part it from the next."""
        found = _SEPARATOR.match(self.text, end)
        at = found.end() if found else end
        self.mark = self.text[end:at].strip()
        self.is_marked = self.mark != ""
        self.at = at
        if is_body:
            self.body = at
        return True

    def _stated(self, level: Level, end: int, *, is_sure: bool) -> bool:
        """End at a level; what is not sure is an error at worst."""
        self.level = level if is_sure else min(level, Level.ERROR)
        self._to(end)
        return False

    # -- pieces ---------------------------------------------------------------------------------

    def _by_letter(self) -> bool:
        """Read the headers that begin with a letter or a sign of their own."""
        if self.text[self.at : self.at + 1] not in "IWEFDCTVA[=<":
            return False
        found = _LETTER_TIMED.match(self.text, self.at)
        if found is None or found.lastgroup is None:
            return False
        kind = found.lastgroup
        said = found[kind]
        if kind == "syslog":
            level = level_of_priority(said)
        else:
            level = WORDS.get(said.lower()) if kind == "report" else LETTERS[said]
        if level is not None:
            self._stated(level, found.end(), is_sure=True)
        return True

    def _time(self, found: re.Match[str]) -> bool:
        said = found[0]
        self.is_timed = True
        self.is_dated = self.is_dated or (said.count(":") > 1 and len(said.strip()) > 16)  # noqa: PLR2004
        self.is_marked = False
        self.at = self.body = found.end()
        return True

    def _number(self) -> bool:
        found = _NUMBER.match(self.text, self.at)
        return found is not None and self.pieces > 0 and self._to(found.end(), is_body=False)

    def _sign(self) -> bool:
        """Read a level that the user declared and that is no word, such as ``!!``."""
        said = (self.text[self.at : self.at + 20].split(None, 1) or [""])[0]
        level = self.declared.get(said.rstrip(":").lower())
        return level is not None and self._stated(level, self.at + len(said), is_sure=True)

    def _angle(self) -> bool:
        found = _ANGLE.match(self.text, self.at)
        if found is None:
            return False
        level = self._level_in(found[1], is_alone=True)
        if level is not None:
            return self._stated(level, found.end(), is_sure=self.is_timed)
        self._to(found.end())
        self.is_quote = not found[1].replace(".", "").isdigit()
        return not self.is_quote

    def _box(self) -> bool:
        found = _BOX.match(self.text, self.at)
        if found is None:  # ``[2026-01-01 10:00:00 ERROR …]`` is read piece by piece
            self.at += 1
            return self.text[self.at : self.at + 1].isalnum()
        said = (found[1] if found[1] is not None else found[2]).strip()
        level = self._level_in(said, is_alone=True)
        if level is not None:
            is_soft = said.lower().strip() in _SOFT
            return self._stated(level, found.end(), is_sure=self.is_timed or not is_soft)
        if (level := self._level_among(said)) is not None:
            return self._stated(level, found.end(), is_sure=self.is_timed)
        if self.names and said.isdigit():  # a process number behind its name
            self.loose = 0
        else:
            self.is_boxed = True
            self.has_logger = self.has_logger or "." in said.strip(".") or "::" in said
        self._to(found.end(), is_body=not self.names)
        if self.is_program and self.text.startswith(": ", found.end()):  # ``bot[7]: text``
            self.body = self.at
        return True

    def _level_in(self, said: str, *, is_alone: bool) -> Level | None:
        """Read the only word in brackets."""
        said = said.strip().rpartition(".")[2]
        if len(said) == 1 and said in LETTERS and said != "A":
            return LETTERS[said] if self.is_timed or said in "EWID" else None
        low = said.lower()
        if low in self.declared:
            return self.declared[low]
        if said in UPPER_WORDS or (is_alone and low in WORDS):
            return WORDS[low]
        return None

    def _level_among(self, said: str) -> Level | None:
        """Read a level among the fields in brackets: ``[10:00:00 ERROR]``, ``[main/WARN]``."""
        timed = HEADER_TIME.search(said) if ":" in said else None
        rest = said
        if timed is None and "#" in said:  # Twisted's namespace
            return WORDS.get(said.rpartition("#")[2])
        if timed is not None:
            rest = f"{said[: timed.start()]} {said[timed.end() :]}"
            self.is_timed = True
        elif not any(mark in said for mark in "/|:"):
            return None
        parts = re.split(r"[/|:,;]+" if timed is None else r"[\s/|:,;]+", rest.strip())
        if self.is_timed and timed is None and parts[-1].strip() in PLAIN_WORDS:  # Apache's
            return WORDS[parts[-1].strip()]
        found = (UPPER_WORDS.get(part.strip()) for part in parts[:6])
        return next((level for level in found if level is not None), None)

    # -- words ----------------------------------------------------------------------------------

    def _word(self) -> bool:
        found = _WORD.match(self.text, self.at)
        if found is None:
            return False
        word, end = found[0], found.end()
        if self.text[end : end + 1] == "=":
            return self._pair()
        level, is_channel = self._level_of(word)
        if level is not None and (after := self._after(end)):
            return self._word_level(level, word, end, after, is_channel=is_channel)
        if _SPOKEN.match(self.text, self.at):
            self._to(end)
            self.is_quote = True
            return False
        return self._name(word, end)

    def _pair(self) -> bool:
        found = _PAIR.match(self.text, self.at)
        if found is None:
            return False
        if found[1].lower() in _KEYS:
            word = found[2].strip("\"'").lower()
            level = self.declared.get(word) or WORDS.get(word)
            if level is not None:
                return self._stated(level, found.end(), is_sure=True)
        return self._to(found.end(), is_body=False)

    def _level_of(self, word: str) -> tuple[Level | None, bool]:
        """Read a word as a level; and whether a channel or a process is named with it."""
        low = word.lower()
        if self.declared and low in self.declared:
            return self.declared[low], True
        level = WORDS.get(low)
        if level is not None:
            return level, False
        if "." in word and (level := UPPER_WORDS.get(word.rpartition(".")[2])) is not None:
            return level, True
        if "/" in word and (level := UPPER_WORDS.get(word.partition("/")[0])) is not None:
            return level, self.is_timed
        if len(word) == 1 and word in LETTERS and word not in "AT" and self.is_timed:
            after = self.text[self.at + 1 : self.at + 4]
            if (
                after[:1] in "|]:"
                or after in (" | ", " - ")
                or _LOGGER.match(self.text, self.at + 1)
            ):
                return LETTERS[word], self.is_dated
        return None, False

    def _after(self, end: int) -> str:
        """Say what parts a word from what follows: ``mark``, ``wide``, ``space``, or nothing."""
        text = self.text
        if _IS_COUNT.match(text, end):
            return ""
        rest = text[end : end + 3]
        if not rest:
            return "end"
        if rest[0] in ":|])" or rest[:3] in (" - ", " | ", " : ", " --") or rest[:1] == "[":
            return "mark"
        if rest[0] in "(!" and (rest[0] == "(" or text[self.at : end] == "ERR"):  # npm's ERR!
            return "mark"
        if rest[:2] == " (" and _PROCESS.match(text, end):
            return "mark"
        if rest[0] == "," and text[self.at - 1 : self.at] == ",":
            return "mark"
        if rest[0] == "\t" or rest[:2] == "  " or rest[0] == "\n":
            return "wide"
        return "space" if rest[0] == " " else "" if rest[0] != "-" else "mark"

    def _word_level(
        self, level: Level, word: str, end: int, after: str, *, is_channel: bool
    ) -> bool:
        low = word.lower()
        if is_channel:
            return self._stated(level, end, is_sure=True)
        is_upper = word in UPPER_WORDS
        if not is_upper and not self._may_be_lower(low, after, end):
            return self._name(word, end)
        if not self.pieces:
            return self._first_word(level, word, end, after)
        if self.loose and not (self.is_timed or self.is_boxed):
            return False
        if low == "alert" and after == "space":
            return False
        is_sure = self._is_sure(word, end, after)
        if low in _SOFT:
            is_sure = is_sure and low != "alert" and self.is_timed and after in ("mark", "wide")
        return self._stated(level, end, is_sure=is_sure)

    def _is_sure(self, word: str, end: int, after: str) -> bool:
        """Whether only a logger writes this: ``10:00:00 [alice] FATAL: hit`` may be a person's."""
        if after == "wide" or word in _SHORT or _LOGGER.match(self.text, end):
            return True
        if not (self.names or self.is_boxed):
            return self.is_timed and (after == "mark" or self.is_dated)
        if self.has_logger:
            return after == "mark" or self.is_dated
        if self.is_dated and word.islower() and not self.names:
            return after == "mark"  # as Winston's labels are written in its documentation
        parted = _SEPARATOR.match(self.text, end)
        return self.mark not in ("", ":") and parted is not None and parted[0].strip() == self.mark

    def _may_be_lower(self, low: str, after: str, end: int) -> bool:
        """Whether a word in small letters, or one with a capital, stands where a level would."""
        if low not in PLAIN_WORDS or low == "alert":
            return False
        if not self.pieces:
            if self.text[:1].isspace():  # a field of what stands above
                return False
            if self.at and after == "wide":  # behind a sign
                return True
            return self.text[end : end + 1] in ":[(" and _CLOSED.match(self.text, end) is not None
        if self.names:
            return self.is_marked and after == "mark"
        return self.is_timed or (self.is_boxed and after == "mark")

    def _first_word(self, level: Level, word: str, end: int, after: str) -> bool:
        """Read a level that a line begins with: what marks it tells how sure it is."""
        low = word.lower()
        if low in _SOFT:
            if after != "mark" or low == "alert":
                return after == "wide" and self._stated(level, end, is_sure=False)
            return self._stated(level, end, is_sure=self.text[end : end + 1] == "[")
        if self.at and not self.text[: self.at].isspace():  # behind a sign, as Signale writes it
            return self._stated(level, end, is_sure=after == "wide")
        is_sure = not (word.istitle() or (after == "space" and _ADJECTIVE.match(self.text, end)))
        return self._stated(level, end, is_sure=is_sure)

    def _name(self, word: str, end: int) -> bool:
        """Take a word for a logger, a thread, a host or a program, if it can be one."""
        before = self.pieces
        is_plain = "." not in word and "::" not in word
        self._to(end, is_body=False)
        if self.text[end : end + 1] in "[(" and end < self.at + 1:
            self.is_marked = True
        if is_plain and not self.is_marked:
            self.loose += 1
            if not before or self.loose > 1:
                return False
        elif self.is_marked and not (is_plain or word.rpartition(".")[2][:1].isupper()):
            self.body = self.at
        self.is_program = not word[0].isupper()
        self.has_logger = self.has_logger or not is_plain or word in _NO_PERSON
        self.names += 1
        return self.names <= _NAMES


_CLOSED = re.compile(r"(?:\[[^\]]*\]|\([^)]*\))?:(?=\s|$)")
