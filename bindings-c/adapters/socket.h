/* comity over the sockets of POSIX, without a Redis client: moves a coordinator's commands to its servers,
 * and what they answer back. Header-only, C99 and C++17. Each node has a connection for commands, which are
 * pipelined, one for pushes once somebody waits for a lock, and one for commands that block, where
 * transactions wait for replicas; a node that hangs delays no other.
 *
 *     const char *url = "redis://127.0.0.1:6379";
 *     comity_socket *redis;
 *     const comity_event *event;
 *     if (comity_socket_connect(&url, 1, NULL, &redis) != COMITY_OK) ...
 *     comity_lock_acquire(comity_socket_coordinator(redis), "job", 3, NULL, comity_socket_now(), &lock);
 *     while (comity_socket_run(redis, COMITY_NONE, &event) == COMITY_OK) ...
 *
 * A program with a loop of its own calls, instead of comity_socket_run:
 *
 *     comity_socket_fds           which descriptors to poll, and for what; or
 *     comity_socket_watch         be told whenever that changes, as epoll wants it
 *     comity_socket_on_readable, _on_writable
 *                                 what has become of one of them
 *     comity_socket_deadline, comity_socket_on_timer
 *                                 when to call, and to call, if nothing else happens before; and to
 *                                 call after verbs of the coordinator, for what they ask to be sent
 *     comity_poll_event           after each of them
 *
 * One thread at a time may use an adapter and its coordinator. Pointers must not be NULL where nothing
 * else is said. In the child of a fork every function that sends or reads returns
 * COMITY_ERROR_INVALID_STATE and touches no connection; comity_socket_free is fine there.
 *
 * This is POSIX: compile with -std=gnu99 or later, or with -D_POSIX_C_SOURCE=200809L. */
#ifndef COMITY_SOCKET_H
#define COMITY_SOCKET_H

#include "socket/link.h"
#include "system.h"

/* What is not for users is in the headers above: they may change at any time. */

/* How many connections a node has at most: one for each COMITY_ROUTE_. */
#define COMITY_SOCKET_LINKS 3

/* Called when what a descriptor is to be polled for changes: events is POLLIN, POLLOUT, both, or 0 right
 * before it is closed. It must not call the adapter or its coordinator. */
typedef void comity_socket_watcher(void *data, int fd, short events);

struct comity_socket {
    comity_endpoint **endpoints; /* In the order of the URLs. */
    comity_socket_link *links;   /* COMITY_SOCKET_LINKS for each node. */
    struct pollfd *fds;          /* One for each link. */
    comity_socket_link **polled; /* Whose each of them is. */
    comity_socket_watcher *watcher;
    void *watcher_data;
    size_t url_count, link_count;
    comity_socket_shared shared;
};
typedef struct comity_socket comity_socket;

/* Microseconds on the clock that every function of comity is to be called with here. */
static inline uint64_t comity_socket_now(void) {
    return comity_system_now();
}

/* Whether this is the process that made the adapter, and its coordinator is alive. */
static inline uint32_t comity_socket_at_home(const comity_socket *redis) {
    uint64_t due_us;
    return comity_next_deadline(redis->shared.coordinator, &due_us);
}

static inline void comity_socket_told(void *data, comity_socket_link *link, short events) {
    comity_socket *redis = (comity_socket *)data;
    if (link->watched != events && redis->watcher != NULL) {
        redis->watcher(redis->watcher_data, link->fd, events);
    }
    link->watched = events;
}

/* Making and ending */

/* Frees an adapter with its coordinator and closes its connections. Sends nothing: see
 * comity_socket_close. NULL is fine. */
static inline void comity_socket_free(comity_socket *redis) {
    size_t i;
    if (redis == NULL) return;
    /* The child of a fork shares the parent's epoll, and must not take anything out of it. */
    if (redis->watcher != NULL && comity_socket_at_home(redis) != COMITY_OK) redis->watcher = NULL;
    for (i = 0; i < redis->link_count; i++) {
        comity_socket_link_close(&redis->links[i], &redis->shared);
        comity_socket_link_forget(&redis->links[i]);
        comity_connection_free(redis->links[i].connection);
    }
    for (i = 0; i < redis->url_count; i++) comity_endpoint_free(redis->endpoints[i]);
    comity_coordinator_free(redis->shared.coordinator);
    free(redis->endpoints);
    free(redis->links);
    free(redis->fds);
    free(redis->polled);
    free(redis);
}

