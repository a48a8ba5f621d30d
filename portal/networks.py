"""Addresses of clients, and what one subscriber has of the internet."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address


def address(text: str) -> Address | None:
    """None for what is none: a unix socket, or a proxy that hides it. IPv4 in IPv6 is IPv4."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        return found.ipv4_mapped
    return found


def subscriber_network(text: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 one, which one subscriber has whole; other text as it is."""
    found = address(text)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return str(found) if found else text
