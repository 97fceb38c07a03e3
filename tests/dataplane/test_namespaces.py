# SPDX-License-Identifier: Apache-2.0
"""Named network namespaces and what can be made in them, checked with iproute2."""

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from cloudfabric.networking.dataplane import namespaces
from cloudfabric.networking.dataplane.links import LinkError, Links, index_of, require_index
from cloudfabric.networking.dataplane.namespaces import NamespaceError, NamespaceExecutor

NAMES = ("cft-netns-a", "cft-netns-b")


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    namespaces.create(NAMES)
    try:
        yield NAMES
    finally:
        for name in NAMES:
            namespaces.delete(name)
        namespaces.release_directory()


def ip(namespace: str, *arguments: str) -> list[dict[str, object]]:
    command = ["ip", "-json", "-netns", namespace, *arguments]
    listed: list[dict[str, object]] = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout or "[]"
    )
    return listed


def test_namespaces_are_those_of_iproute2(pair: tuple[str, str]) -> None:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout

    assert all(name in listed for name in pair)
    assert all(name in namespaces.names() for name in pair)
    assert all(namespaces.exists(name) for name in pair)
    assert namespaces.identity(pair[0]) != namespaces.identity(pair[1])
    assert [link["ifname"] for link in ip(pair[0], "link")] == ["lo"]


def test_a_name_is_given_once(pair: tuple[str, str]) -> None:
    with pytest.raises(NamespaceError, match="cft-netns-a: create: File exists") as caught:
        namespaces.create([pair[0]])

    assert (caught.value.errno, caught.value.name, caught.value.operation) == (errno.EEXIST, pair[0], "create")


def test_iproute2_does_not_hide_namespaces_made_here(pair: tuple[str, str]) -> None:
    """`ip netns add` turns /run/netns into a mount point of its own unless it is one already."""
    subprocess.run(["ip", "netns", "add", "cft-netns-c"], check=True)
    try:
        assert namespaces.delete(pair[0])
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        assert f"/{pair[0]} " not in mounts
    finally:
        subprocess.run(["ip", "netns", "del", "cft-netns-c"], check=True)


def test_deleting_twice_is_harmless(pair: tuple[str, str]) -> None:
    assert namespaces.delete(pair[0])
    assert not namespaces.delete(pair[0])
    assert not namespaces.exists(pair[0])


def test_a_directory_in_use_is_not_released(pair: tuple[str, str]) -> None:
    namespaces.release_directory()

    assert namespaces.exists(pair[0])


def test_making_and_releasing_at_the_same_time_do_not_disturb_one_another() -> None:
    def make_and_remove(worker: int) -> None:
        for number in range(25):
            name = f"cft-race-{worker}-{number}"
            namespaces.create([name])
            assert namespaces.delete(name)
            namespaces.release_directory()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make_and_remove, range(4)))


def test_without_a_directory_there_are_no_namespaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(namespaces, "DIRECTORY", tmp_path / "none")

    assert namespaces.names() == ()
    namespaces.release_directory()


def test_ipv6_is_off(pair: tuple[str, str]) -> None:
    with namespaces.entered(pair[0]):
        assert Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").read_text() == "1\n"


def test_a_thread_comes_back_from_a_visit(pair: tuple[str, str]) -> None:
    def visit() -> tuple[os.stat_result, os.stat_result]:
        with namespaces.entered(pair[0]):
            inside = os.stat("/proc/thread-self/ns/net")
        return inside, os.stat("/proc/thread-self/ns/net")

    with ThreadPoolExecutor(1) as pool:
        inside, after = pool.submit(visit).result()

    assert (inside.st_dev, inside.st_ino) == namespaces.identity(pair[0])
    assert after.st_ino == os.stat("/proc/self/ns/net").st_ino


async def test_an_executor_lives_in_its_namespace(pair: tuple[str, str]) -> None:
    executor = NamespaceExecutor(pair[1])
    try:
        found = await executor.run(os.stat, "/proc/thread-self/ns/net")
        assert (found.st_dev, found.st_ino) == namespaces.identity(pair[1])
        assert executor.submit(lambda: index_of("lo")).result() == 1
    finally:
        executor.close()


