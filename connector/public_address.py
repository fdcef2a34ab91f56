"""Where an address that a person has typed may lead: to public hosts only.

Owns the list of networks that are not public, the shape of an acceptable URL, and the `requests` adapter that connects
to the very address that was checked: between check and connection no name is looked up again, so a host cannot show one
address to the check and another to the socket. Sends nothing itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from requests.adapters import HTTPAdapter

from connector.errors import ConnectorError, Unreachable

URL_CHARS_MAX = 2_000
FREE_PORTS_FROM = 1_024
_PORTS = {"https": 443, "http": 80}

Resolver = Callable[[str, int], Sequence[str]]
"""Host and port -> its addresses as text, the best first. Raises OSError when there are none."""

Reason = Literal["malformed", "scheme", "userinfo", "port", "not_public"]

# Written out instead of asking `ipaddress`: what it calls global differs between versions of Python.
_CLOSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own services behind a public number
        "169.254.0.0/16",  # link-local, metadata of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_OPEN_V6 = IPv6Network("2000::/3")
"""Nothing outside is given to public hosts."""

_CLOSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols: Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_OWN_NETWORKS = tuple(
    ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
"""What `allow_private` opens. Link-local, where clouds keep their credentials, stays closed."""


class AddressRefused(ConnectorError):
    """We send nothing to this address. `reason` says why."""

    code: ClassVar[str] = "address_refused"

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the address is refused: {reason}")
        self.reason: Reason = reason


def check_url(url: str, *, allow_private: bool = False) -> SplitResult:
    """The parts of an acceptable URL: https (with `allow_private` also http), a host, no name and password, port 80,
    443 or one of the free ones. Raises AddressRefused."""
    parts = _split(url)
    if parts is None or not parts.hostname or parts.fragment:
        raise AddressRefused("malformed")
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise AddressRefused("scheme")
    if "@" in parts.netloc:
        raise AddressRefused("userinfo")
    if parts.port is not None and parts.port not in _PORTS.values() and parts.port < FREE_PORTS_FROM:
        raise AddressRefused("port")
    return parts


def is_allowed(address: str, *, allow_private: bool = False) -> bool:
    """True when a socket may be opened to this IP address."""
    ip = _carried(ip_address(address))
    if allow_private and any(ip in network for network in _OWN_NETWORKS):
        return True
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _CLOSED_V4)
    return ip in _OPEN_V6 and not any(ip in network for network in _CLOSED_V6)


def checked_address(host: str, port: int, *, resolver: Resolver, allow_private: bool) -> str:
    """The address to connect to. A name that leads inside with only one of its addresses is refused as a whole.

    Raises AddressRefused, Unreachable.
    """
    try:
        found = list(resolver(host, port))
    except (OSError, UnicodeError):
        found = []
    if not found:
        raise Unreachable("the host has no address")
    if not all(is_allowed(address, allow_private=allow_private) for address in found):
        raise AddressRefused("not_public")
    return found[0]


def system_resolver(host: str, port: int) -> Sequence[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class CheckedAdapter(HTTPAdapter):
    """Looks the host up once per request, checks what it found, and connects there. The host's name stays in the
    `Host` header, in SNI and in the check of the certificate."""

    def __init__(self, resolver: Resolver, *, allow_private: bool) -> None:
        super().__init__()
        self._resolver = resolver
        self._allow_private = allow_private

    def build_connection_pool_key_attributes(
        self, request: Any, verify: bool | str, cert: str | tuple[str, str] | None = None
    ) -> tuple[Any, Any]:
        place, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        scheme, host = place["scheme"], str(place["host"])
        port = place["port"] or _PORTS[scheme]
        address = checked_address(host, port, resolver=self._resolver, allow_private=self._allow_private)
        own_tls = {"server_hostname": host} if scheme == "https" else {}
        return {**place, "host": address}, {**tls, **own_tls}

    def add_headers(self, request: Any, **_: Any) -> None:
        request.headers["Host"] = urlsplit(request.url).netloc


def _split(url: str) -> SplitResult | None:
    if len(url) > URL_CHARS_MAX or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # urllib looks at the port only when it is asked for
    except ValueError:
        return None
    return parts


def _carried(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one only carries (mapped, 6to4, NAT64): that is where it leads."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
