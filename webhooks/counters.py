"""Counters of the web process that are not rows anywhere: what was refused leaves no other trace."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

FRESH_BUCKETS_S = (1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 86_400)


class Counters:
    """One set per application, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.forged = Counter("kopilka_forged_total", "Callbacks that failed verification", registry=self.registry)
        self.accepted = Counter(
            "kopilka_webhooks_received_total", "Messages stored, by source", ["source"], registry=self.registry
        )
        self.card_fresh = Histogram(
            "kopilka_card_fresh_seconds",
            "From a change of an Apple card to its first fetch by a phone",
            registry=self.registry,
            buckets=FRESH_BUCKETS_S,
        )
