"""What Prometheus sees of a node."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One node's figures, in a registry of their own: several nodes may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.jobs = Gauge("capek_node_jobs", "Jobs by state", ["state"], registry=self.registry)
        self.refused = Counter(
            "capek_node_refused", "Jobs refused, by code", ["code"], registry=self.registry
        )
        self.failed = Counter(
            "capek_node_failed", "Accepted jobs that failed, by why", ["why"], registry=self.registry
        )
        self.output_tokens = Counter("capek_node_output_tokens", "Tokens written", registry=self.registry)
        self.seconds = Histogram(
            "capek_node_answer_seconds",
            "From a job's start to its signed completion",
            buckets=(0.5, 1, 2, 5, 10, 20, 60, 120, 300, 900),
            registry=self.registry,
        )
        self.pace = Gauge(
            "capek_node_pace", "Speed of late ÷ speed at start", ["model"], registry=self.registry
        )
        self.earned = Gauge(
            "capek_node_paid_base_units", "Paid for final jobs, model fees included", registry=self.registry
        )
        self.gas_ether = Gauge(
            "capek_node_gas_ether", "Ether of the operator's account", registry=self.registry
        )
        self.free_stake = Gauge(
            "capek_node_free_stake_base_units",
            "Provisioned and not reserved",
            ["model"],
            registry=self.registry,
        )
        self.seats = Gauge(
            "capek_node_seats", "Seats in the court that were not left", ["model"], registry=self.registry
        )
        self.disputes = Gauge(
            "capek_node_disputes",
            "Disputes: open anywhere; ended that this node sat in; ended over its own answers",
            ["kind"],
            registry=self.registry,
        )
        self.votes = Gauge(
            "capek_node_votes", "Votes cast, by what they say", ["vote"], registry=self.registry
        )
        self.court_earned = Gauge(
            "capek_node_court_earned_base_units", "Fees that the court paid", registry=self.registry
        )
        self.silent = Gauge(
            "capek_node_silent_seats", "Times a seat was drawn and did not reveal", registry=self.registry
        )
        self.cursor = Gauge("capek_node_followed_block", "Last block followed", registry=self.registry)
        self.outbox = Gauge("capek_node_outbox_unfinished", "Transactions under way", registry=self.registry)

    def text(self) -> bytes:
        return generate_latest(self.registry)
