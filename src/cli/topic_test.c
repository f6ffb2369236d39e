#include "cli/topic.h"

#include "base/test.h"

static int64_t moment(const char *text)
{
    int64_t ms = -1;

    return topic_moment(text, 1000000000000, &ms) ? ms : -1;
}

TEST(moments)
{
    OK(moment("2023-11-14T22:13:20Z") == 1700000000000 && moment("2023-11-14T22:13:20") == 1700000000000);
    OK(moment("2023-11-14 22:13:20.250") == 1700000000250 && moment("2023-11-14T22:13") == 1699999980000);
    OK(moment("2023-11-15T00:13:20+02:00") == 1700000000000 &&
       moment("2023-11-14T16:43:20-0530") == 1700000000000);
    OK(moment("2023-11-14") == 1699920000000 && moment("1970-01-01") == 0);
    OK(moment("2023-13-14") == -1 && moment("2023-11-14T25:00") == -1 && moment("2023-11-14T22") == -1);
    OK(moment("yesterday") == -1 && moment("2023-11-14T22:13:20+2") == -1 && moment("2023-11-14x") == -1);
}

TEST(durations_are_that_long_ago)
{
    OK(moment("PT90M") == 1000000000000 - 5400000 && moment("P1DT1H") == 1000000000000 - 90000000);
    OK(moment("PT0.5S") == 1000000000000 - 500 && moment("P2W") == 1000000000000 - 1209600000);
    OK(moment("P") == -1 && moment("PT") == -1 && moment("P1H") == -1 && moment("PT1M1H") == -1);
    OK(moment("PT1") == -1 && moment("P1Y") == -1 && moment("PT1DT1S") == -1);
}

TEST_MAIN
