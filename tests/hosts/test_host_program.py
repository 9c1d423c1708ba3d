"""The program that acts on a host, as text and as a command line; no host is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botdeploy.errors import UserError
from botdeploy.hosts import host_program
from botdeploy.hosts.host_program import How, Rights
from tests.effort import examples
from tests.hosts.acts.actkit import parse

if TYPE_CHECKING:
    import random

pytestmark = pytest.mark.programs

SHELLS = [
    ["dash"],
    ["bash", "--posix"],
    ["busybox", "sh"],
    ["mksh"],
    ["ksh"],
    ["yash", "--posix"],
]
LOGIN_SHELLS = ["sh", "bash", "dash", "zsh", "fish", "tcsh", "ksh", "busybox"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the assembled program as a file under a bot's name."""
    place = tmp_path_factory.mktemp("acts") / "echobot"
    place.write_bytes(host_program.PROGRAM)
    return place


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_every_posix_shell_reads_the_program(shell: list[str], program: Path) -> None:
    """The program is plain POSIX sh: each shell that a host may have parses it."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not here")
    done = subprocess.run([*shell, "-n", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_act_that_is_named_exists() -> None:
    """The list of acts and the functions agree."""
    text = host_program.PROGRAM.decode()
    listed = set()
    for line in text.splitlines():
        if line.startswith(("READS=", "ACTS=")):
            listed |= set(line.split("=", 1)[1].strip('"').split()) - {"$READS"}
    defined = {
        line.removeprefix("act_").split("(")[0]
        for line in text.splitlines()
        if line.startswith("act_")
    }
    assert listed == defined


def test_no_two_parts_of_the_program_define_one_function() -> None:
    """The last one would win, for all of them."""
    names = re.findall(r"^([a-z_]+)\(\)", host_program.PROGRAM.decode(), re.MULTILINE)
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_no_file_that_cannot_be_written_ends_the_program_without_a_word() -> None:
    """A redirection that fails in a special builtin ends dash at once, so none has one."""
    text = host_program.PROGRAM.decode()
    begin = r"(?:^|[;&|({]|then|do|else)\s*"
    special = r"(?::|\.|eval|exec|export|readonly|set|shift|times|trap|unset)"
    found = re.findall(rf"{begin}{special} ?[0-9]*>>?[^&].*", text, re.MULTILINE)
    assert found == []


def test_the_digest_follows_the_text() -> None:
    """The program's folder is named by its own text, so it is never changed in place."""
    assert host_program.DIGEST in host_program.path("echobot")
    assert len(host_program.DIGEST) == 12
    assert host_program.PROGRAM.startswith(b"#!/bin/sh\n")
    assert host_program.PROGRAM.endswith(b"\n")


@pytest.mark.parametrize("bot", ["", "Bot", "a b", "../x", "a/b", "x" * 33, "-x", "botdeploy"])
def test_a_name_that_is_no_bots_is_refused(bot: str) -> None:
    """No command line is made for a name that could leave the program's folder."""
    with pytest.raises(UserError):
        host_program.call(bot, "n", "observe")


def test_only_root_can_be_become() -> None:
    """An inventory that asks for another user learns that there is none."""
    with pytest.raises(UserError, match="deployer"):
        host_program.call("echobot", "n", "observe", rights=Rights(become_user="deployer"))


def test_an_argument_of_two_lines_is_refused() -> None:
    """What could end a command line never gets into one."""
    with pytest.raises(ValueError, match="one line"):
        host_program.call("echobot", "n", "unlock", ["a\nb"])


# --- the ground, with tools of other makes ------------------------------------------------------

#: As uutils coreutils 0.0.30 do it: %6N is no format, a link to a folder is taken for the folder.
UUTILS = {
    "date": 'case $* in *%[0-9]N*) exit 1 ;; esac; exec {real} "$@"',
    "mv": """for last; do :; done
if [ -L "$last" ] && [ -d "$last" ]; then echo "mv: cannot move: Not a directory" >&2; exit 1; fi
exec {real} "$@\"""",
}
BUSYBOX = {"date": 'exec {real} "$(printf %s "$*" | sed "s/%N/%%N/; s/^-u //")"'}
HELPERS = """
utc; echo; read_clock; echo "$wall_s $wall_us $wall_at"
mkdir one two; ln -s one current; ln -s two current.new
rename "$PWD/current.new" "$PWD/current"
echo "$? $(readlink current) $(ls -d one/* two/* 2>/dev/null)"
relink "$PWD/current" one; echo "$? $(readlink current) $(ls -d current.* 2>/dev/null)"
mkdir three; mkdir -p four; rename three five; echo "$? $(ls -d five)"
rename "$PWD/nothing" "$PWD/current"; echo "$? $(readlink current)"
"""


