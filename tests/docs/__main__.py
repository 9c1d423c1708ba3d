"""Make docs/inventory.md's tables anew: ``make docs``."""

from __future__ import annotations

from tests.docs.reference import PAGE, page_with_keys

if __name__ == "__main__":
    PAGE.write_text(page_with_keys(PAGE.read_text("utf-8")), "utf-8")
