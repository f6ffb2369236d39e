/* Transactions over the wire: every version, what is seen when, and that it is so after a restart too. */
#include "kafka/testbroker.h"

static struct batch_writer w;
static int fd;

struct me {
    int64_t id;
    int16_t epoch;
    int32_t next; // sequence
};

static void open_broker(void)
{
    begin();
    fd = dial();
    ensure(fd, "t");
}

static void close_broker(void)
{
    close(fd);
    batch_fini(&w);
    end();
}

static struct me init(int version, const char *id, int32_t timeout_ms, int16_t error)
{
    struct k_init_producer_id_req req = {.transactional_id = str_of(id),
                                         .transaction_timeout_ms = timeout_ms,
                                         .producer_id = -1,
                                         .producer_epoch = -1};
    struct k_init_producer_id_res res;

    call(fd, &INIT_PRODUCER_ID, version, &req, &res);
    OK(res.error == error);
    return (struct me){res.producer_id, res.producer_epoch, 0};
}

/* Adds a partition of "t"; the error of it. */
static int16_t add(int version, const struct me *m, const char *topic, int32_t partition)
{
    int32_t partitions[] = {partition};
    struct k_txn_partitions_req_topic t = {str_of(topic), partitions, 1};
    struct k_txn_partitions_req req = {STR("tx"), m->id, m->epoch, &t, 1};
    struct k_txn_partitions_res res;

    call(fd, &ADD_PARTITIONS_TO_TXN, version, &req, &res);
    OK(res.topics_n == 1 && res.topics[0].partitions_n == 1 &&
       res.topics[0].partitions[0].partition == partition);
    return res.topics[0].partitions[0].error;
}

static int16_t finish(int version, const struct me *m, bool commit)
{
    struct k_end_txn_req req = {STR("tx"), m->id, m->epoch, commit};
    struct k_end_txn_res res;

    call(fd, &END_TXN, version, &req, &res);
    return res.error;
}

static int16_t put(struct me *m, const char *transactional_id)
{
    struct k_produce_req_partition p;
    struct k_produce_req_topic t = {.name = STR("t"), .partitions = &p, .partitions_n = 1};
    struct k_produce_req req = {
        .transactional_id = str_of(transactional_id), .acks = -1, .topics = &t, .topics_n = 1};
    struct k_produce_res res;

    (void)batch_of(&w, 2, 1, STR("k"));
    w.producer_id = m->id;
    w.producer_epoch = m->epoch;
    w.base_sequence = m->next;
    w.attributes = BATCH_TRANSACTIONAL;
    p = (struct k_produce_req_partition){.records.bytes = batch_end(&w)};
    call(fd, &PRODUCE, 9, &req, &res);
    if (res.topics[0].partitions[0].error == K_NONE)
        m->next += 2;
    return res.topics[0].partitions[0].error;
}

static struct k_fetch_res_partition fetch_committed(int version, int64_t offset)
{
    struct k_fetch_req_partition p = {.leader_epoch = -1, .offset = offset, .max_bytes = 1 << 20};
    struct k_fetch_req_topic t = {.name = STR("t"), .partitions = &p, .partitions_n = 1};
    struct k_fetch_req req = {.replica_id = -1,
                              .max_bytes = 1 << 20,
                              .isolation_level = 1,
                              .session_epoch = -1,
                              .topics = &t,
                              .topics_n = 1};

    ask(fd, &FETCH, version, &req);
    return hear_fetch(fd, version);
}

static int64_t list_at(int8_t isolation, int64_t timestamp_ms)
{
    struct k_list_offsets_req_partition p = {.leader_epoch = -1, .timestamp_ms = timestamp_ms};
    struct k_list_offsets_req_topic t = {STR("t"), &p, 1};
    struct k_list_offsets_req req = {
        .replica_id = -1, .isolation_level = isolation, .topics = &t, .topics_n = 1};
    struct k_list_offsets_res res;

    call(fd, &LIST_OFFSETS, 7, &req, &res);
    return res.topics[0].partitions[0].offset;
}

static int64_t list_end(int8_t isolation)
{
    return list_at(isolation, -1);
}