@pytest.mark.parametrize(
    ("tools", "parts"), [({}, "[0-9]{6}"), (UUTILS, "[0-9]{6}"), (BUSYBOX, "000000")]
)
def test_the_ground_stands_on_tools_of_any_make(
    tools: dict[str, str], parts: str, tmp_path: Path
) -> None:
    """Times are whole, and a link that leads to a folder is replaced by one rename."""
    if shutil.which("systemd-tmpfiles") is None:
        pytest.skip("systemd is not installed")
    for name, text in tools.items():
        put(tmp_path / "bin" / name, f"#!/bin/sh\n{text}\n".replace("{real}", f"/usr/bin/{name}"))
    lib = host_program.PROGRAM.decode().split("# lock: one rollout at a time")[0]
    lib = lib.replace("export PATH=", f"export PATH={tmp_path / 'bin'}:")
    work = tmp_path / "work"
    work.mkdir()
    put(tmp_path / "echobot", f"{lib}\ncd {work} || exit 1\nset +f\n{HELPERS}")
    done = subprocess.run(
        ["sh", tmp_path / "echobot", "n", "x"], capture_output=True, text=True, check=False
    )
    at, walls, moved, linked, folder, missing = done.stdout.splitlines()
    seconds, micros, text = walls.split()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", at), done
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text), done
    assert micros[: len(seconds)] == seconds
    assert len(micros) == len(seconds) + 6
    assert re.fullmatch(parts, micros[len(seconds) :])
    assert (moved, linked) == ("0 two ", "0 one ")
    assert (folder, missing) == ("0 five", "1 one")


def test_no_tool_is_asked_for_what_only_gnu_has() -> None:
    """Parts of a second come from ``read_clock``, and a link is replaced by ``rename``."""
    text = host_program.PROGRAM.decode()
    assert not re.findall(r"date [^\n]*%[0-9]N", text)
    assert not re.findall(r"mv -T [^\n]*(?:CURRENT|PREVIOUS|UNIT_LINK|WANTED)", text)


# --- the wrapper, with a program and a sudo of our own ------------------------------------------


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder in whose bin/ tools can be put before the machine's own."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(host_program, "LIBRARY", str(tmp_path / "lib"))
    return tmp_path


def put(place: Path, text: str) -> None:
    """Write a program."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(0o755)


def run(command: str, shell: list[str] | None = None, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run a command line as a login shell does."""
    argv = [*(shell or ["sh"]), "-c", command]
    done = subprocess.run(argv, capture_output=True, check=False, input=stdin)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


ECHO = '#!/bin/sh\nfor one; do printf "<%s>" "$one"; done\n'


