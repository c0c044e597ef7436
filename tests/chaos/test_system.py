"""What the system under chaos is made of."""

from edge.placement import spread
from tests.chaos.audience import TOPIC
from tests.chaos.records import PARTITIONS
from tests.chaos.system import ranked_alike


def test_edges_agree_on_shares() -> None:
    """Whichever replicas run, both edges have a partition read by the same one, through proxies of their own."""
    model = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    alike = ranked_alike(model, [f"127.0.0.1:{port}" for port in range(1_000, 2_500)])
    for running in ((0, 1, 2), (0, 1), (0, 2), (1, 2)):
        shares = [
            {share.partitions: addresses.index(share.replica) for share in spread(TOPIC, PARTITIONS, replicas)}
            for addresses in (model, alike)
            for replicas in [[addresses[number] for number in running]]
        ]
        assert shares[0] == shares[1]
