"""What a host tells of its secrets: the reader of its journal hides exactly those."""

from __future__ import annotations

import base64
import gzip
import io
import tarfile
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.text.token_patterns import STARS
from botdeploy.hosts.host_secrets import secret_values
from botdeploy.sources.systemd_quoting import quote_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME = "/opt/echobot/releases"


def packed(files: Mapping[str, str]) -> str:
    """Pack files as the program on a host does: whole paths, gzip, base64."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{HOME}/{path}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return base64.b64encode(gzip.compress(out.getvalue())).decode()


def environment(values: Mapping[str, str]) -> str:
    """Write an environment file as the template does."""
    head = "# Written by botdeploy; it's not for a shell.\n"
    return head + "".join(f"{name}={quote_environment(text)}\n" for name, text in values.items())


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t")))
def test_a_value_comes_back_as_it_was(value: str) -> None:
    """Quotes, blanks, backslashes and lines in it are its own, not the file's."""
    files = {
        "R1/.botdeploy/environment": environment({"LEVEL": "info", "TOKEN": value}),
        "R1/.botdeploy/shown": environment({"LEVEL": "info", "TOKEN": STARS}),
    }
    assert secret_values(packed(files)) == {value}


def test_every_release_counts() -> None:
    """The release before has the token from before, and its bot may still print it."""
    files = {
        "R1/.botdeploy/environment": environment({"TOKEN": "old"}),
        "R1/.botdeploy/shown": environment({"TOKEN": STARS}),
        "R2/.botdeploy/environment": environment({"LEVEL": "info"}),
        "R2/.botdeploy/shown": environment({"LEVEL": "info"}),
        "R2/.botdeploy/credentials/TOKEN": "new\n",
    }
    assert secret_values(packed(files)) == {"old", "new"}


def test_what_cannot_be_read_hides_nothing_and_ends_nothing() -> None:
    """A release of another program, half a file or no tar at all is no reason to stop."""
    broken = {
        "R1/.botdeploy/environment": "TOKEN='half",
        "R1/.botdeploy/shown": environment({"TOKEN": STARS}),
        "R0/.botdeploy/environment": environment({"TOKEN": "without shown"}),
    }
    assert secret_values(packed(broken)) == set()
    assert secret_values("no base64!") == set()
    assert secret_values(base64.b64encode(b"no gzip").decode()) == set()
    assert secret_values(None) == set()
