"""Trees: a digest that a host makes with its own tools, and who has which one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host
from botdeploy.core.release.manifest import FileState, Manifest
from botdeploy.core.release.tree_digest import (
    build_text,
    content_digest,
    holders_of,
    shared_text,
    tree_digest,
    tree_held,
    tree_holders,
)

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = Manifest.of({"bot.py": FileState("a" * 64, 0o644)}, ["lib"])
BOT = Bot("echobot", "python3 bot.py", "/src")


def host(name: str, instance: str | None = None) -> Host:
    """Give a host, or an instance on a machine."""
    return Host(name, Address(name, name), BOT, instance=instance)


def test_a_host_can_make_the_digest_of_a_tree(tmp_path: Path) -> None:
    """With the line that stands beside it, of the files as they are sent."""
    shared, build = ("b", "a"), ("make", "make install")
    for name, text in (
        ("sums", MANIFEST.sums),
        ("tree", MANIFEST.tree),
        ("shared", shared_text(shared)),
        ("build", build_text(build)),
    ):
        (tmp_path / name).write_text(text)
    line = "{ echo 'botdeploy tree 1'; sha256sum sums tree shared build; } | sha256sum"
    assert line in (tree_digest.__doc__ or "")
    found = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, check=True)
    assert found.stdout.decode() == f"{tree_digest(MANIFEST, shared, build)}  -\n"


def test_a_content_is_a_tree_without_its_mount_points() -> None:
    """Files, modes, folders and build: what two environments have in common."""
    other = Manifest.of({"bot.py": FileState("a" * 64, 0o755)}, ["lib"])
    made = [content_digest(MANIFEST), content_digest(other), content_digest(MANIFEST, ["make"])]
    assert len(set(made)) == 3
    assert content_digest(Manifest(MANIFEST.sums, MANIFEST.tree, 0, 9)) == made[0]


def test_what_the_digest_of_a_tree_depends_on() -> None:
    """Files, modes, folders, mount points and build; not the order of mount points."""
    other = Manifest.of({"bot.py": FileState("a" * 64, 0o755)}, ["lib"])
    made = [
        tree_digest(MANIFEST),
        tree_digest(other),
        tree_digest(MANIFEST, ["data"]),
        tree_digest(MANIFEST, ["data", "log"]),
        tree_digest(MANIFEST, (), ["data"]),
        tree_digest(MANIFEST, (), ["a", "b"]),
        tree_digest(MANIFEST, (), ["b", "a"]),
    ]
    assert len(set(made)) == len(made)
    assert tree_digest(MANIFEST, ["log", "data"]) == tree_digest(MANIFEST, ["data", "log"])


def test_the_digest_of_a_tree_stays_the_same_from_version_to_version() -> None:
    """It names a folder on hosts, so its making may not drift unnoticed."""
    pinned = "ecadd67f7590e1c2ed451ac4f42def02965febd2996a49f4273f7718088c2e99"
    assert tree_digest(MANIFEST, ["data"], ["make"]) == pinned


def test_instances_that_have_the_same_count_as_one() -> None:
    """So that one more of them makes no other release; where they differ each counts."""
    hosts = [host("h1"), host("w1/a", "a"), host("w1/b", "b"), host("w2/a", "a"), host("w2/b", "b")]
    digests = {"h1": "X", "w1/a": "X", "w1/b": "X", "w2/a": "X", "w2/b": "Y"}
    holders = tree_holders(hosts, digests)
    assert holders == {"X": ["h1", "w1/*", "w2/a"], "Y": ["w2/b"]}
    assert [tree_held(one, holders) for one in hosts] == ["X", "X", "X", "X", "Y"]
    assert tree_held(host("w1/c", "c"), holders) == "X"
    assert tree_held(host("w2/c", "c"), holders) is None
    assert tree_held(host("w1"), holders) is None


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,3}(/[a-z])?", fullmatch=True), st.sampled_from("XYZ"))
)
def test_who_has_which_tree_can_be_told_back(digests: dict[str, str]) -> None:
    """Each host is found by what is written down of all, in whatever order they stand."""
    hosts = [host(name, name.partition("/")[2] or None) for name in digests]
    holders = tree_holders(hosts, digests)
    assert holders_of(holders) == holders
    assert {one.name: tree_held(one, holders) for one in hosts} == digests
    assert tree_holders(hosts[::-1], digests) == holders


@pytest.mark.parametrize("value", [None, "x", [], {"a": "b"}, {"a": {"b": 1}}])
def test_what_is_no_such_record_is_a_value_error(value: object) -> None:
    """A host may say anything."""
    with pytest.raises(ValueError, match="which host has which tree"):
        holders_of(value)
