#include "kafka/assign.h"

#include "base/mem.h"
#include "base/test.h"

#include <stdlib.h>

enum { TOPICS = 6, MEMBERS = 9 };

static struct arena mem;
static struct assign_topic topics[TOPICS];
static struct assign_member members[MEMBERS];
static struct log_uuid all_ids[TOPICS];
static char names[MEMBERS][8];

static void group(const int32_t *partitions, size_t topic_count, size_t n)
{
    memset(members, 0, sizeof members);
    for (size_t i = 0; i < topic_count; i++) {
        memset(&all_ids[i], 0, sizeof all_ids[i]);
        all_ids[i].b[3] = (uint8_t)(i + 1);
        topics[i] = (struct assign_topic){all_ids[i], partitions[i]};
    }
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%zu", i);
        members[i].id = str_of(names[i]);
        members[i].topics = all_ids;
        members[i].topic_count = topic_count;
    }
}

/* Each partition that somebody reads has one owner, who reads it. */
static bool is_whole(size_t topic_count, size_t n)
{
    for (size_t t = 0; t < topic_count; t++)
        for (int32_t p = 0; p < topics[t].partitions; p++) {
            int owners = 0, readers = 0;

            for (size_t i = 0; i < n; i++) {
                bool reads = false;

                for (size_t k = 0; k < members[i].topic_count; k++)
                    reads = reads || uuid_cmp(&members[i].topics[k], &topics[t].id) == 0;
                readers += reads;
                for (size_t k = 0; k < members[i].gets_count; k++)
                    if (members[i].gets[k].partition == p &&
                        uuid_cmp(&members[i].gets[k].topic, &topics[t].id) == 0)
                        owners += reads ? 1 : 100;
            }
            if (owners != (readers > 0))
                return false;
        }
    return true;
}

static size_t keep(size_t n)
{
    size_t moved = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < members[i].gets_count; k++) {
            bool had = false;

            for (size_t h = 0; h < members[i].had_count; h++)
                had = had || topic_partition_cmp(&members[i].had[h], &members[i].gets[k]) == 0;
            moved += !had;
        }
        members[i].had = members[i].gets;
        members[i].had_count = members[i].gets_count;
    }
    return moved;
}

static bool counts(size_t n, const size_t *want)
{
    for (size_t i = 0; i < n; i++)
        if (members[i].gets_count != want[i])
            return false;
    return true;
}

TEST(uniform_is_even_and_moves_little)
{
    group((int32_t[]){4, 3}, 2, 4);
    assign_uniform(topics, 2, members, 1, &mem);
    OK(is_whole(2, 1) && members[0].gets_count == 7 && keep(1) == 7);
    assign_uniform(topics, 2, members, 2, &mem);
    OK(is_whole(2, 2) && keep(2) == 3); // what the new one gets, and nothing else
    assign_uniform(topics, 2, members, 3, &mem);
    OK(is_whole(2, 3) && keep(3) == 2);
    OK(counts(3, (size_t[]){3, 2, 2}) || counts(3, (size_t[]){2, 3, 2}));
    assign_uniform(topics, 2, members + 1, 2, &mem); // the first one has gone
    for (size_t i = 0; i < 2; i++)
        members[i] = members[i + 1];
    OK(is_whole(2, 2) && keep(2) <= 3);
    OK(members[0].gets_count + members[1].gets_count == 7 && members[0].gets_count >= 3 &&
       members[0].gets_count <= 4);
    arena_fini(&mem);
}

TEST(uniform_gives_members_only_what_they_read)
{
    group((int32_t[]){6, 6, 1}, 3, 3);
    members[0].topic_count = 1;      // only the first topic
    members[1].topics = all_ids + 1; // the second and the third
    members[1].topic_count = 2;
    assign_uniform(topics, 3, members, 3, &mem);
    OK(is_whole(3, 3));
    OK(counts(3, (size_t[]){4, 4, 5}) || counts(3, (size_t[]){4, 5, 4}) || counts(3, (size_t[]){5, 4, 4}));
    members[2].topic_count = 0;
    assign_uniform(topics, 3, members, 3, &mem);
    OK(is_whole(3, 3) && counts(3, (size_t[]){6, 7, 0}));
    arena_fini(&mem);
}

TEST(range_gives_neighbours_in_a_fixed_order)
{
    group((int32_t[]){5, 5}, 2, 3);
    members[2].instance_id = STR("static"); // comes first
    assign_range(topics, 2, members, 3, &mem);
    OK(is_whole(2, 3) && counts(3, (size_t[]){4, 2, 4}));
    OK(members[2].gets[0].partition == 0 && members[2].gets[1].partition == 1);
    OK(members[0].gets[0].partition == 2 && members[0].gets[1].partition == 3);
    OK(members[1].gets[0].partition == 4 && members[1].gets[1].partition == 4);
    group((int32_t[]){1, 2}, 2, 3); // fewer partitions than members
    assign_range(topics, 2, members, 3, &mem);
    OK(is_whole(2, 3) && counts(3, (size_t[]){2, 1, 0}));
    arena_fini(&mem);
}

TEST(nobody_and_nothing)
{
    group((int32_t[]){3}, 1, 1);
    assign_uniform(topics, 1, members, 0, &mem);
    assign_range(topics, 1, members, 0, &mem);
    assign_uniform(topics, 0, members, 1, &mem);
    OK(members[0].gets_count == 0);
    assign_range(topics, 0, members, 1, &mem);
    OK(members[0].gets_count == 0 && assign_find(STR("sticky")) == NULL);
    arena_fini(&mem);
}

/* Any subscriptions and any past: it is whole, and asked again it stays as it is. */
TEST(uniform_comes_to_rest)
{
    srandom(7);
    for (int round = 0; round < 300; round++) {
        int32_t partitions[TOPICS];
        size_t n = 1 + (size_t)random() % MEMBERS;

        for (size_t i = 0; i < TOPICS; i++)
            partitions[i] = (int32_t)(random() % 9);
        group(partitions, TOPICS, n);
        for (size_t i = 0; i < n; i++) {
            size_t from = (size_t)random() % TOPICS;

            members[i].topics = all_ids + from;
            members[i].topic_count = (size_t)random() % (TOPICS - from + 1);
        }
        assign_uniform(topics, TOPICS, members, n, &mem);
        OK(is_whole(TOPICS, n));
        (void)keep(n);
        assign_uniform(topics, TOPICS, members, n, &mem);
        OK(is_whole(TOPICS, n) && keep(n) == 0);
        assign_range(topics, TOPICS, members, n, &mem);
        OK(is_whole(TOPICS, n));
        arena_reset(&mem);
    }
    arena_fini(&mem);
}

TEST_MAIN
