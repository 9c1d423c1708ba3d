"""Trees of hosts: each host gets the files of its own source, each source is read once."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Bot
from botdeploy.core.model.inventory import Host, Inventory
from botdeploy.core.model.policy import Policy, Ring
from botdeploy.errors import SourceError, UserError
from botdeploy.sources import host_trees
from botdeploy.sources.build import Build, build
from botdeploy.sources.host_trees import hosts_alike, read_trees
from botdeploy.sources.read import read

if TYPE_CHECKING:
    from pathlib import Path

    from botdeploy.sources.tree import SourceTree

NOW = datetime(2026, 11, 22, 21, 5, tzinfo=UTC)
BOT = Bot("echobot", "./bot", "/x")
RING = Ring("all", "all", env={"A": "1"})
KINDS = ("amd64", "arm64", "riscv64")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of builds for three kinds of machine, which have a file in common."""
    place = tmp_path_factory.mktemp("dist")
    for kind in KINDS:
        (place / kind).mkdir()
        (place / kind / "bot").write_text(f"machine code of {kind}")
        (place / kind / "messages.txt").write_text("hello")
        (place / kind / f"only-{kind}").write_text("x")
    return place


def inventory(hosts: dict[str, Bot]) -> Inventory:
    """Make an inventory of these hosts."""
    made = tuple(Host(name, Address(name, name), bot) for name, bot in hosts.items())
    return Inventory("prod", "/none/x.yml", made, Policy((RING,)))


def kinds_of(dist: Path, hosts: dict[str, str]) -> Inventory:
    """Make an inventory whose hosts are of these kinds."""
    return inventory({name: replace(BOT, source=str(dist / kind)) for name, kind in hosts.items()})


def made(of: Inventory) -> Build:
    """Read and build."""
    return build(of, read_trees(of, os.environ), now=NOW, who="ada", environ={})


def names_in(package: bytes) -> set[str]:
    """List the files of a package."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(package))) as tar:
        return {member.name for member in tar if member.isreg()}


ASSIGNMENTS = st.dictionaries(
    st.from_regex(r"h[0-9]", fullmatch=True), st.sampled_from(KINDS), min_size=1
)


@given(ASSIGNMENTS, st.data())
def test_each_host_gets_its_own_files_and_the_release_is_one(
    dist: Path, hosts: dict[str, str], data: st.DataObject
) -> None:
    """Whatever hosts are of whatever kind, in whatever order they stand in the inventory."""
    of = kinds_of(dist, hosts)
    it = made(of)
    for host in of.hosts:
        kind = hosts[host.name]
        own = {"bot", "messages.txt", f"only-{kind}"}
        assert set(it.manifest(host).files()) == own
        assert names_in(it.delta(host, None)) == own
        assert it.files(host)["sums"][0].decode() == it.manifest(host).sums
        assert it.files(host)["digest"][0].split()[0].decode() == it.release.digest
        for other in of.hosts:
            is_alike = hosts[other.name] == kind
            assert (it.tree_digest(host) == it.tree_digest(other)) is is_alike
            changed = {"bot", f"only-{kind}"} if not is_alike else set()
            assert names_in(it.delta(host, it.manifest(other))) == changed
    again = dict(data.draw(st.permutations(list(hosts.items()))))
    assert made(kinds_of(dist, again)).release.digest == it.release.digest


@given(ASSIGNMENTS, st.sampled_from(KINDS), st.data())
def test_a_host_of_another_kind_makes_another_release(
    dist: Path, hosts: dict[str, str], kind: str, data: st.DataObject
) -> None:
    """Else a host that got the wrong files would keep them, and the mended release be refused."""
    name = data.draw(st.sampled_from(sorted(hosts)))
    before = made(kinds_of(dist, hosts)).release.digest
    after = made(kinds_of(dist, {**hosts, name: kind})).release.digest
    assert (before == after) is (hosts[name] == kind)


def test_a_source_is_read_once_for_all_hosts_that_agree_in_it(
    dist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred hosts of two kinds cost two readings."""
    asked: list[str] = []

    def counted(source: str, *given: Any, **options: Any) -> SourceTree:
        asked.append(source)
        return read(source, *given, **options)

    monkeypatch.setattr(host_trees, "read", counted)
    of = kinds_of(dist, {f"h{number}": KINDS[number % 2] for number in range(100)})
    trees = read_trees(of, os.environ)
    assert asked == [str(dist / "amd64"), str(dist / "arm64")]
    assert [len(kind.hosts) for kind in trees.kinds] == [50, 50]
    assert trees.kinds[1].source == f"folder {dist / 'arm64'}"


