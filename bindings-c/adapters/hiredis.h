/* comity over hiredis, 0.14 or later: moves a coordinator's commands to its servers, and what they
 * answer back. Header-only, C99 and C++17. It decides nothing: what is sent, how often and until when
 * is the coordinator's. Each node has a connection for commands, which are pipelined, one for pushes once
 * somebody waits for a lock, and one for commands that block, where transactions wait for replicas; a node
 * that hangs delays no other.
 *
 *     comity_hiredis_server server = {0};
 *     comity_hiredis *redis;
 *     const comity_event *event;
 *     server.host = "127.0.0.1";
 *     server.port = 6379;
 *     if (comity_hiredis_connect(&server, 1, NULL, &redis) != COMITY_OK) ...
 *     comity_lock_acquire(comity_hiredis_coordinator(redis), "job", 3, NULL, comity_hiredis_now(), &lock);
 *     while (comity_hiredis_run(redis, COMITY_NONE, &event) == COMITY_OK) ...
 *
 * A program with a loop of its own calls, instead of comity_hiredis_run:
 *
 *     comity_hiredis_fds          which descriptors to poll, and for what; or
 *     comity_hiredis_watch        be told whenever that changes, as epoll wants it
 *     comity_hiredis_on_readable, _on_writable
 *                                 what has become of one of them
 *     comity_hiredis_deadline, comity_hiredis_on_timer
 *                                 when to call, and to call, if nothing else happens before; and to
 *                                 call after verbs of the coordinator, for what they ask to be sent
 *     comity_poll_event           after each of them
 *
 * One thread at a time may use an adapter and its coordinator. Pointers must not be NULL where nothing
 * else is said. In the child of a fork every function that sends or reads returns
 * COMITY_ERROR_INVALID_STATE and touches no connection; comity_hiredis_free is fine there.
 *
 * This is POSIX: compile with -std=gnu99 or later, or with -D_POSIX_C_SOURCE=200809L. */
#ifndef COMITY_HIREDIS_H
#define COMITY_HIREDIS_H

#include "hiredis/link.h"
#include "hiredis/node.h"
#include "hiredis/reply.h"
#include "system.h"

/* What is not for users is in the headers above: they may change at any time. */

/* Called when what a descriptor is to be polled for changes: events is POLLIN, POLLOUT, both, or 0 right
 * before it is closed. It must not call the adapter or its coordinator. */
typedef void comity_hiredis_watcher(void *data, int fd, short events);

struct comity_hiredis {
    comity_hiredis_node *nodes;
    struct pollfd *fds;          /* One for each connection. */
    comity_hiredis_link **links; /* Whose each of them is. */
    comity_hiredis_watcher *watcher;
    void *watcher_data;
    comity_hiredis_shared shared;
    uint32_t node_count;
    int owns_coordinator;
    pid_t home;
};
typedef struct comity_hiredis comity_hiredis;

/* Microseconds on the clock that every function of comity is to be called with here. */
static inline uint64_t comity_hiredis_now(void) {
    return comity_system_now();
}

/* Fills len bytes from the system's cryptographic source. Returns whether that succeeded. */
static inline int comity_hiredis_entropy(void *out, size_t len) {
    return comity_system_entropy(out, len);
}

/* What all of it is made of */

static inline size_t comity_hiredis_link_count(const comity_hiredis *redis) {
    return (size_t)redis->node_count * COMITY_HIREDIS_LINKS;
}

static inline comity_hiredis_link *comity_hiredis_link_of(const comity_hiredis *redis,
                                                          size_t number) {
    return &redis->nodes[number / COMITY_HIREDIS_LINKS].links[number % COMITY_HIREDIS_LINKS];
}

static inline int comity_hiredis_is_home(const comity_hiredis *redis) {
    return redis->home == getpid();
}

static inline uint32_t comity_hiredis_at_home(const comity_hiredis *redis) {
    if (comity_hiredis_is_home(redis)) return COMITY_OK;
    return comity_fail(COMITY_ERROR_INVALID_STATE, "the adapter was made before fork(), in the parent: "
                                                   "make a new one in this process");
}

