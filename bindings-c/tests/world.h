/* Coordinators on one embedded store, with a clock that the test moves. */
#ifndef COMITY_WORLD_H
#define COMITY_WORLD_H

#include "check.h"

#define WORLD_MAX 4

typedef struct {
    comity_memory *memory;
    comity_coordinator *co[WORLD_MAX];
    int count;
    uint64_t now;
} world;

static inline void world_open(world *w, int count) {
    comity_node_spec nodes[1];
    comity_config config;
    unsigned char entropy[32];
    int i;

    memset(w, 0, sizeof *w);
    w->now = 1000000;
    w->count = count;
    nodes[0] = node("memory", 1);
    OK(comity_memory_new(&w->memory));
    OK(comity_config_init(&config, sizeof config));
    config.nodes = nodes;
    config.node_count = 1;
    for (i = 0; i < count; i++) {
        memset(entropy, i + 1, sizeof entropy);
        OK(comity_coordinator_new(&config, entropy, sizeof entropy, w->now, &w->co[i]));
    }
}

static inline void world_close(world *w) {
    int i;

    for (i = 0; i < w->count; i++) {
        comity_coordinator_free(w->co[i]);
    }
    comity_memory_free(w->memory);
}

/* Executes one command on the store, and reports its reply. */
static inline void world_execute(world *w, int i, const comity_command *command) {
    const comity_reply *reply;

    if (command->route == COMITY_ROUTE_SUBSCRIBE) {
        OK(comity_handle_node(w->co[i], command->node, COMITY_NODE_PUSH_READY, w->now));
        return;
    }
    OK(comity_memory_execute(w->memory, command->argc, command->argv, command->argvlen, w->now,
                             &reply));
    OK(comity_handle_reply(w->co[i], command->request, reply, w->now));
}

/* Does all that can be done at this moment. */
static inline void world_run(world *w) {
    const comity_command *command;
    const comity_message *message;
    comity_bytes inbox;
    int i, busy = 1;

    while (busy) {
        busy = 0;
        for (i = 0; i < w->count; i++) {
            OK(comity_poll_command(w->co[i], &command));
            if (command != NULL) {
                world_execute(w, i, command);
                busy = 1;
            }
        }
        OK(comity_memory_poll_message(w->memory, &message));
        if (message != NULL) {
            busy = 1;
            for (i = 0; i < w->count; i++) {
                OK(comity_inbox(w->co[i], &inbox));
                if (inbox.len == message->channel.len &&
                    memcmp(inbox.data, message->channel.data, inbox.len) == 0) {
                    OK(comity_handle_message(w->co[i], 0, message->channel.data,
                                             message->channel.len, message->payload.data,
                                             message->payload.len, w->now));
                }
            }
        }
    }
}

/* Lets time pass until the next deadline of a coordinator. */
static inline void world_wait(world *w) {
    uint64_t next = COMITY_NONE, one;
    int i;

    for (i = 0; i < w->count; i++) {
        OK(comity_next_deadline(w->co[i], &one));
        next = one < next ? one : next;
    }
    CHECK(next != COMITY_NONE);
    w->now = next > w->now ? next : w->now;
    for (i = 0; i < w->count; i++) {
        OK(comity_handle_timeout(w->co[i], w->now));
    }
}

/* The next event of this kind at a coordinator; others are let go. */
static inline const comity_event *world_until(world *w, int i, uint32_t kind) {
    const comity_event *event;
    int turns;

    for (turns = 0; turns < 1000; turns++) {
        world_run(w);
        for (;;) {
            OK(comity_poll_event(w->co[i], &event));
            if (event == NULL) {
                break;
            }
            if (event->kind == kind) {
                return event;
            }
        }
        world_wait(w);
    }
    fprintf(stderr, "no event %s\n", comity_event_name(kind));
    exit(1);
}

#endif