/* Reads the URLs. */
static inline uint32_t comity_socket_parse(comity_socket *redis, const char *const *urls, size_t count) {
    char words[256];
    for (; redis->url_count < count; redis->url_count++) {
        unsigned long at = (unsigned long)redis->url_count;
        comity_endpoint **endpoint = &redis->endpoints[at];
        comity_address address;
        uint32_t status;
        if (urls[at] == NULL) {
            snprintf(words, sizeof words, "urls[%lu] must not be NULL", at);
            return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, words);
        }
        status = comity_endpoint_parse(urls[at], strlen(urls[at]), endpoint);
        if (status != COMITY_OK) {
            snprintf(words, sizeof words, "urls[%lu]: %s", at, comity_last_error());
            return comity_fail(status, words);
        }
        status = comity_endpoint_address(*endpoint, &address);
        if (status == COMITY_OK && address.kind == COMITY_ADDRESS_TLS) {
            comity_endpoint_free(*endpoint);
            snprintf(words, sizeof words,
                     "urls[%lu]: this adapter has no TLS: give a comity_connection the bytes of a TLS "
                     "stream, as examples/tls.c does with OpenSSL", at);
            return comity_fail(COMITY_ERROR_UNSUPPORTED, words);
        }
    }
    return COMITY_OK;
}

/* Makes the coordinator, over the nodes of the config or one for each URL. */
static inline uint32_t comity_socket_coordinate(comity_socket *redis, const comity_config *config,
                                                comity_node_spec *specs) {
    size_t i;
    if (config != NULL && config->struct_size == sizeof *config && config->nodes != NULL) {
        if (config->node_count != redis->url_count) {
            char words[96];
            snprintf(words, sizeof words, "urls: %lu of them for %lu nodes of the config",
                     (unsigned long)redis->url_count, (unsigned long)config->node_count);
            return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, words);
        }
        memcpy(specs, config->nodes, redis->url_count * sizeof *specs);
    } else {
        for (i = 0; i < redis->url_count; i++) {
            comity_address address;
            uint32_t status = comity_endpoint_address(redis->endpoints[i], &address);
            if (status != COMITY_OK) return status;
            specs[i].id = address.id;
            specs[i].id_len = strlen(address.id);
            specs[i].weight = 1;
        }
    }
    return comity_system_coordinator(specs, redis->url_count, config, &redis->shared.coordinator);
}

/* Makes the links of each node, which is found by its id. */
static inline uint32_t comity_socket_link_up(comity_socket *redis, const comity_node_spec *specs) {
    uint32_t node, route;
    size_t i;
    for (node = 0; node < redis->url_count; node++) {
        comity_bytes id;
        uint32_t status = comity_node_id(redis->shared.coordinator, node, &id);
        if (status != COMITY_OK) return status;
        for (i = 0; i + 1 < redis->url_count; i++) {
            if (specs[i].id_len == id.len && memcmp(specs[i].id, id.data, id.len) == 0) break;
        }
        for (route = COMITY_ROUTE_NODE; route <= COMITY_ROUTE_BLOCKING; route++) {
            comity_socket_link *link = &redis->links[redis->link_count++];
            status = comity_socket_link_init(link, redis->endpoints[i], node, route);
            if (status != COMITY_OK) return status;
        }
    }
    return COMITY_OK;
}

/* Makes a coordinator over count servers, which comity_socket_coordinator gives, and its adapter. Each URL
 * ends with a zero byte: redis://user:password@host:port/database or unix://user:password@/path, as
 * comity_endpoint_parse takes it; resolving a name blocks, an address does not. config is NULL for the
 * defaults. Where it has nodes, there is one for each URL, in the same order, with its stable id and
 * weight; where it has none, a server has its address for its id, as in every language: "host:port" or the
 * path. Nothing is sent: call comity_check_nodes to find out at once whether the servers can serve.
 *
 * Returns COMITY_OK and writes *out; or as comity_endpoint_parse and comity_coordinator_new; or
 * COMITY_ERROR_UNSUPPORTED for rediss://, which a comity_connection can do over any stream, or where the
 * system has no randomness; or COMITY_ERROR_LIMIT_EXCEEDED without memory. */
static inline uint32_t comity_socket_connect(const char *const *urls, size_t count,
                                             const comity_config *config, comity_socket **out) {
    comity_socket *redis;
    comity_node_spec *specs;
    uint32_t status;
    if (urls == NULL) return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, "urls must not be NULL");
    if (count == 0) return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, "urls: at least one is needed");
    if (out == NULL) return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, "out must not be NULL");
    redis = (comity_socket *)calloc(1, sizeof *redis);
    specs = (comity_node_spec *)calloc(count, sizeof *specs);
    if (redis != NULL) {
        const size_t links = count < SIZE_MAX / COMITY_SOCKET_LINKS ? count * COMITY_SOCKET_LINKS : SIZE_MAX;
        redis->endpoints = (comity_endpoint **)calloc(count, sizeof *redis->endpoints);
        redis->links = (comity_socket_link *)calloc(links, sizeof *redis->links);
        redis->fds = (struct pollfd *)calloc(links, sizeof *redis->fds);
        redis->polled = (comity_socket_link **)calloc(links, sizeof *redis->polled);
    }
    if (redis == NULL || specs == NULL || redis->endpoints == NULL || redis->links == NULL
        || redis->fds == NULL || redis->polled == NULL) {
        status = comity_fail(COMITY_ERROR_LIMIT_EXCEEDED, "no memory for an adapter of so many servers");
    } else {
        status = comity_socket_parse(redis, urls, count);
        if (status == COMITY_OK) status = comity_socket_coordinate(redis, config, specs);
        if (status == COMITY_OK) status = comity_socket_link_up(redis, specs);
    }
    free(specs);
    if (status == COMITY_OK) {
        *out = redis;
    } else {
        comity_socket_free(redis);
    }
    return status;
}

