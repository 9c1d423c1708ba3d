"""The page is one file that loads nothing, runs nothing, hides secrets and shows the rest."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdeploy.core.text.secret_mask import Mask
from botdeploy.views.report.page import page
from tests.effort import examples
from tests.views.canned import DIGEST, NEW, OLD, Canned, failed_canary, passed, seconds, told

if TYPE_CHECKING:
    from botdeploy.core.report.report_model import Report

TAGS = frozenset(
    re.findall(
        "[a-z0-9]+",
        "html head meta title style body main header h1 h2 span dl div dt dd code b section p ul "
        "li svg line text rect g circle path i table thead tbody tr th td br pre footer",
    )
)
NOW = seconds(3600)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</title></svg></style><iframe src=//evil.test>",
    "{{ 7 * 7 }}{% raw %}",
    "<!--",
    "]]>",
    "&lt;b&gt; &#34;",
    "javascript:alert(1)",
    "\x00\x08\x1b[31m\u202e",
]


class Seen(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def seen(report: Report, mask: Mask | None = None) -> Seen:
    return Seen(page(report, now=NOW, mask=mask or Mask()))


def assert_harmless(found: Seen) -> None:
    """Nothing is loaded, run, linked or drawn but what the template itself draws."""
    assert set(found.tags) <= TAGS
    names = {name for name, _ in found.attributes}
    assert not [name for name in names if name.startswith("on")]
    assert names.isdisjoint({"src", "href", "xlink:href", "action", "srcset", "data"})
    styles = [value for name, value in found.attributes if name == "style"]
    assert all("(" not in style.replace("var(", "") for style in styles)


def test_a_failed_canary_is_all_on_the_page() -> None:
    """Outcome, releases, reason, error with its sample, hosts, acts."""
    text = seen(told(failed_canary())).text
    for part in (
        "echobot · prod",
        "failed and reverted",
        NEW,
        OLD,
        "new replies",
        "h1: 10 errors in 3.6 s, where 0.08 are usual here",
        "job failed: KeyError: 'balance'",
        "10 times on h1",
        "timeout of shard #",
        "quarantine",
        "botdeploy report prod",
    ):
        assert part in text


def test_a_pass_has_no_reason_to_go_back() -> None:
    """A page without trouble shows none."""
    text = seen(told(passed())).text
    assert "Why it was reverted" not in text
    assert "passed" in text
    assert "None of 3 hosts wrote an error" in text


def test_the_page_loads_and_runs_nothing() -> None:
    """Neither script nor link nor image, and a policy that forbids them besides."""
    text = page(told(failed_canary()), now=NOW)
    assert_harmless(Seen(text))
    assert "default-src 'none'" in html.unescape(text)
    for word in ("http://", "https://", "url(", "@import"):
        assert word not in text


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_text_never_becomes_markup(evil: str) -> None:
    """Log lines, reasons, messages and names are shown as they are."""
    found = seen(everywhere(evil))
    assert_harmless(found)
    shown = " ".join(evil.replace("\x00", "\ufffd").split())
    if "\x1b" not in evil:
        assert found.text.count(shown) >= 5


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_no_text_becomes_markup(text: str) -> None:
    """Whatever a bot writes, the page has the tags of the template and no others."""
    assert_harmless(seen(everywhere(text, FAILED)))


FAILED = told(failed_canary())


def everywhere(evil: str, report: Report | None = None) -> Report:
    """Put a text wherever a host or a person can put one."""
    report = report or told(failed_canary(evil, why=f"h1: {evil}"))
    hosts = tuple(
        replace(
            host,
            name=evil,
            ring=evil,
            why=evil,
            runs=evil,
            notes=(evil,),
            acts=tuple(replace(act, who=evil, why=evil, outcome=evil) for act in host.acts),
        )
        for host in report.hosts
    )
    return replace(
        report,
        hosts=hosts,
        errors=tuple(replace(one, name=f"{one.name}{evil}", sample=evil) for one in report.errors),
        message=evil,
        who=evil,
        was=(evil,),
        why=(evil,),
        notes=(evil,),
        acts=tuple(replace(act, who=evil, why=evil, host=evil) for act in report.acts),
    )


def test_secrets_are_nowhere_on_the_page() -> None:
    """Not in a reason, not in a message, not in a tooltip."""
    text = page(everywhere("login with hunter2-hunter2"), now=NOW, mask=Mask(["hunter2-hunter2"]))
    assert "hunter2" not in text
    assert "login with ********" in text


def test_what_looks_like_a_token_is_hidden_even_when_nobody_named_it() -> None:
    """The mask knows the forms of common credentials."""
    token = "xoxb-123456789012-abcdefghijklmnop"
    assert token not in page(everywhere(f"slack said {token}"), now=NOW, mask=Mask())


def test_a_rollout_without_a_journal_is_told_all_the_same() -> None:
    """Where no journal could be read there are no rates, and none are made up."""
    host = Canned("h1")
    host.staged()
    host.switched(5)
    host.rows.clear()
    host.record()
    report = told([host])
    blind = replace(
        report, hosts=tuple(replace(one, before=None, after=None) for one in report.hosts)
    )
    text = seen(blind).text
    assert "Errors per minute" not in text
    assert "\N{EN DASH} → \N{EN DASH}" in text


def test_a_big_fleet_has_all_in_the_table_and_says_what_is_left_out() -> None:
    """No page grows without end."""
    hosts = [Canned(f"w{number}") for number in range(600)]
    for number, host in enumerate(hosts):
        host.staged()
        host.record()
        if number < 2:
            host.state["quarantine"] = {DIGEST: "it failed"}
    text = seen(told(hosts)).text
    assert "w499" in text
    assert "and 100 more: botdeploy status prod" in text
    assert "The first 700 entries are left out: botdeploy history prod" in text


def test_instances_are_shown_with_their_machine() -> None:
    """And machines are counted; a report of hosts of their own names none."""
    report = told(failed_canary())
    plain = page(report, now=NOW)
    shared = replace(report, hosts=tuple(replace(one, machine="m1:22") for one in report.hosts))
    text = page(shared, now=NOW)
    assert text.count("m1:22") == len(report.hosts)
    assert "on 1 machine, 1 switched" in text
    assert "machine" not in plain
