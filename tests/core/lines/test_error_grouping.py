"""Fingerprints of many hosts become classes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdeploy.core.lines.error_classes import classes
from botdeploy.core.lines.error_grouping import group, overlap
from botdeploy.core.lines.fingerprint import of_text
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineRules
from tests.bench.bench_fingerprint import find_logs, grouping_accuracy, ours, read_log

TEXT = "cannot send message to user alice bob carol dave eve frank # in guild red"
WORDS = st.sampled_from(TEXT.split())
NAMES = st.lists(WORDS, min_size=1, max_size=9).map(" ".join)


def test_names_after_a_noun_are_one_class() -> None:
    """Two different users make a user's name a variable."""
    joined = group(["cannot greet user alice", "cannot greet user bob"])
    assert set(joined.values()) == {"cannot greet user #"}


def test_a_place_with_many_words_is_a_variable() -> None:
    """Five different words in one place make it a variable; before, each is its own class."""
    texts = [f"plugin {word} is broken" for word in ("music", "bank", "quiz", "polls", "karma")]
    assert len(set(group(texts[:4]).values())) == 4
    assert set(group(texts).values()) == {"plugin # is broken"}


def test_words_that_tell_events_apart_are_never_a_variable() -> None:
    """Opened, closed, denied …: a place that holds them tells what happened."""
    texts = [
        f"the gateway was {word}"
        for word in ("opened", "closed", "refused", "lost", "reset", "found")
    ]
    assert len(set(group(texts).values())) == len(texts)


def test_long_texts_that_differ_in_one_word_are_one_class() -> None:
    """85 % of equal words join two texts, unless what differs names another error."""
    one = "could not deliver the daily report to channel general because quota is used up"
    assert len(set(group([one, one.replace("general", "random")]).values())) == 1
    failed = "could not deliver the daily report to the web hook: TimeoutError"
    assert len(set(group([failed, failed.replace("Timeout", "Value")]).values())) == 2


def test_traces_join_within_their_type_and_frame_only() -> None:
    """Keys that users make up are one error; the same text elsewhere is another."""
    keys = [
        f"Traceback!KeyError bank.py:pay '{key}'" for key in ("ann", "bob", "cid", "dan", "eva")
    ]
    other = "Traceback!KeyError quiz.py:ask 'ann'"
    joined = group([*keys, other])
    assert {joined[key] for key in keys} == {"Traceback!KeyError bank.py:pay '#'"}
    assert joined[other] == other


def test_the_users_own_classes_are_left_alone() -> None:
    """What the user declared the same is neither split nor joined further."""
    names = [f"same!5\\d\\d {word}" for word in ["a", "b", "c", "d", "e", "f"]]
    assert group(names) == {name: name for name in names}


@given(st.lists(NAMES, max_size=30), st.randoms())
def test_classes_do_not_depend_on_order(names: list[str], random: object) -> None:
    """The set of fingerprints alone decides: hosts may report in any order."""
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group(names) == group(shuffled)


@given(st.lists(NAMES, max_size=30))
def test_every_fingerprint_has_a_class_of_as_many_words(names: list[str]) -> None:
    """A class is a template of its members, never something else."""
    joined = group(names)
    assert set(joined) == set(names)
    for name, template in joined.items():
        assert len(template.split()) == len(name.split())
        assert all(
            of_class in (word, "#")
            for word, of_class in zip(name.split(), template.split(), strict=True)
        )


@given(st.lists(NAMES, max_size=20), st.lists(NAMES, max_size=20))
def test_more_fingerprints_never_split_a_class(some: list[str], more: list[str]) -> None:
    """What was one class stays one when new fingerprints come."""
    before, after = group(some), group([*some, *more])
    for one in before:
        for other in before:
            if before[one] == before[other]:
                assert after[one] == after[other]


def test_a_rewording_shares_most_of_its_words() -> None:
    """Word overlap tells a reworded error from an unrelated one."""
    old = "bot.api: upstream returned # for guild #"
    assert overlap(old, "bot.api: upstream gave # for guild #") >= 0.3
    assert overlap(old, "database is locked") < 0.3
    assert overlap("", "") == 1.0


def test_classes_of_a_plain_log() -> None:
    """A log file's lines are sorted into classes with counts, level and a sample."""
    found = classes(
        [
            "ERROR bot: lost 1 rows\n",
            "INFO bot: fine\n",
            "ERROR bot: lost 2 rows\n",
            "CRITICAL bot: no disk\n",
        ]
    )
    assert [(one.fingerprint, one.count, one.level, one.is_fatal) for one in found] == [
        ("bot: lost # rows", 2, Level.ERROR, False),
        ("bot: no disk", 1, Level.CRITICAL, True),
    ]
    assert found[0].sample == "ERROR bot: lost 1 rows"


def test_classes_of_exported_journal_lines() -> None:
    """Lines of ``journalctl -o json`` are read as entries, whatever else is in the file."""
    found = classes(
        [
            '{"__REALTIME_TIMESTAMP":"1700000000000000","PRIORITY":"3","MESSAGE":"no route 5"}\n',
            b'{"__REALTIME_TIMESTAMP":"1700000000000001","_PID":"7","MESSAGE":null}\n',
            "{broken\n",
            {"MESSAGE": "error: no route 6", "_PID": "7"},
        ],
        LineRules(),
    )
    assert [(one.fingerprint, one.count) for one in found] == [("no route #", 2)]


