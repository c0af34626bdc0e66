/* One connection to one node: what is written to it, what it owes an answer, and when to give up.
 *
 * Commands are gathered in a buffer and leave in one write. Of each that is not answered the link
 * remembers its deadline and where its bytes began, so that it can say of every one what a lost
 * connection means for it: not a byte written, or nobody knows. It makes no attempt of its own. */
#ifndef COMITY_HIREDIS_LINK_H
#define COMITY_HIREDIS_LINK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <comity.h>
#include <hiredis/hiredis.h>

#include "../system.h"
#include "reply.h"

/* How long a connection may lie idle before it is looked at again before it is used. */
#define COMITY_HIREDIS_STALE_US 1000000u

/* A command that is not answered. */
typedef struct comity_hiredis_waiting {
    uint64_t request;
    uint64_t deadline_us;
    uint64_t begins; /* How many bytes the link had been given before. */
} comity_hiredis_waiting;

typedef enum comity_hiredis_state {
    COMITY_HIREDIS_CLOSED,
    COMITY_HIREDIS_CONNECTING,
    COMITY_HIREDIS_OPEN
} comity_hiredis_state;

typedef struct comity_hiredis_link {
    uint32_t node;
    comity_hiredis_state state;
    redisContext *context; /* NULL if closed. */
    int doubtful;          /* Its server is no master any more: a new connection may lead elsewhere. */
    uint64_t last_us;      /* When bytes last moved. */

    char *out;       /* What is to be written: out_len bytes, of which out_at are. */
    size_t out_capacity, out_len, out_at;
    uint64_t given, written; /* Bytes since the link was made. */
    int behind;              /* Whether hiredis has not written all it was given. */

    comity_hiredis_waiting *waiting; /* A ring of capacity slots, the oldest at first. */
    size_t waiting_capacity, waiting_first, waiting_count;
    uint64_t due_us; /* No deadline of what waits is earlier. */

    short watched;  /* What the host was last told to poll for. */
    char why[160];  /* What ended the last connection. */
} comity_hiredis_link;

static inline void comity_hiredis_link_init(comity_hiredis_link *link, uint32_t node) {
    memset(link, 0, sizeof *link);
    link->node = node;
    link->due_us = COMITY_NONE;
}

static inline int comity_hiredis_link_unsent(const comity_hiredis_link *link) {
    return link->out_at < link->out_len || link->behind;
}

/* What to poll its descriptor for. */
static inline short comity_hiredis_link_events(const comity_hiredis_link *link) {
    switch (link->state) {
    case COMITY_HIREDIS_CONNECTING:
        return POLLOUT;
    case COMITY_HIREDIS_OPEN:
        return comity_hiredis_link_unsent(link) ? POLLIN | POLLOUT : POLLIN;
    default:
        return 0;
    }
}

/* The queue of what waits */

static inline comity_hiredis_waiting *comity_hiredis_link_at(const comity_hiredis_link *link,
                                                             size_t n) {
    return link->waiting + (link->waiting_first + n) % link->waiting_capacity;
}

static inline int comity_hiredis_link_expect(comity_hiredis_link *link, uint64_t request,
                                             uint64_t deadline_us) {
    comity_hiredis_waiting *slot;
    if (link->waiting_count == link->waiting_capacity) {
        size_t i, capacity = link->waiting_capacity == 0 ? 16 : 2 * link->waiting_capacity;
        comity_hiredis_waiting *grown =
            (comity_hiredis_waiting *)malloc(capacity * sizeof *grown);
        if (grown == NULL) return 0;
        for (i = 0; i < link->waiting_count; i++) grown[i] = *comity_hiredis_link_at(link, i);
        free(link->waiting);
        link->waiting = grown;
        link->waiting_capacity = capacity;
        link->waiting_first = 0;
    }
    slot = comity_hiredis_link_at(link, link->waiting_count++);
    slot->request = request;
    slot->deadline_us = deadline_us;
    slot->begins = link->given;
    if (deadline_us < link->due_us) link->due_us = deadline_us;
    return 1;
}

