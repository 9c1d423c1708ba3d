"""Which words an act sends: the plain form sends what it sent before there were instances."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import pytest

from botdeploy.core.model.address import Address
from botdeploy.errors import OutcomeUnknown
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller
from botdeploy.hosts.acts.release import TREE_STANDS, Upload, tree_base
from botdeploy.hosts.process.program import Completed

if TYPE_CHECKING:
    from botdeploy.hosts.process.program import HostConnection

CHECKED = b'{"check": {"name": "a", "ok": true, "message": "m", "mend": ""}}'


class Listener:
    """A connection that keeps the words of what it runs."""

    host = "h1"
    words: tuple[str, ...] = ()

    def run(self, command: str, **_: object) -> Completed:
        """Keep the words behind the program's name, and answer any act."""
        found = re.search(r" '([0-9a-f]{16})' (.*)$", command, re.DOTALL)
        assert found is not None, command
        self.words = tuple(re.findall(r"'([^']*)'", found[2]))
        mark = f"@@{found[1]} ".encode()
        return Completed(
            0, b"".join(mark + one + b"\n" for one in (CHECKED, b'{"final": true}')), b""
        )


def acts_over(connection: Listener, instance: str | None) -> Acts:
    """Make the acts of an instance."""
    caller = Caller(
        cast("HostConnection", connection), "echobot", Address("h1", "h1"), instance=instance
    )
    return Acts(caller, "T1")


@pytest.mark.parametrize(
    ("instance", "upload", "words"),
    [
        (None, Upload("R2", None, b"m", b"f", 9, 5), "stage T1 R2 - 1 9 5 r c"),
        (None, Upload("R2", "R1", b"m", b"f", 9, 5), "stage T1 R2 R1 1 9 5 r c"),
        (
            "dev",
            Upload("R2", tree_base("ab"), b"m", b"f", 9, 5, "cd"),
            "stage@dev T1 R2 tree:ab 1 9 5 r c cd",
        ),
        ("dev", Upload("R2", TREE_STANDS, b"m", b"", 9, 5, "cd"), "stage@dev T1 R2 = 1 9 5 r c cd"),
    ],
    ids=["whole", "by a base", "by a tree", "tree stands"],
)
def test_an_instance_names_its_tree(instance: str | None, upload: Upload, words: str) -> None:
    """The plain form has no tree of its own, and names none."""
    connection = Listener()
    acts_over(connection, instance).release.stage(upload, "r", "c")
    # A word that a login shell might read in its own way goes encoded, "=" among them.
    assert connection.words == tuple(words.replace(" = ", " =PQ== ").split())


@pytest.mark.parametrize("more", [(), ("instance",)], ids=["machine", "instance"])
def test_a_machine_is_checked_for_one_of_its_instances(more: tuple[str, ...]) -> None:
    """The others are asked for what is theirs alone."""
    connection = Listener()
    acts_over(connection, "dev").setup.check("bot", "w", of_machine=not more)
    assert connection.words == ("check@dev", "bot", "w", *more)


@pytest.mark.parametrize(("target", "word"), [(None, "-"), ("", "none"), ("R1", "R1")])
def test_a_way_back_is_recorded_or_named_or_leads_to_nothing(target: str | None, word: str) -> None:
    """A host takes "-" for what its last switch wrote down, and "none" for a stop."""
    connection = Listener()
    with pytest.raises(OutcomeUnknown):
        acts_over(connection, None).switch.revert("r", target, "why")
    assert connection.words == ("revert", "T1", "r", word, "why", "-", "person")
