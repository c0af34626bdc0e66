/* A host by the name of "several", which has two addresses: one that drops packets, and then 127.0.0.1. */
#ifndef COMITY_SEVERAL_H
#define COMITY_SEVERAL_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../check.h"

static struct addrinfo several[2];
static struct sockaddr_in several_at[2];

static int resolve(const char *host, const char *port, const struct addrinfo *hints,
                   struct addrinfo **out) {
    size_t i;
    if (strcmp(host, "several") != 0) return getaddrinfo(host, port, hints, out);
    several_at[1] = several_at[0];
    several_at[1].sin_port = htons((uint16_t)atoi(port));
    for (i = 0; i < 2; i++) {
        memset(&several[i], 0, sizeof several[i]);
        several[i].ai_family = AF_INET;
        several[i].ai_addr = (struct sockaddr *)&several_at[i];
        several[i].ai_addrlen = sizeof several_at[i];
        several[i].ai_next = i == 0 ? &several[1] : NULL;
    }
    *out = several;
    return 0;
}

static void forget(struct addrinfo *found) {
    if (found != several) freeaddrinfo(found);
}

#define getaddrinfo resolve
#define freeaddrinfo forget

/* Has the first address drop packets, on Linux: the queue of who listens there is full. */
static inline void drop_packets(int fds[9]) {
    socklen_t len = sizeof several_at[0];
    size_t i;
    memset(&several_at[0], 0, sizeof several_at[0]);
    several_at[0].sin_family = AF_INET;
    several_at[0].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (i = 0; i < 9; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0);
        if (i == 0) {
            CHECK(bind(fds[0], (const struct sockaddr *)&several_at[0], len) == 0 && listen(fds[0], 0) == 0);
            CHECK(getsockname(fds[0], (struct sockaddr *)&several_at[0], &len) == 0);
        } else if (connect(fds[i], (const struct sockaddr *)&several_at[0], len) != 0) {
            CHECK(errno == EINPROGRESS);
        }
    }
    poll(NULL, 0, 100);
}

#endif
