# SPDX-License-Identifier: Apache-2.0
"""What every engine's store does: the contract of `Client`, over each engine."""

import asyncio
from datetime import UTC, datetime
from ipaddress import IPv4Network

import pytest

from cloudfabric.models import VPC, Endpoint, EndpointSpec, ObjectMeta, Phase, Tenant, VPCSpec
from cloudfabric.store import (
    AlreadyExists,
    Client,
    Conflict,
    InvalidObject,
    NotFound,
    Store,
    StoreClosed,
)


def vpc(name: str = "main", tenant: str = "red", **meta: object) -> VPC:
    return VPC(
        metadata=ObjectMeta.model_validate({"tenant": tenant, "name": name, **meta}),
        spec=VPCSpec(cidrs=(IPv4Network("10.0.0.0/16"),)),
    )


def endpoint(name: str, namespace: str = "default", tenant: str = "red", **meta: object) -> Endpoint:
    return Endpoint(
        metadata=ObjectMeta.model_validate({"tenant": tenant, "namespace": namespace, "name": name, **meta}),
        spec=EndpointSpec(subnet="web", droplet="host-1"),
    )


@pytest.fixture
def client(store: Store) -> Client:
    return store.client()


class TestCreate:
    async def test_sets_what_belongs_to_the_store(self, client: Client) -> None:
        given = vpc(uid="mine", generation=9, labels={"app": "x"}).with_status(vni=5)

        created = await client.create(given)

        meta = created.metadata
        assert meta.uid not in ("", "mine")
        assert meta.resource_version != ""
        assert meta.generation == 1
        assert meta.creation_timestamp == datetime(2026, 1, 31, 12, tzinfo=UTC)
        assert meta.labels == {"app": "x"}
        assert created.spec == given.spec
        assert created.status.vni is None
        assert await client.get(VPC, "main", tenant="red") == created

    async def test_refuses_a_name_that_is_taken(self, client: Client) -> None:
        await client.create(vpc())

        with pytest.raises(AlreadyExists, match="VPC red/main already exists") as caught:
            await client.create(vpc())

        assert (caught.value.kind, caught.value.tenant, caught.value.name) == ("VPC", "red", "main")

    async def test_the_same_name_in_another_tenant_is_another_object(self, client: Client) -> None:
        red, blue = await client.create(vpc()), await client.create(vpc(tenant="blue"))

        assert red.metadata.uid != blue.metadata.uid

    async def test_only_one_of_many_concurrent_creates_succeeds(self, client: Client) -> None:
        results = await asyncio.gather(*(client.create(vpc()) for _ in range(16)), return_exceptions=True)

        assert sum(isinstance(result, VPC) for result in results) == 1
        assert sum(isinstance(result, AlreadyExists) for result in results) == 15

    async def test_generates_names(self, client: Client) -> None:
        first = await client.create(vpc(name="", generate_name="net-"))
        second = await client.create(vpc(name="", generate_name="net-"))

        assert first.metadata.name != second.metadata.name
        assert first.metadata.name.startswith("net-")
        assert len(first.metadata.name) == len("net-") + 5
        assert await client.get(VPC, first.metadata.name, tenant="red") == first

    async def test_refuses_a_resource_version(self, client: Client) -> None:
        with pytest.raises(InvalidObject, match=r"metadata\.resourceVersion: 5 must not be set on a new object"):
            await client.create(vpc(resource_version="5"))

    async def test_refuses_what_was_changed_behind_the_model(self, client: Client) -> None:
        broken = vpc().model_copy(update={"spec": VPCSpec.model_construct(cidrs=(), dividers=0)})

        with pytest.raises(
            InvalidObject, match=r"VPC red/main: spec\.cidrs: .*; also spec\.dividers: 0 must be at least"
        ):
            await client.create(broken)
        assert (await client.list(VPC)).items == ()

    async def test_refuses_names_too_long_to_be_a_key(self, client: Client) -> None:
        long = ".".join(["a" * 63] * 4)[:253]
        tenant = "t" * 63

        created = await client.create(vpc(name=long, tenant=tenant))
        with pytest.raises(InvalidObject, match="is too long"):
            await client.create(_LongKind.model_validate(vpc(name=long, tenant=tenant).to_wire()))

        assert created.metadata.name == long


class _LongKind(VPC):
    PLURAL = "p" * 250