static inline uint32_t comity_hiredis_no_memory(void) {
    return comity_fail(COMITY_ERROR_LIMIT_EXCEEDED, "no memory for an adapter of so many servers");
}

static inline void comity_hiredis_told(void *data, comity_hiredis_link *link, short events) {
    comity_hiredis *redis = (comity_hiredis *)data;
    if (link->watched != events && redis->watcher != NULL) {
        redis->watcher(redis->watcher_data, (int)link->context->fd, events);
    }
    link->watched = events;
}

/* Making and ending */

static inline uint32_t comity_hiredis_arguments(const comity_hiredis_server *servers, size_t count,
                                                const void *out) {
    if (servers == NULL) return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, "servers must not be NULL");
    if (count == 0) return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, "servers: at least one is needed");
    if (out == NULL) return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, "out must not be NULL");
    return COMITY_OK;
}

/* Frees an adapter and closes its connections; also the coordinator, if comity_hiredis_connect made it.
 * Sends nothing: see comity_hiredis_close. NULL is fine. */
static inline void comity_hiredis_free(comity_hiredis *redis) {
    uint32_t i;
    size_t link;
    if (redis == NULL) return;
    /* The child of a fork shares the parent's epoll, and must not take anything out of it. */
    for (link = 0; comity_hiredis_is_home(redis) && link < comity_hiredis_link_count(redis);
         link++) {
        comity_hiredis_told(redis, comity_hiredis_link_of(redis, link), 0);
    }
    for (i = 0; redis->nodes != NULL && i < redis->node_count; i++) {
        comity_hiredis_node_free(&redis->nodes[i]);
    }
    if (redis->owns_coordinator) comity_coordinator_free(redis->shared.coordinator);
    free(redis->shared.elements.room);
    free(redis->nodes);
    free(redis->fds);
    free(redis->links);
    free(redis);
}

/* Makes an adapter for a coordinator, which must outlive it: one server for each of its nodes, found by
 * id. What servers points to is copied. Nothing is sent.
 *
 * Returns COMITY_OK and writes *out; or COMITY_ERROR_INVALID_ARGUMENT for NULL, or for servers that are
 * not exactly those of the coordinator's nodes; or COMITY_ERROR_LIMIT_EXCEEDED without memory. */
static inline uint32_t comity_hiredis_new(comity_coordinator *coordinator,
                                          const comity_hiredis_server *servers, size_t count,
                                          comity_hiredis **out) {
    comity_hiredis *redis;
    uint32_t status, i, node_count = 0;
    status = comity_hiredis_arguments(servers, count, (const void *)out);
    if (status == COMITY_OK) status = comity_node_count(coordinator, &node_count);
    if (status != COMITY_OK) return status;
    if (node_count != count) {
        char words[96];
        snprintf(words, sizeof words, "servers: %lu of them for %lu nodes of the coordinator",
                 (unsigned long)count, (unsigned long)node_count);
        return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, words);
    }
    redis = (comity_hiredis *)calloc(1, sizeof *redis);
    if (redis == NULL) return comity_hiredis_no_memory();
    redis->shared.coordinator = coordinator;
    redis->home = getpid();
    redis->nodes = (comity_hiredis_node *)calloc(count, sizeof *redis->nodes);
    redis->fds =
        (struct pollfd *)calloc(count * COMITY_HIREDIS_LINKS, sizeof *redis->fds);
    redis->links =
        (comity_hiredis_link **)calloc(count * COMITY_HIREDIS_LINKS, sizeof *redis->links);
    if (redis->nodes == NULL || redis->fds == NULL || redis->links == NULL) {
        comity_hiredis_free(redis);
        return comity_hiredis_no_memory();
    }
    for (i = 0; i < node_count && status == COMITY_OK; i++) {
        status = comity_hiredis_node_init(&redis->nodes[i], coordinator, i, servers, count);
        if (status == COMITY_OK) redis->node_count++;
    }
    if (status != COMITY_OK) {
        comity_hiredis_free(redis);
        return status;
    }
    *out = redis;
    return COMITY_OK;
}

