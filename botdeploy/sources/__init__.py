"""What a release is made from: a folder, a git commit, an archive or a wheel becomes a tree."""

from __future__ import annotations

from botdeploy.sources.read import read
from botdeploy.sources.tree import Entry, File, Folder, SourceTree, Symlink

__all__ = ["Entry", "File", "Folder", "SourceTree", "Symlink", "read"]
