/* The same ids, and other servers meant by them: nothing is done, and the error says what is called what. */
#include "check.h"

#define NOW 1000000

static comity_coordinator *client(unsigned char seed) {
    comity_node_spec nodes[2];
    comity_config config;
    comity_coordinator *co;
    unsigned char entropy[32];

    nodes[0] = node("a", 1);
    nodes[1] = node("b", 1);
    memset(entropy, seed, sizeof entropy);
    OK(comity_config_init(&config, sizeof config));
    config.nodes = nodes;
    config.node_count = 2;
    OK(comity_coordinator_new(&config, entropy, sizeof entropy, NOW, &co));
    return co;
}

/* Answers everything: `servers` are those that the client means by a and b. */
static void run(comity_coordinator *co, comity_memory *const *servers) {
    const comity_command *command;
    const comity_reply *reply;

    for (;;) {
        OK(comity_poll_command(co, &command));
        if (command == NULL) {
            return;
        }
        OK(comity_memory_execute(servers[command->node], command->argc, command->argv,
                                 command->argvlen, NOW, &reply));
        OK(comity_handle_reply(co, command->request, reply, NOW));
    }
}

/* Every event from now on is one of this kind; how many there are. */
static int all_are(comity_coordinator *co, uint32_t kind, const char *words) {
    const comity_event *event;
    int count = 0;

    for (;;) {
        OK(comity_poll_event(co, &event));
        if (event == NULL) {
            return count;
        }
        CHECK(event->kind == kind);
        if (words != NULL) {
            CHECK(event->error == COMITY_ERROR_RING_MISMATCH);
            CHECK(strstr(event->message, words) != NULL);
        }
        count++;
    }
}

int main(void) {
    comity_memory *one, *other, *servers[2], *swapped[2], *same[2];
    comity_coordinator *co, *co2, *co3;
    uint64_t lock;

    OK(comity_memory_new(&one));
    OK(comity_memory_new(&other));
    servers[0] = swapped[1] = one;
    servers[1] = swapped[0] = other;

    co = client(1);
    OK(comity_check_nodes(co, NOW, NULL, 0, NULL));
    run(co, servers);
    CHECK(all_are(co, COMITY_EVENT_NODE_CHECKED, NULL) == 2);

    co2 = client(2);
    OK(comity_check_nodes(co2, NOW, NULL, 0, NULL));
    run(co2, swapped);
    CHECK(all_are(co2, COMITY_EVENT_CALL_FAILED, "'a' is recorded as 'b'") == 2);
    OK(comity_lock_acquire(co2, TEXT("x"), NULL, NOW, &lock));
    run(co2, swapped);
    CHECK(all_are(co2, COMITY_EVENT_LOCK_FAILED, "is recorded as") == 1);
    comity_coordinator_free(co2);
    comity_coordinator_free(co);
    comity_memory_free(one);
    comity_memory_free(other);

    /* One server under both ids. */
    OK(comity_memory_new(&one));
    same[0] = same[1] = one;
    co3 = client(3);
    OK(comity_check_nodes(co3, NOW, NULL, 0, NULL));
    run(co3, same);
    CHECK(all_are(co3, COMITY_EVENT_CALL_FAILED, "'a' and 'b' are one server") == 2);
    comity_coordinator_free(co3);
    comity_memory_free(one);
    puts("ok");
    return 0;
}
