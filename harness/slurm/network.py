"""How the nodes of a job find each other: by the addresses that Slurm has for them, or by those of an interface."""

import re
import socket

from harness.engines import Nodes
from harness.errors import ClusterError
from harness.launch import reserve_port
from harness.slurm import calls


def nodes_of(nodelist: str, interface: str | None) -> Nodes:
    """The nodes of a job, seen from the first of them, with a port that is free there.

    A host's own idea of its address may be a loopback one, so Slurm's is taken.

    Raises:
        ClusterError: Slurm has no address for one of them, or the interface has none.
    """
    addresses = [_address(name) for name in calls.node_names(nodelist)]
    if interface is not None:
        addresses[0] = _address_of(interface)
    with reserve_port(addresses[0]) as held:
        port: int = held.getsockname()[1]
    return Nodes(addresses=tuple(addresses), port=port, interface=interface)


def _address(node: str) -> str:
    output = calls.run("scontrol", "show", "node", node, "--oneliner")
    address = re.search(r"NodeAddr=(\S+)", output)
    try:
        return socket.gethostbyname(address[1] if address else node)
    except OSError as error:
        raise ClusterError(f"{node}: its address is not known here ({error}); give the site's interface") from error


def _address_of(interface: str) -> str:
    output = calls.run("ip", "-4", "-oneline", "address", "show", "dev", interface)
    address = re.search(r"inet (\d+\.\d+\.\d+\.\d+)", output)
    if address is None:
        raise ClusterError(f"interface {interface}: has no IPv4 address on {socket.gethostname()}")
    return address[1]