@pytest.mark.parametrize("shell", LOGIN_SHELLS)
def test_arguments_reach_the_program_through_every_login_shell(shell: str, stage: Path) -> None:
    """Quotes, dollars, spaces and other scripts arrive as they are."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    put(Path(host_program.path("echobot")), ECHO)
    put(stage / "bin/id", "#!/bin/sh\necho 0\n")
    words = [
        "it's",
        '"x"',
        "$HOME",
        "`id`",
        "a  b",
        "é漢",
        "*",
        ";|&<>",
        "",
        "--",
        "%s",
        "!x",
        "a\\b",
        "c\\",
    ]
    argv = ["busybox", "sh"] if shell == "busybox" else [shell]
    rc, out, _ = run(host_program.call("echobot", "n1", "act", words), argv)
    assert (rc, out) == (0, "\n" + "".join(f"<{word}>" for word in ["n1", "act", *words]))


#: What shells read differently more often than any other text.
ODD = st.text(st.sampled_from("'\"\\!$`^~{}[]()*?#=-%&|;<> \té\x01\x7f\udcff"), max_size=6)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"))


@given(st.lists(ODD | TEXT, max_size=4))
@settings(max_examples=examples(30), deadline=None)
def test_any_argument_arrives_through_every_login_shell(words: list[str]) -> None:
    """Whatever a reason or a name holds, the program gets exactly that."""
    command = host_program.call("echobot", "n1", "act", words, how=How.UNPRIVILEGED)
    echo = b'#!/bin/sh\nfor one; do printf "<%s>" "$one"; done\n'
    meant = "\n" + "".join(f"<{word}>" for word in ["n1", "act", *words])
    for shell in LOGIN_SHELLS:
        if shutil.which(shell) is None:
            continue
        argv = [shell, *(["sh"] if shell == "busybox" else []), "-c", command]
        done = subprocess.run(argv, capture_output=True, check=False, input=echo)
        assert (shell, done.stdout.decode("utf-8", "surrogateescape")) == (shell, meant)


@given(st.lists(ODD | TEXT, max_size=4), st.booleans())
@settings(max_examples=examples(100), deadline=None)
def test_what_is_sent_holds_nothing_that_login_shells_take_for_theirs(
    words: list[str],
    with_password: bool,  # noqa: FBT001
) -> None:
    """No backslash (fish before 3.2), no exclamation mark (tcsh), and nothing but ASCII."""
    for how in How:
        command = host_program.call("echobot", "n1", "act", words, how, Rights(with_password))
        assert not set(command) & set("\\!\n\t")
        assert command.isascii()
        assert command.isprintable()


def test_what_the_login_shell_prints_first_hides_no_record(stage: Path) -> None:
    """A line of its own without an end (``printf hello`` in .bashrc) is over before ours."""
    put(stage / "bin/id", "#!/bin/sh\necho 0\n")
    for command, stdin in (
        (host_program.call("echobot", "n1", "observe"), b""),
        (host_program.call("echobot", "n1", "version", how=How.SENT), host_program.PROGRAM),
        (host_program.call("echobot", "n1", "version", how=How.UNPRIVILEGED), host_program.PROGRAM),
        (host_program.call("echobot", "n1", "install", how=How.INSTALLING), b"something else"),
    ):
        _, out, _ = run(f"printf hello; {command}", ["bash"], stdin)
        assert [sorted(record) for record in parse("n1", out)][-1] == ["final", "rc"]
        assert len(parse("n1", out)) == 2


def test_a_beginning_that_somebody_swallowed_is_told(stage: Path) -> None:
    """sudo-rs 0.2.5 reads more than its password: what is left of the program is not run."""
    put(stage / "bin/id", "#!/bin/sh\necho 1000\n")
    put(stage / "bin/sudo", "#!/bin/sh\n" + SWALLOW)
    for command in (
        host_program.call(
            "echobot", "n1", "version", how=How.SENT, rights=Rights(with_password=True)
        ),
        host_program.call(
            "echobot", "n1", "install", how=How.INSTALLING, rights=Rights(with_password=True)
        ),
    ):
        rc, out, _ = run(command, stdin=b"pass word\n" + host_program.PROGRAM)
        assert (rc, parse("n1", out)[0]["fault"]) == (3, "input")


def test_a_program_that_is_not_there_is_told(stage: Path) -> None:
    """The fault is a record of its own, with a final one behind it."""
    del stage
    rc, out, _ = run(host_program.call("echobot", "n1", "observe"))
    first, last = parse("n1", out)
    assert (rc, first["fault"], last) == (3, "missing", {"final": True, "rc": 3})


def test_sudo_that_refuses_is_told_in_its_own_words(stage: Path) -> None:
    """What sudo says is in the message, whatever characters it has."""
    put(Path(host_program.path("echobot")), ECHO)
    put(stage / "bin/id", "#!/bin/sh\necho 1000\n")
    put(
        stage / "bin/sudo",
        '#!/bin/sh\necho "sudo: a \\"password\\" is required \\\\" >&2\nexit 1\n',
    )
    rc, out, _ = run(host_program.call("echobot", "n1", "observe"))
    first, last = parse("n1", out)
    assert (rc, first["fault"], last["final"]) == (3, "sudo", True)
    assert "password" in first["message"]


def test_a_host_without_sudo_is_told(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sudo is the same fault as a sudo that refuses."""
    put(Path(host_program.path("echobot")), ECHO)
    put(stage / "bin/id", "#!/bin/sh\necho 1000\n")
    for tool in ("tr", "tail", "sh"):
        (stage / "bin" / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", str(stage / "bin"))
    _, out, _ = run(host_program.call("echobot", "n1", "observe"), ["/bin/sh"])
    assert parse("n1", out)[0]["fault"] == "sudo"


#: Stands for sudo-rs 0.2.5: it asks for a password, and takes a buffer full of what it is sent.
SWALLOW = """
case "$*" in *-S*) ;; *) exit 1 ;; esac
head -c 1024 >/dev/null
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""

#: Stands for sudo: -k -n succeeds or not, -S reads one line. The rest is the command.
SUDO = """#!/bin/sh
ask=no
while :; do case $1 in
-n) shift ;;
-k) shift ;;
-S) ask=yes; shift ;;
-p) shift 2 ;;
--) shift; break ;;
esac; done
if [ "$ask" = yes ]; then
for try in 1 2 3; do
read -r given || { echo "sudo: $((try - 1)) incorrect password attempt" >&2; exit 1; }
[ "$given" != "pass word" ] || break
[ "$try" != 3 ] || { echo "sudo: 3 incorrect password attempts" >&2; exit 1; }
echo "Sorry, try again." >&2
done
elif [ "$NEEDS_PASSWORD" = yes ]; then echo "sudo: a password is required" >&2; exit 1; fi
exec "$@"
"""


@pytest.mark.parametrize("needs", ["yes", "no"])
def test_the_password_never_reaches_the_program(
    needs: str, stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sudo's password is the first line of the input, also where sudo does not ask for it."""
    monkeypatch.setenv("NEEDS_PASSWORD", needs)
    put(Path(host_program.path("echobot")), "#!/bin/sh\ncat\n")
    put(stage / "bin/id", "#!/bin/sh\necho 1000\n")
    put(stage / "bin/sudo", SUDO)
    command = host_program.call("echobot", "n1", "stage", rights=Rights(with_password=True))
    rc, out, _ = run(command, stdin=b"pass word\nfirst\nsecond")
    assert (rc, out) == (0, "\nfirst\nsecond")
    assert "pass word" not in command


