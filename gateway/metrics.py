"""The gateway's Prometheus metrics: what is counted, and what is read when somebody scrapes.

No label holds an id of a person, a thread or a run.
"""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Seconds the loop was late: below 5 ms is healthy, above 100 ms people notice."""

Sample = tuple[str, str, float, dict[str, str]]
"""Name, help, value, labels."""


class Metrics:
    """One registry per gateway, so that tests can run several in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "threadgate_requests",
            "Requests answered, by method and outcome",
            ["method", "outcome"],
            registry=self.registry,
        )
        self.connections = Gauge(
            "threadgate_connections", "Open connections, by transport", ["transport"], registry=self.registry
        )
        self.closes = Counter(
            "threadgate_closes", "Connections the gateway closed, by code", ["code"], registry=self.registry
        )
        self.policy_verdicts = Counter(
            "threadgate_policy_verdicts",
            "Judgements of policies but plain leave, by effect and rule",
            ["effect", "rule"],
            registry=self.registry,
        )
        self.loop_lag = Histogram(
            "threadgate_loop_lag_seconds",
            "How late the event loop ran a timer",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )

    def read_from(self, sample: Callable[[], Iterable[Sample]]) -> None:
        """Ask `sample` for values at every scrape."""
        self.registry.register(_Sampled(sample))

    def render(self) -> bytes:
        """The exposition text. Call it away from the loop's hot path; it does no I/O."""
        return generate_latest(self.registry)


class _Sampled(Collector):
    def __init__(self, sample: Callable[[], Iterable[Sample]]) -> None:
        self._sample = sample

    def collect(self) -> Iterable[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for name, text, value, labels in self._sample():
            family = families.get(name)
            if family is None:
                family = families[name] = GaugeMetricFamily(name, text, labels=list(labels))
            family.add_metric(list(labels.values()), value)
        return families.values()