/* The oldest command that waits is answered. Returns its request. */
static inline uint64_t comity_hiredis_link_answered(comity_hiredis_link *link) {
    uint64_t request = comity_hiredis_link_at(link, 0)->request;
    link->waiting_first = (link->waiting_first + 1) % link->waiting_capacity;
    link->waiting_count--;
    if (link->waiting_count == 0) link->due_us = COMITY_NONE;
    return request;
}

/* Whether something is late. Finds out when the first of what waits is. */
static inline int comity_hiredis_link_late(comity_hiredis_link *link, uint64_t now_us) {
    size_t i;
    if (link->due_us > now_us) return 0;
    link->due_us = COMITY_NONE;
    for (i = 0; i < link->waiting_count; i++) {
        uint64_t deadline_us = comity_hiredis_link_at(link, i)->deadline_us;
        if (deadline_us < link->due_us) link->due_us = deadline_us;
    }
    return link->due_us <= now_us;
}

/* The end of a connection */

/* Tells the core of every command that waits what has become of it. What is not written is gone.
 * The connection must be closed: no byte of any of them can follow. */
static inline void comity_hiredis_link_fail(comity_hiredis_link *link,
                                            comity_coordinator *coordinator, uint64_t now_us) {
    while (link->waiting_count > 0) {
        int unsent = comity_hiredis_link_at(link, 0)->begins >= link->written;
        uint64_t request = comity_hiredis_link_answered(link);
        comity_handle_failure(coordinator, request,
                              unsent ? COMITY_FAILURE_NOT_SENT : COMITY_FAILURE_OUTCOME_UNKNOWN,
                              now_us);
    }
    link->out_len = link->out_at = 0;
    link->given = link->written;
}

/* Closes the connection, so that no byte of what waits can follow any more. */
static inline void comity_hiredis_link_close(comity_hiredis_link *link, const char *why) {
    snprintf(link->why, sizeof link->why, "%s", why);
    if (link->context != NULL) redisFree(link->context);
    link->context = NULL;
    link->state = COMITY_HIREDIS_CLOSED;
    link->doubtful = link->behind = 0;
}

static inline void comity_hiredis_link_free(comity_hiredis_link *link) {
    comity_hiredis_link_close(link, "");
    free(link->out);
    free(link->waiting);
}

/* Connecting */

