"""Releases: manifests that real tools agree with, digests and deltas."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.model.bot import Readiness, ReadyKind, SecretsBy
from botdeploy.core.release.manifest import (
    FileState,
    Manifest,
    Recipe,
    delta,
    digest,
    is_plain_path,
    parse_manifest,
)

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\\u2028\u2029"),
    min_size=1,
    max_size=12,
).filter(lambda name: name not in {".", "..", "-"} and len(name.encode()) <= 255)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
HASHES = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
STATES = st.builds(FileState, HASHES, st.sampled_from([0o644, 0o755]))
MANIFESTS = st.builds(
    Manifest.of,
    st.dictionaries(PATHS, STATES, max_size=6),
    st.sets(PATHS.map(lambda path: f"dir/{path}"), max_size=3),
    st.dictionaries(PATHS.map(lambda path: f"link/{path}"), NAMES, max_size=3),
)
MANIFEST = Manifest.of({"bot.py": FileState("a" * 64, 0o644)}, ["data"])


def recipe(**changes: object) -> Recipe:
    """Make a recipe that differs from the plain one only by ``changes``."""
    values: dict[str, object] = {"command": "python3 bot.py", "unit": "U", "environment": "E"}
    return Recipe(**(values | changes))  # type: ignore[arg-type]


# --- manifest -----------------------------------------------------------------------------------


def test_real_find_and_sha256sum_agree_with_a_manifest(tmp_path: Path) -> None:
    """A manifest is byte for byte what the host's own tools print on the unpacked tree."""
    contents = {
        "b.py": b"b",
        "a b.txt": b"",
        "a/z": b"zz",
        "a-b": b"sorts between a and a/",
        "ünï/日本": b"x" * 5000,
        "-rf": b"looks like an option",
        " leading": b"1",
        "trailing ": b"2",
        "*star": b"3",
        "$HOME": b"4",
    }
    for path, content in contents.items():
        place = tmp_path / path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        place.chmod(0o755 if path == "b.py" else 0o644)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link to").symlink_to("a/z")
    for folder in ("a", "ünï", "empty"):
        (tmp_path / folder).chmod(0o755)
    manifest = Manifest.of(
        {
            path: FileState(hashlib.sha256(content).hexdigest(), 0o755 if path == "b.py" else 0o644)
            for path, content in contents.items()
        },
        ["a", "ünï", "empty"],
        {"link to": "a/z"},
    )
    found = subprocess.run(
        ["sh", "-c", "find . -mindepth 1 -printf '%y %m %P %l\\n' | LC_ALL=C sort"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert found.stdout.decode() == manifest.tree
    checked = subprocess.run(
        ["sha256sum", "-c", "--quiet", "--strict"],
        input=manifest.sums.encode(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    names = subprocess.run(
        ["cut", "-c", "67-"],
        input=manifest.sums.encode(),
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    assert names.stdout.decode().split("\n")[:-1] == sorted(contents, key=str.encode)


@given(MANIFESTS)
def test_a_manifest_survives_the_wire(manifest: Manifest) -> None:
    """What parse_manifest reads is what was written, file by file."""
    parsed = parse_manifest(manifest.text)
    assert (parsed.sums, parsed.tree) == (manifest.sums, manifest.tree)
    assert parsed.files() == manifest.files()
    assert parsed.file_count == manifest.file_count


@given(st.dictionaries(PATHS, STATES, max_size=8))
def test_files_of_a_manifest_are_those_it_was_made_of(files: dict[str, FileState]) -> None:
    """Paths with blanks and any script come back as they were given."""
    assert Manifest.of(files).files() == files


SUM = "a" * 64


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no empty line"),
        ("garbage", "no empty line"),
        (f"{SUM}  a\n", "no empty line"),
        (f"{SUM}  a\n\nf 644 a ", "cut off"),
        (f"{SUM} a\n\nf 644 a \n", "sums line 1"),
        (f"{SUM[1:]}  a\n\nf 644 a \n", "sums line 1"),
        (f"{SUM.upper()}  a\n\nf 644 a \n", "sums line 1"),
        (f"{SUM}  ../a\n\nf 644 ../a \n", "no release can hold"),
        (f"{SUM}  /etc/passwd\n\nf 644 /etc/passwd \n", "no release can hold"),
        (f"{SUM}  a//b\n\nf 644 a//b \n", "no release can hold"),
        (f"{SUM}  a\x1b[0m\n\nf 644 a\x1b[0m \n", "no release can hold"),
        (f"{SUM}  a\n{SUM}  a\n\nf 644 a \n", "no release can hold"),
        (f"{SUM}  a\n\n", "different files"),
        (f"{SUM}  a\n\nf 644 b \n", "different files"),
        (f"{SUM}  a\n\nf 644 a \nf 755 a \n", "twice"),
        (f"{SUM}  a\n\nf 4755 a \n", "tree line 1"),
        (f"{SUM}  a\n\nb 644 a \n", "tree line 1"),
        (f"{SUM}  a\n\nf 644 a\n", "tree line 1"),
        (f"{SUM}  a\n\nf 644 a \n\nf 644 a \n", "tree line 2"),
    ],
)
def test_a_damaged_manifest_is_refused(text: str, why: str) -> None:
    """A host's text that no release could have written is a ValueError that names the line."""
    with pytest.raises(ValueError, match=why):
        parse_manifest(text)


@given(st.text())
def test_any_text_is_a_manifest_or_a_value_error(text: str) -> None:
    """No text makes the parser fail in another way or gives a path outside the release."""
    try:
        manifest = parse_manifest(text)
    except ValueError:
        return
    assert all(is_plain_path(path) for path in manifest.files())


# --- delta --------------------------------------------------------------------------------------


def test_without_a_base_every_file_is_sent() -> None:
    """A host that has nothing gets everything."""
    assert delta(MANIFEST, None) == {"bot.py"}


def test_a_file_whose_mode_alone_changed_is_sent() -> None:
    """The host would copy it from its base with the old mode."""
    base = Manifest.of({"a": FileState("1" * 64, 0o644), "b": FileState("2" * 64, 0o644)})
    new = Manifest.of({"a": FileState("1" * 64, 0o755), "b": FileState("2" * 64, 0o644)})
    assert delta(new, base) == {"a"}


def test_a_file_that_moved_is_sent() -> None:
    """Copies go by path and hash, so equal content under another path does not count."""
    base = Manifest.of({"a": FileState("1" * 64, 0o644)})
    new = Manifest.of({"b": FileState("1" * 64, 0o644)})
    assert delta(new, base) == {"b"}


@given(st.dictionaries(PATHS, STATES, max_size=8), st.dictionaries(PATHS, STATES, max_size=8))
def test_base_and_delta_give_the_release(
    new: dict[str, FileState], old: dict[str, FileState]
) -> None:
    """Copying what base and release share and sending the delta leaves exactly the release."""
    manifest, base = Manifest.of(new), parse_manifest(Manifest.of(old).text)
    shared_rows = set(manifest.sums.splitlines()) & set(base.sums.splitlines())
    copied = {row[66:]: old[row[66:]] for row in shared_rows}
    sent = {path: new[path] for path in delta(manifest, base)}
    assert copied | sent == new


# --- digest and id ------------------------------------------------------------------------------

CHANGES: list[dict[str, object]] = [
    {"command": "python3 other.py"},
    {"unit": "other"},
    {"environment": "other"},
    {"build": ("make",)},
    {"build": ("a", "b")},
    {"build": ("b", "a")},
    {"build": ("a b",)},
    {"shared": ("data",)},
    {"ready": Readiness(ReadyKind.PATTERN, "READY")},
    {"ready": Readiness(timeout=timedelta(seconds=31))},
    {"secrets": {"TOKEN": "env:TOKEN"}},
    {"secrets": {"TOKEN": "env:OTHER"}},
    {"secrets_by": SecretsBy.CREDENTIAL},
]


def test_every_part_of_a_release_makes_another_digest() -> None:
    """Two releases that differ in anything a host gets never have the same digest."""
    other = Manifest.of({"bot.py": FileState("a" * 64, 0o755)}, ["data"])
    made = [digest(MANIFEST, [recipe(**change)]) for change in CHANGES]
    made += [
        digest(MANIFEST, [recipe()]),
        digest(other, [recipe()]),
        digest(MANIFEST, []),
        digest(MANIFEST, [recipe(), recipe(unit="other")]),
        digest(MANIFEST, [recipe()], {"beta": {"A": "1"}}),
        digest(MANIFEST, [recipe()], {"canary": {"A": "1"}}),
    ]
    assert len(set(made)) == len(made)
    assert all(len(one) == 64 for one in made)


def test_a_digest_does_not_depend_on_what_has_no_order() -> None:
    """Order of hosts, shared paths, secrets and rings, or one more host alike, changes nothing."""
    one = recipe(shared=("a", "b"), secrets={"A": "env:A", "B": "env:B"})
    two = recipe(shared=("b", "a"), secrets={"B": "env:B", "A": "env:A"})
    other = recipe(unit="other")
    rings = {"beta": {"A": "1", "B": "2"}, "fleet": {}}
    again = {"beta": {"B": "2", "A": "1"}}
    assert digest(MANIFEST, [one, other], rings) == digest(MANIFEST, [other, two, one], again)


def test_a_digest_stays_the_same_from_version_to_version() -> None:
    """Hosts remember digests (quarantine, what runs), so their making may not drift unnoticed."""
    assert (
        digest(MANIFEST, [recipe()])
        == hashlib.sha256(
            b"botdeploy release 1\n"
            b'{"recipes":["{\\"build\\":[],\\"command\\":\\"python3 bot.py\\",'
            b'\\"environment\\":\\"E\\",\\"ready\\":[\\"active\\",\\"\\",30.0],\\"secrets\\":[],'
            b'\\"secrets_by\\":\\"environment\\",\\"shared\\":[],\\"unit\\":\\"U\\"}"],"rings":{},'
            b'"sums":"' + b"a" * 64 + b'  bot.py\\n","tree":"d 755 data \\nf 644 bot.py \\n"}'
        ).hexdigest()
    )
