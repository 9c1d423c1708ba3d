"""systemd's text: what we quote is what systemd reads, by a model of its own parsers."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdeploy.errors import UserError
from botdeploy.sources.systemd_quoting import (
    check_directive,
    check_name,
    check_value,
    exec_line,
    is_systemd_text,
    quote_assignment,
    quote_environment,
    quote_word,
)

FOLDER = "/opt/echobot/releases/20261122T210500Z-3f9c2ab1"


def read_environment_file(text: str, *, escapes: str) -> dict[str, str]:
    r"""Read an environment file as systemd's src/basic/env-file.c does.

    ``escapes`` are the characters before which a backslash in double quotes goes away: ``"`` up
    to version 247 or so, ``"\`$`` later.
    """
    found: dict[str, str] = {}
    state, key, value, blank_from = "pre-key", "", "", -1

    for c in text:
        if state == "pre-key":
            if c in "#;":
                state = "comment"
            elif c not in " \t\n\r":
                state, key = "key", c
        elif state == "key":
            if c in "\n\r":
                state, key = "pre-key", ""
            elif c == "=":
                state, value, blank_from = "pre-value", "", -1
            else:
                key += c
        elif state in {"pre-value", "value"} and c in "\n\r":
            if state == "value" and blank_from >= 0:
                value = value[:blank_from]
            found[key.rstrip()] = value
            state = "pre-key"
        elif state == "pre-value":
            if c == "'":
                state = "single"
            elif c == '"':
                state = "double"
            elif c == "\\":
                state = "escape"
            elif c not in " \t":
                state, value = "value", value + c
        elif state == "value":
            if c == "\\":
                state, blank_from = "escape", -1
            else:
                if c not in " \t":
                    blank_from = -1
                elif blank_from < 0:
                    blank_from = len(value)
                value += c
        elif state == "escape":
            state = "value"
            if c not in "\n\r":
                value += c
        elif state == "single":
            if c == "'":
                state = "pre-value"
            else:
                value += c
        elif state == "double":
            if c == '"':
                state = "pre-value"
            elif c == "\\":
                state = "double-escape"
            else:
                value += c
        elif state == "double-escape":
            state = "double"
            if c in escapes:
                value += c
            elif c != "\n":
                value += "\\" + c
        elif state == "comment":
            state = {"\\": "comment-escape", "\n": "pre-key"}.get(c, "comment")
        elif state == "comment-escape":
            state = "comment"
    assert state == "pre-key", "the file ends in the middle of something"
    return found


#: Any text that a bot's variable can hold on every host.
VALUES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n").filter(
        is_systemd_text
    )
)
HARD = st.text(st.sampled_from("'\"\\`$ #;=\n\tx%{}é"), max_size=12)


@given(st.dictionaries(st.from_regex(r"\A[A-Z_]{1,4}\Z"), VALUES | HARD, max_size=5))
@example({"A": "it's", "B": "\\", "C": " x ", "D": "", "E": "a\nB=evil\n#", "F": "\"'\"'"})
def test_any_value_comes_through_an_environment_file(env: dict[str, str]) -> None:
    """Whatever the text, each version of systemd's parser reads exactly it, and nothing else."""
    text = "# a comment\n" + "".join(f"{k}={quote_environment(v)}\n" for k, v in env.items())
    assert read_environment_file(text, escapes='"') == env
    assert read_environment_file(text, escapes='"\\`$') == env


@given(HARD)
def test_a_shell_reads_an_environment_file_alike(value: str) -> None:
    """An operator may source the file; the value that a shell sees is the same."""
    program = f'A={quote_environment(value)}\nprintf %s "$A"'
    done = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == value


@pytest.mark.parametrize(
    "value", ["a\x1b[0m", "a\r\nb", "\x00", "\x7f", "\ud800", "\ufdd0", "\ufffe", "\U0010ffff"]
)
def test_a_value_that_systemd_would_drop_is_refused(value: str) -> None:
    """A bot without its token is worse than an error; the error does not tell the value."""
    with pytest.raises(UserError, match=r"\ATOKEN: the value holds"):
        check_value("TOKEN", value)


def test_a_value_longer_than_the_kernel_takes_is_refused() -> None:
    """The process would not start at all."""
    assert check_value("A", "x" * 131_069)
    with pytest.raises(UserError, match="128 KiB"):
        check_value("A", "x" * 131_070)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n"])
def test_a_name_that_no_shell_takes_is_refused(name: str) -> None:
    """Systemd ignores such a variable without telling the bot."""
    with pytest.raises(UserError, match="not a variable's name"):
        check_name(name)


# --- command lines ------------------------------------------------------------------------------


def read_exec_line(line: str) -> list[str]:
    """Split a command line as systemd does: quotes, C escapes, specifiers, variables."""
    words: list[str] = []
    i = 0
    while i < len(line):
        if line[i] in " \t":
            i += 1
            continue
        word, quote = "", ""
        while i < len(line) and (quote or line[i] not in " \t"):
            c = line[i]
            if line.startswith("\\x", i):
                word += chr(int(line[i + 2 : i + 4], 16))
                i += 4
                continue
            if c == "\\":
                word += {"t": "\t", "n": "\n"}.get(line[i + 1], line[i + 1])
                i += 2
                continue
            if quote:
                quote, word = ("", word) if c == quote else (quote, word + c)
            elif c in "'\"" and not word:
                quote = c
            else:
                word += c
            i += 1
        assert not quote
        assert "%" not in word.replace("%%", ""), "a specifier"
        assert "$" not in word.replace("$$", ""), "a variable"
        words.append(word.replace("%%", "%").replace("$$", "$"))
    return words


WORDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t").filter(is_systemd_text)
) | st.text(st.sampled_from("'\"\\$% ;\tx{}@-"), max_size=10)


