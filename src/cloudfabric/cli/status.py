# SPDX-License-Identifier: Apache-2.0
"""Shows a running fabric as two tables: its objects with their phases, its hosts with what they counted."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from cloudfabric._fastpath.verdicts import Verdict

__all__ = ["render"]

_WIDTH = 140  # columns, where the output is not a terminal that says how many it has

_DETAILS = ("vni", "segment", "gateway", "address", "droplet", "interface")
"""Fields of a status worth a line; a kind has some of them."""

_BOOKKEEPING = frozenset({"Allocation"})
"""Kinds that people do not write; `--json` has them."""


def render(document: Mapping[str, object], console: Console | None = None) -> None:
    """Print what `cloudfabric.lab.control.read_status` returned."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    console.print(f"Fabric {document['name']}, {document['dataPlane']} data plane")
    console.print(_objects(_maps(document["objects"])))
    console.print(_hosts(_map(document["hosts"])))


def _objects(objects: Sequence[Mapping[str, object]]) -> Table:
    table = Table("Kind", "Object", "Phase", "Details", box=box.SIMPLE_HEAD, header_style="bold")
    for obj in objects:
        if obj["kind"] in _BOOKKEEPING:
            continue
        metadata, status = _map(obj["metadata"]), _map(obj.get("status", {}))
        path = "/".join(str(metadata[part]) for part in ("tenant", "namespace", "name") if metadata.get(part))
        details = "  ".join(f"{field} {status[field]}" for field in _DETAILS if status.get(field) is not None)
        table.add_row(str(obj["kind"]), path, str(status.get("phase", "")), details)
    return table


def _hosts(hosts: Mapping[str, object]) -> Table:
    table = Table("Host", "Goal state", "Endpoints", "Packets", box=box.SIMPLE_HEAD, header_style="bold")
    for name, entry in hosts.items():
        host = _map(entry)
        endpoints = [
            f"VNI {counted['vni']} {counted['address']}: {counted['tx_packets']} sent, "
            f"{counted['rx_packets']} received, {counted['dropped']} refused"
            for counted in _maps(host["endpoints"])
        ]
        verdicts = [f"{count} {Verdict[verdict].text}" for verdict, count in _map(host["verdicts"]).items()]
        label = f"{name} ({host['address']})"
        table.add_row(label, f"version {host['version']}", "\n".join(endpoints), "\n".join(verdicts))
        table.add_section()
    return table


def _map(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"a mapping was expected in the status, not {value!r}")
    return value


def _maps(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected in the status, not {value!r}")
    return [_map(item) for item in value]
