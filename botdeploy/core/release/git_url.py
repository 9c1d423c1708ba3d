"""Git URLs: which sources name a repository elsewhere, by git's own rule."""

from __future__ import annotations


def is_git_address(text: str) -> bool:
    """Tell whether git would go elsewhere for it: a colon stands before any slash.

    So do ``https://…``, ``user@host:path``, ``alias:path`` (an alias of ssh's, or ``insteadOf``)
    and ``[2001:db8::1]:path`` (git's connect.c, ``url_is_local_not_ssh``). A folder with a colon in
    its name is written ``./a:b``.
    """
    before, colon, behind = text.partition(":")
    return bool(colon and before and behind) and "/" not in before and before[0] != "-"