def test_what_a_host_leaves_out_is_left_out_there_only(dist: Path) -> None:
    """``exclude`` is each host's own, as are its shared paths and its build."""
    source = str(dist / "amd64")
    of = inventory(
        {
            "h1": replace(BOT, source=source),
            "h2": replace(BOT, source=source, exclude=("messages.txt",)),
            "h3": replace(BOT, source=source, exclude=("messages.txt",), shared=("messages.txt",)),
            "h4": replace(BOT, source=source, build=("true",)),
        }
    )
    it = made(of)
    files = [set(it.manifest(host).files()) for host in of.hosts]
    assert [("messages.txt" in one) for one in files] == [True, False, False, True]
    assert len({it.tree_digest(host) for host in of.hosts}) == 4
    assert [set(it.tree_files(host)) - {"sums", "tree"} for host in of.hosts] == [
        set(),
        set(),
        {"shared"},
        {"build"},
    ]


def test_equal_files_of_different_sources_are_one_release_as_ever(
    dist: Path, tmp_path: Path
) -> None:
    """The digest is of content: of one source, or of two that hold the same."""
    (tmp_path / "copy").mkdir()
    for file in (dist / "amd64").iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    one = kinds_of(dist, {"h1": "amd64", "h2": "amd64"})
    two = inventory(
        {
            "h1": replace(BOT, source=str(dist / "amd64")),
            "h2": replace(BOT, source=str(tmp_path / "copy")),
        }
    )
    assert made(one).release.digest == made(two).release.digest
    assert set(hosts_alike(one).values()) == {()}
    assert hosts_alike(two) == {"h1": ("h1",), "h2": ("h2",)}


def test_a_source_that_can_not_be_read_is_told_with_its_hosts(dist: Path) -> None:
    """Where there is one source for all there is nothing to tell apart."""
    of = kinds_of(dist, {"h1": "amd64", "h2": "gone", "h3": "gone"})
    with pytest.raises(SourceError, match=f"^h2, h3: {dist}/gone: no such file"):
        read_trees(of, os.environ)
    with pytest.raises(SourceError, match=f"^{dist}/gone: no such file"):
        read_trees(kinds_of(dist, {"h2": "gone", "h3": "gone"}), os.environ)


def test_shared_data_that_one_kind_holds_is_told_with_a_host_of_it(dist: Path) -> None:
    """The check is made with each host's own tree."""
    of = inventory(
        {
            "h1": replace(BOT, source=str(dist / "amd64"), shared=("only-arm64",)),
            "h2": replace(BOT, source=str(dist / "arm64"), shared=("only-arm64",)),
        }
    )
    with pytest.raises(SourceError, match=r"^h2: shared: the source holds 'only-arm64'"):
        made(of)


def test_one_source_can_not_stand_for_several(dist: Path) -> None:
    """``--source`` with kinds would put one machine's program on all of them."""
    of = kinds_of(dist, {"h1": "amd64", "h2": "arm64"})
    with pytest.raises(UserError, match=r"--source names one source.*/amd64 \(h1\)") as caught:
        read_trees(of, os.environ, source=str(dist / "amd64"))
    assert "Nothing was changed" in str(caught.value)
    same = kinds_of(dist, {"h1": "amd64", "h2": "amd64"})
    trees = read_trees(same, os.environ, source=str(dist / "arm64"))
    assert "only-arm64" in trees.of(same.hosts[0])