class TestGetAndList:
    async def test_get_of_nothing(self, client: Client) -> None:
        with pytest.raises(NotFound, match="Endpoint red/default/a does not exist") as caught:
            await client.get(Endpoint, "a", tenant="red", namespace="default")

        assert (caught.value.kind, caught.value.namespace) == ("Endpoint", "default")

    async def test_lists_are_ordered_and_selected(self, client: Client) -> None:
        for tenant, namespace, name, labels in (
            ("red", "prod", "a", {"app": "x", "tier": "web"}),
            ("red", "default", "b", {"app": "x"}),
            ("blue", "default", "c", {"app": "y"}),
            ("red", "default", "a", {}),
        ):
            await client.create(endpoint(name, namespace, tenant, labels=labels))

        async def names(**selection: object) -> list[str]:
            found = await client.list(Endpoint, **selection)  # type: ignore[arg-type]
            return [item.metadata.path for item in found.items]

        assert await names() == ["blue/default/c", "red/default/a", "red/default/b", "red/prod/a"]
        assert await names(tenant="red") == ["red/default/a", "red/default/b", "red/prod/a"]
        assert await names(tenant="red", namespace="default") == ["red/default/a", "red/default/b"]
        assert await names(namespace="default") == ["blue/default/c", "red/default/a", "red/default/b"]
        assert await names(labels={"app": "x"}) == ["red/default/b", "red/prod/a"]
        assert await names(labels={"app": "x", "tier": "web"}) == ["red/prod/a"]
        assert await names(tenant="green") == []
        assert (await client.list(VPC)).items == ()

    async def test_a_list_is_of_one_moment(self, client: Client) -> None:
        for number in range(600):
            await client.create(endpoint(f"e{number}"))
        before = await client.get(Endpoint, "e0", tenant="red", namespace="default")

        listing = asyncio.create_task(client.list(Endpoint))
        await asyncio.sleep(0)  # the list has gathered its records and is decoding
        await client.delete(Endpoint, "e599", tenant="red", namespace="default")
        found = await listing

        assert len(found.items) == 600
        assert int(found.resource_version) == int(before.metadata.resource_version) + 599

    async def test_resource_versions_only_rise(self, client: Client) -> None:
        versions = [int((await client.list(VPC)).resource_version)]
        created = await client.create(vpc())
        versions.append(int(created.metadata.resource_version))
        versions.append(int((await client.update(created.with_spec(dividers=2))).metadata.resource_version))
        await client.delete(VPC, "main", tenant="red")
        versions.append(int((await client.list(VPC)).resource_version))

        assert versions == sorted(set(versions))


class TestUpdate:
    async def test_replaces_spec_and_counts_generations(self, client: Client) -> None:
        created = await client.create(vpc())

        updated = await client.update(created.with_spec(dividers=2).with_status(vni=5))

        assert updated.spec.dividers == 2
        assert updated.metadata.generation == 2
        assert updated.metadata.uid == created.metadata.uid
        assert updated.metadata.creation_timestamp == created.metadata.creation_timestamp
        assert updated.status.vni is None
        assert await client.get(VPC, "main", tenant="red") == updated

    async def test_labels_are_not_a_new_generation(self, client: Client) -> None:
        created = await client.create(vpc())

        updated = await client.update(created.with_metadata(labels={"app": "x"}))

        assert updated.metadata.labels == {"app": "x"}
        assert updated.metadata.generation == 1
        assert updated.metadata.resource_version != created.metadata.resource_version

    async def test_an_update_that_changes_nothing_writes_nothing(self, client: Client) -> None:
        created = await client.create(vpc())

        assert await client.update(created) == created
        assert await client.update_status(created) == created
        assert (await client.list(VPC)).resource_version == created.metadata.resource_version

    async def test_compares_and_sets(self, client: Client) -> None:
        created = await client.create(vpc())
        newer = await client.update(created.with_spec(dividers=2))

        with pytest.raises(Conflict, match="somebody else wrote it") as caught:
            await client.update(created.with_spec(dividers=3))

        assert (caught.value.field, caught.value.expected, caught.value.actual) == (
            "resourceVersion",
            created.metadata.resource_version,
            newer.metadata.resource_version,
        )
        assert (await client.get(VPC, "main", tenant="red")).spec.dividers == 2

    async def test_without_a_resource_version_it_is_unconditional(self, client: Client) -> None:
        await client.create(vpc())

        updated = await client.update(vpc().with_spec(dividers=4))

        assert updated.spec.dividers == 4

    async def test_another_object_of_the_same_name_is_a_conflict(self, client: Client) -> None:
        created = await client.create(vpc())

        with pytest.raises(Conflict) as caught:
            await client.update(created.with_metadata(uid="other", resource_version=""))

        assert caught.value.field == "uid"

    async def test_of_nothing(self, client: Client) -> None:
        with pytest.raises(NotFound):
            await client.update(vpc())
        with pytest.raises(NotFound):
            await client.update_status(vpc())

    async def test_exactly_one_of_many_writers_of_one_version_succeeds(self, client: Client) -> None:
        created = await client.create(vpc())

        results = await asyncio.gather(
            *(client.update(created.with_spec(dividers=number)) for number in range(2, 18)), return_exceptions=True
        )

        assert sum(isinstance(result, VPC) for result in results) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 15

    async def test_status_is_written_by_itself(self, client: Client) -> None:
        created = await client.create(vpc())

        changed = created.with_spec(dividers=9).with_metadata(labels={"a": "b"}).with_status(vni=5)
        updated = await client.update_status(changed)

        assert updated.status.vni == 5
        assert updated.spec.dividers == 1
        assert updated.metadata.labels == {}
        assert updated.metadata.generation == 1
        with pytest.raises(Conflict):
            await client.update_status(created.with_status(vni=6))

    async def test_a_status_that_breaks_a_rule_is_refused(self, client: Client) -> None:
        created = await client.create(vpc())
        broken = created.model_copy(update={"status": created.status.model_copy(update={"vni": 1 << 24})})

        with pytest.raises(InvalidObject, match=r"status\.vni: 16777216 must be at most 16777215"):
            await client.update_status(broken)


