/* Commands as a driver sees them, and what it can report instead of a reply. */
#include "world.h"

static comity_coordinator *two_nodes(void) {
    comity_coordinator *co;
    comity_node_spec nodes[2];
    comity_config config;
    char entropy[32] = "two nodes, and a seed of 32 byte";

    nodes[0] = node("west", 1);
    nodes[1] = node("east", 1);
    OK(comity_config_init(&config, sizeof config));
    config.nodes = nodes;
    config.node_count = 2;
    config.prefix = "p:";
    config.prefix_len = 2;
    config.push = 0;
    OK(comity_coordinator_new(&config, entropy, sizeof entropy, 1000, &co));
    return co;
}

int main(void) {
    const comity_statistics *statistics;
    const comity_command *command, *again;
    const comity_event *event;
    comity_coordinator *co = two_nodes();
    comity_ring *ring;
    comity_bytes id, owner;
    comity_reply reply;
    uint64_t calls[2] = {0, 0}, lock, request, deadline;
    uint32_t count, other, node;
    size_t asked = 0;
    int i;

    /* Nodes have the numbers of their ids in order. */
    OK(comity_node_count(co, &count));
    CHECK(count == 2);
    OK(comity_node_id(co, 0, &id));
    CHECK(is(id, "east"));
    OK(comity_node_id(co, 1, &id));
    CHECK(is(id, "west"));
    OK(comity_inbox(co, &id));
    CHECK(id.len > 2 && memcmp(id.data, "p:", 2) == 0);
    OK(comity_next_deadline(co, &deadline));
    CHECK(deadline == COMITY_NONE);

    /* A command goes to the node that the ring says, in hiredis' form. */
    OK(comity_lock_acquire(co, TEXT("name"), NULL, 1000, &lock));
    OK(comity_coordinator_ring(co, &ring));
    OK(comity_ring_node(ring, TEXT("name"), &owner));
    OK(comity_ring_node_index(ring, TEXT("name"), &count));
    other = 1 - count;
    OK(comity_poll_command_for(co, other, &command));
    CHECK(command == NULL);
    OK(comity_poll_command_for(co, 7, &command));
    CHECK(command == NULL);
    OK(comity_poll_command_for(co, count, &command));
    CHECK(command != NULL && command->node == count && command->route == COMITY_ROUTE_NODE);
    OK(comity_node_id(co, command->node, &id));
    CHECK(id.len == owner.len && memcmp(id.data, owner.data, id.len) == 0);
    CHECK(command->origin == lock && command->request != 0 && command->deadline_us > 1000);
    CHECK(command->argc > 8);
    CHECK(command->argvlen[0] == 7 && memcmp(command->argv[0], "EVALSHA", 7) == 0);
    CHECK(command->argvlen[1] == 40);
    CHECK(command->argvlen[2] == 1 && command->argv[2][0] == '6');
    for (i = 3; i < 9; i++) {
        CHECK(command->argvlen[i] > 2 && memcmp(command->argv[i], "p:", 2) == 0);
    }
    request = command->request;
    /* It stays as it is while other functions are called. */
    OK(comity_next_deadline(co, &deadline));
    CHECK(deadline != COMITY_NONE && command->request == request);
    OK(comity_poll_command(co, &again));
    CHECK(again == NULL);

    /* Not sent: it is tried again, as another request. */
    OK(comity_handle_failure(co, request, COMITY_FAILURE_NOT_SENT, 2000));
    OK(comity_handle_failure(co, request, COMITY_FAILURE_NOT_SENT, 2000));
    for (command = NULL, i = 0; command == NULL && i < 100; i++) {
        OK(comity_next_deadline(co, &deadline));
        OK(comity_handle_timeout(co, deadline));
        OK(comity_poll_command(co, &command));
    }
    CHECK(command != NULL && command->request != request);
    request = command->request;

    /* A server without the script is sent its text. */
    memset(&reply, 0, sizeof reply);
    reply.kind = COMITY_REPLY_ERROR;
    reply.bytes = "NOSCRIPT No matching script. Please use EVAL.";
    reply.len = strlen(reply.bytes);
    OK(comity_handle_reply(co, request, &reply, deadline));
    OK(comity_poll_command(co, &command));
    CHECK(command != NULL && command->argvlen[0] == 4 && memcmp(command->argv[0], "EVAL", 4) == 0);
    CHECK(command->argvlen[1] > 1000);
    OK(comity_handle_failure(co, command->request, COMITY_FAILURE_OUTCOME_UNKNOWN, deadline));
    OK(comity_lock_cancel(co, lock, deadline));

    /* What the connections do is never wrong. */
    OK(comity_handle_node(co, 0, COMITY_NODE_CONNECTED, deadline));
    OK(comity_handle_node(co, 0, COMITY_NODE_PUSH_READY, deadline));
    OK(comity_poll_event(co, &event));
    CHECK(event != NULL && event->kind == COMITY_EVENT_PUSH_READY && event->node == 0);
    OK(comity_handle_node(co, 0, COMITY_NODE_PUSH_LOST, deadline));
    OK(comity_poll_event(co, &event));
    CHECK(event != NULL && event->kind == COMITY_EVENT_PUSH_UNAVAILABLE && event->node == 0);
    CHECK(event->error == COMITY_ERROR_UNREACHABLE && strlen(event->message) > 0);
    /* Why a node cannot be reached is said by what fails for it, and at once if that will not pass. */
    OK(comity_handle_unreachable(co, 9, TEXT("no such node"), 0, deadline));
    OK(comity_handle_refused(co, 9, TEXT("NOAUTH no such node"), deadline));
    OK(comity_lock_inspect(co, TEXT("name"), deadline, &calls[0]));
    do {
        OK(comity_poll_command(co, &command));
        CHECK(command != NULL);
    } while (command->origin != calls[0]);
    node = command->node;
    OK(comity_handle_unreachable(co, node, TEXT("certificate \377"), 1, deadline));
    OK(comity_handle_failure(co, command->request, COMITY_FAILURE_NOT_SENT, deadline));
    do {
        OK(comity_poll_event(co, &event));
        CHECK(event != NULL);
    } while (event->call != calls[0]);
    CHECK(event->kind == COMITY_EVENT_CALL_FAILED && event->call == calls[0]);
    CHECK(event->error == COMITY_ERROR_UNREACHABLE && event->node == node);
    CHECK(strcmp(event->message, "the server could not be reached: certificate \xef\xbf\xbd") == 0);
    OK(comity_handle_node(co, 0, COMITY_NODE_LOST, deadline));
    OK(comity_handle_node(co, 9, COMITY_NODE_LOST, deadline));
    OK(comity_handle_message(co, 0, TEXT("somewhere"), NULL, 0, deadline));
    OK(comity_handle_clock_gap(co, deadline));
    OK(comity_handle_timeout(co, 0));

    /* A question to each node. */
    OK(comity_check_nodes(co, deadline, calls, 2, &asked));
    CHECK(asked == 2 && calls[0] != 0 && calls[1] > calls[0]);
    OK(comity_check_nodes(co, deadline, NULL, 0, NULL));
    OK(comity_stats(co, &statistics));
    CHECK(statistics->lock_acquires == 1 && statistics->ignored >= 2);
    /* One was reported, and the clock gap has ended the one that gives the lock back. */
    CHECK(statistics->not_sent == 2 && statistics->outcome_unknown >= 1);
    CHECK(statistics->refusals == 1 && statistics->scripts_sent >= 1);

    comity_coordinator_free(co);
    /* The ring is one's own. */
    OK(comity_ring_node(ring, TEXT("name"), &owner));
    comity_ring_free(ring);
    puts("ok");
    return 0;
}
