"""Sources of every kind: what is read, and what is refused with which words."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import yaml

from botdeploy.core.text.secret_mask import Mask
from botdeploy.errors import ExitCode, SourceError
from botdeploy.sources import archive, folder, tree
from botdeploy.sources.read import read
from botdeploy.sources.secrets import read_secret
from botdeploy.sources.tree import File, Folder, SourceTree, Symlink

if TYPE_CHECKING:
    from collections.abc import Callable


def folder_of(place: Path, files: dict[str, str]) -> Path:
    """Write a folder of text files."""
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    return place


def tar_of(place: Path, *members: tarfile.TarInfo | tuple[str, bytes], mode: str = "w:gz") -> Path:
    """Write a tar with exactly these members, whatever they say."""
    with tarfile.open(place, mode) as tar:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member, io.BytesIO(b"x" * member.size))
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return place


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Make a tar member of any type."""
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member


def zip_of(place: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    """Write a zip with exactly these entries."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as made:
        for entry, content in entries:
            made.writestr(entry, content)
    return place


def zip_entry(name: str, mode: int) -> zipfile.ZipInfo:
    """Make a zip entry with Unix file type and mode."""
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = mode << 16
    return entry


# --- what is read -------------------------------------------------------------------------------


def test_a_folder_is_read_with_modes_links_and_empty_folders(tmp_path: Path) -> None:
    """Modes are normalised by the owner's x bit; empty folders and links inside are kept."""
    source = folder_of(tmp_path, {"pkg/bot.py": "print()", "run.sh": "exit"})
    (source / "run.sh").chmod(0o700)
    (source / "pkg/bot.py").chmod(0o664)
    (source / "empty").mkdir()
    (source / "entry").symlink_to("pkg/bot.py")
    (source / "pkg/up").symlink_to("../run.sh")
    (source / "later").symlink_to("made-by-the-build")
    made = read(str(source), os.environ)
    assert list(made) == ["empty", "entry", "later", "pkg", "pkg/bot.py", "pkg/up", "run.sh"]
    bot, run = made["pkg/bot.py"], made["run.sh"]
    assert isinstance(bot, File)
    assert isinstance(run, File)
    assert (bot.mode, run.mode) == (0o644, 0o755)
    assert (bot.size, bot.read()) == (7, b"print()")
    assert made["empty"] == made["pkg"] == Folder()
    assert made["pkg/up"] == Symlink("../run.sh")


def test_a_tree_is_sorted_by_bytes(tmp_path: Path) -> None:
    """The order is that of LC_ALL=C, in which "a-b" stands between "a" and "a/b"."""
    source = folder_of(
        tmp_path, {"a/b": "", "a-b": "", "B": "", "ä": "", "z": "", "𐐀": "", "ﬀ": ""}
    )
    paths = list(read(str(source), os.environ))
    assert paths == sorted(paths, key=str.encode)
    assert paths[:4] == ["B", "a", "a-b", "a/b"]


def test_what_no_bot_needs_is_left_out(tmp_path: Path) -> None:
    """Defaults, the source's own file and the inventory's patterns add up; the last one wins."""
    source = folder_of(
        tmp_path,
        {
            ".git/config": "",
            "pkg/__pycache__/bot.pyc": "",
            "pkg/.venv/bin/python": "",
            "pkg/bot.py": "",
            "node_modules/x/index.js": "",
            "data/big.bin": "",
            "docs/a.md": "",
            "docs/keep.md": "",
            "old.pyc": "",
            ".botdeployignore": "# what stays at home\n/data/\ndocs/*\n",
        },
    )
    made = read(str(source), os.environ, exclude=["!docs/keep.md", "!old.pyc"])
    assert [path for path, entry in made.items() if isinstance(entry, File)] == [
        "docs/keep.md",
        "node_modules/x/index.js",
        "old.pyc",
        "pkg/bot.py",
    ]


def test_a_folder_through_a_link_is_that_folder(tmp_path: Path) -> None:
    """A source may be named by a link; its content is what counts."""
    folder_of(tmp_path / "real", {"bot.py": ""})
    (tmp_path / "link").symlink_to("real")
    assert list(read(str(tmp_path / "link"), os.environ)) == ["bot.py"]


def test_a_private_file_is_pointed_out(tmp_path: Path) -> None:
    """A person is told before a secret becomes readable for all users of a host."""
    source = folder_of(tmp_path, {"bot.py": "1", "key.txt": "secret"})
    (source / "key.txt").chmod(0o600)
    (note,) = read(str(source), os.environ).notes
    assert note.startswith("key.txt is private here")
    assert read(str(source), os.environ, exclude=["key.txt"]).notes == ()


SECRETS = [
    *(".env", ".env.production", ".env.local", "conf/.env", ".envrc", ".netrc", ".pypirc"),
    *(".ssh/id_ed25519", "deploy/id_rsa", ".git-credentials", ".pgpass", ".aws/credentials"),
]
NO_SECRETS = [".env.example", "conf/.env.sample", ".environment", "env", "my.env", "id_rsa.pub"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("path", SECRETS)
def test_what_usually_holds_secrets_is_not_released_unasked(
    tmp_path: Path, path: str, mode: int
) -> None:
    """One note says so, and how the bot gets what it needs of it."""
    source = folder_of(tmp_path, {"bot.py": "1", path: "x"})
    (source / path).chmod(mode)
    made = read(str(source), os.environ)
    assert list(made.files()) == ["bot.py"]
    (note,) = made.notes
    assert "not released" in note
    assert "bot.secrets" in note
    assert "bot.exclude: [" in note


@pytest.mark.parametrize("path", NO_SECRETS)
def test_examples_and_public_keys_are_released(tmp_path: Path, path: str) -> None:
    """What has no secrets by its name is a file as all others."""
    made = read(str(folder_of(tmp_path, {"bot.py": "1", path: "x"})), os.environ)
    assert path in made
    assert made.notes == ()


def test_the_note_names_a_dotenv_s_variables_and_no_values(tmp_path: Path) -> None:
    """The line for the inventory can be copied; it reads the file where it is."""
    text = "# mine\nDISCORD_TOKEN=hunter2\nexport DB_URL = x\n\nDISCORD_TOKEN=again\n"
    source = folder_of(tmp_path, {"bot.py": "1", ".env": text})
    (note,) = read(str(source), os.environ).notes
    assert "(DISCORD_TOKEN, DB_URL)" in note
    assert f"DISCORD_TOKEN: 'command:. {source}/.env; printf %s \"$DISCORD_TOKEN\"'" in note
    assert "hunter2" not in note


@pytest.mark.parametrize("name", ["API_KEY", "SECRET", "DB_PASSWORD", "DISCORD_TOKEN"])
@pytest.mark.parametrize("folder_name", ["bot", "my bot", "ann's bot"])
def test_the_line_for_the_inventory_can_be_copied(
    tmp_path: Path, name: str, folder_name: str
) -> None:
    """Whatever the folder and the variable are called, and as the terminal shows it."""
    source = folder_of(tmp_path / folder_name, {"bot.py": "1", ".env": f"{name}=hunter2\n"})
    (note,) = read(str(source), os.environ).notes
    shown = Mask()(note)
    line = shown[shown.index(f"{name}: '") :].split(". To release")[0]
    (reference,) = yaml.safe_load(line).values()
    assert read_secret(name, reference, tmp_path, {}).reveal() == "hunter2"


@pytest.mark.parametrize("way", ["exclude", "file"])
def test_a_dotenv_that_is_asked_for_is_released(tmp_path: Path, way: str) -> None:
    """By a pattern that takes it back; that every user can read it is said."""
    source = folder_of(tmp_path, {"bot.py": "1", ".env": "A=1"})
    if way == "file":
        (source / ".botdeployignore").write_text("!.env\n", encoding="utf-8")
    (source / ".env").chmod(0o600)
    made = read(str(source), os.environ, exclude=["!.env"] if way == "exclude" else [])
    assert ".env" in made
    assert made.notes == (".env was asked for: every user of the hosts will be able to read it",)


def test_secrets_in_an_archive_are_left_out_as_well(tmp_path: Path) -> None:
    """Also where the archive has no entry for the folder that they are in."""
    with zipfile.ZipFile(tmp_path / "bot.zip", "w") as archive:
        for name in ("bot.py", "home/.aws/credentials", "home/readme"):
            archive.writestr(name, "x")
    made = read(str(tmp_path / "bot.zip"), os.environ)
    assert sorted(made.files()) == ["bot.py", "home/readme"]
    (note,) = made.notes
    assert note.startswith("home/.aws/credentials is not released")


def test_a_dotenv_that_is_excluded_is_not_worth_a_word(tmp_path: Path) -> None:
    """Who excluded it has decided already."""
    source = folder_of(tmp_path, {"bot.py": "1", ".env": "A=1"})
    assert read(str(source), os.environ, exclude=[".env"]).notes == ()


def test_links_out_of_a_virtual_environment_are_refused_with_the_way_to_do_it(
    tmp_path: Path,
) -> None:
    """It is left out by name, and made anew on each host."""
    source = folder_of(tmp_path, {"bot.py": "1", "venv/pyvenv.cfg": "home = /usr/bin"})
    (source / "venv/bin").mkdir()
    (source / "venv/bin/python").symlink_to("/usr/bin/python3")
    with pytest.raises(SourceError) as caught:
        read(str(source), os.environ)
    assert "bot.exclude: [venv/]" in str(caught.value)
    assert "bot.build" in str(caught.value)
    assert "python3 -m venv venv" in str(caught.value)
    assert list(read(str(source), os.environ, exclude=["venv/"])) == ["bot.py"]


@pytest.mark.parametrize("target", ["/etc/hosts", "../other"])
def test_a_link_out_of_the_source_is_refused_with_the_way_to_do_it(
    tmp_path: Path, target: str
) -> None:
    """The path is named as ``exclude`` takes it."""
    source = folder_of(tmp_path, {"bot.py": "1", "conf/x": ""})
    (source / "conf/l").symlink_to(target if target[0] == "/" else f"../{target}")
    with pytest.raises(SourceError, match=r"bot\.exclude: \[conf/l\].*bot\.build"):
        read(str(source), os.environ)
    assert read(str(source), os.environ, exclude=["conf/l"])


FILES = {"bot.py": "print('hi')", "pkg/run.sh": "#!/bin/sh", "pkg/ünï.txt": "x" * 3000}


@pytest.fixture
def same(tmp_path: Path) -> Path:
    """Give a folder that every kind of archive is made of."""
    source = folder_of(tmp_path / "same", FILES)
    (source / "pkg/run.sh").chmod(0o755)
    (source / "empty").mkdir()
    (source / "pkg/link").symlink_to("../bot.py")
    return source


@pytest.mark.parametrize(
    "command",
    [
        "tar -cf {out} .",
        "tar -czf {out} .",
        "tar -cJf {out} *",
        "tar -cjf {out} *",
        "tar --format=pax -czf {out} .",
        "tar --format=v7 -cf {out} bot.py pkg empty",
        "zip -q -r -y {out}.zip . && mv {out}.zip {out}",
    ],
)
def test_every_archive_gives_the_tree_of_its_folder(
    same: Path, tmp_path: Path, command: str
) -> None:
    """The same manifest comes out of a folder and of each archive of it, whatever its name."""
    out = tmp_path / "archive"
    subprocess.run(["sh", "-c", command.format(out=out)], cwd=same, check=True)
    made, there = read(str(out), os.environ), read(str(same), os.environ)
    assert made.manifest == there.manifest
    for path, file in there.files().items():
        assert made.files()[path].read() == file.read()


def test_a_hard_link_in_an_archive_is_a_file_of_its_own(tmp_path: Path) -> None:
    """A tar holds the second name of a file as a hard link; both become files."""
    source = folder_of(tmp_path / "source", {"a": "same"})
    os.link(source / "a", source / "b")
    subprocess.run(["tar", "-cf", tmp_path / "x.tar", "a", "b"], cwd=source, check=True)
    made = read(str(tmp_path / "x.tar"), os.environ)
    assert {path: file.read() for path, file in made.files().items()} == {
        "a": b"same",
        "b": b"same",
    }


def test_patterns_leave_out_parts_of_an_archive(same: Path, tmp_path: Path) -> None:
    """Only the inventory's patterns count for an archive: it was packed on purpose."""
    (same / ".venv").mkdir()
    (same / ".venv/x").write_text("")
    subprocess.run(["tar", "-cf", tmp_path / "x.tar", "."], cwd=same, check=True)
    paths = set(read(str(tmp_path / "x.tar"), os.environ, exclude=["pkg/"]))
    assert paths == {".venv", ".venv/x", "bot.py", "empty"}


def test_a_wheel_is_checked_against_its_record(tmp_path: Path) -> None:
    """A wheel is unpacked as files when each of them is what RECORD says."""
    record = (
        "bot/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
        "bot-1.dist-info/RECORD,,\n"
    )
    good = zip_of(
        tmp_path / "bot-1-py3-none-any.whl",
        ("bot/__init__.py", b""),
        ("bot-1.dist-info/RECORD", record.encode()),
    )
    made = read(str(good), os.environ)
    assert "bot/__init__.py" in made
    assert made.describe == "wheel bot-1-py3-none-any.whl"
    bad = zip_of(
        tmp_path / "bad-1-py3-none-any.whl",
        ("bot/__init__.py", b"import os"),
        ("bot-1.dist-info/RECORD", record.encode()),
    )
    with pytest.raises(SourceError, match="not what the wheel's RECORD says"):
        read(str(bad), os.environ)
    more = zip_of(
        tmp_path / "more-1-py3-none-any.whl",
        ("bot/__init__.py", b""),
        ("bot/more.py", b""),
        ("bot-1.dist-info/RECORD", record.encode()),
    )
    with pytest.raises(SourceError, match=r"bot/more\.py is not in the wheel's RECORD"):
        read(str(more), os.environ)


# --- what is refused ----------------------------------------------------------------------------


def make_socket(place: Path) -> None:
    """Leave a Unix socket on disk, under a path short enough for one."""
    here = Path.cwd()
    os.chdir(place)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("sock")
    finally:
        os.chdir(here)


def links_of(place: Path, **links: str) -> None:
    """Write links, name to target."""
    for name, target in links.items():
        (place / name).symlink_to(target)


BAD_FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda place: place.rmdir(), "no such file or directory"),
    "empty": (lambda _: None, "holds no files"),
    "only folders": (lambda place: (place / "a/b").mkdir(parents=True), "holds no files"),
    "all excluded": (lambda place: folder_of(place, {".git/x": ""}), "holds no files"),
    "socket": (make_socket, "sock is a socket"),
    "fifo": (lambda place: os.mkfifo(place / "pipe"), "pipe is a named pipe"),
    "absolute link": (lambda place: links_of(place, l="/etc"), "l is a link out of the"),
    "link upwards": (lambda place: links_of(place, l="../x"), "l is a link out of the"),
    "link to the source's own name": (
        lambda place: links_of(place, l=f"../{place.name}/x"),
        "l is a link out of the",
    ),
    "link out by another link": (
        lambda place: links_of(
            folder_of(place, {"a/b/x": ""}), **{"a/b/top": "../..", "l": "a/b/top/../x"}
        ),
        "l is a link out of the",
    ),
    "links in a circle": (lambda place: links_of(place, l="m", m="l"), "is a link in a circle"),
    "newline": (lambda place: (place / "a\nb").touch(), r"'a\\nb' has a name with a line end"),
    "backslash": (lambda place: (place / "a\\b").touch(), "has a name with a line end, a backsl"),
    "escape": (lambda place: (place / "a\x1b[2J").touch(), "has a name with a line end"),
    "not UTF-8": (
        lambda place: Path(os.fsdecode(os.fsencode(place) + b"/\xff")).touch(),
        "has a name that is not UTF-8",
    ),
    "reserved": (lambda place: folder_of(place, {".botdeploy/x": ""}), "reserved for botdeploy"),
    "a dash": (lambda place: (place / "-").touch(), "for standard input"),
    "link with control": (lambda place: links_of(place, l="a\tb"), "cannot be shown"),
    "ignore file not text": (
        lambda place: (place / ".botdeployignore").write_bytes(b"\xff"),
        "cannot be read: it is not UTF-8",
    ),
    "ignore file without sense": (
        lambda place: (place / ".botdeployignore").write_text("[z-a]"),
        "is not a pattern",
    ),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_bad_folder_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """Each fault is a SourceError that names the path and exits with 2."""
    make, words = BAD_FOLDERS[name]
    place = tmp_path / "source"
    place.mkdir()
    make(place)
    if name not in {"missing", "empty", "only folders", "all excluded"}:
        (place / "bot.py").write_text("")
    with pytest.raises(SourceError, match=words) as caught:
        read(str(place), os.environ)
    assert str(place) in str(caught.value) or name == "ignore file without sense"
    assert caught.value.exit_code == ExitCode.USAGE


LONG = "d" * 300

BAD_ARCHIVES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty file": (lambda place: place.write_bytes(b""), "is no archive"),
    "text": (lambda place: place.write_text("print('hi')\n" * 100), "is no archive"),
    "gzip of text": (
        lambda place: subprocess.run(
            ["gzip", "-c"], input=b"text" * 400, stdout=place.open("wb"), check=True
        ),
        "holds no tar",
    ),
    "empty tar": (tar_of, "holds no tar archive"),
    "up": (lambda place: tar_of(place, ("../evil", b"")), "'../evil' has a path that leaves"),
    "up inside": (lambda place: tar_of(place, ("a/../../b", b"")), "has a path that leaves"),
    "absolute": (lambda place: tar_of(place, ("/etc/cron.d/x", b"")), "has a path that leaves"),
    "hard link out": (
        lambda place: tar_of(place, info("h", tarfile.LNKTYPE, "/etc/passwd")),
        "has a path that leaves",
    ),
    "hard link to nothing": (
        lambda place: tar_of(place, ("a", b""), info("h", tarfile.LNKTYPE, "other")),
        "h is a hard link to other",
    ),
    "link out": (
        lambda place: tar_of(place, ("a", b""), info("l", tarfile.SYMTYPE, "../../etc")),
        "l is a link out of the source",
    ),
    "file through a link": (
        lambda place: tar_of(place, info("l", tarfile.SYMTYPE, "."), ("l/x", b"")),
        "l is a file or link and a folder at once",
    ),
    "device": (lambda place: tar_of(place, info("null", tarfile.CHRTYPE)), "null is a device"),
    "fifo": (lambda place: tar_of(place, info("p", tarfile.FIFOTYPE)), "p is a named pipe"),
    "twice": (lambda place: tar_of(place, ("a", b"1"), ("./a", b"2")), "a is there twice"),
    "file and folder": (
        lambda place: tar_of(place, ("a", b"1"), ("a/b", b"2")),
        "a is a file or link and a folder at once",
    ),
    "reserved": (lambda place: tar_of(place, (".botdeploy/digest", b"")), "reserved"),
    "newline": (lambda place: tar_of(place, ("a\nb", b"")), "has a name with a line end"),
    "long name": (lambda place: tar_of(place, (LONG, b"")), "more than 255 bytes"),
    "not UTF-8": (
        lambda place: tar_of(place, (os.fsdecode(b"\xff"), b"")),
        "has a name that is not UTF-8",
    ),
    "cut off": (
        lambda place: place.write_bytes(
            tar_of(place, ("a", os.urandom(9000))).read_bytes()[:-4000]
        ),
        "damaged",
    ),
    "plain and cut off": (
        lambda place: place.write_bytes(
            tar_of(place, ("a", b"x" * 9000), mode="w").read_bytes()[:5000]
        ),
        "damaged",
    ),
    "broken header": (
        lambda place: place.write_bytes(
            tar_of(place, ("a", b"x" * 512), ("b", b""), mode="w").read_bytes()[:1024]
            + b"rubbish " * 64
            + bytes(1024)
        ),
        "damaged",
    ),
    "zip up": (lambda place: zip_of(place, ("../x", b"")), "has a path that leaves"),
    "zip absolute": (lambda place: zip_of(place, ("/x", b"")), "has a path that leaves"),
    "zip link out": (
        lambda place: zip_of(place, (zip_entry("l", stat.S_IFLNK | 0o777), b"/etc/passwd")),
        "l is a link out of the source",
    ),
    "zip device": (
        lambda place: zip_of(place, (zip_entry("d", stat.S_IFBLK | 0o600), b"")),
        "d is no regular file",
    ),
    "zip backslash": (lambda place: zip_of(place, ("dir\\x.py", b"")), "a backslash"),
    "zip broken": (
        lambda place: place.write_bytes(
            zip_of(place, ("a", b"text" * 999))
            .read_bytes()
            .replace(b"\x4b\x2c", b"\x4b\x2d", 1)[:60]
        ),
        "damaged",
    ),
    "no wheel": (
        lambda place: zip_of(place.with_suffix(".whl"), ("a", b"")),
        "is not a wheel",
    ),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_bad_archive_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """Whatever an archive says, nothing is written outside and the fault is named."""
    make, words = BAD_ARCHIVES[name]
    place = tmp_path / "source.bin"
    make(place)
    if name == "no wheel":
        place = place.with_suffix(".whl")
    with pytest.raises(SourceError, match=words) as caught:
        read(str(place), os.environ)
    assert str(place) in str(caught.value)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    """There is no one to ask for its password."""
    place = zip_of(tmp_path / "x.zip", ("a", b"secret"))
    packed = bytearray(place.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(mark) + flags] |= 1
    place.write_bytes(packed)
    with pytest.raises(SourceError, match="a is encrypted"):
        read(str(place), os.environ)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_bomb_is_refused_before_it_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """An archive that unpacks beyond the bound is refused, whatever packed it."""
    monkeypatch.setattr(tree, "MAX_BYTES", 3_000_000)
    monkeypatch.setattr(archive, "_MAX_TAR_BYTES", 3_100_000)
    place = tar_of(tmp_path / "bomb", ("a", bytes(2_000_000)), ("b", bytes(2_000_000)), mode=mode)
    with pytest.raises(SourceError, match="holds more than"):
        read(str(place), os.environ)


def test_a_zip_bomb_is_refused_by_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound counts what is unpacked and not what the zip says about itself."""
    monkeypatch.setattr(tree, "MAX_BYTES", 3_000_000)
    place = zip_of(tmp_path / "bomb.zip", ("a", bytes(2_000_000)), ("b", bytes(2_000_000)))
    with pytest.raises(SourceError, match="holds more than"):
        read(str(place), os.environ)


def test_a_header_of_gigabytes_is_refused(tmp_path: Path) -> None:
    """A long name is read into memory whole by tarfile, so its size is looked at first."""
    member = info("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    member.size = 2_000_000
    place = tar_of(tmp_path / "x", member, ("a", b""))
    with pytest.raises(SourceError, match="a header of 2000000 bytes"):
        read(str(place), os.environ)


def test_a_file_too_large_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse file of a terabyte costs nobody an hour of hashing."""
    folder_of(tmp_path, {"bot.py": ""})
    with (tmp_path / "disk.img").open("wb") as file:
        file.truncate(1024**4)
    monkeypatch.setattr(folder, "_hash", lambda *_: pytest.fail("it was read"))
    with pytest.raises(SourceError, match="holds more than 2 GiB"):
        read(str(tmp_path), os.environ, exclude=["bot.py"])


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_a_source_nested_deeper_than_python_s_stack_is_read(tmp_path: Path, kind: str) -> None:
    """A depth of 1,100 folders is odd but no fault of botdeploy."""
    deep = "/".join(["d"] * 1100)
    if kind == "tar":
        source = tar_of(tmp_path / "x.tar", (f"{deep}/bot.py", b"1"))
    else:
        source = tmp_path / "deep"
        subprocess.run(
            ["sh", "-c", f"mkdir -p deep/{deep} && cd deep/{deep} && echo >bot.py"],
            cwd=tmp_path,
            check=True,
        )
    assert len(read(str(source), os.environ, exclude=["*.tmp"])) == 1101
    subprocess.run(["rm", "-rf", "deep"], cwd=tmp_path, check=True)


def test_too_many_paths_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound in number keeps hosts from running out of inodes."""
    monkeypatch.setattr(tree, "MAX_PATHS", 5)
    folder_of(tmp_path, {f"f{number}": "" for number in range(6)})
    with pytest.raises(SourceError, match="more than 5 paths"):
        read(str(tmp_path), os.environ)


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release never holds half of an old and half of a new file."""
    place = folder_of(tmp_path, {"bot.py": "a" * 100}) / "bot.py"
    true_read = os.read

    def read_and_change(descriptor: int, size: int) -> bytes:
        content = true_read(descriptor, size)
        if content:
            with place.open("a") as file:
                file.write("more")
            monkeypatch.setattr(folder, "os", os)
        return content

    changed = SimpleNamespace(**{name: getattr(os, name) for name in dir(os)})
    changed.read = read_and_change
    monkeypatch.setattr(folder, "os", changed)
    with pytest.raises(SourceError, match=r"bot\.py changed while it was being read"):
        read(str(tmp_path), os.environ)


def test_a_file_that_goes_away_is_named(tmp_path: Path) -> None:
    """What was there when it was hashed and is gone when it is packed is an error with a path."""
    made = read(str(folder_of(tmp_path, {"bot.py": "1"})), os.environ)
    (tmp_path / "bot.py").unlink()
    with pytest.raises(SourceError, match=r"bot\.py cannot be read: no such file"):
        made.files()["bot.py"].read()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_may_not_be_read_is_named(tmp_path: Path, what: str) -> None:
    """A file or folder without the right to read it is an error, not a gap in the release."""
    source = folder_of(tmp_path / "source", {"bot.py": "", "closed/x": ""})
    closed = source / ("bot.py" if what == "file" else "closed")
    closed.chmod(0)
    program = (
        "import os, sys\n"
        "from botdeploy.errors import SourceError\n"
        "from botdeploy.sources.read import read\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: read(sys.argv[1], os.environ)\n"
        "except SourceError as error: print(error)\n"
    )
    for above in (tmp_path, *tmp_path.parents[:3]):  # a worker's folder lies one deeper
        if above != Path(tempfile.gettempdir()):
            above.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", program, str(source)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    closed.chmod(0o755)
    assert done.stdout == f"{closed} cannot be read: permission denied\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/dev/null", "neither a folder nor a file"),
        ("a\0b", "null"),
        ("ext::sh -c id", "transport 'ext' not allowed"),
        ("ftp://example.org/x.git", "transport 'ftp' not allowed"),
        ("git+svn://example.org/x", "transport 'svn' not allowed"),
    ],
)
def test_a_name_that_is_no_source_is_refused(source: str, words: str) -> None:
    """Devices, odd names and transports that run programs are refused before anything is read."""
    with pytest.raises(SourceError, match=words):
        read(source, os.environ)


def test_a_ref_of_an_archive_is_refused(tmp_path: Path) -> None:
    """Only a repository has commits."""
    with pytest.raises(SourceError, match="no git repository, so it has no v1"):
        read(str(tar_of(tmp_path / "x.tar", ("a", b""))), os.environ, ref="v1")


def test_a_tree_cannot_be_changed(tmp_path: Path) -> None:
    """What was checked stays as it was checked."""
    made = read(str(folder_of(tmp_path, {"bot.py": ""})), os.environ)
    assert isinstance(made, SourceTree)
    with pytest.raises(TypeError):
        made["evil"] = Folder()  # type: ignore[index]
    with pytest.raises(AttributeError):
        made.files()["bot.py"].mode = 0o777  # type: ignore[misc]
