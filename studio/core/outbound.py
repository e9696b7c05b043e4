"""Which other servers the web studio, and what it starts, may ask.

Whoever signs in can enter addresses: of APIs, of vector stores. A server that fetches what others name can be turned against
its own network (SSRF). So the web studio, and every process it starts, follows rules; commands and notebooks of the machine's
own user do not. `STUDIO_OUTBOUND` passes them on: `local:FILE` or `shared:FILE`, where FILE holds what an owner allowed.

On a server that other machines reach (`shared`), `guard` watches every connection of the process, so that neither a redirect
nor a name that resolves otherwise a second time leads to a refused address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import sys
import urllib.request
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from studio.core.errors import SpecError
from studio.core.records import Record

VARIABLE = "STUDIO_OUTBOUND"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
"""This machine, which is always allowed: Studio's own servers are asked there."""
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")))
"""Where clouds tell a machine its credentials, beside the link-local addresses."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PATTERN = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.:-]*[a-z0-9])?")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutboundRules(Record):
    """`<home>/ui/outbound.json`: the hosts an owner allows; without any, every host but the refused addresses."""

    label: ClassVar[str] = "list of allowed hosts"
    remedy: ClassVar[str] = "Delete the file, and enter the hosts again in Settings."

    allowed: tuple[str, ...] = ()
    """Host names; `*.example.org` for every name below one."""


def file_of(home: Path) -> Path:
    """Where a home keeps the list."""
    return home / "ui" / "outbound.json"


def read(home: Path) -> OutboundRules:
    """The hosts an owner allows. Raises RecordError."""
    return _read(file_of(home))


def write(hosts: tuple[str, ...], home: Path) -> OutboundRules:
    """Allow these hosts and no others; none: all. Raises SpecError for one that is not a host name."""
    names = tuple(dict.fromkeys(name for host in hosts if (name := _host(host))))
    for name in names:
        if not _PATTERN.fullmatch(name):
            raise SpecError(
                f"{name[:80]!r} is not a host name", hint="Write one per line, for example api.openai.com.", where="hosts"
            )
    rules = OutboundRules(allowed=names)
    rules.write(file_of(home))
    return rules


def apply(home: Path, shared: bool) -> None:
    """Follow the rules of a home in this process and those it starts. shared: other machines reach the web studio."""
    os.environ[VARIABLE] = f"{'shared' if shared else 'local'}:{file_of(home)}"
    guard()


def require(url: str, where: str = "url") -> None:
    """Raise SpecError for an address that the rules of this process refuse. Without rules nothing is refused."""
    mode, rules = _active()
    if not mode:
        return
    host = _host(url)
    if not host or any(letter in "\\@" or not letter.isprintable() or letter.isspace() for letter in url):
        raise SpecError("expected the address of a server", hint="Enter for example https://openrouter.ai/api/v1.", where=where)
    if not is_allowed(host, rules):
        raise SpecError(
            f"{host} is not among the hosts that this studio may ask",
            hint=f"Use one of {', '.join(rules.allowed[:5])}, or have an owner allow it in Settings.",
            where=where,
        )
    if mode == "shared":
        for address in _addresses(host):
            if _refused(address):
                raise _refusal(host, address, where)


def is_allowed(host: str, rules: OutboundRules) -> bool:
    """Whether a list of allowed hosts lets a host be asked."""
    return not rules.allowed or host in LOCAL or any(_matches(host, name) for name in rules.allowed)


def require_hub() -> None:
    """Raise SpecError if the model hub is not among the hosts that may be asked."""
    require(os.environ.get("HF_ENDPOINT") or "https://huggingface.co", "model hub")


def guard() -> None:
    """Watch the connections of this process, if it belongs to a web studio that others reach. They cannot be un-watched."""
    global _guarding
    if _guarding or not os.environ.get(VARIABLE, "").startswith("shared:"):
        return
    _guarding = True
    sys.addaudithook(_watch)


def open_url(request: urllib.request.Request, seconds: float) -> Any:
    """`urllib.request.urlopen` that follows no redirect to another host."""
    require(request.full_url)
    return urllib.request.build_opener(_SameHost).open(request, timeout=seconds)


class _SameHost(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if _host(newurl) != _host(req.full_url):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_guarding = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not os.environ.get(VARIABLE, "").startswith("shared:"):
        return
    target: Any = arguments[1]
    if isinstance(target, tuple) and arguments[1]:  # else a Unix socket
        for address in _addresses(str(arguments[1][0])):
            if _refused(address):
                raise ConnectionRefusedError(f"connections to {address} are refused by Studio's rules for other servers")


def _active() -> tuple[str, OutboundRules]:
    mode, _, file = os.environ.get(VARIABLE, "").partition(":")
    return (mode, _read(Path(file))) if mode and file else ("", OutboundRules())


def _read(file: Path) -> OutboundRules:
    with contextlib.suppress(FileNotFoundError):
        return OutboundRules.read(file)
    return OutboundRules()


def _host(url: str) -> str:
    """The host name in an address, or the name itself; in small letters, without the dot that may end it."""
    text = url.strip()
    with contextlib.suppress(ValueError):
        return (urlsplit(text if "//" in text else f"//{text}").hostname or "").rstrip(".")
    return ""


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _addresses(host: str) -> list[Address]:
    """The addresses a host has now; none where it is not known, which the request itself will say."""
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(host.partition("%")[0])]
    with contextlib.suppress(OSError, UnicodeError):
        return [ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in socket.getaddrinfo(host, None)]
    return []


def _refused(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if inside is None and address in _NAT64:
            inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inside is not None:
            return _refused(inside)
    return address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA


def _refusal(host: str, address: Address, where: str) -> SpecError:
    named = host if host == str(address) else f"{host} ({address})"
    return SpecError(
        f"{named} is a link-local or metadata address, which a studio that others reach does not ask",
        hint="Enter the address of an API; a command on the machine itself is not limited.",
        where=where,
    )
