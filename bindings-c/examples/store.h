/* Where the examples play: on the embedded store, or on the server that --redis HOST:PORT names. */
#ifndef STORE_H
#define STORE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <comity.h>
#include <comity/adapters/hiredis.h>
#include <comity/adapters/memory.h>

#define MAX_CLIENTS 4

/* A coordinator and what moves its commands. */
typedef struct client {
    comity_coordinator *co;
    comity_hiredis *redis; /* NULL on the embedded store. */
} client;

typedef struct store {
    char prefix[64];
    comity_memory *memory; /* NULL on a server. */
    char host[256];
    int port;
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
        at->port = atoi(colon + 1);
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
        unsigned char entropy[32];
        comity_node_spec node;
        node.id = "memory";
        node.id_len = 6;
        node.weight = 1;
        config.nodes = &node;
        config.node_count = 1;
        must(comity_hiredis_entropy(entropy, sizeof entropy) ? COMITY_OK : COMITY_ERROR_UNSUPPORTED);
        must(comity_coordinator_new(&config, entropy, sizeof entropy, comity_hiredis_now(),
                                    &made->co));
    } else {
        comity_hiredis_server server;
        memset(&server, 0, sizeof server);
        server.host = at->host[0] == '\0' ? "localhost" : at->host;
        server.port = at->port;
        must(comity_hiredis_connect(&server, 1, &config, &made->redis));
        made->co = comity_hiredis_coordinator(made->redis);
    }
    return made;
}

/* Ends a client without a word to anybody, as a crash would. */
static void store_drop(client *who) {
    if (who->redis != NULL) comity_hiredis_free(who->redis);
    else comity_coordinator_free(who->co);
    who->co = NULL;
}

/* Serves the embedded store until something has happened to a client; NULL if nothing has by until. */
static const comity_event *store_serve(store *at, client *who, uint64_t until_us) {
    for (;;) {
        comity_coordinator *all[MAX_CLIENTS];
        const comity_event *event;
        uint64_t now_us = comity_hiredis_now(), first_us = until_us;
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
    must(comity_hiredis_run(who->redis, until_us, &event));
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
    must(comity_close(who->co, comity_hiredis_now()));
    store_await(at, who, COMITY_EVENT_CLOSED);
    store_drop(who);
}

/* Ends the store; on a server, deletes what the example has left there. */
static void store_close(store *at) {
    comity_memory_free(at->memory);
    if (at->memory == NULL && at->port != 0) {
        redisContext *server = redisConnect(at->host[0] == '\0' ? "localhost" : at->host, at->port);
        redisReply *keys = NULL;
        size_t i;
        if (server != NULL && server->err == 0) {
            keys = (redisReply *)redisCommand(server, "KEYS %s*", at->prefix);
        }
        for (i = 0; keys != NULL && i < keys->elements; i++) {
            freeReplyObject(redisCommand(server, "DEL %b", keys->element[i]->str,
                                         keys->element[i]->len));
        }
        if (keys != NULL) freeReplyObject(keys);
        if (server != NULL) redisFree(server);
    }
}

#endif