class TestPatch:
    async def test_merges(self, client: Client) -> None:
        await client.create(vpc(labels={"a": "1", "b": "2"}))

        patch = {"metadata": {"labels": {"a": None, "c": "3"}}, "spec": {"dividers": 3}, "status": {"vni": 5}}
        patched = await client.patch(VPC, "main", patch, tenant="red")

        assert patched.metadata.labels == {"b": "2", "c": "3"}
        assert patched.spec.dividers == 3
        assert patched.metadata.generation == 2
        assert patched.status.vni is None

    async def test_of_the_status(self, client: Client) -> None:
        await client.create(vpc())

        patch = {"spec": {"dividers": 3}, "status": {"vni": 5, "phase": "Provisioned"}}
        patched = await client.patch(VPC, "main", patch, tenant="red", subresource="status")

        assert (patched.status.vni, patched.status.phase) == (5, Phase.PROVISIONED)
        assert patched.spec.dividers == 1

    async def test_needs_no_resource_version_but_honours_one(self, client: Client) -> None:
        created = await client.create(vpc())
        await client.patch(VPC, "main", {"spec": {"dividers": 2}}, tenant="red")

        stale = {"metadata": {"resourceVersion": created.metadata.resource_version}, "spec": {"dividers": 3}}
        with pytest.raises(Conflict):
            await client.patch(VPC, "main", stale, tenant="red")
        with pytest.raises(Conflict):
            await client.patch(VPC, "main", {"metadata": {"uid": "other"}}, tenant="red")

    @pytest.mark.parametrize(
        ("patch", "text"),
        [
            ({"spec": {"dividers": 0}}, "VPC red/main: spec.dividers: 0 must be at least 1"),
            ({"spec": None}, "VPC red/main: spec: is required; add it"),
            ({"sepc": {}}, "VPC red/main: sepc: is not a field of this object"),
            ({"metadata": {"name": "other"}}, "VPC red/main: metadata.name: other cannot be changed"),
            ({"metadata": {"tenant": "blue"}}, "VPC red/main: metadata.tenant: blue cannot be changed"),
            ({"kind": "Subnet"}, "kind: Subnet must be 'VPC'"),
        ],
    )
    async def test_refuses_a_result_that_breaks_a_rule(
        self, client: Client, patch: dict[str, object], text: str
    ) -> None:
        created = await client.create(vpc())

        with pytest.raises(InvalidObject) as caught:
            await client.patch(VPC, "main", patch, tenant="red")

        assert text in str(caught.value)
        assert await client.get(VPC, "main", tenant="red") == created

    async def test_of_nothing_or_of_an_unknown_subresource(self, client: Client) -> None:
        with pytest.raises(NotFound):
            await client.patch(VPC, "main", {}, tenant="red")
        with pytest.raises(ValueError, match="'scale' is not a subresource"):
            await client.patch(VPC, "main", {}, tenant="red", subresource="scale")