TEST(every_version_commits_and_aborts)
{
    struct k_fetch_res_partition p;
    struct me m;

    open_broker();
    for (int v = 0; v <= 3; v++) {
        int64_t from = 6 * v;

        m = init(v, "tx", 5000, K_NONE);
        OK(m.epoch == v);
        OK(add(v, &m, "t", 0) == K_NONE && put(&m, "tx") == K_NONE);
        p = fetch_committed(4 + v, from);
        OK(p.records.bytes.n == 0 && p.last_stable_offset == from && p.high_watermark == from + 2 &&
           p.aborted_n == 0);
        OK(list_end(1) == from && list_end(0) == from + 2);
        OK(v > 0 ||
           (list_at(1, 1) == -1 && list_at(0, 1) == 0 && list_at(1, -3) == -1 && list_at(0, -3) == 1));
        OK(finish(v, &m, true) == K_NONE);
        p = fetch_committed(4 + v, from);
        OK(p.records.bytes.n > 0 && p.last_stable_offset == from + 3 && p.aborted_n == 0);
        OK(add(v, &m, "t", 0) == K_NONE && put(&m, "tx") == K_NONE && finish(v, &m, false) == K_NONE);
        p = fetch_committed(4 + v, from);
        OK(p.aborted_n == 1 && p.aborted[0].producer_id == m.id && p.aborted[0].first_offset == from + 3);
        OK(fetch_committed(11, from + 5).aborted_n == 0 || p.aborted[0].first_offset < from + 5);
    }
    close_broker();
}

