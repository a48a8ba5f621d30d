"""From which network a request came.

A download keeps the network alone, not the address: a /24 or /48 says which institution it was, and not whose machine.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network

from portal.networks import Address, address

KEPT = {4: 24, 6: 48}  # bits, by IP version


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