/* Takes a connection over that is made, or being made. Returns whether it is of use. */
static inline int comity_hiredis_link_adopt(comity_hiredis_link *link, redisContext *context,
                                            uint64_t now_us) {
    int flags;
    if (context == NULL || context->err != 0) {
        char why[sizeof link->why];
        snprintf(why, sizeof why, "%s", context == NULL ? "no connection" : context->errstr);
        if (context != NULL) redisFree(context);
        comity_hiredis_link_close(link, why);
        return 0;
    }
    link->context = context;
    link->state = COMITY_HIREDIS_CONNECTING;
    link->last_us = now_us;
    /* Whoever made it may have waited for it to log in. */
    context->flags &= ~REDIS_BLOCK;
    flags = fcntl(context->fd, F_GETFL);
    if (flags < 0 || fcntl(context->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        comity_hiredis_link_close(link, strerror(errno));
        return 0;
    }
    fcntl(context->fd, F_SETFD, FD_CLOEXEC);
    return 1;
}

/* The descriptor of a connection that is being made can be written. Returns why there is none, or NULL
 * if it is made. */
static inline const char *comity_hiredis_link_connected(comity_hiredis_link *link) {
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(link->context->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
    if (error != 0) return strerror(error);
    link->state = COMITY_HIREDIS_OPEN;
    return NULL;
}

static inline int comity_hiredis_link_is_tls(const comity_hiredis_link *link) {
#ifdef REDIS_REPLY_MAP
    return link->context->privctx != NULL;
#else
    (void)link;
    return 0;
#endif
}

/* Whether to send more here. An idle connection is looked at again: it is of no use if its server
 * has hung up, or said something that nobody asked for. */
static inline int comity_hiredis_link_usable(const comity_hiredis_link *link, uint64_t now_us) {
    char byte;
    if (link->state != COMITY_HIREDIS_OPEN || link->waiting_count > 0) return 1;
    if (link->doubtful) return 0;
    if (now_us - link->last_us < COMITY_HIREDIS_STALE_US) return 1;
    if (comity_hiredis_link_is_tls(link)) return 1; /* Session tickets may lie unread. */
    return recv(link->context->fd, &byte, 1, MSG_PEEK) < 0
        && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

/* Writing */

static inline int comity_hiredis_link_reserve(comity_hiredis_link *link, size_t more) {
    if (link->out_at == link->out_len) link->out_at = link->out_len = 0;
    if (more > link->out_capacity - link->out_len) {
        size_t capacity = link->out_capacity == 0 ? 4096 : link->out_capacity;
        char *grown;
        while (capacity - link->out_len < more) {
            if (capacity > SIZE_MAX / 2) return 0;
            capacity *= 2;
        }
        grown = (char *)realloc(link->out, capacity);
        if (grown == NULL) return 0;
        link->out = grown;
        link->out_capacity = capacity;
    }
    return 1;
}

/* Appends a mark and a number as RESP has it: "$12\r\n". There is room. */
static inline void comity_hiredis_link_number(comity_hiredis_link *link, char mark, size_t number) {
    char digits[24];
    size_t at = sizeof digits;
    digits[--at] = '\n';
    digits[--at] = '\r';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    digits[--at] = mark;
    memcpy(link->out + link->out_len, digits + at, sizeof digits - at);
    link->out_len += sizeof digits - at;
}

/* Gathers a command. Returns 0 without memory, and nothing has changed then. */
static inline int comity_hiredis_link_put(comity_hiredis_link *link, int argc, const char **argv,
                                          const size_t *argvlen) {
    const size_t around = 26; /* A mark, digits and two ends of line at most. */
    size_t size = around, before;
    int i;
    for (i = 0; i < argc; i++) {
        if (argvlen[i] > SIZE_MAX - around - size) return 0;
        size += argvlen[i] + around;
    }
    if (!comity_hiredis_link_reserve(link, size)) return 0;
    before = link->out_len;
    comity_hiredis_link_number(link, '*', (size_t)argc);
    for (i = 0; i < argc; i++) {
        comity_hiredis_link_number(link, '$', argvlen[i]);
        if (argvlen[i] > 0) memcpy(link->out + link->out_len, argv[i], argvlen[i]);
        link->out_len += argvlen[i];
        link->out[link->out_len++] = '\r';
        link->out[link->out_len++] = '\n';
    }
    link->given += link->out_len - before;
    return 1;
}

#ifdef REDIS_REPLY_MAP
/* Through hiredis, which knows of TLS. What it was given counts as written: a record that was begun
 * may be on its way. */
static inline int comity_hiredis_link_write_tls(comity_hiredis_link *link) {
    sigset_t before;
    int result, done = 0;
    size_t len = link->out_len - link->out_at;
    if (len > 0) {
        if (redisAppendFormattedCommand(link->context, link->out + link->out_at, len) != REDIS_OK) {
            return 0;
        }
        link->written += len;
        link->out_at = link->out_len;
    }
    comity_system_mask_sigpipe(&before);
    result = redisBufferWrite(link->context, &done);
    comity_system_unmask_sigpipe(&before);
    link->behind = !done;
    return result == REDIS_OK;
}
#endif

/* Writes what the system takes of what is gathered. Returns 0 if the connection is of no more use;
 * `why` has the reason then. */
static inline int comity_hiredis_link_write(comity_hiredis_link *link, uint64_t now_us,
                                            const char **why) {
#ifdef REDIS_REPLY_MAP
    if (link->context->privctx != NULL) {
        link->last_us = now_us;
        *why = link->context->errstr;
        return comity_hiredis_link_write_tls(link);
    }
#endif
    while (link->out_at < link->out_len) {
        ssize_t sent = comity_system_send(link->context->fd, link->out + link->out_at,
                                           link->out_len - link->out_at);
        if (sent < 0) {
            if (errno == EINTR) continue;
            *why = strerror(errno);
            return errno == EAGAIN || errno == EWOULDBLOCK;
        }
        link->out_at += (size_t)sent;
        link->written += (uint64_t)sent;
        link->last_us = now_us;
    }
    return 1;
}

#endif
