"""The cache of manifests: by release, and by kind where hosts have different files in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.release.manifest import FileState, Manifest
from botdeploy.engine.manifest_cache import ManifestCache

if TYPE_CHECKING:
    from pathlib import Path

AMD64 = Manifest.of({"bot": FileState("a" * 64, 0o755)})
ARM64 = Manifest.of({"bot": FileState("b" * 64, 0o755)})
OLD, NEW = "1" * 64, "2" * 64


def test_each_kind_has_its_own_manifest_of_a_release(tmp_path: Path) -> None:
    """Also for the next command, which has nothing in memory; hosts in any order are one kind."""
    first = ManifestCache({"HOME": str(tmp_path)})
    first.keep(NEW, AMD64, ("h1", "h2"))
    first.keep(NEW, ARM64, ("h3",))
    for cache in (first, ManifestCache({"HOME": str(tmp_path)})):
        amd64, arm64 = cache.get(NEW, ("h2", "h1")), cache.get(NEW, ("h3",))
        assert amd64 is not None
        assert arm64 is not None
        assert (amd64.sums, arm64.sums) == (AMD64.sums, ARM64.sums)
        assert cache.get(NEW) is None
        assert cache.get(NEW, ("h1",)) is None


def test_what_all_hosts_had_is_every_kind_s(tmp_path: Path) -> None:
    """The release before hosts were told apart."""
    cache = ManifestCache({"HOME": str(tmp_path)})
    cache.keep(OLD, AMD64)
    assert cache.get(OLD, ("h1",)) == cache.get(OLD) == AMD64
