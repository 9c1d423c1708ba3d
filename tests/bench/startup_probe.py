"""Runs one command as ``botdeploy`` does, and writes down what its start was made of.

    python -m tests.bench.startup_probe FILE.json WORDS…

FILE.json gets counts: modules, ours and others'; regular expressions compiled, dataclasses and
pydantic's models made. They do not depend on the machine.
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_made = {"regexes": 0, "dataclasses": 0}


def _count(owner: Any, name: str, what: str) -> None:
    real = getattr(owner, name)

    def counting(*arguments: Any, **options: Any) -> Any:
        _made[what] += 1
        return real(*arguments, **options)

    setattr(owner, name, counting)


def _models() -> int:
    main = sys.modules.get("pydantic.main")
    return sum(1 for _ in _below(main.BaseModel)) if main is not None else 0


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    below: list[type[Any]] = kind.__subclasses__()
    for one in below:
        yield one
        yield from _below(one)


def _tell(file: Path) -> None:
    names = [name for name in sys.modules if not name.startswith("tests")]
    ours = [name for name in names if name.split(".")[0] == "botdeploy"]
    standard = [name for name in names if name.split(".")[0] in sys.stdlib_module_names]
    told = {
        "ours": len(ours),
        "standard": len(standard),
        "others": len(names) - len(ours) - len(standard),
        "models": _models(),
        **_made,
    }
    file.write_text(json.dumps(told))


if __name__ == "__main__":
    _count(re._compiler, "compile", "regexes")  # type: ignore[attr-defined]
    _count(dataclasses, "_process_class", "dataclasses")
    atexit.register(_tell, Path(sys.argv[1]))
    from botdeploy.__main__ import main

    main(sys.argv[2:])