@given(st.lists(WORDS, min_size=1, max_size=4))
@example(["a", ";", "b"])
@example(["${HOME}", "%n", "$$", "-x", "", "\\x41"])
def test_no_word_breaks_out_of_a_command_line(words: list[str]) -> None:
    """Each word reaches the program as it is: no specifier, variable, second command or option."""
    line = " ".join(quote_word(word) for word in words)
    assert read_exec_line(line) == words
    assert ";" not in line
    assert not line.endswith("\\")
    assert "\n" not in line


@pytest.mark.parametrize("word", ["a\nb", "a\rb", "\0", "a\x1bb", "\ud800"])
def test_a_word_with_a_line_end_is_refused(word: str) -> None:
    """A line end would begin another directive."""
    with pytest.raises(UserError, match=r"no unit can hold|not take for UTF-8"):
        quote_word(word)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (".venv/bin/python -m bot", f"{FOLDER}/.venv/bin/python -m bot"),
        ("./run.sh", f"{FOLDER}/run.sh"),
        ("bin//run", f"{FOLDER}/bin/run"),
        ("python3 -u bot.py", "/usr/bin/env python3 -u bot.py"),
        ("/usr/bin/node bot.js", "/usr/bin/node bot.js"),
        ("LANG=C bin/run", "/usr/bin/env LANG=C bin/run"),
        ("'my bot/run' x", "/usr/bin/env"),
        ("python3 -c 'print(\"$HOME %n\")'", '/usr/bin/env python3 -c "print(\\"$$HOME %%n\\")"'),
        (
            "sh -c 'exec python3 bot.py | tee log'",
            '/usr/bin/env sh -c "exec python3 bot.py | tee log"',
        ),
        ("bot ';' '&&' a\\>b x=>y", '/usr/bin/env bot "\\x3b" "&&" "a>b" "x=>y"'),
        ("sh -c 'a ; exec b'", '/usr/bin/env sh -c "a \\x3b exec b"'),
        ("bot http://x/?a=1&b=2", '/usr/bin/env bot "http://x/?a=1&b=2"'),
        ("bot --empty ''", '/usr/bin/env bot --empty ""'),
        ("bin/%x", f"{FOLDER}/bin/%%x"),
        ("bot '$TOKEN' \\$TOKEN", '/usr/bin/env bot "$$TOKEN" "$$TOKEN"'),
        ('sh -c "exec bot --port $PORT"', '/usr/bin/env sh -c "exec bot --port $$PORT"'),
        ('LANG=C bash -ec "a=`id`"', '/usr/bin/env LANG=C bash -ec "a=`id`"'),
        ("bot '{\"$ref\": 1}'", '/usr/bin/env bot "{\\"$$ref\\": 1}"'),
        ('bot "{\\"$ref\\": 1}" "$5"', '/usr/bin/env bot "{\\"$$ref\\": 1}" "$$5"'),
        ("bot --cost 5$ a~b '~/x' \"~/x\"", '/usr/bin/env bot --cost "5$$" "a~b" "~/x" "~/x"'),
    ],
)
def test_a_command_becomes_an_absolute_line(command: str, line: str) -> None:
    """Programs of the release by its own path, programs of the host by its PATH."""
    if command.startswith("'my bot"):
        with pytest.raises(UserError, match="not a path that systemd runs"):
            exec_line(command, FOLDER)
    else:
        assert exec_line(command, FOLDER) == line


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "no program to run"),
        ("   ", "no program to run"),
        ("''", "no program to run"),
        ("python3 'bot.py", "cannot be split"),
        ("python3 a.py && python3 b.py", "for a shell write: sh -c"),
        ("python3 a.py | tee log", "for a shell write: sh -c"),
        ("python3 a.py > log", "for a shell write: sh -c"),
        ("python3 a.py 2>/dev/null", "for a shell write: sh -c"),
        ("cd src; python3 a.py", "for a shell write: sh -c"),
        ("python3 a.py &", "for a shell write: sh -c"),
        ("../bin/python a.py", "leaves the release"),
        ("a/../../b", "leaves the release"),
        ("/bin/$x", "not a path that systemd runs"),
        ("/bin/$X", "'\\$X' would reach the program unchanged"),
        ("bot -c $TOKEN", "TOKEN"),
        ("bot --token $TOKEN", "'\\$TOKEN' would reach the program unchanged; for a shell write"),
        ('bot --token "a${TOKEN}b"', "TOKEN"),
        ("bot \"it's $TOKEN, isn't it\"", "TOKEN"),
        ('bot "\\$TOKEN"', "TOKEN"),
        ("bot --as $(id -un)", "id -un"),
        ("bot --as `id`", "`id`"),
        ("bot --at ~/data", "~/data"),
        ("python3 'a\nb'", "line end"),
    ],
)
def test_a_command_that_is_not_one_is_refused(command: str, words: str) -> None:
    """What a shell would do with it, systemd would not; the error says what to write."""
    with pytest.raises(UserError, match=words):
        exec_line(command, FOLDER)


def test_an_assignment_keeps_dollars_and_doubles_percents() -> None:
    """In Environment= a variable is not expanded but a specifier is."""
    assert quote_assignment("A", "$x %n") == '"A=$x %%n"'
    assert quote_assignment("A", "1") == "A=1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Restart", "no\nUser=root"),
        ("Restart", "no\\"),
        ("Restart\nUser", "root"),
        ("[Unit]", "x"),
        ("user", "x"),
        ("", "x"),
        ("A", "\ud800"),
    ],
)
def test_a_directive_that_would_become_another_is_refused(name: str, value: str) -> None:
    """An inventory's value can replace one directive and nothing beside it."""
    with pytest.raises(UserError, match=r"\Aunit: "):
        check_directive(name, value)