@pytest.mark.parametrize("kind", ["call", "ephemeral", "install"])
def test_wrong_password_is_told_at_once(
    kind: str, stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sudo does not wait for another one while the input stays open, nor takes data for one."""
    monkeypatch.setenv("NEEDS_PASSWORD", "yes")
    put(Path(host_program.path("echobot")), "#!/bin/sh\ncat\n")
    put(stage / "bin/id", "#!/bin/sh\necho 1000\n")
    put(stage / "bin/sudo", SUDO)
    command = {
        "call": host_program.call("echobot", "n1", "enter", rights=Rights(with_password=True)),
        "ephemeral": host_program.call(
            "echobot", "n1", "check", how=How.SENT, rights=Rights(with_password=True)
        ),
        "install": host_program.call(
            "echobot", "n1", "install", how=How.INSTALLING, rights=Rights(with_password=True)
        ),
    }[kind]
    with subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"guess\npass word\n")
        process.stdin.flush()
        told = process.stdout.read().decode()
        process.stdin.close()
    assert parse("n1", told) == [
        {
            "fault": "sudo",
            "message": "Sorry, try again. sudo: 1 incorrect password attempt",
        },
        {"final": True, "rc": 3},
    ]


def test_program_that_ends_first_does_not_wait_for_input(
    stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where sudo was given a password, the end of the program is the end, with its own code."""
    monkeypatch.setenv("NEEDS_PASSWORD", "yes")
    put(Path(host_program.path("echobot")), '#!/bin/sh\n[ "$2" != enter ] || exit 4\n')
    put(stage / "bin/id", "#!/bin/sh\necho 1000\n")
    put(stage / "bin/sudo", SUDO)
    command = host_program.call("echobot", "n1", "enter", rights=Rights(with_password=True))
    with subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"pass word\n")
        process.stdin.flush()
        assert process.stdout.read() == b"\n"
        assert process.wait() == 4
        process.stdin.close()


def test_the_programs_own_fault_is_not_taken_for_sudos(stage: Path) -> None:
    """Exit codes of the program pass through, and so does what it says."""
    put(Path(host_program.path("echobot")), "#!/bin/sh\necho told; echo said >&2; exit 4\n")
    put(stage / "bin/id", "#!/bin/sh\necho 1000\n")
    put(stage / "bin/sudo", SUDO)
    assert run(host_program.call("echobot", "n1", "enter")) == (4, "\ntold\n", "said")


