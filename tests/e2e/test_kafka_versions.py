"""Each version that a client can speak, read by that client's own tables: kafka-python's for the old ones, @platformatic/kafka's for those
with compact lengths and tags.  (apis_test.c asks for every version, but with tarn's own tables.)  Of kafka-python 2.0.2 some tables are not
Kafka's, and left out: ProduceResponse 8, OffsetRequest 4 and 5, GroupCoordinatorResponse 1, DescribeGroupsResponse 3."""
import io
import itertools
import socket
import subprocess

import pytest
from conftest import ROOT
from kafka.protocol import admin, commit, fetch, group, metadata, offset, produce
from kafka.protocol.api import RequestHeader
from kafka.record import MemoryRecords, MemoryRecordsBuilder
from kafka_help import broker, create, node  # noqa: F401  (broker is a fixture)


class Door:
    def __init__(self, broker):  # noqa: F811
        self.socket = socket.create_connection(tuple(broker.address("kafka").split(":")), timeout=30)
        self.ids = itertools.count(1)

    def take(self, n):
        out = self.socket.recv(n, socket.MSG_WAITALL)
        assert len(out) == n, "the connection was closed"
        return out

    def ask(self, request):
        n = next(self.ids)
        head = RequestHeader(request, correlation_id=n, client_id="old")
        frame = head.encode() + request.encode()
        self.socket.sendall(len(frame).to_bytes(4, "big") + frame)
        body = io.BytesIO(self.take(int.from_bytes(self.take(4), "big")))
        assert int.from_bytes(body.read(4), "big") == n
        answer = request.RESPONSE_TYPE.decode(body)
        assert body.read() == b"", f"{request} was answered with more than it should"
        return answer


@pytest.fixture
def door(broker):  # noqa: F811
    create(broker, "t")
    return Door(broker)


def batch():
    b = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=100000)
    b.append(timestamp=1700000000000, key=b"k", value=b"v", headers=[])
    b.close()
    return b.buffer()


def test_old_versions_of_records(door):
    for n, v in enumerate(range(3, 8)):
        (name, (told,)), = door.ask(produce.ProduceRequest[v](None, -1, 5000, [("t", [(0, batch())])])).topics
        assert (name, told[:3]) == ("t", (0, 0, n))
    for v in range(4, 12):
        more = {4: (), 5: (-1,), 6: (-1,), 7: (-1,), 8: (-1,)}.get(v, (-1,))
        part = (0, -1, 0, -1, 1 << 20) if v >= 9 else (0, 0, *more, 1 << 20)
        asked = [-1, 100, 1, 1 << 20, 0] + ([0, -1] if v >= 7 else []) + [[("t", [part])]] + ([[]] if v >= 7 else []) + ([""] if v >= 11 else [])
        (_, (told,)), = door.ask(fetch.FetchRequest[v](*asked)).topics
        records = MemoryRecords(told[-1])
        assert told[:4] == (0, 0, 5, 5)  # partition, no error, end, stable end
        assert [r.value for r in records.next_batch()] == [b"v"] and records.has_next()
    for v, isolation in ((1, ()), (2, (0,)), (3, (0,))):
        (_, (told,)), = door.ask(offset.OffsetRequest[v](-1, *isolation, [("t", [(0, -1)])])).topics
        assert (told[0], told[1], told[3]) == (0, 0, 5)


def test_old_versions_of_groups(door):
    assert door.ask(commit.GroupCoordinatorRequest[0]("g")).error_code == 0
    for v in range(3):
        who, times = f"g{v}", (10000,) if v == 0 else (10000, 10000)
        joined = door.ask(group.JoinGroupRequest[v](who, *times, "", "consumer", [("range", b"\0\0\0\0\0\0\0\0\0\0")]))
        assert joined.error_code == 0 and joined.leader_id == joined.member_id and len(joined.members) == 1
        me = (joined.generation_id, joined.member_id)
        minor = min(v, 1)
        assert door.ask(group.SyncGroupRequest[minor](who, *me, [(me[1], b"mine")])).member_assignment == b"mine"
        assert door.ask(group.HeartbeatRequest[minor](who, *me)).error_code == 0
        for c in (2, 3):
            (_, (told,)), = door.ask(commit.OffsetCommitRequest[c](who, *me, -1, [("t", [(0, 40 + c, "note")])])).topics
            assert told == (0, 0)
        for f in (1, 2, 3):
            (_, (told,)), = door.ask(commit.OffsetFetchRequest[f](who, [("t", [0])])).topics
            assert told == (0, 43, "note", 0)
        for d in range(3):
            told, = door.ask(admin.DescribeGroupsRequest[d]([who])).groups
            assert told[:5] == (0, who, "Stable", "consumer", "range") and len(told[5]) == 1
        for n in range(2):
            assert (who, "consumer") in door.ask(admin.ListGroupsRequest[n]()).groups
        assert door.ask(group.LeaveGroupRequest[minor](who, me[1])).error_code == 0
        assert door.ask(admin.DeleteGroupsRequest[minor]([who])).results == [(who, 0)]


