/* comity over the embedded store: for programs without a server, and for tests, whose clock may be any
 * number. Header-only, C99 and C++17. */
#ifndef COMITY_ADAPTERS_MEMORY_H
#define COMITY_ADAPTERS_MEMORY_H

#include <comity.h>

/* Moves what one coordinator has ready to the store, and the replies back. Returns a status and adds how
 * much that was to *moved. */
static inline uint32_t comity_memory_move(comity_memory *memory, comity_coordinator *coordinator,
                                          uint64_t now_us, size_t *moved) {
    const comity_command *command;
    const comity_reply *reply;
    for (;;) {
        uint32_t status = comity_poll_command(coordinator, &command);
        if (status != COMITY_OK || command == NULL) return status;
        ++*moved;
        if (command->route == COMITY_ROUTE_SUBSCRIBE) {
            /* There is no connection to open: messages come in any case. */
            status = comity_handle_node(coordinator, command->node, COMITY_NODE_PUSH_READY, now_us);
        } else {
            status = comity_memory_execute(memory, command->argc, command->argv, command->argvlen,
                                           now_us, &reply);
            if (status == COMITY_OK) {
                status = comity_handle_reply(coordinator, command->request, reply, now_us);
            }
        }
        if (status != COMITY_OK) return status;
    }
}

/* Tells count coordinators the time and moves all that they have ready to their store, and replies and
 * messages back, until nothing is left to move; then poll their events. Call it after verbs, and when the
 * first comity_next_deadline of them has come. Each of them has one node of any id.
 *
 * Returns COMITY_OK, or what a dead coordinator or store returns. */
static inline uint32_t comity_memory_serve(comity_memory *memory,
                                           comity_coordinator *const *coordinators, size_t count,
                                           uint64_t now_us) {
    size_t i, moved;
    uint32_t status = COMITY_OK;
    for (i = 0; i < count && status == COMITY_OK; i++) {
        status = comity_handle_timeout(coordinators[i], now_us);
    }
    do {
        const comity_message *message = NULL;
        moved = 0;
        for (i = 0; i < count && status == COMITY_OK; i++) {
            status = comity_memory_move(memory, coordinators[i], now_us, &moved);
        }
        while (status == COMITY_OK) {
            status = comity_memory_poll_message(memory, &message);
            if (status != COMITY_OK || message == NULL) break;
            /* Whoever's inbox it is not lets it go. */
            for (i = 0; i < count && status == COMITY_OK; i++) {
                status = comity_handle_message(coordinators[i], 0, message->channel.data,
                                               message->channel.len, message->payload.data,
                                               message->payload.len, now_us);
            }
            moved++;
        }
    } while (status == COMITY_OK && moved > 0);
    return status;
}

#endif