/* Makes a coordinator over these servers, which comity_hiredis_coordinator gives, and its adapter. Each
 * is a node of weight 1; one without an id has its address for it, as in every language: "host:port" or
 * the path. config is NULL for the defaults; its nodes are not looked at. Nothing is sent: call
 * comity_check_nodes to find out at once whether the servers can serve.
 *
 * Returns as comity_coordinator_new and comity_hiredis_new, or COMITY_ERROR_UNSUPPORTED where the system
 * has no randomness. */
static inline uint32_t comity_hiredis_connect(const comity_hiredis_server *servers, size_t count,
                                              const comity_config *config, comity_hiredis **out) {
    comity_coordinator *coordinator = NULL;
    comity_node_spec *specs;
    char(*ids)[COMITY_HIREDIS_ADDRESS];
    uint32_t status;
    size_t i;
    status = comity_hiredis_arguments(servers, count, (const void *)out);
    if (status != COMITY_OK) return status;
    specs = (comity_node_spec *)calloc(count, sizeof *specs);
    ids = (char(*)[COMITY_HIREDIS_ADDRESS])calloc(count, sizeof *ids);
    if (specs == NULL || ids == NULL) {
        status = comity_hiredis_no_memory();
    } else {
        for (i = 0; i < count; i++) {
            specs[i].id = comity_hiredis_id(&servers[i], ids[i]);
            specs[i].id_len = strlen((const char *)specs[i].id);
            specs[i].weight = 1;
        }
        status = comity_system_coordinator(specs, count, config, &coordinator);
    }
    if (status == COMITY_OK) {
        status = comity_hiredis_new(coordinator, servers, count, out);
        if (status == COMITY_OK) (*out)->owns_coordinator = 1;
        else comity_coordinator_free(coordinator);
    }
    free(specs);
    free(ids);
    return status;
}

/* The coordinator, whose verbs take comity_hiredis_now() for the time. */
static inline comity_coordinator *comity_hiredis_coordinator(const comity_hiredis *redis) {
    return redis->shared.coordinator;
}

/* Why the last connection for commands to a node ended or could not be made, for logs; empty if none did.
 * Valid until the next call of the adapter. */
static inline const char *comity_hiredis_why(const comity_hiredis *redis, uint32_t node) {
    return node < redis->node_count ? redis->nodes[node].links[COMITY_HIREDIS_COMMANDS].why : "";
}

/* What both ways to use it do */

/* Gathers all commands that are ready, then sends what each node has in one write. */
static inline uint32_t comity_hiredis_send_ready(comity_hiredis *redis, uint64_t now_us) {
    const comity_command *command;
    uint32_t i, status;
    for (;;) {
        status = comity_poll_command(redis->shared.coordinator, &command);
        if (status != COMITY_OK) return status;
        if (command == NULL) break;
        comity_hiredis_node_take(&redis->nodes[command->node], &redis->shared, command, now_us);
    }
    for (i = 0; i < redis->node_count; i++) {
        comity_hiredis_node_flush(&redis->nodes[i], &redis->shared, now_us);
    }
    return COMITY_OK;
}

/* Tells a link what poll has found, and the core what has come of it. */
static inline void comity_hiredis_serve(comity_hiredis *redis, comity_hiredis_link *link,
                                        short events, uint64_t now_us) {
    comity_hiredis_node *node = &redis->nodes[link->node];
    if (link->state == COMITY_HIREDIS_CONNECTING) {
        comity_hiredis_node_connected(node, &redis->shared, link, now_us);
    } else if (link->state == COMITY_HIREDIS_OPEN) {
        /* An error or a hang-up shows when it is read. */
        if (events & ~POLLOUT) comity_hiredis_node_read(node, &redis->shared, link, now_us);
        else comity_hiredis_node_write(node, &redis->shared, link, now_us);
    }
}