async def test_an_executor_of_no_namespace_stays_where_it_is() -> None:
    executor = NamespaceExecutor(None)
    try:
        found = await executor.run(os.stat, "/proc/thread-self/ns/net")
        assert found.st_ino == os.stat("/proc/self/ns/net").st_ino
    finally:
        executor.close()


def test_a_namespace_that_is_not_there_cannot_be_entered() -> None:
    with pytest.raises(NamespaceError, match="cft-nowhere: open"):
        NamespaceExecutor("cft-nowhere")
    with pytest.raises(NamespaceError, match="cft-nowhere: open"), namespaces.entered("cft-nowhere"):
        pass


def test_a_file_that_is_no_namespace_cannot_be_entered(pair: tuple[str, str]) -> None:
    stray = namespaces.DIRECTORY / "cft-stray"
    stray.touch()
    try:
        with pytest.raises(NamespaceError, match="cft-stray: enter: Invalid argument"), namespaces.entered("cft-stray"):
            pass
    finally:
        assert namespaces.delete("cft-stray")


# --- links -----------------------------------------------------------------------------------------------------------


def test_links_are_made_across_namespaces(pair: tuple[str, str]) -> None:
    mac = bytes.fromhex("02cf00000a01")
    with namespaces.entered(pair[0]), Links() as links:
        links.add_bridge("switch", mtu=1400)
        links.add_veth("port", "eth0", pair[1], mtu=1400, peer_mac=mac)
        links.set_master("port", "switch")
        assert links.mtu("port") == 1400
    with namespaces.entered(pair[1]), Links() as links:
        links.add_address("eth0", IPv4Address("10.9.0.2"), 24)
        links.set_up("eth0")
        links.add_default_route(IPv4Address("10.9.0.1"))

    [port] = ip(pair[0], "link", "show", "port")
    assert (port["master"], port["mtu"], "UP" in port["flags"]) == ("switch", 1400, True)  # type: ignore[operator]
    [inner] = ip(pair[1], "addr", "show", "eth0")
    assert (inner["address"], inner["mtu"]) == ("02:cf:00:00:0a:01", 1400)
    assert inner["addr_info"][0]["local"] == "10.9.0.2"  # type: ignore[index]
    assert ip(pair[1], "route", "show", "default")[0]["gateway"] == "10.9.0.1"


def test_deleting_one_end_deletes_both(pair: tuple[str, str]) -> None:
    with namespaces.entered(pair[0]), Links() as links:
        links.add_veth("port", "eth0", pair[1], mtu=1500, mac=bytes.fromhex("02cf00000a02"))
        assert ip(pair[0], "link", "show", "port")[0]["address"] == "02:cf:00:00:0a:02"

        assert links.delete("port")
        assert not links.delete("port")

    assert [link["ifname"] for link in ip(pair[1], "link")] == ["lo"]


def test_vxlan_is_the_kernel_s(pair: tuple[str, str]) -> None:
    with namespaces.entered(pair[0]), Links() as links:
        links.add_veth("uplink", "peer", pair[1], mtu=1500)
        ends = {"local": IPv4Address("10.8.0.1"), "remote": IPv4Address("10.8.0.2")}
        links.add_vxlan("tunnel", vni=42, **ends, device="uplink", mtu=1450)

    [tunnel] = ip(pair[0], "-details", "link", "show", "tunnel")
    data = tunnel["linkinfo"]["info_data"]  # type: ignore[index]
    assert (data["id"], data["local"], data["remote"], data["port"], data["link"]) == (
        42,
        "10.8.0.1",
        "10.8.0.2",
        4789,
        "uplink",
    )


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda links: links.set_up("nothing"), "interface nothing: look up: No such device"),
        (lambda links: links.add_bridge("lo", mtu=1500), "interface lo: add bridge: File exists"),
        (lambda links: links.add_default_route(IPv4Address("10.7.0.1")), "interface 10.7.0.1: add default route"),
    ],
)
def test_refusals_name_the_interface(pair: tuple[str, str], attempt: object, message: str) -> None:
    with namespaces.entered(pair[0]), Links() as links, pytest.raises(LinkError, match=message):
        attempt(links)  # type: ignore[operator]


def test_an_interface_that_is_not_there_has_no_index() -> None:
    assert index_of("cft-none") is None
    with pytest.raises(LinkError, match="cft-none"):
        require_index("cft-none")
