"""The question of a probe: put to a bot on its host, answered with what it said."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from botdeploy.core.model.bot import ProbeKind
from botdeploy.core.probes.probe import Answer
from botdeploy.core.text.untrusted import LATEST_US, real, told, whole
from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.faults import parsing

if TYPE_CHECKING:
    from botdeploy.core.model.bot import Probe

COMMAND_S = 10
"""Seconds that a command may take."""
URL_S = 5
"""Seconds that a URL may take to answer."""
_MARGIN_S = 10.0


class ProbeActs(Subject):
    """Asks a bot on its host."""

    def ask(self, probe: Probe) -> Answer:
        """Ask once; may take 20 s. Changes nothing, may be repeated.

        Raises HostError where the question could not be put: no connection, no bot's user, nothing
        that asks URLs. What the bot did with it is in the answer, however bad.
        """
        limit = COMMAND_S if probe.kind is ProbeKind.COMMAND else URL_S
        reply = self._caller.call(
            "probe",
            probe.kind.value,
            limit,
            stdin=probe.value.encode(),
            timeout_s=limit + _MARGIN_S,
        )
        record = reply.get("probe")
        with parsing(self._host, "probe"):
            return Answer(
                at_us=whole(record["at_us"], most=LATEST_US),
                body=base64.b64decode(record["body"], validate=True),
                took_ms=1000.0 * real(record["took_s"]),
                code=whole(record["code"], most=1 << 31),
                status=whole(record["status"], most=1 << 31),
                said=base64.b64decode(record["said"], validate=True).decode("utf-8", "replace"),
                invocation=told(record["invocation"]),
                up_s=real(record["up_s"]),
            )
