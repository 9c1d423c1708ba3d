"""What a soak can find, computed from the judge's rules and the traffic."""

from botdeploy.core.judge.power.forecast import Power, power_of

__all__ = ["Power", "power_of"]
