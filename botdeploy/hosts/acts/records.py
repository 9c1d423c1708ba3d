"""Records: what a program on a host says, read line by line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botdeploy.core.text.printable import visible
from botdeploy.core.text.untrusted import object_of, told
from botdeploy.errors import OutcomeUnknown
from botdeploy.hosts.acts.faults import NoAnswer, raise_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from botdeploy.core.text.secret_mask import Mask
    from botdeploy.hosts.process.program import Completed

Record = dict[str, Any]

MOST_SAID = 900
"""Bytes of a text that an act takes down."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one call brought: records, and lines that are none, in order."""

    items: tuple[Record | bytes, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """Give the records, without the final one."""
        return tuple(one for one in self.items if isinstance(one, dict))

    def get(self, key: str) -> Any:
        """Give the value of the first record that has ``key``, or None."""
        return next((record[key] for record in self.records if key in record), None)


class RecordReader:
    """Reads the records of one call out of all that its program prints.

    ``nonce`` marks the call's records; ``user`` logged in; ``mask`` learns the secrets that
    a record names.
    """

    def __init__(self, host: str, act: str, nonce: str, user: str, mask: Mask) -> None:
        self._host, self._act, self._user, self._mask = host, act, user, mask
        self.nonce = nonce
        self._mark = f"@@{nonce} ".encode()
        self._last_line = b""
        self._has_record = False
        self._is_damaged = False
        self.is_complete = False
        """Whether the final record came, and told of success."""

    def items(self, lines: Iterable[bytes]) -> Iterator[Record | bytes]:
        """Give each record, and each line that is none, up to the final record.

        Raises the fault that a record tells. May be called again with further lines.
        """
        for line in lines:
            if not line.startswith(self._mark):
                self._last_line = line if line.strip() else self._last_line
                yield line
                continue
            try:
                record = object_of(line[len(self._mark) :])
            except ValueError:
                self._is_damaged = True
                continue
            if record.get("final"):
                self.is_complete = not record.get("rc")  # else its fault was not readable
                return
            if "fault" in record:
                raise_fault(self._host, self._act, record)
            self._has_record = True
            if "hidden" in record:
                from botdeploy.hosts.host_secrets import secret_values

                self._mask.learn(secret_values(record["hidden"]))
            else:
                yield record

    def reply(self, done: Completed) -> Reply:
        """Read all of a program's output; raises OutcomeUnknown without its final record."""
        items = tuple(self.items(done.stdout.split(b"\n")))
        if not self.is_complete:
            error = self.unfinished(done.stderr, done.unknown_because, done.exit_status)
            raise NoAnswer(error.host, error.message) if done.is_late else error
        return Reply(items)

    def unfinished(
        self, stderr: bytes, because: str = "", exit_status: int | None = None
    ) -> OutcomeUnknown:
        """Give the error of a program whose final record did not come."""
        why = "the connection ended before the host said how it went"
        if because:
            why = f"the host did not say how it went: {because}"
        elif exit_status is not None:
            why = f"the program ended with {exit_status} before it said how it went"
        if self._is_damaged:
            why = "the host's answer can't be read"
        return OutcomeUnknown(self._host, f"{self._act}: {why}{self._last_words(stderr)}")

    def no_answer(self, stderr: bytes) -> NoAnswer:
        """Give the error of a program that says nothing for too long."""
        why = f"the host did not answer in time{self._last_words(stderr)}"
        return NoAnswer(self._host, f"{self._act}: {why}")

    def _last_words(self, stderr: bytes) -> str:
        """Quote the last line of what came in place of an answer, and who logged in.

        A forced command, or a login shell that runs nothing, says on standard output why.
        """
        stdout = b"" if self._is_damaged or self._has_record else self._last_line
        texts = [
            one.decode("utf-8", "replace").strip().splitlines()[-1:] for one in (stdout, stderr)
        ]
        last = "; ".join(dict.fromkeys(told(text[0], 300) for text in texts if text))
        if not last:
            return ""
        return f" ({f'as {self._user}: ' if self._user else ''}{last})"


def plain(record: Record) -> Record:
    """Give a record of texts, each on one line; numbers and truths stay."""
    return {
        told(name): value if isinstance(value, bool | int | float | None) else told(value)
        for name, value in record.items()
    }


def one_line(text: str) -> str:
    """Make any text fit for an argument that must be one line."""
    return " ".join(visible(text).split()).encode()[:MOST_SAID].decode("utf-8", "ignore")