TEST(who_may_not_is_refused)
{
    struct me m, old, other;

    open_broker();
    init(4, "", 5000, K_INVALID_REQUEST);
    init(4, "tx", 900001, K_INVALID_TRANSACTION_TIMEOUT);
    init(4, "tx", 0, K_INVALID_TRANSACTION_TIMEOUT);
    old = init(4, "tx", 5000, K_NONE);
    OK(put(&old, "tx") == K_INVALID_TXN_STATE);
    OK(add(3, &old, "t", 0) == K_NONE && put(&old, "tx") == K_NONE);
    OK(put(&old, NULL) == K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    OK(put(&old, "other") == K_INVALID_PRODUCER_ID_MAPPING);
    OK(add(3, &old, "t", 9) == K_UNKNOWN_TOPIC_OR_PARTITION &&
       add(3, &old, "none", 0) == K_UNKNOWN_TOPIC_OR_PARTITION);
    OK(add(3, &old, OFFSETS_TOPIC, 0) == K_TOPIC_AUTHORIZATION_FAILED);
    m = init(4, "tx", 5000, K_NONE); // the next instance
    OK(m.id == old.id && m.epoch == old.epoch + 1);
    OK(put(&old, "tx") == K_INVALID_PRODUCER_EPOCH);
    OK(add(1, &old, "t", 0) == K_INVALID_PRODUCER_EPOCH && add(2, &old, "t", 0) == K_PRODUCER_FENCED);
    OK(finish(1, &old, true) == K_INVALID_PRODUCER_EPOCH && finish(3, &old, true) == K_PRODUCER_FENCED);
    other = (struct me){.id = m.id + 1};
    OK(add(3, &other, "t", 0) == K_INVALID_PRODUCER_ID_MAPPING);
    OK(finish(3, &m, true) == K_INVALID_TXN_STATE);
    OK(fetch_committed(12, 0).aborted_n == 1);
    OK(produce(fd, 9, TXN_TOPIC, batch_of(&w, 1, 1, STR("k"))).error == K_INVALID_TOPIC);
    close_broker();
}

/* One of two partitions is unknown: the other is not added either. */
TEST(partitions_are_added_all_or_none)
{
    int32_t partitions[] = {0, 7};
    struct k_txn_partitions_req_topic t = {STR("t"), partitions, 2};
    struct k_txn_partitions_res res;
    struct me m;

    open_broker();
    m = init(4, "tx", 5000, K_NONE);
    call(fd, &ADD_PARTITIONS_TO_TXN, 3, &((struct k_txn_partitions_req){STR("tx"), m.id, m.epoch, &t, 1}),
         &res);
    OK(res.topics[0].partitions[0].error == K_OPERATION_NOT_ATTEMPTED);
    OK(res.topics[0].partitions[1].error == K_UNKNOWN_TOPIC_OR_PARTITION);
    OK(put(&m, "tx") == K_INVALID_TXN_STATE);
    close_broker();
}

TEST(an_open_transaction_lives_through_a_restart)
{
    struct me m;

    open_broker();
    m = init(4, "tx", 50000, K_NONE);
    OK(add(3, &m, "t", 0) == K_NONE && put(&m, "tx") == K_NONE);
    fd = redial(fd);
    OK(list_end(1) == 0 && list_end(0) == 2);
    OK(put(&m, "tx") == K_NONE && finish(3, &m, true) == K_NONE);
    fd = redial(fd);
    OK(list_end(1) == 5 && finish(3, &m, true) == K_NONE); // asked for again
    OK(fetch_committed(12, 0).aborted_n == 0);
    m.epoch++;
    OK(init(4, "tx", 50000, K_NONE).epoch == m.epoch);
    close_broker();
}

TEST(a_deleted_topic_does_not_keep_a_transaction_open)
{
    struct str name = STR("gone");
    struct k_delete_topics_req req = {.names = &name, .names_n = 1};
    struct k_delete_topics_res res;
    struct me m;

    open_broker();
    ensure(fd, "gone");
    m = init(4, "tx", 50000, K_NONE);
    OK(add(3, &m, "gone", 0) == K_NONE && add(3, &m, "t", 0) == K_NONE && put(&m, "tx") == K_NONE);
    call(fd, &DELETE_TOPICS, 3, &req, &res);
    OK(res.topics[0].error == K_NONE && finish(3, &m, true) == K_NONE && list_end(1) == 3);
    close_broker();
}

/* ---- positions ---- */

static int16_t commit_txn(int version, const struct me *m, int64_t offset, int32_t generation)
{
    struct k_txn_commit_req_partition p = {
        .partition = 0, .offset = offset, .leader_epoch = -1, .metadata = STR("m")};
    struct k_txn_commit_req_topic t = {STR("t"), &p, 1};
    struct k_txn_commit_req req = {.transactional_id = STR("tx"),
                                   .group = STR("g"),
                                   .producer_id = m->id,
                                   .producer_epoch = m->epoch,
                                   .generation = generation,
                                   .member_id = generation >= 0 ? STR("who") : STR(""),
                                   .topics = &t,
                                   .topics_n = 1};
    struct k_txn_commit_res res;

    call(fd, &TXN_OFFSET_COMMIT, version, &req, &res);
    return res.topics[0].partitions[0].error;
}

static struct k_offset_fetch_res_partition position(bool stable)
{
    int32_t partitions[] = {0};
    struct k_offset_fetch_req_topic t = {STR("t"), partitions, 1};
    struct k_offset_fetch_req req = {
        .group = STR("g"), .topics = &t, .topics_n = 1, .require_stable = stable};
    struct k_offset_fetch_res res;

    call(fd, &OFFSET_FETCH, 7, &req, &res);
    return res.topics[0].partitions[0];
}

static void commit_plain(int64_t offset)
{
    struct k_offset_commit_req_partition p = {.offset = offset, .leader_epoch = -1};
    struct k_offset_commit_req_topic t = {STR("t"), &p, 1};
    struct k_offset_commit_req req = {.group = STR("g"), .generation = -1, .topics = &t, .topics_n = 1};
    struct k_offset_commit_res res;

    call(fd, &OFFSET_COMMIT, 7, &req, &res);
    OK(res.topics[0].partitions[0].error == K_NONE);
}

TEST(positions_count_when_the_transaction_does)
{
    struct k_txn_offsets_req more = {.transactional_id = STR("tx"), .group = STR("g")};
    struct k_txn_offsets_res res;
    struct me m;

    open_broker();
    m = init(4, "tx", 50000, K_NONE);
    more.producer_id = m.id;
    more.producer_epoch = m.epoch;
    OK(commit_txn(3, &m, 1, -1) == K_INVALID_TXN_STATE); // not added
    for (int v = 0; v <= 3; v++) {
        int64_t before = v == 0 ? -1 : 10 * v;

        call(fd, &ADD_OFFSETS_TO_TXN, v, &more, &res);
        OK(res.error == K_NONE && commit_txn(v, &m, 10 * v + 5, -1) == K_NONE);
        OK(position(false).offset == before && position(true).error == K_UNSTABLE_OFFSET_COMMIT);
        fd = redial(fd);
        OK(position(false).offset == before && position(true).error == K_UNSTABLE_OFFSET_COMMIT);
        OK(finish(v, &m, false) == K_NONE && position(true).error == K_NONE &&
           position(true).offset == before);
        call(fd, &ADD_OFFSETS_TO_TXN, v, &more, &res);
        OK(commit_txn(v, &m, 10 * v + 10, -1) == K_NONE && finish(v, &m, true) == K_NONE);
        OK(position(true).offset == 10 * v + 10 && str_is(position(true).metadata, "m"));
        fd = redial(fd);
        OK(position(true).offset == 10 * v + 10);
    }
    OK(commit_txn(3, &m, 1, -1) == K_INVALID_TXN_STATE);
    call(fd, &ADD_OFFSETS_TO_TXN, 3, &more, &res);
    OK(commit_txn(3, &m, 1, 5) == K_UNKNOWN_MEMBER_ID); // a member of a generation that is not
    OK(commit_txn(3, &m, 77, -1) == K_NONE);
    commit_plain(78); // later than the transaction's
    OK(finish(3, &m, true) == K_NONE && position(true).offset == 78);
    fd = redial(fd);
    OK(position(true).offset == 78);
    more.group = STR("");
    call(fd, &ADD_OFFSETS_TO_TXN, 3, &more, &res);
    OK(res.error == K_INVALID_GROUP_ID);
    close_broker();
}

/* ---- time and looking ---- */

TEST(a_slow_one_is_aborted)
{
    struct wish wish = {.max_wait_ms = 20000, .min_bytes = 1};
    struct k_fetch_res_partition p;
    struct me m;
    int16_t error;

    open_broker();
    m = init(4, "tx", 100, K_NONE);
    OK(add(3, &m, "t", 0) == K_NONE && put(&m, "tx") == K_NONE);
    wish.offset = 2;
    p = fetch(fd, 12, "t", wish); // the marker
    OK(p.records.bytes.n == 78);
    while ((error = finish(3, &m, true)) == K_CONCURRENT_TRANSACTIONS)
        ; // the marker can be read a moment before the coordinator has heard of it
    OK(error == K_PRODUCER_FENCED && put(&m, "tx") == K_INVALID_PRODUCER_EPOCH);
    OK(fetch_committed(12, 0).aborted_n == 1);
    close_broker();
}

TEST(one_that_hangs_is_found)
{
    int32_t partitions[] = {0};
    struct k_producers_req_topic t = {STR("t"), partitions, 1};
    struct k_producers_req producers = {&t, 1};
    struct k_producers_res told;
    struct str ids[] = {STR("tx"), STR("none")}, states[] = {STR("Ongoing"), STR("Odd")};
    struct k_describe_txns_req describe = {ids, 2};
    struct k_describe_txns_res described;
    struct k_list_txns_req list = {.duration_ms = -1};
    struct k_list_txns_res listed;
    int64_t odd;
    struct me m;

    open_broker();
    m = init(4, "tx", 50000, K_NONE);
    odd = m.id + 1;
    OK(add(3, &m, "t", 1) == K_NONE && add(3, &m, "t", 0) == K_NONE && put(&m, "tx") == K_NONE);
    call(fd, &DESCRIBE_PRODUCERS, 0, &producers, &told);
    OK(told.topics[0].partitions[0].error == K_NONE && told.topics[0].partitions[0].producers_n == 1);
    OK(told.topics[0].partitions[0].producers[0].id == m.id &&
       told.topics[0].partitions[0].producers[0].txn_start == 0);
    OK(told.topics[0].partitions[0].producers[0].last_sequence == 1);
    partitions[0] = 9;
    call(fd, &DESCRIBE_PRODUCERS, 0, &producers, &told);
    OK(told.topics[0].partitions[0].error == K_UNKNOWN_TOPIC_OR_PARTITION);
    call(fd, &DESCRIBE_TRANSACTIONS, 0, &describe, &described);
    OK(described.txns_n == 2 && described.txns[1].error == K_TRANSACTIONAL_ID_NOT_FOUND);
    OK(str_is(described.txns[0].state, "Ongoing") && described.txns[0].producer_id == m.id);
    OK(described.txns[0].timeout_ms == 50000 && described.txns[0].start_ms > 0);
    OK(described.txns[0].topics_n == 1 && described.txns[0].topics[0].partitions_n == 2);
    for (int v = 0; v <= 1; v++) {
        call(fd, &LIST_TRANSACTIONS, v, &list, &listed);
        OK(listed.txns_n == 1 && str_is(listed.txns[0].id, "tx") && str_is(listed.txns[0].state, "Ongoing"));
    }
    list.states = states;
    list.states_n = 2;
    call(fd, &LIST_TRANSACTIONS, 0, &list, &listed);
    OK(listed.txns_n == 1 && listed.unknown_states_n == 1 && str_is(listed.unknown_states[0], "Odd"));
    list.producer_ids = &odd;
    list.producer_ids_n = 1;
    call(fd, &LIST_TRANSACTIONS, 0, &list, &listed);
    OK(listed.txns_n == 0);
    list = (struct k_list_txns_req){.duration_ms = 60000};
    call(fd, &LIST_TRANSACTIONS, 1, &list, &listed);
    OK(listed.txns_n == 0);
    close_broker();
}

/* A full disk: the end is refused and may be asked for again. */
TEST(a_full_disk_ends_nothing_in_half)
{
    struct me m;

    open_broker();
    m = init(4, "tx", 50000, K_NONE);
    OK(add(3, &m, "t", 0) == K_NONE && put(&m, "tx") == K_NONE);
    disk.countdown = 0;
    for (int16_t error = K_NONE; error == K_NONE;) { // what the journal has room for is still taken
        error = put(&m, "tx");
        OK(error == K_NONE || error == K_KAFKA_STORAGE_ERROR);
    }
    (void)finish(3, &m, true);
    disk.persistent = false; // there is room again
    OK(finish(3, &m, true) == K_NONE && list_end(1) == list_end(0));
    OK(fetch_committed(12, 0).aborted_n == 0);
    close_broker();
}

TEST_MAIN
