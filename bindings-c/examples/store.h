/* Where the examples play: on the embedded store, or on the server that --redis HOST:PORT names. */
#ifndef STORE_H
#define STORE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <comity.h>
#include <comity/adapters/memory.h>
#include <comity/adapters/socket.h>

#define MAX_CLIENTS 4

/* A coordinator and what moves its commands. */
typedef struct client {
    comity_coordinator *co;
    comity_socket *redis; /* NULL on the embedded store. */
} client;

typedef struct store {
    char prefix[64];
    comity_memory *memory; /* NULL on a server. */
    char host[256];
    const char *port;
    client clients[MAX_CLIENTS]; /* co is NULL where there is none. */
} store;

/* Ends the program unless a call has succeeded. */
static void must(uint32_t status) {
    if (status != COMITY_OK) {
        fprintf(stderr, "%s: %s\n", comity_error_name(status), comity_last_error());
        exit(1);
    }
}

static void store_open(store *at, int argc, char **argv) {
    memset(at, 0, sizeof *at);
    snprintf(at->prefix, sizeof at->prefix, "comity-example-%ld:", (long)getpid());
    if (argc == 1) {
        must(comity_memory_new(&at->memory));
    } else {
        const char *colon = argc == 3 ? strrchr(argv[2], ':') : NULL;
        if (colon == NULL || strcmp(argv[1], "--redis") != 0
            || (size_t)(colon - argv[2]) >= sizeof at->host) {
            fprintf(stderr, "usage: %s [--redis HOST:PORT]\n", argv[0]);
            exit(2);
        }
        memcpy(at->host, argv[2], (size_t)(colon - argv[2]));
        at->port = colon + 1;
    }
}

/* A client of its own for whoever asks. */
static client *store_connect(store *at) {
    client *made = at->clients;
    comity_config config;
    while (made->co != NULL) {
        if (++made == at->clients + MAX_CLIENTS) {
            fputs("too many clients\n", stderr);
            exit(1);
        }
    }
    must(comity_config_init(&config, sizeof config));
    config.prefix = at->prefix;
    config.prefix_len = strlen(at->prefix);
    made->redis = NULL;
    if (at->memory != NULL) {
        comity_node_spec node;
        node.id = "memory";
        node.id_len = 6;
        node.weight = 1;
        must(comity_system_coordinator(&node, 1, &config, &made->co));
    } else {
        char text[300];
        const char *url = text;
        snprintf(text, sizeof text, "redis://%s:%s", at->host, at->port);
        must(comity_socket_connect(&url, 1, &config, &made->redis));
        made->co = comity_socket_coordinator(made->redis);
    }
    return made;
}

/* Ends a client without a word to anybody, as a crash would. */
static void store_drop(client *who) {
    if (who->redis != NULL) comity_socket_free(who->redis);
    else comity_coordinator_free(who->co);
    who->co = NULL;
}

/* Serves the embedded store until something has happened to a client; NULL if nothing has by until. */
static const comity_event *store_serve(store *at, client *who, uint64_t until_us) {
    for (;;) {
        comity_coordinator *all[MAX_CLIENTS];
        const comity_event *event;
        uint64_t now_us = comity_system_now(), first_us = until_us;
        struct timespec nap;
        size_t i, count = 0;
        for (i = 0; i < MAX_CLIENTS; i++) {
            if (at->clients[i].co != NULL) all[count++] = at->clients[i].co;
        }
        must(comity_memory_serve(at->memory, all, count, now_us));
        must(comity_poll_event(who->co, &event));
        if (event != NULL || now_us >= until_us) return event;
        for (i = 0; i < count; i++) {
            uint64_t due_us;
            must(comity_next_deadline(all[i], &due_us));
            if (due_us < first_us) first_us = due_us;
        }
        if (first_us == COMITY_NONE) {
            fputs("nothing will ever happen\n", stderr);
            exit(1);
        }
        if (first_us > now_us) {
            nap.tv_sec = (time_t)((first_us - now_us) / 1000000);
            nap.tv_nsec = (long)((first_us - now_us) % 1000000 * 1000);
            nanosleep(&nap, NULL);
        }
    }
}

/* What happens next to a client; NULL if nothing does until then. */
static const comity_event *store_next(store *at, client *who, uint64_t until_us) {
    const comity_event *event = NULL;
    if (at->memory != NULL) return store_serve(at, who, until_us);
    must(comity_socket_run(who->redis, until_us, &event));
    return event;
}

/* Waits for an event of this kind; what comes before is of no interest, but what fails ends the
 * program. */
static const comity_event *store_await(store *at, client *who, uint32_t kind) {
    for (;;) {
        const comity_event *event = store_next(at, who, COMITY_NONE);
        if (event == NULL) continue;
        if (event->kind == kind) return event;
        if (event->error != COMITY_OK && event->kind != COMITY_EVENT_PUSH_UNAVAILABLE) {
            fprintf(stderr, "%s: %s\n", comity_error_name(event->error), event->message);
            exit(1);
        }
    }
}

/* Ends a client in order: gives back what it holds, flushes what it has counted. */
static void store_leave(store *at, client *who) {
    must(comity_close(who->co, comity_system_now()));
    store_await(at, who, COMITY_EVENT_CLOSED);
    store_drop(who);
}

/* Deletes what the example has left on the server, which no verb does: by a script, in Redis' own words. */
static void store_clean(const store *at) {
    static const char script[] =
        "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
    struct addrinfo hints, *found = NULL, *to;
    char text[512];
    int fd = -1, len;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(at->host[0] == '\0' ? "localhost" : at->host, at->port, &hints, &found) != 0) return;
    for (to = found; to != NULL && fd < 0; to = to->ai_next) {
        fd = socket(to->ai_family, SOCK_STREAM, 0);
        if (fd >= 0 && connect(fd, to->ai_addr, to->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0) return;
    len = snprintf(text, sizeof text, "*4\r\n$4\r\nEVAL\r\n$%u\r\n%s\r\n$1\r\n0\r\n$%u\r\n%s*\r\n",
                   (unsigned)strlen(script), script, (unsigned)strlen(at->prefix) + 1, at->prefix);
    if (comity_system_send(fd, text, (size_t)len) == len) recv(fd, text, sizeof text, 0);
    close(fd);
}

/* Ends the store. */
static void store_close(store *at) {
    comity_memory_free(at->memory);
    if (at->memory == NULL && at->port != NULL) store_clean(at);
}

#endif
