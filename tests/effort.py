"""How much the tests that draw their examples shall try: BOTDEPLOY_EFFORT, 1 by default.

``make unit`` asks for a tenth, to answer at once; ``make test`` for all of it.
"""

import os

EFFORT = float(os.environ.get("BOTDEPLOY_EFFORT", "1"))
LEAST = 5


def examples(count: int) -> int:
    """Give how many examples stand for ``count`` at this effort."""
    return max(min(LEAST, count), round(count * EFFORT))
