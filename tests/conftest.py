"""What all tests share."""

import os

from hypothesis import HealthCheck, settings

from tests.effort import examples

pytest_plugins = ["tests.lab.plugin", "tests.spread"]

# A busy machine is no fault of the code; in CI a run must be the same each time.
settings.register_profile(
    "project",
    deadline=None,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("project")