def test_old_versions_of_topics(door):
    for v in range(6):
        told = door.ask(metadata.MetadataRequest[v](*((["t"],) if v < 4 else (["t"], False))))
        assert len(told.brokers) == 1 and [(t[0], t[1], len(t[-1])) for t in told.topics] == [(0, "t", 1)]
    for v in range(3):
        told = door.ask(admin.ApiVersionRequest[v]())
        assert told.error_code == 0 and (0, 0, 12) in told.api_versions and (18, 0, 4) in told.api_versions
    for n, v in enumerate((2, 3)):
        made, = door.ask(admin.CreateTopicsRequest[v]([(f"new{v}", 1, 1, [], [("retention.ms", "1000")])], 5000, False)).topic_errors
        assert made[:2] == (f"new{v}", 0)
        assert door.ask(admin.CreatePartitionsRequest[n]([(f"new{v}", (3, None))], 5000, False)).topic_errors == [(f"new{v}", 0, None)]
        assert door.ask(admin.AlterConfigsRequest[n]([(2, f"new{v}", [("retention.ms", "2000")])], False)).resources[0][0] == 0
        told, = door.ask(admin.DescribeConfigsRequest[v - 1]([(2, f"new{v}", ["retention.ms"])], True)).resources
        assert told[0] == 0 and [c[:2] for c in told[4]] == [("retention.ms", "2000")]
    for v in (1, 2, 3):
        gone = {1: "new2", 2: "new3", 3: "nothing"}[v]
        assert door.ask(admin.DeleteTopicsRequest[v]([gone], 5000)).topic_error_codes == [(gone, 0 if v < 3 else 3)]
    assert door.ask(admin.DescribeAclsRequest[1](2, None, 1, None, None, 1, 1)).error_code == 54


def test_versions_with_tags(broker):  # noqa: F811
    program = subprocess.run([ROOT / "tests/e2e/js/node-of-today"], check=True, capture_output=True, text=True, timeout=600).stdout.strip()
    told = node("kafka_versions.mjs", broker, program=program)
    assert told["wrong"] == []
    assert told["spoken"] == {
        "addOffsetsToTxn": [1, 2, 3], "addPartitionsToTxn": [3], "alterConfigs": [2], "apiVersions": [3, 4],
        "consumerGroupHeartbeat": [0, 1], "createPartitions": [1, 2, 3], "createTopics": [7], "deleteGroups": [2], "deleteRecords": [2],
        "deleteTopics": [6], "describeAcls": [2, 3], "describeClientQuotas": [0], "describeCluster": [0, 1], "describeConfigs": [3, 4],
        "describeGroups": [5], "describeLogDirs": [2, 3, 4], "describeProducers": [0], "describeTopicPartitions": [0],
        "describeTransactions": [0], "endTxn": [3], "fetch": [12, 13, 14, 15, 16, 17], "findCoordinator": [4, 5, 6], "heartbeat": [4],
        "incrementalAlterConfigs": [1], "initProducerId": [3, 4, 5], "joinGroup": [6, 7, 8, 9], "leaveGroup": [4, 5], "listGroups": [4, 5],
        "listOffsets": [5, 6, 7, 8, 9], "listPartitionReassignments": [0], "listTransactions": [0, 1], "metadata": [9, 10, 11, 12],
        "offsetCommit": [8, 9], "offsetDelete": [0], "offsetFetch": [8, 9], "offsetForLeaderEpoch": [4], "produce": [7, 8, 9, 10, 11],
        "syncGroup": [4, 5], "txnOffsetCommit": [3]}