/* Gives up what is late, and tells the core the time if it wants to hear it. */
static inline uint32_t comity_hiredis_tick(comity_hiredis *redis, uint64_t now_us) {
    uint64_t due_us;
    uint32_t i, status = comity_next_deadline(redis->shared.coordinator, &due_us);
    if (status == COMITY_OK && due_us <= now_us) {
        status = comity_handle_timeout(redis->shared.coordinator, now_us);
    }
    for (i = 0; i < redis->node_count; i++) {
        comity_hiredis_node_tick(&redis->nodes[i], &redis->shared, now_us);
    }
    return status;
}

/* When comity_hiredis_on_timer wants to be called at the latest, on the clock of comity_hiredis_now;
 * COMITY_NONE for never. It changes with every call. */
static inline uint64_t comity_hiredis_deadline(const comity_hiredis *redis) {
    uint64_t first_us = COMITY_NONE;
    uint32_t i;
    if (comity_next_deadline(redis->shared.coordinator, &first_us) != COMITY_OK) return COMITY_NONE;
    for (i = 0; i < redis->node_count; i++) {
        uint64_t due_us = comity_hiredis_node_due(&redis->nodes[i]);
        if (due_us < first_us) first_us = due_us;
    }
    return first_us;
}

/* Writes which descriptors to poll, and for what, to fds, at most capacity of them, and returns how many
 * there are: never more than COMITY_HIREDIS_LINKS, which is 3, for each node. They change with every
 * call. */
static inline size_t comity_hiredis_fds(const comity_hiredis *redis, struct pollfd *fds,
                                        size_t capacity) {
    size_t i, count = 0;
    for (i = 0; i < comity_hiredis_link_count(redis); i++) {
        comity_hiredis_link *link = comity_hiredis_link_of(redis, i);
        if (link->context == NULL) continue;
        redis->links[count] = link;
        if (count < capacity) {
            fds[count].fd = (int)link->context->fd;
            fds[count].events = comity_hiredis_link_events(link);
            fds[count].revents = 0;
        }
        count++;
    }
    return count;
}

/* The whole loop */

/* Sends what is ready and waits for what comes, until something has happened or the time until_us has
 * come, on the clock of comity_hiredis_now: 0 = not at all, COMITY_NONE = for ever. Writes the event to
 * *out, as comity_poll_event does; or NULL if the time has come or a signal was handled.
 *
 * Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE in the child of a fork; or what a dead coordinator
 * returns. */
static inline uint32_t comity_hiredis_run(comity_hiredis *redis, uint64_t until_us,
                                          const comity_event **out) {
    uint32_t status = comity_hiredis_at_home(redis);
    int waited = 0;
    if (status != COMITY_OK) return status;
    for (;;) {
        uint64_t now_us = comity_hiredis_now(), first_us;
        size_t i, count;
        int timeout_ms, ready;

        status = comity_hiredis_send_ready(redis, now_us);
        if (status == COMITY_OK) status = comity_poll_event(redis->shared.coordinator, out);
        if (status != COMITY_OK || *out != NULL) return status;
        if (waited && now_us >= until_us) return COMITY_OK;

        count = comity_hiredis_fds(redis, redis->fds, comity_hiredis_link_count(redis));
        first_us = comity_hiredis_deadline(redis);
        if (until_us < first_us) first_us = until_us;
        timeout_ms = comity_system_timeout(first_us, now_us);
        ready = poll(redis->fds, (nfds_t)count, timeout_ms);
        waited = 1;
        if (ready < 0 && errno == EINTR) return COMITY_OK;
        now_us = comity_hiredis_now();
        for (i = 0; ready > 0 && i < count; i++) {
            if (redis->fds[i].revents != 0) {
                comity_hiredis_serve(redis, redis->links[i], redis->fds[i].revents, now_us);
            }
        }
        status = comity_hiredis_tick(redis, now_us);
        if (status != COMITY_OK) return status;
    }
}

