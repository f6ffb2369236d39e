/*
 * testclient: a client that blocks, at most ten seconds, for the room's tests.
 */
#pragma once

#include "base/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

/* A connection to that port of this host; yours to close(). */
static inline int dial(int port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval most = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    OK(fd >= 0);
    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most) == 0);
    OK(connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    return fd;
}