def test_an_ephemeral_run_leaves_nothing(stage: Path) -> None:
    """The program over standard input runs under the bot's name and tells records."""
    put(stage / "bin/id", "#!/bin/sh\necho 0\n")
    command = host_program.call("echobot", "n1", "version", how=How.SENT)
    rc, out, said = run(command, stdin=host_program.PROGRAM)
    assert (rc, said) == (0, "")
    assert parse("n1", out) == [{"version": True}, {"final": True, "rc": 0}]
    assert sorted(path.name for path in stage.iterdir()) == ["bin"]


def test_installing_checks_what_arrived(stage: Path) -> None:
    """A program that is cut short, or another one, is not put in place."""
    put(stage / "bin/id", "#!/bin/sh\necho 0\n")
    put(stage / "bin/chown", "#!/bin/sh\n")
    command = host_program.call("echobot", "n1", "install", how=How.INSTALLING)
    for wrong in (b"", host_program.PROGRAM[:-1], host_program.PROGRAM + b"\n"):
        rc, out, _ = run(command, stdin=wrong)
        assert (rc, parse("n1", out)[0]["fault"]) == (3, "input")
        assert list(Path(host_program.path("echobot")).parent.iterdir()) == []
    rc, out, _ = run(command, stdin=host_program.PROGRAM)
    assert parse("n1", out)[0] == {"installed": host_program.path("echobot")}
    assert Path(host_program.path("echobot")).read_bytes() == host_program.PROGRAM


# --- pieces of the program -----------------------------------------------------------------------


def piece(script: str, *arguments: str, root: Path = Path("/")) -> str:
    """Run some shell with the program's functions known, and a host's folders below ``root``."""
    text = host_program.PROGRAM.decode()
    ground = text[: text.index("# main: hand the arguments")]
    for base in ("/opt", "/var/lib", "/run/botdeploy/$BOT"):
        ground = ground.replace(f"={base}\n", f"={root / base[1:]}\n")
    with tempfile.TemporaryDirectory() as folder:  # one argument of a command is at most 128 KiB
        place = Path(folder) / "echobot"
        place.write_text(ground + script)
        done = subprocess.run(
            ["sh", place, "n1", "act", *arguments], capture_output=True, check=False
        )
    return done.stdout.decode(errors="surrogateescape")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
@settings(max_examples=examples(60), deadline=None)
def test_any_text_becomes_a_json_string(text: str) -> None:
    """What is quoted reads back the same, with control characters as spaces."""
    out = piece('quote "$3"; printf %s "$json"', text)
    meant = "".join(" " if ord(char) < 32 or ord(char) == 127 else char for char in text)
    assert json.loads(out) == meant


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("20261122T210500Z-3f9c2ab1", True),
        ("R1", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        (".", False),
        ("..", False),
        (".hidden", False),
        ("-rf", False),
        ("a/b", False),
        ("a b", False),
        ("a..b", False),
        ("a\nb", False),
        ("$(id)", False),
        ("é", False),
    ],
)
def test_an_identifier_never_leaves_its_folder(text: str, is_good: bool) -> None:  # noqa: FBT001
    """Only plain names get into paths."""
    assert piece('is_id "$3" && printf good', text) == ("good" if is_good else "")


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        *(("0", True), ("10", True), ("010", False), ("", False), ("-1", False), ("1e3", False)),
        *(("9" * 15, True), ("9" * 16, False), ("1 2", False), ("0x1", False)),
    ],
)
def test_a_number_is_one_for_the_shell_too(text: str, is_good: bool) -> None:  # noqa: FBT001
    """No octal, no sign, nothing that arithmetic would read otherwise."""
    assert piece('is_number "$3" && printf good', text) == ("good" if is_good else "")


def test_a_state_file_gives_its_last_value(tmp_path: Path) -> None:
    """A key that was written again has its last value; others are not mixed up with it."""
    (tmp_path / "f").write_text("key=one\nkeys=two\nkey=th=ree\nlast=cut short")
    script = 'for k in key keys last none; do get "$3" "$k"; printf "[%s]" "$got"; done'
    assert piece(script, str(tmp_path / "f")) == "[th=ree][two][cut short][]"


