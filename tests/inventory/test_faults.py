"""Bad inventories: each is refused with file, line, key and what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

from botdeploy.errors import ExitCode, InventoryError, UserError
from botdeploy.inventory import load

if TYPE_CHECKING:
    from pathlib import Path


class Bad(NamedTuple):
    """A bad inventory, the line that its error names, and parts of the message."""

    text: str
    line: int | None
    parts: tuple[str, ...]


def whole(text: str, line: int | None, *parts: str) -> Bad:
    """Take the text as the whole file."""
    return Bad(text, line, parts)


HEAD = """\
all:
  hosts: {h1: {}, h2: {}, h3: {}}
  vars:
"""


def bot(lines: str, line: int | None, *parts: str) -> Bad:
    """Take the lines as keys of bot (from line 5) that come before name, source and command."""
    body = "".join(f"      {one}\n" for one in lines.splitlines())
    rest = "".join(
        f"      {name}: {value}\n"
        for name, value in (("name", "echobot"), ("source", "."), ("command", "run"))
        if not any(one.startswith(f"{name}:") for one in lines.splitlines())
    )
    return Bad(f"{HEAD}    bot:\n{body}{rest}", line, parts)


def rollout(lines: str, line: int | None, *parts: str) -> Bad:
    """Take the lines as keys of rollout (from line 6)."""
    body = "".join(f"      {one}\n" for one in lines.splitlines())
    bot_line = "    bot: {name: echobot, source: ., command: run}\n"
    return Bad(f"{HEAD}{bot_line}    rollout:\n{body}", line, parts)


def variables(lines: str, line: int | None, *parts: str) -> Bad:
    """Take the lines as variables of all (from line 5)."""
    body = "".join(f"    {one}\n" for one in lines.splitlines())
    return Bad(f"{HEAD}    bot: {{name: echobot, source: ., command: run}}\n{body}", line, parts)


BOT = "bot: {name: echobot, source: ., command: run}"

TABLE = {
    # the file
    "empty": whole("", 1, "is empty"),
    "comment-only": whole("# nothing\n", 1, "is empty"),
    "text": whole("hello", 1, "mapping of groups", "not text"),
    "list": whole("- a\n- b\n", 1, "mapping of groups", "not a list"),
    "number": whole("42", 1, "mapping of groups"),
    "broken": whole("all:\n  hosts: [a\n", 3, "is not valid YAML"),
    "tabs": whole("all:\n\thosts: {}\n", 2, "is not valid YAML"),
    "bad-indent": whole("all:\n  hosts:\n    a: 1\n   b: 2\n", 4, "is not valid YAML"),
    "two-documents": whole("all: {}\n---\nall: {}\n", 2, "is not valid YAML", "document"),
    "duplicate-key": whole("all:\n  hosts: {}\n  hosts: {}\n", 3, "hosts", "twice", "line 2"),
    "control-character": whole("all:\n  x: \x01\n", 2, "character"),
    "unknown-tag": whole("all: !!python/object:os.system {}\n", 1, "tag", "is not known"),
    "unknown-scalar-tag": whole("all: !thing x\n", 1, "tag"),
    "list-tag-on-text": whole("all:\n  vars:\n    x: !!seq y\n", 3, "does not fit"),
    "self-anchor": whole("all: &a\n  vars: {x: *a}\n", 1, "refers to itself"),
    "unknown-anchor": whole("all: *a\n", 1, "is not valid YAML", "undefined alias"),
    "bomb": whole(
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n"
            for a, b in zip("abcdefghi", "bcdefghij", strict=True)
        ),
        7,
        "repeats its anchors",
    ),
    "deep": whole("all: " + "[" * 5000 + "]" * 5000, 1, "nesting"),
    "bad-date": whole("all:\n  vars: {x: 2026-99-99}\n", 2, "2026-99-99"),
    "huge-number": whole("all:\n  vars: {x: " + "9" * 5000 + "}\n", 2, "not a value"),
    "key-list": whole("? [a, b]\n: {}\n", 1, "key must be plain text"),
    "vaulted": whole("$ANSIBLE_VAULT;1.1;AES256\n6162\n", None, "ansible-vault"),
    "plugin": whole("plugin: aws_ec2\n", 1, "plugin", "ansible-inventory --list --yaml"),
    # groups and hosts
    "no-hosts": whole("all: {hosts: {}}\n", None, "has no hosts"),
    "group-list": whole("web: [a, b]\n", 1, "web", "hosts, vars and children", "a list"),
    "group-number": whole("1: {hosts: {a: {}}}\n", 1, "text", "quotes"),
    "group-key": whole("web:\n  host: {a: {}}\n", 2, "web", "'host'", "did you mean 'hosts'?"),
    "group-key-far": whole("web:\n  bananas: {}\n", 2, "hosts, vars, children"),
    "hosts-list": whole("web:\n  hosts: [a, b]\n", 2, "web.hosts", "mapping", "{a: {}, b: {}}"),
    "vars-text": whole("web:\n  vars: x\n", 2, "web.vars", "mapping", "not text"),
    "host-variables": whole("web:\n  hosts:\n    a: 5\n", 3, "web.hosts.a", "mapping"),
    "host-number": whole("web:\n  hosts:\n    1: {}\n", 3, "text", "quotes"),
    "host-name": whole("web:\n  hosts:\n    'a b': {}\n", 3, "'a b' is not a host name"),
    "host-shell": whole("web:\n  hosts:\n    'a;reboot': {}\n", 3, "is not a host name"),
    "host-path": whole("web:\n  hosts:\n    '../x': {}\n", 3, "is not a host name"),
    "host-port": whole("web:\n  hosts:\n    'a:99999': {}\n", 3, "between 1 and 65535"),
    "range-open": whole("web:\n  hosts:\n    'w[1:': {}\n", 3, "range needs"),
    "range-back": whole("web:\n  hosts:\n    'w[5:1]': {}\n", 3, "ends before it begins"),
    "range-huge": whole("web:\n  hosts:\n    'w[1:999999999]': {}\n", 3, "more than 100000"),
    "range-zeros": whole("web:\n  hosts:\n    'w[01:100]': {}\n", 3, "same length"),
    "circle": whole(
        "a:\n  children:\n    b:\n      children:\n        a: {}\n", 5, "contain each other"
    ),
    "child-all": whole("a:\n  children:\n    all: {}\n", 3, "'all' cannot be a child"),
    "priority-endless": whole("a:\n  vars: {ansible_group_priority: .inf}\n", 2, "whole number"),
    "priority": whole("a:\n  vars: {ansible_group_priority: high}\n", 2, "whole number"),
    "same-address": whole(
        f"all:\n  hosts:\n    a: {{ansible_host: 10.0.0.1}}\n    b: {{ansible_host: 10.0.0.1}}\n"
        f"  vars:\n    {BOT}\n",
        4,
        "'a' and 'b'",
        "10.0.0.1:22",
    ),
    "two-local": whole(
        f"all:\n  hosts:\n    a:\n    b:\n  vars:\n    ansible_connection: local\n    {BOT}\n",
        4,
        "'a' and 'b'",
        "this machine",
    ),
    # connection variables
    "host-address": variables("ansible_host: 'a b'", 5, "ansible_host", "'a b'"),
    "host-option": variables("ansible_host: -oProxyCommand=x", 5, "ansible_host"),
    "port-text": variables("ansible_port: ssh", 5, "ansible_port", "1 to 65535"),
    "port-high": variables("ansible_port: 70000", 5, "ansible_port", "1 to 65535"),
    "port-true": variables("ansible_port: true", 5, "ansible_port"),
    "user-list": variables("ansible_user: [a]", 5, "ansible_user", "not a list"),
    "user-option": variables("ansible_user: '-l root'", 5, "ansible_user", "not a user name"),
    "connection": variables(
        "ansible_connection: winrm", 5, "ansible_connection", "use ssh or local"
    ),
    "become": variables("ansible_become: perhaps", 5, "ansible_become", "true or false"),
    "become-method": variables("ansible_become_method: su", 5, "ansible_become_method", "sudo"),
    "become-vault": variables(
        "ansible_become_password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61",
        5,
        "ansible_become_password",
        "ansible-vault",
    ),
    "ssh-jump": variables("ansible_ssh_common_args: -J a:b:c@", 5, "ProxyJump"),
    "ssh-quote": variables("ansible_ssh_common_args: -J 'a", 5, "No closing quotation"),
    "key-lines": variables('ansible_ssh_private_key_file: "a\\nb"', 5, "line breaks"),
    # templates
    "undefined": variables("ansible_user: '{{ nobody }}'", 5, "ansible_user", "'nobody'"),
    "template-syntax": variables("ansible_user: '{{ x'", 5, "not a valid template"),
    "template-filter": variables("ansible_user: '{{ 1 | frob }}'", 5, "frob"),
    "template-loop": variables("ansible_user: '{{ ansible_user }}'", 5, "refers to itself"),
    "template-loop-2": variables(
        "ansible_user: '{{ a }}'\na: '{{ b }}'\nb: '{{ a }}'", 6, "a → b → a"
    ),
    "template-lookup": variables(
        "ansible_user: \"{{ lookup('pipe', 'id') }}\"", 5, "lookup('pipe')", "lookup('env'"
    ),
    "template-unsafe": variables("ansible_user: '{{ \"\".__class__.__mro__ }}'", 5, "ansible_user"),
    "template-divide": variables("ansible_user: '{{ 1 / 0 }}'", 5, "division by zero"),
    "template-huge": variables("ansible_user: \"{{ 'x' * 99999999 }}\"", 5, "too long"),
    "template-power": variables("ansible_port: '{{ 9 ** 99999999 }}'", 5, "too large"),
    "template-include": variables("ansible_user: \"{% include '/etc/passwd' %}\"", 5, "loader"),
    # bot
    "no-bot": whole("all:\n  hosts:\n    h1: {}\n", None, "no host has the variable 'bot'"),
    "bot-text": whole("all: {hosts: {h: {}}, vars: {bot: echobot}}\n", 1, "bot", "mapping"),
    "bot-nothing": whole("all:\n  hosts: {h: }\n  vars:\n    bot:\n", 4, "bot", "mapping"),
    "bot-missing": whole(
        "all:\n  hosts: {h: {}}\n  vars:\n    bot:\n      name: echobot\n",
        5,
        "bot.source: is missing",
        "bot.command: is missing",
    ),
    "bot-unknown": bot("evn: {A: b}", 5, "bot.evn", "did you mean 'env'?"),
    "bot-unknown-far": bot("zzzzzz: 1", 5, "bot.zzzzzz", "known are: build, command"),
    "bot-key-number": bot("1: a", 5, "bot", "text"),
    "name-upper": bot("name: EchoBot", 5, "bot.name", "'EchoBot'", "small letter"),
    "name-path": bot("name: ../../etc", 5, "bot.name"),
    "name-shell": bot("name: a;b", 5, "bot.name"),
    "name-line": bot('name: "a\\n"', 5, "bot.name"),
    "name-long": bot("name: " + "a" * 33, 5, "bot.name", "at most 32"),
    "name-root": bot("name: root", 5, "bot.name", "taken"),
    "name-service": bot("name: systemd-journald", 5, "bot.name", "taken"),
    "name-number": bot("name: 5", 5, "bot.name", "text, not a number"),
    "command-empty": bot("command: ''", 5, "bot.command", "is empty"),
    "command-lines": bot("command: |\n  a\n  b", 5, "bot.command", "one line"),
    "command-nul": bot('command: "a\\0b"', 5, "bot.command", "NUL"),
    "command-prefix": bot("command: +/bin/sh", 5, "bot.command", "'+'"),
    "command-backslash": bot("command: run \\", 5, "bot.command", "backslash"),
    "command-list": bot("command: [a, b]", 5, "bot.command", "text, not a list"),
    "source-option": bot("source: --upload-pack=x", 5, "bot.source", "'-'"),
    "source-nothing": bot("source:", 5, "bot.source", "has no value"),
    "build-mapping": bot("build: {a: b}", 5, "bot.build", "a list, not a mapping"),
    "build-item": bot("build:\n  - ok\n  - [a]", 7, "bot.build[1]", "text"),
    "env-list": bot("env: [A=b]", 5, "bot.env", "a mapping, not a list"),
    "env-name": bot("env:\n  OK: 1\n  A-B: 1", 7, "bot.env.A-B", "letters, digits"),
    "env-key-true": bot("env:\n  on: 1", 6, "bot.env", "text"),
    "env-reserved": bot("env: {BOTDEPLOY_RELEASE: x}", 5, "BOTDEPLOY_RELEASE", "reserved"),
    "env-lines": bot('env:\n  A: "x\\ny"', 6, "bot.env.A", "one line"),
    "env-nul": bot('env:\n  A: "x\\0"', 6, "bot.env.A", "NUL"),
    "env-surrogate": bot('env:\n  A: "\\ud800"', 6, "Unicode"),
    "env-noncharacter": bot('env:\n  A: "\\ufdd0"', 6, "bot.env.A", "noncharacter"),
    "env-nothing": bot("env:\n  A:", 6, "bot.env.A", 'write "" for an empty text'),
    "env-nested": bot("env:\n  A: {b: c}", 6, "bot.env.A", "text, not a mapping"),
    "env-vault": bot("env:\n  A: !vault |\n    $ANSIBLE_VAULT;1.1;AES256", 6, "ansible-vault"),
    "secret-value": bot("secrets:\n  TOKEN: hunter2", 6, "bot.secrets.TOKEN", "env:NAME"),
    "secret-name": bot("secrets:\n  TOKEN: 'env:a b'", 6, "bot.secrets.TOKEN", "env:"),
    "secret-key": bot("secrets:\n  to ken: env:A", 6, "bot.secrets.to ken"),
    "secret-both": bot("env: {A: x}\nsecrets: {A: env:A}", 6, "bot.secrets.A", "in bot.env"),
    "secrets-by": bot("secrets_by: enviroment", 5, "did you mean 'environment'?"),
    "shared-up": bot("shared: [data, ../x]", 5, "bot.shared[1]", "'..'"),
    "shared-absolute": bot("shared: [/etc]", 5, "bot.shared[0]", "below the release"),
    "shared-shell": bot("shared: ['a$(id)']", 5, "bot.shared[0]"),
    "shared-space": bot("shared: ['a b']", 5, "bot.shared[0]", "letters"),
    "shared-letters": bot("shared: [ä]", 5, "bot.shared[0]", "letters"),
    "shared-inside": bot("shared:\n  - data\n  - data/x", 7, "'data/x' and 'data' overlap"),
    "shared-twice": bot("shared: [data, data/]", 5, "bot.shared[1]", "overlap"),
    "shared-own": bot("shared: [.botdeploy/x]", 5, "botdeploy's own"),
    "keep-text": bot("keep: five", 5, "bot.keep", "whole number"),
    "keep-negative": bot("keep: -1", 5, "bot.keep", "out of range"),
    "keep-true": bot("keep: true", 5, "bot.keep", "whole number"),
    "keep-fraction": bot("keep: 1.5", 5, "bot.keep", "whole number"),
    "keep-huge": bot("keep: 0x" + "f" * 4000, 5, "bot.keep"),
    "ready-none": bot("ready: {timeout: 5s}", 5, "bot.ready", "one of pattern"),
    "ready-two": bot("ready: {port: 1, notify: true}", 5, "bot.ready", "one of pattern"),
    "ready-port": bot("ready: {port: 0}", 5, "bot.ready.port", "out of range"),
    "ready-http": bot("ready: {http: localhost}", 5, "bot.ready.http", "http://"),
    "ready-notify": bot("ready: {notify: false}", 5, "bot.ready.notify", "true"),
    "ready-pattern": bot("ready: {pattern: '(READY'}", 5, "bot.ready.pattern"),
    "ready-unknown": bot("ready:\n  patern: x", 6, "did you mean 'pattern'?"),
    "ready-text": bot("ready: READY", 5, "bot.ready", "a mapping, not text"),
    "user-root": bot("user: root", 5, "bot.user", "must not be root"),
    "user-shell": bot("user: a b", 5, "bot.user", "system user"),
    "stop-number": bot("stop_timeout: 20", 5, "bot.stop_timeout", "needs a unit: write 20s"),
    "stop-zero": bot("stop_timeout: 0", 5, "longer than 0"),
    "unit-name": bot("unit: {memory-max: 1}", 5, "bot.unit.memory-max", "directive"),
    "unit-own": bot("unit: {ExecStart: x}", 5, "set by bot.command"),
    "unit-lines": bot('unit: {Nice: "1\\nUser=root"}', 5, "bot.unit.Nice", "one line"),
    "unit-backslash": bot("unit: {Nice: '1\\'}", 5, "backslash"),
    "unit-nested": bot("unit: {Nice: {a: 1}}", 5, "bot.unit.Nice", "text"),
    "probe-none": bot("probe: {interval: 5s}", 5, "bot.probe", "one of command"),
    "probe-url": bot("probe: {prometheus: ftp://x}", 5, "bot.probe.prometheus"),
    "probe-elsewhere": bot("probe: {http: 'http://10.0.0.1/'}", 5, "bot.probe.http", "command"),
    "two-bots": whole(
        "a:\n  hosts: {h1: }\n  vars:\n    bot: {name: one, source: ., command: x}\n"
        "b:\n  hosts: {h2: }\n  vars:\n    bot: {name: two, source: ., command: x}\n",
        8,
        "bot.name",
        "'h2' has 'two'",
        "'h1' has 'one'",
    ),
    # rollout
    "rollout-list": variables("rollout: []", 5, "rollout", "mapping"),
    "rollout-unknown": rollout("ring: []", 6, "rollout.ring", "did you mean 'rings'?"),
    "rollout-differs": whole(
        f"all:\n  vars: {{{BOT}}}\na:\n  hosts: {{h1: }}\nb:\n  hosts: {{h2: }}\n"
        "  vars:\n    rollout: {on_fail: ring}\n",
        8,
        "'h1' and 'h2' differ",
    ),
    "rings-empty": rollout("rings: []", 6, "rollout.rings", "at least one"),
    "rings-mapping": rollout("rings: {a: 1}", 6, "a list, not a mapping"),
    "ring-name": rollout("rings:\n  - {hosts: all}", 7, "rollout.rings[0].name: is missing"),
    "ring-unknown": rollout(
        "rings:\n  - name: a\n    hosts: all\n    soack: 1d", 9, "did you mean 'soak'?"
    ),
    "ring-twice": rollout(
        "rings:\n  - {name: a, hosts: h1}\n  - {name: a, hosts: all}",
        8,
        "rollout.rings[1].name",
        "'a'",
    ),
    "ring-path": rollout("rings: [{name: ../a, hosts: all}]", 6, "rollout.rings[0].name"),
    "ring-nothing": rollout(
        "rings:\n  - name: a\n    hosts: web*\n  - {name: b, hosts: all}",
        8,
        "rollout.rings[0].hosts",
        "no host matches 'web*'",
    ),
    "ring-taken": rollout(
        "rings:\n  - {name: a, hosts: all}\n  - {name: b, hosts: h1}", 8, "an earlier ring"
    ),
    "ring-left": rollout("rings:\n  - {name: a, hosts: h1}", 7, "h2, h3", "'all'"),
    "ring-left-counts": rollout(
        "rings:\n  - {name: a, hosts: 1}\n  - {name: b, hosts: 1}", 8, "h1, h2, h3"
    ),
    "ring-regex": rollout("rings: [{name: a, hosts: '~('}]", 6, "no regular expression"),
    "ring-subscript": rollout("rings: [{name: a, hosts: 'all[7]'}]", 6, "out of range"),
    "ring-zero": rollout("rings: [{name: a, hosts: 0}]", 6, "at least 1 host"),
    "ring-negative": rollout("rings: [{name: a, hosts: -2}]", 6, "not a count"),
    "ring-percent": rollout("rings: [{name: a, hosts: 130%}]", 6, "more than all"),
    "soak-number": rollout("rings: [{name: a, hosts: all, soak: 30}]", 6, "write 30s"),
    "soak-text": rollout("rings: [{name: a, hosts: all, soak: soon}]", 6, "'soon'", "30m"),
    "soak-order": rollout("rings: [{name: a, hosts: all, soak: 5m1h}]", 6, "largest first"),
    "soak-long": rollout("rings: [{name: a, hosts: all, soak: 99999d}]", 6, "ten years"),
    "soak-clock": rollout("rings: [{name: a, hosts: all, soak: 1:30}]", 6, "needs a unit"),
    "soak-negative": rollout("rings: [{name: a, hosts: all, soak: -5m}]", 6, "not a duration"),
    "batch": rollout("rings: [{name: a, hosts: all, batch: half}]", 6, "'half'", "25%"),
    "gate": rollout("rings: [{name: a, hosts: all, gate: aprove}]", 6, "did you mean 'approve'?"),
    "window": rollout("rings: [{name: a, hosts: all, window: daytime}]", 6, "Mo-Fr 09:00"),
    "window-zone": rollout(
        "rings: [{name: a, hosts: all, window: '09:00-17:00 Mars/Base'}]", 6, "Mars/Base"
    ),
    "ring-env": rollout("rings: [{name: a, hosts: all, env: {a b: c}}]", 6, "a b"),
    "announce": rollout("rings: [{name: a, hosts: all, announce: {start: x}}]", 6, "start"),
    "announce-template": rollout(
        "rings: [{name: a, hosts: all, announce: {end: '{{ x'}}]", 6, "announce.end", "template"
    ),
    "announce-name": rollout(
        "rings: [{name: a, hosts: all, announce: {end: '{{ version }}', to: 'json://x'}}]",
        6,
        "rollout.rings[0].announce.end",
        "version",
        "known are: bot, env",
    ),
    "announce-branch": rollout(
        "rings:\n  - name: a\n    hosts: all\n    announce:\n      to: json://x\n"
        "      begin: '{% if hosts|length > 99 %}{{ oops }}{% endif %}'",
        11,
        "announce.begin",
        "oops",
    ),
    "announce-env": rollout(
        "rings: [{name: a, hosts: all, announce: {end: '{{ env.NOPE }}', to: 'json://x'}}]",
        6,
        "announce.end",
        "NOPE",
    ),
    "announce-escape": rollout(
        "rings: [{name: a, hosts: all, announce: "
        "{end: '{{ hosts.__class__.__mro__ }}', to: 'json://x'}}]",
        6,
        "announce.end",
        "unsafe",
    ),
    "announce-to": rollout(
        "rings: [{name: a, hosts: all, announce: {end: x, to: nowhere}}]", 6, "Apprise URL"
    ),
    "announce-nowhere": rollout(
        "rings: [{name: a, hosts: all, announce: {end: x}}]", 6, "announce", "goes nowhere"
    ),
    "lease": rollout("lease: soon", 6, "rollout.lease", "'soon'"),
    "lease-number": rollout("lease: 90", 6, "needs a unit"),
    "lease-zero": rollout("lease: 0", 6, "longer than 0"),
    "lease-until": rollout("lease: {ttl: 90s, until: verdit}", 6, "did you mean 'verdict'?"),
    "lease-unknown": rollout("lease: {tll: 90s}", 6, "rollout.lease.tll", "'ttl'"),
    "unreachable": rollout("max_unreachable: few", 6, "rollout.max_unreachable"),
    "on-fail": rollout("on_fail: rings", 6, "did you mean 'ring'?"),
    "judge-preset": rollout("judge: {preset: strict}", 6, "careful, normal or quick"),
    "judge-rate": rollout("judge: {false_abort_rate: 2}", 6, "out of range"),
    "judge-worse": rollout("judge: {worse: much}", 6, "a number, not text"),
    "judge-worse-nan": rollout("judge: {worse: .nan}", 6, "rollout.judge.worse"),
    "judge-regex": rollout("judge:\n  ignore:\n    - ok\n    - '('", 9, "rollout.judge.ignore[1]"),
    "judge-regex-empty": rollout("judge: {fatal: ['']}", 6, "every line"),
    "judge-same": rollout("judge: {same: [{name: x}]}", 6, "same[0].pattern: is missing"),
    "judge-latency": rollout("judge: {latency: '[0-9]+ms'}", 6, "group named ms, s or us"),
    "judge-levels": rollout("judge: {levels: [FEHLER]}", 6, "rollout.judge.levels", "a mapping"),
    "judge-levels-name": rollout(
        "judge:\n  levels:\n    FEHLER: eror", 8, "levels.FEHLER", "did you mean 'error'?"
    ),
    "judge-levels-word": rollout(
        "judge:\n  levels:\n    sehr schlimm: error", 8, "levels.sehr schlimm", "one word"
    ),
    "notify": rollout("notify: team", 6, "Apprise URL"),
    **{
        f"ring-no-count-{value}": rollout(
            f"rings: [{{name: a, hosts: '{value}'}}]", 6, "rollout.rings[0].hosts", "is not a count"
        )
        for value in ("1.5", ".5", "2.", "1.2.3%", ".")
    },
    "hosts-dash": rollout("hosts: 'h[1-2]'", 6, "rollout.hosts", "h[1:2]"),
    "ring-dash": rollout(
        "rings: [{name: a, hosts: [h3, 'h[1-2]']}]", 6, "rollout.rings[0].hosts", "h[1:2]"
    ),
    "hosts-two-ways": rollout("hosts: 'h1:!h2,h3'", 6, "rollout.hosts", "in 'h1:!h2'"),
    "hosts-list-two-ways": rollout("hosts: [h3, 'h1:!h2,h3']", 6, "rollout.hosts", "in 'h1:!h2'"),
    "ring-two-ways": rollout(
        "rings: [{name: a, hosts: [h3, 'h1:h2,h3']}]", 6, "rollout.rings[0].hosts", "in 'h1:h2'"
    ),
    "ring-secret": whole(
        "all:\n  hosts: {h: }\n  vars:\n"
        "    bot: {name: a, source: ., command: x, secrets: {T: env:T}}\n"
        "    rollout:\n      rings:\n        - {name: a, hosts: all, env: {T: x}}\n",
        7,
        "rollout.rings[0].env.T",
        "bot.secrets",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_bad_inventory_is_refused_at_its_place(name: str, tmp_path: Path) -> None:
    """The error is the user's, and names file, line, key and what is wrong."""
    bad = TABLE[name]
    path = tmp_path / "prod.yml"
    path.write_bytes(bad.text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InventoryError) as caught:
        load("prod", tmp_path, os.environ)
    message = str(caught.value)
    place = f"{path}:{bad.line}: " if bad.line is not None else f"{path}: "
    assert message.startswith(place), message
    for part in bad.parts:
        assert part in message, message
    assert caught.value.exit_code is ExitCode.USAGE


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Several wrong keys are told together, each on a line with its place."""
    bad = bot("keep: x\nuser: root\nevn: {}", 5)
    (tmp_path / "prod.yml").write_text(bad.text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load("prod", tmp_path, os.environ)
    lines = str(caught.value).splitlines()
    assert sorted(line.split(": ")[1] for line in lines) == ["bot.evn", "bot.keep", "bot.user"]


def test_a_secret_written_into_the_file_is_not_repeated(tmp_path: Path) -> None:
    """An error about a secret never shows its value."""
    bad = bot("secrets:\n  TOKEN: hunter2\n  OTHER: 'env:hunter2 x'", 6)
    (tmp_path / "prod.yml").write_text(bad.text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load("prod", tmp_path, os.environ)
    assert "hunter2" not in str(caught.value)