def test_classes_of_what_journalctl_shows() -> None:
    """Host, program and process number that journalctl writes before a line name no error."""
    found = classes(
        [
            "Nov 24 22:01:15 w1 systemd[1]: Started bot.service.",
            "Nov 24 22:01:15 w1 python3[77]: ERROR bot: pay failed",
            "Nov 24 22:01:15 w1 python3[77]: Traceback (most recent call last):",
            "Nov 24 22:01:15 w1 python3[88]: ERROR bot: no route 5",
            'Nov 24 22:01:15 w1 python3[77]:   File "/opt/bot/bank.py", line 3, in pay',
            "Nov 24 22:01:15 w1 python3[77]: KeyError: 'x'",
            "2026-11-24T22:01:16+0000 w2 python3[99]: ERROR bot: no route 6",
        ]
    )
    assert [(one.fingerprint, one.count) for one in found] == [
        ("bot: no route #", 2),
        ("Traceback!KeyError bank.py:pay 'x'", 1),
    ]


@pytest.mark.skipif(
    "BOTDEPLOY_LOGHUB" not in os.environ,
    reason="BOTDEPLOY_LOGHUB names no folder: the logs' licence does not let them be shipped",
)
def test_grouping_accuracy_on_loghub() -> None:
    """On real logs whose templates are known, 85 % of lines are grouped exactly."""
    accuracies = [
        grouping_accuracy(ours(contents), true)
        for contents, true in map(read_log, find_logs(Path(os.environ["BOTDEPLOY_LOGHUB"])))
    ]
    assert sum(accuracies) / len(accuracies) >= 0.85


TARGETS = ("redis", "postgres", "discord", "vault", "kafka")


def known(error: str, counts: dict[str, int]) -> bool:
    """Whether an error is of the class of one that was seen so often."""
    joined = group({*counts, error}, counts)
    return any(joined[one] == joined[error] for one in counts)


@pytest.mark.parametrize(
    "form",
    [
        "cannot reach {}",
        "Command {} failed",
        "Command '{}' failed",
        "Traceback!KeyError bank.py:pay '{}'",
        "could not connect to {} for the seventh time because the pool of connections is used up",
    ],
)
def test_a_sixth_word_of_a_set_is_another_error(form: str) -> None:
    """Five that keep coming back are five errors, and a sixth is news."""
    counts = {form.format(target): 10 + at for at, target in enumerate(TARGETS)}
    assert not known(form.format("billing"), counts)
    assert all(known(one, counts) for one in counts)


def test_names_that_keep_growing_are_one_error() -> None:
    """Where every other word is new, the next one is no news."""
    counts = {f"cannot greet {name}": 1 + at % 2 for at, name in enumerate("abcdefghijkl")}
    assert known("cannot greet zed", counts)
    users = {"cannot greet user alice": 50, "cannot greet user bob": 40}
    assert known("cannot greet user zed", users)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            'duplicate key value violates unique constraint "users_pkey"',
            'duplicate key value violates unique constraint "guilds_name_key"',
        ),
        (
            'null value in column "name" of relation "users" violates not-null constraint',
            'null value in column "mail" of relation "users" violates not-null constraint',
        ),
        ("Duplicate entry '#' for key 'users.email'", "Duplicate entry '#' for key 'users.nick'"),
    ],
)
def test_names_of_a_schema_tell_errors_apart(one: str, other: str) -> None:
    """A program has few tables and constraints, and which one it is is the error."""
    assert not known(other, {one: 1})
    assert not known(other, {one: 100})


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 60)), max_size=30), st.randoms(use_true_random=False)
)
def test_classes_with_counts_do_not_depend_on_order(
    seen: list[tuple[str, int]], random: object
) -> None:
    """The counts alone decide."""
    shuffled = list(dict(seen).items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group(dict(seen), dict(seen)) == group(dict(shuffled), dict(shuffled))


@given(st.integers(2, 12), st.integers(2, 40), st.sampled_from(["cannot reach {}", "{} is down"]))
def test_a_set_stays_a_set_however_often_it_comes(size: int, times: int, form: str) -> None:
    """What comes back is no sign of growth; what comes once is, from a fiftieth on."""
    words = [f"part{chr(97 + at)}" for at in range(size)]
    counts = {form.format(word): times for word in words}
    assert not known(form.format("partz"), counts)
    once = {form.format(word): 1 for word in words}
    assert known(form.format("partz"), once) == (size >= 4)


@given(
    st.lists(st.one_of(st.integers(0, 10**9), st.uuids(), st.ip_addresses()), max_size=300),
    st.sampled_from(["request failed with status {}", "HTTP {} for job {}", "no session {}"]),
)
def test_what_grows_without_end_makes_no_classes(values: list[object], form: str) -> None:
    """Codes of refusals are fewer than a hundred; whatever else stands in their place is one."""
    texts = [form.format(value, value) for value in values]
    codes = {value for value in values if isinstance(value, int) and 400 <= value < 500}
    assert len({of_text(text) for text in texts}) <= len(codes) + 1
