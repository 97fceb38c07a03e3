# SPDX-License-Identifier: Apache-2.0
"""Engines: where the bytes of a store are kept.

An engine knows nothing of kinds, conditions or watches. It keeps, for one store, the current value of each key, a
window of the change log, and the revision, and it makes a batch of changes durable all at once. The protocol is
`cloudfabric.store.engines.engine.Engine`; every engine passes the same conformance suite.
"""