#: What a terminal takes for itself: CSI, also in one character, OSC, DCS, other escapes, controls.
ESCAPES = st.one_of(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["\x1b[", "\x9b"]),
        st.text("0123456789:;<=>?", max_size=5),
        st.sampled_from("mKJHhlABCD~@"),
    ),
    st.builds(
        "\x1b]{}{}".format, st.text("08;:/.ab x", max_size=8), st.sampled_from(["\x07", "\x1b\\"])
    ),
    st.builds("\x1bP{}\x1b\\".format, st.text("0;q#x", max_size=5)),
    st.sampled_from(["\x1b(B", "\x1bc", "\x1b=", "\x1b7", "\x07", "\x0f", "\r", "\x7f", "\x08"]),
)


@given(st.lists(ESCAPES, min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=examples(60), deadline=None)
def test_a_sign_is_found_whatever_a_terminal_would_do_with_it(
    escapes: list[str], draw: random.Random
) -> None:
    """Escapes anywhere in a line, and characters beside ASCII, leave the text that was written."""
    text = list("[INFO] bereit é漢 in 129 ms")
    for escape in escapes:
        text.insert(draw.randrange(len(text) + 1), escape)
    line = f"[ 12.000000] bot[77]: {''.join(text)}\n-- cursor: s=1\n"
    out = piece(
        'since="" old_pids="" dropped=0 InactiveEnterTimestampMonotonic=0 line=$3;'
        " SIGN_READ=$(mktemp) wanted='^\\[INFO\\] bereit é漢 in [0-9]+ ms$';"
        ' journalctl() { printf %s "$line"; };'
        ' has_sign && printf found; rm "$SIGN_READ"',
        line,
    )
    assert out == "found"


def test_the_documented_list_of_directives_is_the_programs() -> None:
    """docs/security.md names exactly the directives that a unit may hold."""
    text = host_program.PROGRAM.decode()
    body = text[text.index("FREE=") : text.index("# No prefix")]
    free = set(body.split('"')[1].split())
    service = body[body.index("check_service() {") : body.index("must_be_one_of() {")]
    cases = re.findall(r"^\t([A-Z][A-Za-z |]+)\)", service, re.MULTILINE)
    checked = {name.strip() for case in cases for name in case.split("|")}
    page = (Path(__file__).parents[2] / "docs/security.md").read_text()
    listed = page[page.index("## What a unit may contain") : page.index("Not in the list")]
    documented = set(re.findall(r"`([A-Z][A-Za-z]+)`", listed))
    assert documented - {"BOT"} == free | checked | {"Wants", "Requires", "WantedBy"}


def test_what_failed_after_its_pass_takes_no_place_of_a_proven_release(tmp_path: Path) -> None:
    """Its mark stays, but keep counts what may be returned to; the refused one goes."""
    home, state = tmp_path / "opt/echobot", tmp_path / "var/lib/botdeploy/echobot"
    releases = home / "releases"
    for folder in ("proven", "quarantine", "evidence", "approved"):
        (state / folder).mkdir(parents=True)
    names = ["R1", "R2", "R3", "R4", "R5", "R6"]
    for order, name in enumerate(names, 1):
        (releases / name / ".botdeploy").mkdir(parents=True)
        (releases / name / ".botdeploy/digest").write_text(f"d{name} 1\n")
        (state / "proven" / name).write_text(f"{order}\n")
    (home / "current").symlink_to("releases/R6")
    for name in ("R3", "R4", "R5"):
        (state / "quarantine" / f"d{name}").write_text("errors came late\n")
    out = piece(
        'running=R6; prune 1; printf %s "$pruned"; is_proven R3 || printf " R3 refused";'
        ' is_return_target R2 && printf " R2 good"',
        root=tmp_path,
    )
    # R6 runs, R2 is the one more that keep asks for; of the refused the two newest stay.
    assert out == "R3 R1 R3 refused R2 good"


@pytest.mark.parametrize(("seconds", "code"), [(1, "124"), (0, "125")])
def test_a_probe_that_took_too_long_is_told_from_one_that_could_not_be_run(
    seconds: int, code: str, tmp_path: Path
) -> None:
    """The timeout of uutils ends with 125 for both, where GNU's has 124 for the first."""
    (tmp_path / "timeout").write_text(f"#!/bin/sh\nsleep {seconds}\nexit 125\n")
    (tmp_path / "timeout").chmod(0o755)
    (tmp_path / "current").mkdir()
    out = piece(
        "PATH=$3:$PATH CURRENT=$3/current user=$(id -un) client='' wanted=x limit=1;"
        ' read_uptime; begun=$now_cs; ask_bot; printf %s "$code"',
        str(tmp_path),
    )
    assert out == code
