"""What a host's releases keep secret, as the readers of its journal tell it: for masks only."""

from __future__ import annotations

import base64
import io
import tarfile
import zlib
from pathlib import PurePosixPath

from botdeploy.core.release.environment_file import variables
from botdeploy.core.text.token_patterns import STARS

_MOST_BYTES = 32 * 1024 * 1024


def secret_values(packed: object) -> set[str]:
    """Give the values of all secrets in a packed tar of releases' environments and credentials.

    In an environment they are what its ``shown`` form has stars for. What can't be read holds
    nothing to hide: an environment that is damaged is no bot's.
    """
    files = _unpacked(packed)
    values = set()
    for path, text in files.items():
        if path.parent.name == "credentials":
            values.add(text.removesuffix("\n"))
        elif path.name == "environment":
            shown = variables(files.get(path.with_name("shown"), ""))
            values |= {
                value for name, value in variables(text).items() if STARS in shown.get(name, "")
            }
    return values


def _unpacked(packed: object) -> dict[PurePosixPath, str]:
    try:
        packed_tar = base64.b64decode(str(packed), validate=True)
        content = zlib.decompressobj(wbits=31).decompress(packed_tar, _MOST_BYTES)
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            return {
                PurePosixPath(member.name): file.read().decode("utf-8", "replace")
                for member in tar
                if member.isreg()
                and member.size <= len(content)  # a sparse one may claim any size
                and (file := tar.extractfile(member)) is not None
            }
    except (ValueError, OSError, EOFError, zlib.error, tarfile.TarError):
        return {}
