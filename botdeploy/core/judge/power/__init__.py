"""What a soak can find, computed from the judge's own rules and the traffic there is."""

from botdeploy.core.judge.power.forecast import Power, power_of

__all__ = ["Power", "power_of"]