class TestDelete:
    async def test_removes(self, client: Client) -> None:
        first = await client.create(vpc())

        await client.delete(VPC, "main", tenant="red")

        with pytest.raises(NotFound):
            await client.get(VPC, "main", tenant="red")
        with pytest.raises(NotFound):
            await client.delete(VPC, "main", tenant="red")
        assert (await client.create(vpc())).metadata.uid != first.metadata.uid

    async def test_preconditions(self, client: Client) -> None:
        created = await client.create(vpc())

        with pytest.raises(Conflict):
            await client.delete(VPC, "main", tenant="red", resource_version="999")
        with pytest.raises(Conflict):
            await client.delete(VPC, "main", tenant="red", uid="other")
        await client.delete(
            VPC, "main", tenant="red", uid=created.metadata.uid, resource_version=created.metadata.resource_version
        )

        assert (await client.list(VPC)).items == ()

    async def test_waits_for_finalizers(self, client: Client) -> None:
        await client.create(vpc(finalizers=["example.org/a", "example.org/b"]))

        await client.delete(VPC, "main", tenant="red")
        marked = await client.get(VPC, "main", tenant="red")
        await client.delete(VPC, "main", tenant="red")  # asking again changes nothing
        one_left = await client.update(marked.with_metadata(finalizers=("example.org/b",)))
        last = await client.update(one_left.with_metadata(finalizers=()))

        assert marked.metadata.deletion_timestamp == datetime(2026, 1, 31, 12, tzinfo=UTC)
        assert marked.metadata.generation == 2
        assert one_left.metadata.deletion_timestamp is not None
        assert last.metadata.finalizers == ()
        with pytest.raises(NotFound):
            await client.get(VPC, "main", tenant="red")

    async def test_nobody_joins_a_deletion_late(self, client: Client) -> None:
        await client.create(vpc(finalizers=["example.org/a"]))
        await client.delete(VPC, "main", tenant="red")

        with pytest.raises(InvalidObject, match=r"example\.org/b is new, but the object is being deleted"):
            await client.patch(
                VPC, "main", {"metadata": {"finalizers": ["example.org/a", "example.org/b"]}}, tenant="red"
            )
        with pytest.raises(AlreadyExists):
            await client.create(vpc())

    async def test_a_deletion_cannot_be_taken_back(self, client: Client) -> None:
        await client.create(vpc(finalizers=["example.org/a"]))
        await client.delete(VPC, "main", tenant="red")
        marked = await client.get(VPC, "main", tenant="red")

        updated = await client.update(marked.with_metadata(deletion_timestamp=None, labels={"a": "b"}))

        assert updated.metadata.deletion_timestamp == marked.metadata.deletion_timestamp


class TestClosing:
    async def test_everything_is_refused_afterwards(self, store: Store) -> None:
        client = store.client()
        created = await client.create(vpc())

        await store.close()
        await store.close()

        for request in (
            client.get(VPC, "main", tenant="red"),
            client.list(VPC),
            client.create(vpc("other")),
            client.update(created.with_spec(dividers=2)),
            client.patch(VPC, "main", {}, tenant="red"),
            client.delete(VPC, "main", tenant="red"),
        ):
            with pytest.raises(StoreClosed):
                await request

    async def test_what_was_accepted_before_is_still_committed(self, store: Store) -> None:
        client = store.client()
        writing = [asyncio.create_task(client.create(vpc(f"v{number}"))) for number in range(20)]
        await asyncio.sleep(0)  # every writer has submitted

        await store.close()

        assert {(await task).metadata.name for task in writing} == {f"v{number}" for number in range(20)}


class TestSharing:
    async def test_readers_share_one_decoded_object(self, client: Client) -> None:
        await client.create(Tenant(metadata=ObjectMeta(name="red")))

        first, second = await client.get(Tenant, "red"), (await client.list(Tenant)).items[0]

        assert first is second

    async def test_a_cancelled_writer_does_not_disturb_others(self, client: Client) -> None:
        cancelled = asyncio.create_task(client.create(vpc("a")))
        other = asyncio.create_task(client.create(vpc("b")))
        await asyncio.sleep(0)

        cancelled.cancel()
        await other

        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert [item.metadata.name for item in (await client.list(VPC)).items] == ["a", "b"]
