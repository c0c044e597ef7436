"""The readers against the plain truth, whatever the order of things: who is served by whom is invisible to clients.

`World` checks what arrives; here is what happens in it.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from filter_service import live_reader, topic_reader
from tests.filter_service.made import TOPIC
from tests.filter_service.world import QUERIES, World

CHUNKS = [60, 500]
"""Bytes of a chunk: two or three records, or all that are served again at a time."""

few = st.integers(1, 6)
which = st.integers(0, 1_000)
"""Picks one of what there is."""


class Readers(RuleBasedStateMachine):
    """One topic, a live reader, one or two catch-up readers, three streams of which two have little room."""

    def __init__(self) -> None:
        super().__init__()
        self._chunk_bytes = topic_reader.CHUNK_BYTES
        self._replayed_at_a_time = live_reader.REPLAYED_AT_A_TIME
        live_reader.REPLAYED_AT_A_TIME = 2

    @initialize(
        partitions=st.integers(1, 2),
        catch_up_readers=st.integers(1, 2),
        replayed=st.sampled_from([0, 900, 3_000]),
        chunk=st.sampled_from(CHUNKS),
    )
    def begin(self, partitions: int, catch_up_readers: int, replayed: int, chunk: int) -> None:
        topic_reader.CHUNK_BYTES = chunk
        self.world = World(partitions, catch_up_readers, [300, 900, 100_000], replayed)
        self.partitions = partitions

    # ---- Kafka

    @rule(partition=which, count=st.integers(0, 8), hole=st.sampled_from([0, 0, 1, 3]))
    def written(self, partition: int, count: int, hole: int) -> None:
        self.world.logs[TOPIC, partition % self.partitions].write(count, hole)

    @rule(partition=which, back=st.integers(0, 10))
    def removed(self, partition: int, back: int) -> None:
        log = self.world.logs[TOPIC, partition % self.partitions]
        log.remove(log.end - back)

    # ---- clients

    @rule(
        stream=which,
        query=st.integers(0, len(QUERIES) - 1),
        starts=st.lists(st.integers(-30, 4), min_size=2, max_size=2),
        covered=which,
    )
    def subscribed(self, stream: int, query: int, starts: list[int], covered: int) -> None:
        """Starts are told from the end of each partition."""
        world = self.world
        offsets = {}
        for partition in range(self.partitions):
            if covered % 3 != partition or self.partitions == 1:
                log = world.logs[TOPIC, partition]
                offsets[partition] = max(log.first, log.end + starts[partition])
        world.subscribe(world.streams[stream % 3], query, offsets)

    @precondition(lambda self: self.world.live.reader.positions)
    @rule(stream=which, query=st.integers(0, len(QUERIES) - 1), partition=which, back=st.integers(0, 3))
    def subscribed_close_to_the_live_reader(self, stream: int, query: int, partition: int, back: int) -> None:
        """Where the newest records are, or are not any more: seldom met by chance."""
        world = self.world
        key, position = sorted(world.live.reader.positions.items())[partition % len(world.live.reader.positions)]
        world.subscribe(world.streams[stream % 3], query, {key[1]: max(world.logs[key].first, position - back)})

    @precondition(lambda self: self.world.open)
    @rule(number=which)
    def closed(self, number: int) -> None:
        self.world.close(list(self.world.open)[number % len(self.world.open)])

    # ---- threads, and the event loop

    @rule(thread=which, count=few)
    def commands_run(self, thread: int, count: int) -> None:
        self.world.threads[thread % len(self.world.threads)].run_commands(count)

    @rule(thread=which, most=few)
    def consumed(self, thread: int, most: int) -> None:
        self.world.threads[thread % len(self.world.threads)].consume(most)

    @rule(most=few)
    def all_went_round(self, most: int) -> None:
        for thread in self.world.threads:
            thread.run_commands()
            thread.consume(most)

    @rule(thread=which)
    def positions_noted(self, thread: int) -> None:
        self.world.threads[thread % len(self.world.threads)].reader.note_positions()

    @rule(stream=which)
    def write_began(self, stream: int) -> None:
        self.world.begin_write(self.world.streams[stream % 3])

    @rule(stream=which, count=few)
    def written_out(self, stream: int, count: int) -> None:
        self.world.write(self.world.streams[stream % 3], count)

    # ---- what holds

    @invariant()
    def bounded(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    @precondition(lambda self: self.world.open)
    @rule()
    def came_to_rest(self) -> None:
        self.world.come_to_rest()
        self.world.check_everything_arrived()

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.world.come_to_rest()
                self.world.check_everything_arrived()
                for subscribed in list(self.world.open):
                    self.world.close(subscribed)
                self.world.come_to_rest()
                self.world.check_nothing_is_left()
        finally:
            topic_reader.CHUNK_BYTES = self._chunk_bytes
            live_reader.REPLAYED_AT_A_TIME = self._replayed_at_a_time


TestReaders = Readers.TestCase
TestReaders.settings = settings(max_examples=250, stateful_step_count=60, deadline=None)
