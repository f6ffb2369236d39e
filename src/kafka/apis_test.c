/* What ApiVersions tells, and that every version of it is answered with nothing left over. */
#include "kafka/testbroker.h"

/* Written down once more, so that a row of api.def that changes by mistake is seen: key, lowest version told, lowest served, highest. */
static const int16_t spoken[][4] = {
    {0, 0, 3, 12}, {1, 4, 4, 17}, {2, 1, 1, 10}, {3, 0, 0, 13}, {8, 2, 2, 9},  {9, 1, 1, 9},  {10, 0, 0, 6},
    {11, 0, 0, 9}, {12, 0, 0, 4}, {13, 0, 0, 5}, {14, 0, 0, 5}, {15, 0, 0, 6}, {16, 0, 0, 5}, {17, 0, 0, 1},
    {18, 0, 0, 4}, {19, 2, 2, 7}, {20, 1, 1, 6}, {21, 0, 0, 2}, {22, 0, 0, 5}, {23, 2, 2, 4}, {24, 0, 0, 3},
    {25, 0, 0, 3}, {26, 0, 0, 3}, {28, 0, 0, 3}, {29, 1, 1, 3}, {30, 1, 1, 3}, {31, 1, 1, 3}, {32, 1, 1, 4},
    {33, 0, 0, 2}, {35, 1, 1, 4}, {36, 0, 0, 2}, {37, 0, 0, 3}, {42, 0, 0, 2}, {43, 0, 0, 2}, {44, 0, 0, 1},
    {46, 0, 0, 0}, {47, 0, 0, 0}, {48, 0, 0, 1}, {50, 0, 0, 0}, {51, 0, 0, 0}, {60, 0, 0, 2}, {61, 0, 0, 0},
    {65, 0, 0, 0}, {66, 0, 0, 1}, {68, 0, 0, 1}, {69, 0, 0, 1}, {74, 0, 0, 1}, {75, 0, 0, 0},
};

static const struct {
    const char *name;
    const struct api *api;
    int16_t first, last;
} apis[] = {
#define X(NAME, key, message, told, first, last, flexible, handler) {#NAME, &NAME, first, last},
#include "kafka/api.def"
#undef X
};

TEST(what_is_told_is_the_table)
{
    struct k_api_versions_req req = {.software = STR("t"), .software_version = STR("1")};
    struct k_api_versions_res res;
    int fd;

    begin();
    fd = dial();
    for (int v = 0; v <= 4; v++) {
        call(fd, &API_VERSIONS, v, &req, &res);
        OK(res.apis_n == (int32_t)ARRAY_LEN(spoken));
        for (size_t i = 0; i < ARRAY_LEN(spoken); i++)
            OK(res.apis[i].key == spoken[i][0] && res.apis[i].min == spoken[i][1] &&
               res.apis[i].max == spoken[i][3]);
    }
    close(fd);
    end();
}

/* hear() refuses an answer with bytes behind its end, or too few. Versions outside end the connection. */
TEST(every_version_is_answered_and_no_other)
{
    int fd;

    begin();
    for (size_t i = 0; i < ARRAY_LEN(apis); i++) {
        const struct api *a = apis[i].api;

        OK(a->key == spoken[i][0] && apis[i].first == spoken[i][2] && apis[i].last == spoken[i][3]);
        for (int v = apis[i].first - 1; v <= apis[i].last + 1; v++) {
            void *req = arena_alloc(&mem, a->req->size), *res = arena_alloc(&mem, a->res->size);
            bool served = v >= apis[i].first && v <= apis[i].last;

            if (v < 0 || (a->key == API_VERSIONS.key && !served)) // that one is answered as version 0
                continue;
            fd = dial();
            (void)ensure(fd, "t"); // an API before may have deleted it
            fill_request(a->req, req, STR("t"), &(struct log_uuid){0});
            ask(fd, a, v, req);
            if (hear(fd, a, v, correlation, res) != served) {
                printf("# %s version %d\n", apis[i].name, v);
                OK(!"it is answered as it should");
            }
            close(fd);
        }
    }
    end();
}

static struct k_epoch_end_res_partition epoch_end(int fd, int version, int32_t partition,
                                                  int32_t current_epoch, int32_t epoch)
{
    struct k_epoch_end_req_partition p = {partition, current_epoch, epoch};
    struct k_epoch_end_req_topic t = {STR("t"), &p, 1};
    struct k_epoch_end_res res;

    call(fd, &OFFSET_FOR_LEADER_EPOCH, version, &(struct k_epoch_end_req){-1, &t, 1}, &res);
    OK(res.topics_n == 1 && res.topics[0].partitions_n == 1);
    return res.topics[0].partitions[0];
}

/* By this a consumer finds that its log was cut (KIP-320). There has been one leader, so one epoch. */
TEST(the_end_of_an_epoch)
{
    struct k_epoch_end_res_partition p;
    struct batch_writer w = {0};
    int fd;

    begin();
    fd = dial();
    (void)ensure(fd, "t");
    OK(produce(fd, 9, "t", batch_of(&w, 7, 1, STR("k"))).error == K_NONE);
    for (int v = 2; v <= 4; v++) {
        p = epoch_end(fd, v, 0, -1, 0);
        OK(p.error == K_NONE && p.leader_epoch == 0 && p.end_offset == 7);
        p = epoch_end(fd, v, 0, 0, 5); // of another cluster: nothing is known of it
        OK(p.error == K_NONE && p.leader_epoch == -1 && p.end_offset == -1);
        OK(epoch_end(fd, v, 0, 1, 0).error == K_UNKNOWN_LEADER_EPOCH);
        OK(epoch_end(fd, v, 9, -1, 0).error == K_UNKNOWN_TOPIC_OR_PARTITION);
    }
    batch_fini(&w);
    close(fd);
    end();
}

TEST_MAIN
