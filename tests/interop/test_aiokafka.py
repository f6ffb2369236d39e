"""The whole round of aiokafka: produce, a group of two, commit and resume, seek by time, transactions."""
import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from conftest import project  # noqa: F401 (fixtures)
from kafka_help import broker, create  # noqa: F401 (fixtures)

SECONDS = 60


async def until(condition):
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def keep(member, seen):
    async for record in member:
        seen.append(int(record.value))


async def group(address):
    def member():
        return AIOKafkaConsumer("t", bootstrap_servers=address, group_id="aio", auto_offset_reset="earliest", enable_auto_commit=False,
                                session_timeout_ms=6000, heartbeat_interval_ms=300, metadata_max_age_ms=1000)

    async with AIOKafkaProducer(bootstrap_servers=address, compression_type="gzip", enable_idempotence=True) as producer:
        for n in range(1000):
            await producer.send("t", b"%d" % n, partition=n % 4)
        await producer.flush()
    seen = []
    async with member() as one:
        reading = [asyncio.create_task(keep(one, seen))]
        await until(lambda: len(seen) == 1000)
        await one.commit()
        async with member() as two:
            reading.append(asyncio.create_task(keep(two, seen)))
            await until(lambda: len(one.assignment()) == len(two.assignment()) == 2)
            reading.pop().cancel()
        await until(lambda: len(one.assignment()) == 4)
        reading.pop().cancel()
    assert sorted(seen) == list(range(1000))
    again = []
    async with member() as three, AIOKafkaProducer(bootstrap_servers=address) as producer:
        reading = asyncio.create_task(keep(three, again))
        await producer.send_and_wait("t", b"1000", partition=0)
        await until(lambda: again)
        reading.cancel()
    assert again == [1000]


async def times(address):
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for n in range(20):
            await producer.send_and_wait("timed", b"%d" % n, timestamp_ms=1700000000000 + n * 1000)
    async with AIOKafkaConsumer(bootstrap_servers=address) as reader:
        timed = TopicPartition("timed", 0)
        reader.assign([timed])
        found = (await reader.offsets_for_times({timed: 1700000011500}))[timed]
        reader.seek(timed, found.offset)
        assert [int((await reader.getone()).value) for _ in range(8)] == list(range(12, 20))


async def transactions(address):
    async with AIOKafkaProducer(bootstrap_servers=address, transactional_id="aio-1") as producer:
        for value in (b"1", b"2", b"3"):
            await producer.begin_transaction()
            await producer.send("tx", value)
            await producer.send_offsets_to_transaction({TopicPartition("t", 0): int(value)}, "movers")
            await (producer.abort_transaction() if value == b"2" else producer.commit_transaction())
    seen = []
    async with AIOKafkaConsumer("tx", bootstrap_servers=address, isolation_level="read_committed", auto_offset_reset="earliest") as reader:
        reading = asyncio.create_task(keep(reader, seen))
        await until(lambda: 3 in seen)
        reading.cancel()
    assert seen == [1, 3]
    async with AIOKafkaConsumer(bootstrap_servers=address, group_id="movers") as member:
        assert await member.committed(TopicPartition("t", 0)) == 3


def test_the_whole_round(broker):  # noqa: F811
    for topic, partitions in (("t", 4), ("timed", 1), ("tx", 1)):
        create(broker, topic, partitions)
    for part in (group, times, transactions):
        asyncio.run(part(broker.address("kafka")))
