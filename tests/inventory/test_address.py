"""ssh's arguments: what is followed, what is ignored, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from botdeploy.core.address import Address, Jump, SshArgs, parse_jump, parse_ssh_args
from botdeploy.errors import UserError


@pytest.mark.parametrize(
    ("text", "jump"),
    [
        ("bastion", Jump("bastion")),
        ("me@bastion", Jump("bastion", "me")),
        ("me@bastion:2222", Jump("bastion", "me", 2222)),
        ("[2001:db8::1]:22", Jump("2001:db8::1", None, 22)),
        ("2001:db8::1", Jump("2001:db8::1")),
        ("ssh://me@bastion:22", Jump("bastion", "me", 22)),
        ("a@b@bastion", Jump("bastion", "a@b")),
    ],
)
def test_a_jump_names_user_host_and_port(text: str, jump: Jump) -> None:
    """A hop is read as ssh -J reads it."""
    assert parse_jump(text) == jump


@pytest.mark.parametrize(
    "text",
    ["", "@host", "me@", "a b", "-oProxyCommand=x", "-x@host", "host:0", "host:99999", "a\0b"],
)
def test_what_is_no_jump_is_refused(text: str) -> None:
    """A hop that ssh could take for something else is an error."""
    with pytest.raises(UserError, match=r"ProxyJump|port"):
        parse_jump(text)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("", SshArgs()),
        ("-J a,me@b:22", SshArgs(jumps=("a", "me@b:22"))),
        ("-o ProxyJump=a", SshArgs(jumps=("a",))),
        ("-oProxyJump=a", SshArgs(jumps=("a",))),
        ("-o 'ProxyJump a'", SshArgs(jumps=("a",))),
        ("-J none", SshArgs(options=(("proxyjump", "none"),))),
        ("-p 2222 -l me -i k1 -i k2", SshArgs(port=2222, user="me", identity_files=("k1", "k2"))),
        ("-o User=one -o User=two", SshArgs(user="one")),
        ("-o UserKnownHostsFile='a b'", SshArgs(known_hosts_files=("a", "b"))),
        ("-o StrictHostKeyChecking=no -C -v", SshArgs(options=(("stricthostkeychecking", "no"),))),
        ("-Cp2222", SshArgs(port=2222)),
        ("-6", SshArgs(options=(("addressfamily", "inet6"),))),
        ('-o ProxyCommand="nc %h %p"', SshArgs(options=(("proxycommand", "nc %h %p"),))),
        ("-o HostName=10.0.0.1", SshArgs(hostname="10.0.0.1")),
    ],
)
def test_ssh_arguments_mean_what_they_mean_to_ssh(text: str, args: SshArgs) -> None:
    """Options are read in all of ssh's spellings; the first value of a name wins."""
    assert parse_ssh_args(text) == args


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host", "not an option"),
        ("-", "not an option"),
        ("-W x:1", "-W is not supported"),
        ("-L 1:a:2", "-L is not supported"),
        ("-o LocalCommand=x", "'localcommand' is not supported"),
        ("-o Port=0", "Port"),
        ("-p", "-p needs a value"),
        ("-o Port", "not Name=value"),
        ("-o 'a", "No closing quotation"),
        ("-J a,,b", "ProxyJump"),
    ],
)
def test_what_cannot_be_followed_is_refused(text: str, message: str) -> None:
    """An argument that would change the connection in a way we cannot follow is an error."""
    with pytest.raises(UserError, match=message):
        parse_ssh_args(text)


def test_ansibles_variables_win_over_its_arguments() -> None:
    """What an address says already stays; arguments fill what is missing."""
    address = Address(host="w1", hostname="w1", port=22, identity_files=("k0",))
    grown = address.with_ssh_args("-p 2222 -l me -i k1 -o HostName=10.0.0.1 -J a")
    assert (grown.port, grown.user, grown.hostname) == (22, "me", "10.0.0.1")
    assert grown.identity_files == ("k0", "k1")
    assert grown.jumps == ("a",)
    named = Address(host="w1", hostname="10.9.9.9").with_ssh_args("-o HostName=10.0.0.1")
    assert named.hostname == "10.9.9.9"


def test_an_address_finds_its_options_in_any_case() -> None:
    """Options are looked up by name, whatever the case; the password is never shown."""
    address = Address(host="a", hostname="a", become_password="hunter2").with_ssh_args(
        "-o ConnectTimeout=5"
    )
    assert address.option("ConnectTimeout") == "5"
    assert address.option("compression") is None
    assert "hunter2" not in repr(address)


@given(st.text(st.sampled_from("-oJipl46 ab=,:@[]'\"\\%hp\0\n12"), max_size=30))
@example("-J [")
@example("-o=")
@example("-J [a")
def test_any_arguments_are_read_or_a_users_error(text: str) -> None:
    """Arbitrary arguments never cause a fault of botdeploy's own."""
    try:
        args = parse_ssh_args(text)
    except UserError:
        return
    for jump in args.jumps:
        assert str(parse_jump(jump)) == jump
