"""Reading a source: finds out what kind it is and gives its tree."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from botdeploy.errors import SourceError
from botdeploy.sources.folder import read_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.sources.tree import Tree


def read(source: str, *, ref: str | None = None, exclude: Sequence[str] = ()) -> Tree:
    """Read a folder, git repository, archive or wheel into a tree; runs nothing that it holds.

    With ``ref``, ``source`` is a git URL or a folder of a repository, and the tree is that
    commit's content. Without, a folder is taken as it stands on disk. ``exclude`` are patterns
    as in .gitignore. Raises SourceError, with the path, for what cannot be released.
    """
    place = Path(source).expanduser()
    try:
        status = place.stat()
    except OSError as error:
        raise SourceError(f"{source}: {(error.strerror or str(error)).lower()}") from error
    if stat.S_ISDIR(status.st_mode):
        return read_folder(place.resolve(), f"folder {source}", None, exclude)
    raise SourceError(f"{source} is neither a folder nor an archive")