/* The coordinator, whose verbs take comity_socket_now() for the time. It is the adapter's. */
static inline comity_coordinator *comity_socket_coordinator(const comity_socket *redis) {
    return redis->shared.coordinator;
}

/* Why the last connection for commands to a node ended or could not be made, for logs; empty if none did.
 * Valid until the next call of the adapter. */
static inline const char *comity_socket_why(const comity_socket *redis, uint32_t node) {
    return node < redis->url_count ? redis->links[(size_t)node * COMITY_SOCKET_LINKS].why : "";
}

/* What both ways to use it do */

/* Queues all commands that are ready and sends what each connection has in one write, until nothing is
 * ready any more. */
static inline uint32_t comity_socket_send_ready(comity_socket *redis, uint64_t now_us) {
    size_t i, taken, all;
    do {
        all = 0;
        redis->shared.ended = 0;
        for (i = 0; i < redis->link_count; i += COMITY_SOCKET_LINKS) {
            comity_connection *connections[COMITY_SOCKET_LINKS];
            uint32_t status;
            int route;
            for (route = 0; route < COMITY_SOCKET_LINKS; route++) {
                comity_socket_link_look(&redis->links[i + route], &redis->shared, now_us);
                connections[route] = redis->links[i + route].connection;
            }
            status = comity_connection_take(redis->shared.coordinator, connections, COMITY_SOCKET_LINKS,
                                            now_us, &taken);
            if (status != COMITY_OK) return status;
            all += taken;
        }
        for (i = 0; i < redis->link_count; i++) {
            comity_socket_link_flush(&redis->links[i], &redis->shared, now_us);
        }
        now_us = comity_socket_now();
        /* What fails may lead to more, of other nodes as well. */
    } while (redis->shared.ended || (all > 0 && redis->url_count > 1));
    return COMITY_OK;
}

/* Gives up what is late, and tells the core the time if it wants to hear it. */
static inline uint32_t comity_socket_tick(comity_socket *redis, uint64_t now_us) {
    uint64_t due_us;
    size_t i;
    uint32_t status = comity_next_deadline(redis->shared.coordinator, &due_us);
    if (status == COMITY_OK && due_us <= now_us) {
        status = comity_handle_timeout(redis->shared.coordinator, now_us);
    }
    for (i = 0; status == COMITY_OK && i < redis->link_count; i++) {
        comity_socket_link_tick(&redis->links[i], &redis->shared, now_us);
    }
    return status;
}

/* When comity_socket_on_timer wants to be called at the latest, on the clock of comity_socket_now;
 * COMITY_NONE for never. It changes with every call. */
static inline uint64_t comity_socket_deadline(const comity_socket *redis) {
    uint64_t first_us = COMITY_NONE;
    size_t i;
    if (comity_next_deadline(redis->shared.coordinator, &first_us) != COMITY_OK) return COMITY_NONE;
    for (i = 0; i < redis->link_count; i++) {
        uint64_t due_us = comity_socket_link_due(&redis->links[i]);
        if (due_us < first_us) first_us = due_us;
    }
    return first_us;
}

/* Writes which descriptors to poll, and for what, to fds, at most capacity of them, and returns how many
 * there are: never more than COMITY_SOCKET_LINKS, which is 3, for each node. They change with every
 * call. */
static inline size_t comity_socket_fds(const comity_socket *redis, struct pollfd *fds, size_t capacity) {
    size_t i, count = 0;
    for (i = 0; i < redis->link_count; i++) {
        comity_socket_link *link = &redis->links[i];
        if (link->fd < 0) continue;
        redis->polled[count] = link;
        if (count < capacity) {
            fds[count].fd = link->fd;
            fds[count].events = comity_socket_link_events(link);
            fds[count].revents = 0;
        }
        count++;
    }
    return count;
}

/* The whole loop */

/* Sends what is ready and waits for what comes, until something has happened or the time until_us has
 * come, on the clock of comity_socket_now: 0 = not at all, COMITY_NONE = for ever. Writes the event to
 * *out, as comity_poll_event does; or NULL if the time has come or a signal was handled.
 *
 * Returns COMITY_OK; or COMITY_ERROR_INVALID_STATE in the child of a fork; or what a dead coordinator
 * returns. */
