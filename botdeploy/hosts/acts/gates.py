"""What people decide of a rollout: hold, resume, approve."""

from __future__ import annotations

from botdeploy.hosts.acts.call import Subject
from botdeploy.hosts.acts.records import one_line


class GateActs(Subject):
    """Records on a host what a person decided."""

    def record(self, act: str, who: str, why: str, release: str = "", ring: str = "") -> None:
        """Record ``hold``, ``resume``, or ``approve`` for a release at a ring."""
        about = [release, ring] if act == "approve" else []
        self._caller.call("gate", act, one_line(who), one_line(why), *about)
