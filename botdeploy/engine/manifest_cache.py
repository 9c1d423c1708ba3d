"""A cache of manifests by digest: what a host's release consists of need not be asked twice."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from botdeploy.core.release.manifest import parse_manifest
from botdeploy.user_dirs import cache_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.core.release.manifest import Manifest

_DIGEST = re.compile(r"[0-9a-f]{64}")
MOST_KEPT = 50


class ManifestCache:
    """Manifests in memory and, where the user has a cache folder, on disk.

    Losing it costs one round trip; a damaged entry is ignored, for the host verifies every file.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Use the user's cache folder; none under cron is fine too."""
        cache = cache_folder(environ)
        self._folder = cache / "manifests" if cache else None
        self._memory: dict[str, Manifest] = {}

    def get(self, digest: str, alike: Sequence[str] = ()) -> Manifest | None:
        """Find the manifest of a release, or None; ``alike`` are the hosts of one kind.

        Where all hosts were alike when it was released, it is that of every kind.
        """
        return self._get(digest) or (self._get(_key(digest, alike)) if alike else None)

    def _get(self, digest: str) -> Manifest | None:
        if digest in self._memory:
            return self._memory[digest]
        if self._folder is None or not _DIGEST.fullmatch(digest):
            return None
        try:
            manifest = parse_manifest((self._folder / digest).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        self._memory[digest] = manifest
        return manifest

    def keep(self, digest: str, manifest: Manifest, alike: Sequence[str] = ()) -> None:
        """Remember the manifest of a release on hosts that are ``alike``, or on all.

        Failing to write it down is no fault.
        """
        digest = _key(digest, alike)
        self._memory[digest] = manifest
        if self._folder is None or not _DIGEST.fullmatch(digest):
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / digest, manifest.text, 0o600)
            old = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for path in old[:-MOST_KEPT]:
                path.unlink(missing_ok=True)
        except OSError:
            return


def _key(digest: str, alike: Sequence[str]) -> str:
    """Name an entry: a release's digest alone stands for the files of all kinds of hosts."""
    if not alike:
        return digest
    return hashlib.sha256("\n".join([digest, *sorted(alike)]).encode()).hexdigest()