static inline uint32_t comity_socket_run(comity_socket *redis, uint64_t until_us,
                                         const comity_event **out) {
    int waited = 0;
    uint32_t status = comity_socket_at_home(redis);
    if (status != COMITY_OK) return status;
    for (;;) {
        uint64_t now_us = comity_socket_now(), first_us;
        size_t i, count;
        int ready;

        status = comity_socket_send_ready(redis, now_us);
        if (status == COMITY_OK) status = comity_poll_event(redis->shared.coordinator, out);
        if (status != COMITY_OK || *out != NULL) return status;
        if (waited && now_us >= until_us) return COMITY_OK;

        count = comity_socket_fds(redis, redis->fds, redis->link_count);
        first_us = comity_socket_deadline(redis);
        if (until_us < first_us) first_us = until_us;
        ready = poll(redis->fds, (nfds_t)count, comity_system_timeout(first_us, now_us));
        waited = 1;
        if (ready < 0 && errno == EINTR) return COMITY_OK;
        now_us = comity_socket_now();
        for (i = 0; ready > 0 && i < count; i++) {
            if (redis->fds[i].revents != 0) {
                comity_socket_link_serve(redis->polled[i], &redis->shared, redis->fds[i].revents, now_us);
            }
        }
        status = comity_socket_tick(redis, now_us);
        if (status != COMITY_OK) return status;
    }
}

/* Begins the end, as comity_close, and runs to it: at most the timeout of the config. What happens
 * meanwhile is told to nobody.
 *
 * Returns as comity_socket_run. */
static inline uint32_t comity_socket_close(comity_socket *redis) {
    const comity_event *event;
    uint32_t status = comity_close(redis->shared.coordinator, comity_socket_now());
    while (status == COMITY_OK) {
        status = comity_socket_run(redis, COMITY_NONE, &event);
        if (status == COMITY_OK && event != NULL && event->kind == COMITY_EVENT_CLOSED) break;
    }
    return status;
}

/* For a loop of the host's own */

/* Sends what is ready, and tells the watcher what has changed. */
static inline uint32_t comity_socket_turn(comity_socket *redis, uint64_t now_us) {
    uint32_t status = comity_socket_send_ready(redis, now_us);
    size_t i;
    for (i = 0; redis->watcher != NULL && i < redis->link_count; i++) {
        comity_socket_link *link = &redis->links[i];
        if (link->fd >= 0) comity_socket_told(redis, link, comity_socket_link_events(link));
    }
    return status;
}

/* Has watcher called with data whenever what is to be polled changes, until the adapter is freed or this
 * is called again, and at once for all that is to be polled now. NULL = nobody is told. Instead of
 * comity_socket_fds. */
static inline void comity_socket_watch(comity_socket *redis, comity_socket_watcher *watcher, void *data) {
    size_t i;
    redis->watcher = watcher;
    redis->watcher_data = data;
    redis->shared.closing = watcher == NULL ? NULL : comity_socket_told;
    redis->shared.closing_data = redis;
    for (i = 0; i < redis->link_count; i++) redis->links[i].watched = 0;
    if (comity_socket_at_home(redis) == COMITY_OK) comity_socket_turn(redis, comity_socket_now());
}

static inline uint32_t comity_socket_on(comity_socket *redis, int fd, short events) {
    uint64_t now_us = comity_socket_now();
    uint32_t status = comity_socket_at_home(redis);
    size_t i;
    if (status != COMITY_OK) return status;
    for (i = 0; i < redis->link_count; i++) {
        if (fd >= 0 && redis->links[i].fd == fd) {
            comity_socket_link_serve(&redis->links[i], &redis->shared, events, now_us);
            break;
        }
    }
    return comity_socket_turn(redis, now_us);
}

/* A descriptor can be read, has an error, or was hung up; one that is not the adapter's any more is
 * ignored. Returns as comity_socket_run. */
static inline uint32_t comity_socket_on_readable(comity_socket *redis, int fd) {
    return comity_socket_on(redis, fd, POLLIN);
}

/* A descriptor can be written; one that is not the adapter's any more is ignored. Returns as
 * comity_socket_run. */
static inline uint32_t comity_socket_on_writable(comity_socket *redis, int fd) {
    return comity_socket_on(redis, fd, POLLOUT);
}

/* Time has passed, or the coordinator was asked for something: gives up what is late and sends what is
 * ready. Early or twice is harmless. Returns as comity_socket_run. */
static inline uint32_t comity_socket_on_timer(comity_socket *redis) {
    uint64_t now_us = comity_socket_now();
    uint32_t status = comity_socket_tick(redis, now_us);
    return status == COMITY_OK ? comity_socket_turn(redis, now_us) : status;
}

#endif
