"""The tables of status, releases, history and check, as a person reads them."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from botdeploy.views import host_tables, tables
from botdeploy.views import status as status_table

if TYPE_CHECKING:
    from rich.console import RenderableType

NEW, OLD = "20261122T210459Z-1111bbbb", "20261101T000000Z-0000aaaa"
HOST: dict[str, Any] = {
    "host": "w1", "ring": "canary", "reachable": True, "current": NEW, "running": NEW,
    "active_state": "active", "restarts": 3, "since": "", "previous": OLD, "lease_until": None,
}  # fmt: skip


def printed(table: RenderableType, width: int = 160) -> list[str]:
    """Print a table; gives its lines, the heading first."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, markup=False).print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def status(**changes: object) -> str:
    """Give the line of one host."""
    _, line = printed(status_table.table({"hosts": [{**HOST, **changes}]}))
    return line


def test_a_host_is_one_line_of_what_truly_runs() -> None:
    """Release, state, restarts and what it would go back to."""
    assert status().split() == ["w1", "canary", NEW, "active", "3", OLD]


def test_a_process_that_is_not_of_the_current_release_is_told() -> None:
    """What runs comes first; what the link names stands beside it."""
    assert status(running=OLD).split()[2:5] == [OLD, "(current:", f"{NEW})"]


def test_a_stopped_bot_runs_nothing() -> None:
    """Nothing runs, in systemd's word for it."""
    assert status(running="", active_state="inactive").split()[2:4] == ["nothing", "inactive"]


def test_a_lease_is_told_with_its_end() -> None:
    """Until it ends the host may go back by itself."""
    assert status(lease_until="soon").endswith("pending, lease until soon")


def test_a_host_without_an_answer_is_in_the_table_too() -> None:
    """It has a line that says so; nothing is said of what runs there."""
    line = status(reachable=False)
    assert line.split()[:2] == ["w1", "canary"]
    assert "reached" in line
    assert NEW not in line


@pytest.mark.parametrize("width", [40, 160])
def test_nothing_is_cut_off_in_a_narrow_window(width: int) -> None:
    """A long cell goes on in the next line."""
    lines = printed(tables.table(("host", "release"), [["w1", NEW * 4]]), width)
    text = "".join(part for line in lines[1:] for part in line.removeprefix("w1").split())
    assert text == NEW * 4


def test_no_cell_moves_the_cursor_or_is_markup() -> None:
    """A host can name its releases as it likes."""
    _, line = printed(tables.table(("host",), [["\x1b[2J[red]x\x07"]]))
    assert not {"\x1b", "\x07"} & set(line)
    assert "[red]x" in line


def test_releases_say_what_each_is() -> None:
    """Marks as words, a quarantine with its reason, a host without an answer with its error."""
    marks = {"running": False, "current": False, "previous": False, "proven": False}
    record = {
        "hosts": [
            {
                "host": "w1",
                "reachable": True,
                "releases": [
                    {"id": NEW, **marks, "quarantined": "9 errors"},
                    {"id": OLD, **marks, "running": True, "proven": True, "quarantined": ""},
                ],
            },
            {"host": "w2", "reachable": False, "error": "no route", "releases": []},
        ]
    }
    _, bad, good, away = printed(host_tables.releases(record))
    assert bad.split()[:2] == ["w1", NEW]
    assert bad.endswith("9 errors")
    assert good.split() == ["w1", OLD, "running,", "proven"]
    assert away.split() == ["w2", "no", "route"]


def test_history_is_one_line_an_entry_in_columns() -> None:
    """Digests by their beginning, line ends as blanks, who as sudo knows it and as was claimed."""
    entries = [
        {"at": "t1", "host": "w1", "act": "switch", "release": NEW, "outcome": "done",
         "who": "deploy", "claimed": "ann@laptop", "why": "two\nlines"},
        {"at": "t2", "host": "worker-2", "act": "condemn", "release": "f" * 64},
    ]  # fmt: skip
    first, second = tables.history(entries)
    assert first.split() == [
        *("t1", "w1", "switch", NEW, "done", "ann@laptop", "(deploy)", "two", "lines")
    ]
    assert second.split() == ["t2", "worker-2", "condemn", "f" * 12]
    assert first.index("switch") == second.index("condemn")
    assert tables.history([]) == []


CHECKS = {
    "controller": [{"name": "ssh", "ok": True}],
    "hosts": [
        {"host": name, "checks": [
            {"name": "disk", "ok": False, "message": "it is full", "mend": "make room"},
            {"name": "sudo", "ok": True, "message": "may all"},
        ]} for name in ("w1", "w2")
    ],
}  # fmt: skip


