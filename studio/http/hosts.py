"""By which names a server may be asked.

A web page may point its own host name at this machine (DNS rebinding), and a browser then sends requests here in that
page's name. A server that knows its own names refuses them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from studio.http.refusal import Refused

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""The names of this machine that no other machine can use."""


def require_known_host(host: str, names: Collection[str], any_address: bool = False) -> None:
    """Raise Refused (400 malformed, 421 unknown) for a Host header that does not name this server.

    any_address: a bare IP address is let in too; DNS cannot rebind it.
    """
    name = _host_name(host, "Host")
    if name in names or (any_address and _is_address(name)):
        return
    raise Refused(421, f"the host name {name!r} is not served here", code="unknown_host")


def require_same_origin(origin: str | None, fetch_site: str | None, host: str) -> None:
    """Raise Refused (400 malformed, 403 other site) for a request that another site's page makes."""
    if origin is not None and _location(origin, "Origin") != host:
        raise Refused(403, "requests from other sites are refused", code="other_origin")
    if fetch_site not in (None, "same-origin", "none"):
        raise Refused(403, "requests from other sites are refused", code="other_origin")


def _host_name(host: str, header: str) -> str:
    return (_split(f"//{host}", header).hostname or "") if host.isprintable() else ""


def _location(origin: str, header: str) -> str:
    return _split(origin, header).netloc


def _split(url: str, header: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError:
        raise Refused(400, f"the {header} header is malformed", code="bad_header") from None
    return parts


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
