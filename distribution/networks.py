"""From which network a request came.

A download keeps the network alone, not the address: a /24 or /48 says which institution it was, and not whose machine.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
KEPT = {4: 24, 6: 48}  # bits, by IP version


def address(text: str) -> Address | None:
    """None for what is none: a unix socket, or a proxy that hides it. IPv4 in IPv6 is IPv4."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        return found.ipv4_mapped
    return found


def network_of(text: str) -> str:
    """`203.0.113.7` → `203.0.113.0/24`; "" for what is no address."""
    if (found := address(text)) is None:
        return ""
    return str(ip_network((found, KEPT[found.version]), strict=False))


def is_in(text: str, network: IPv4Network | IPv6Network) -> bool:
    return (found := address(text)) is not None and found in network


def sortable(found: Address) -> str:
    """32 hex digits whose order is that of the addresses, both versions in one."""
    value = int(found) if found.version == 6 else 0xFFFF00000000 | int(found)
    return f"{value:032x}"