def test_a_check_shows_faults_and_counts_what_is_fine() -> None:
    """What is fine is named only when asked for."""
    lines = printed(host_tables.checks(CHECKS, verbose=False))
    assert [line.split()[:2] for line in lines[1:]] == [
        ["(here)", "ok"],
        ["w1", "fault"],
        ["w2", "fault"],
    ]
    assert "disk: it is full" in lines[2]
    told = "\n".join(printed(host_tables.checks(CHECKS, verbose=True)))
    assert "sudo: may all" not in "\n".join(lines)
    assert told.count("sudo: may all") == 2


def test_what_mends_a_fault_is_said_once() -> None:
    """With each host that needs it."""
    assert tables.mends(CHECKS) == {"make room": ["disk on w1", "disk on w2"]}
    here = {"controller": [{"name": "ssh", "ok": False, "mend": "install it"}], "hosts": []}
    assert tables.mends(here) == {"install it": ["ssh here"]}


def test_hosts_whose_lines_state_no_level_are_told_together() -> None:
    """It is no fault: the table says ok, and a sentence says how to declare it."""
    silent = {"name": "levels", "ok": True, "message": "not excluded: errors", "mend": "declare"}
    fine = {"name": "sudo", "ok": True, "message": "", "mend": ""}
    record: dict[str, Any] = {
        "controller": [],
        "hosts": [
            {"host": "w1", "checks": [fine, silent]},
            {"host": "w2", "checks": [silent]},
            {"host": "w3", "checks": [fine]},
        ],
    }
    assert tables.level_notes(record) == ["w1, w2: not excluded: errors; declare"]
    assert tables.mends(record) == {}


def on(machine: str, *names: str) -> list[dict[str, Any]]:
    """Give the records of instances on a machine."""
    return [
        {**HOST, "host": name, "machine": machine, "instance": name.rpartition("/")[2]}
        for name in names
    ]


def test_instances_stand_below_their_machine_in_common_columns() -> None:
    """Each machine is named once; hosts that stand apart in the inventory stand together."""
    one, two = on("192.0.2.1:22", "dev", "w1"), on("fsn1.example.org:22", "w2/1")
    lines = printed(status_table.table({"hosts": [one[0], *two, one[1]]}))
    assert [line.split()[0] for line in lines] == [
        *("host", "192.0.2.1:22", "dev", "w1", "fsn1.example.org:22", "w2/1")
    ]
    rows = [line for line in lines if NEW in line]
    assert {line.index(NEW) for line in rows} == {lines[0].index("runs")}
    assert all(line.startswith("  ") for line in rows)


def test_a_table_by_machine_breaks_between_words_before_it_folds_one() -> None:
    """A time before an id; and a column in which nothing stands takes no room."""
    since = "2026-12-01T05:48:44Z"
    hosts = [{**one, "since": since} for one in on("192.0.2.1:22", "dev", "work/1")]
    lines = printed(status_table.table({"hosts": hosts}), 110)
    assert "note" not in lines[0]
    assert [line.split()[2] for line in lines if "dev" in line or "work/1" in line] == [NEW] * 2
    assert len(lines) == 2 + 2 * 2


def test_what_is_wrong_with_a_machine_is_said_once() -> None:
    """Hosts of other machines have a line of their own, whatever is wrong there."""
    hosts = [*on("m1:22", "a", "b"), *on("m2:22", "c")]
    assert list(
        status_table.errors({"hosts": [{**one, "error": "no route"} for one in hosts]})
    ) == [
        "a, b: no route",
        "c: no route",
    ]


@given(
    st.lists(st.lists(st.text("abc /", max_size=30), min_size=2, max_size=4), max_size=5),
    st.integers(30, 130),
)
def test_a_table_by_machine_fits_and_cuts_nothing_off(rows: list[list[str]], width: int) -> None:
    """Whatever stands in it; the name of a machine may be longer than a column."""
    hosts = on("fsn1.example.org:2222", *(f"w{index}" for index in range(len(rows))))
    given_rows = [(host, tuple(row)) for host, row in zip(hosts, rows, strict=True)]
    lines = printed(host_tables.host_table(("host", "a", "b", "c", "d"), given_rows), width)
    assert max(map(len, lines)) <= width
    told, wanted = Counter("".join(lines)), Counter("".join(one for row in rows for one in row))
    assert all(told[letter] >= wanted[letter] for letter in "abc/")


def test_history_marks_a_host_with_its_machine_where_that_is_asked_for() -> None:
    """Columns stay in line."""
    entries = [{"at": "t1", "host": "dev", "act": "switch"}, {"at": "t2", "host": "w", "act": "x"}]
    first, second = tables.history(entries, {"dev": "dev (192.0.2.1:22)"})
    assert first.split() == ["t1", "dev", "(192.0.2.1:22)", "switch"]
    assert first.index("switch") == second.index("x")
