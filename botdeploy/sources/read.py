"""Reading a source: finds out what kind it is and gives its tree."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.core.release.git_url import is_git_address
from botdeploy.errors import SourceError
from botdeploy.sources.archive import read_archive
from botdeploy.sources.folder import read_folder
from botdeploy.sources.git_repo import commit_of, is_bare_repository, read_folder_at, read_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from botdeploy.sources.tree import SourceTree


def read(
    source: str, environ: Mapping[str, str], *, ref: str | None = None, exclude: Sequence[str] = ()
) -> SourceTree:
    """Read a folder, git repository, archive or wheel into a tree; runs nothing that it holds.

    With ``ref``, ``source`` is a git URL or a folder of a repository, and the tree is that
    commit's content. Without, a folder is taken as it stands on disk, and a URL's own branch.
    ``exclude`` are patterns as in .gitignore; git and its cache go by ``environ``. Raises
    SourceError, with the path, for what cannot be released.
    """
    if is_git_address(source):
        return read_url(source, ref, environ, exclude)
    place = Path(os.path.expanduser(source))  # noqa: PTH111 (a uid may have no home)
    try:
        status = place.stat()
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceError(f"{source}: {words.lower()}") from error
    if stat.S_ISDIR(status.st_mode):
        folder = place.resolve()
        if ref is not None or is_bare_repository(folder):
            return read_folder_at(folder, "HEAD" if ref is None else ref, source, environ, exclude)
        base = commit_of(folder, environ)
        over = f", as it stands over commit {base[:12]}" if base else ""
        return read_folder(folder, f"folder {source}{over}", None, exclude)
    if ref is not None:
        raise SourceError(f"{source} is no git repository, so it has no {ref}")
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{source} is neither a folder nor a file")
    return read_archive(place, exclude)
