"""Ansible itself as an oracle for templates: a program for the Python that has ansible-core.

One JSON line in (``{"variables": …, "text": …}``), one out (``{"value": …}`` or ``{"error": …}``).
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Answer until the input ends."""
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.template import Templar, trust_as_template  # noqa: PLC0415

    for line in sys.stdin:
        asked = json.loads(line)
        templar = Templar(loader=DataLoader(), variables=asked["variables"])
        try:
            told = {"value": templar.template(trust_as_template(asked["text"]))}
            text = json.dumps(told)
        except Exception as error:  # noqa: BLE001
            text = json.dumps({"error": str(error)})
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
