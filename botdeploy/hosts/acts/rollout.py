"""What a host writes down of a rollout: begin and end, verdicts, people's decisions, evidence."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from botdeploy.errors import ActFailed
from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.records import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botdeploy.core.host.host_state import RefusedError

MOST_REFUSED = 950
"""Bytes of an error that a release was refused for, as an argument."""


class RolloutActs(Subject):
    """Has a host write down what belongs to a rollout."""

    def begin(self, rollout: str, release: str, ring: str) -> None:
        """Note the rollout on a host that has the release already."""
        self._locked("begin", rollout, release, ring)

    def end(self, rollout: str, outcome: str, why: str) -> None:
        """Note how the rollout ended."""
        self._locked("end", rollout, outcome, one_line(why))

    def prove(self, release: str, keep: int, rollout: str, why: str = "") -> None:
        """Note that the release passed on this host and why, and prune old ones.

        Raises NotRunning where it does not run now.
        """
        self._locked("prove", release, keep, rollout, one_line(why))

    def condemn(self, digest: str, why: str, refused: Sequence[RefusedError] = ()) -> None:
        """Put a release into this host's quarantine, with the errors that it was refused for."""
        self._locked("condemn", digest, one_line(why), *refused_words(refused))

    def gate(self, act: str, who: str, why: str, release: str = "", ring: str = "") -> None:
        """Record a person's ``hold``, ``resume``, or ``approve`` for a release at a ring."""
        about = [release, ring] if act == "approve" else []
        self._caller.call("gate", act, one_line(who), one_line(why), *about)

    def evidence(self, release: str) -> bytes | None:
        """Read what was kept of the journal for a release; None when nothing was."""
        packed = self._caller.look("evidence", release).get("evidence")
        if not packed:
            return None
        try:
            return base64.b64decode(str(packed), validate=True)
        except ValueError as error:
            raise ActFailed(self._host, "evidence", f"it is damaged: {error}") from error

    def keep(self, release: str, evidence: bytes) -> None:
        """Keep evidence on the host, whole or not at all."""
        self._locked("keep", release, stdin=evidence)


def refused_words(errors: Sequence[RefusedError]) -> list[str]:
    """Write errors as arguments, an object each; one that is too long for that is left out."""
    words = []
    for one in errors:
        about = {"fingerprint": one.fingerprint, "release": one.release, "text": one.text}
        word = json.dumps(about, ensure_ascii=False)
        if len(word.encode()) > MOST_REFUSED:
            word = json.dumps({**about, "text": ""}, ensure_ascii=False)
        if len(word.encode()) <= MOST_REFUSED and "\n" not in word:
            words.append(word)
    return words