/* Begins the end, as comity_close, and runs to it: at most the timeout of the config. What happens
 * meanwhile is told to nobody.
 *
 * Returns as comity_hiredis_run. */
static inline uint32_t comity_hiredis_close(comity_hiredis *redis) {
    const comity_event *event;
    uint32_t status = comity_hiredis_at_home(redis);
    if (status == COMITY_OK) status = comity_close(redis->shared.coordinator, comity_hiredis_now());
    while (status == COMITY_OK) {
        status = comity_hiredis_run(redis, COMITY_NONE, &event);
        if (status == COMITY_OK && event != NULL && event->kind == COMITY_EVENT_CLOSED) break;
    }
    return status;
}

/* For a loop of the host's own */

/* Sends what is ready, and tells the watcher what has changed. */
static inline uint32_t comity_hiredis_turn(comity_hiredis *redis, uint64_t now_us) {
    uint32_t status = comity_hiredis_send_ready(redis, now_us);
    size_t i;
    for (i = 0; redis->watcher != NULL && i < comity_hiredis_link_count(redis); i++) {
        comity_hiredis_link *link = comity_hiredis_link_of(redis, i);
        if (link->context != NULL) comity_hiredis_told(redis, link, comity_hiredis_link_events(link));
    }
    return status;
}

/* Has watcher called with data whenever what is to be polled changes, until the adapter is freed or this
 * is called again, and at once for all that is to be polled now. NULL = nobody is told. Instead of
 * comity_hiredis_fds. */
static inline void comity_hiredis_watch(comity_hiredis *redis, comity_hiredis_watcher *watcher,
                                        void *data) {
    size_t i;
    redis->watcher = watcher;
    redis->watcher_data = data;
    redis->shared.closing = watcher == NULL ? NULL : comity_hiredis_told;
    redis->shared.closing_data = redis;
    for (i = 0; i < comity_hiredis_link_count(redis); i++) {
        comity_hiredis_link_of(redis, i)->watched = 0;
    }
    if (comity_hiredis_at_home(redis) == COMITY_OK) comity_hiredis_turn(redis, comity_hiredis_now());
}

static inline uint32_t comity_hiredis_on(comity_hiredis *redis, int fd, short events) {
    uint64_t now_us = comity_hiredis_now();
    uint32_t status = comity_hiredis_at_home(redis);
    size_t i;
    if (status != COMITY_OK) return status;
    for (i = 0; i < comity_hiredis_link_count(redis); i++) {
        comity_hiredis_link *link = comity_hiredis_link_of(redis, i);
        if (link->context != NULL && link->context->fd == fd) {
            comity_hiredis_serve(redis, link, events, now_us);
            break;
        }
    }
    return comity_hiredis_turn(redis, now_us);
}

/* A descriptor can be read, has an error, or was hung up; one that is not the adapter's any more is
 * ignored. Returns as comity_hiredis_run. */
static inline uint32_t comity_hiredis_on_readable(comity_hiredis *redis, int fd) {
    return comity_hiredis_on(redis, fd, POLLIN);
}

/* A descriptor can be written; one that is not the adapter's any more is ignored. Returns as
 * comity_hiredis_run. */
static inline uint32_t comity_hiredis_on_writable(comity_hiredis *redis, int fd) {
    return comity_hiredis_on(redis, fd, POLLOUT);
}

/* Time has passed, or the coordinator was asked for something: gives up what is late and sends what is
 * ready. Early or twice is harmless. Returns as comity_hiredis_run. */
static inline uint32_t comity_hiredis_on_timer(comity_hiredis *redis) {
    uint64_t now_us = comity_hiredis_now();
    uint32_t status = comity_hiredis_at_home(redis);
    if (status == COMITY_OK) status = comity_hiredis_tick(redis, now_us);
    return status == COMITY_OK ? comity_hiredis_turn(redis, now_us) : status;
}

#endif
