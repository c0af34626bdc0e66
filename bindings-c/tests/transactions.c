/* Transactions on the embedded store: what they do, what they expect, how they end. */
#include "world.h"

static void command(comity_transaction *tx, const char *a, const char *b, const char *c) {
    const char *argv[3];

    argv[0] = a;
    argv[1] = b;
    argv[2] = c;
    OK(comity_transaction_command(tx, c == NULL ? 2 : 3, argv, NULL));
}

static int says(const comity_reply *reply, uint32_t kind, const char *bytes) {
    return reply->kind == kind && reply->len == strlen(bytes) &&
           memcmp(reply->bytes, bytes, reply->len) == 0;
}

int main(void) {
    const char *get[] = {"GET", "alice"}, *list[] = {"LRANGE", "l", "0", "-1"};
    const char *hmget[] = {"HMGET", "h", "f", "no"};
    const size_t lens[] = {3, 5};
    comity_transaction_options options;
    comity_transaction *tx;
    const comity_event *event;
    comity_reply seen, elements[2];
    uint64_t number, other, call;
    char id[128];
    size_t id_len;
    world w;

    world_open(&w, 3);
    OK(comity_transaction_new(&tx));

    /* All of it, with the replies of each. */
    command(tx, "SET", "alice", "100");
    command(tx, "INCRBY", "bob", "30");
    command(tx, "RPUSH", "l", "x");
    OK(comity_transaction_command(tx, 4, list, NULL));
    command(tx, "GET", "nobody", NULL);
    OK(comity_transaction_expect_absent(tx, TEXT("alice")));
    OK(comity_transaction_execute(w.co[0], tx, NULL, w.now, &number));
    event = world_until(&w, 0, COMITY_EVENT_TRANSACTION_COMMITTED);
    CHECK(event->transaction == number && event->applied == 1 && event->id.len > 20);
    CHECK(event->reply_count == 5 && event->replies != NULL);
    CHECK(says(&event->replies[0], COMITY_REPLY_STATUS, "OK"));
    CHECK(event->replies[1].kind == COMITY_REPLY_INTEGER && event->replies[1].integer == 30);
    CHECK(event->replies[2].integer == 1);
    CHECK(event->replies[3].kind == COMITY_REPLY_ARRAY && event->replies[3].count == 1);
    CHECK(says(&event->replies[3].elements[0], COMITY_REPLY_STRING, "x"));
    CHECK(event->replies[4].kind == COMITY_REPLY_NIL);
    CHECK(event->id.len < sizeof id);
    memcpy(id, event->id.data, event->id.len);
    id_len = event->id.len;

    /* The same once more, by another coordinator: alice exists by now. */
    OK(comity_transaction_execute(w.co[1], tx, NULL, w.now, &number));
    event = world_until(&w, 1, COMITY_EVENT_TRANSACTION_FAILED);
    CHECK(event->transaction == number && event->error == COMITY_ERROR_CONFLICT);
    CHECK(strstr(event->message, "alice") != NULL);

    /* Only while nothing has changed. */
    OK(comity_transaction_clear(tx));
    memset(&seen, 0, sizeof seen);
    seen.kind = COMITY_REPLY_STRING;
    seen.bytes = "100";
    seen.len = 3;
    OK(comity_transaction_expect_unchanged(tx, 2, get, lens, &seen));
    OK(comity_transaction_expect_value(tx, TEXT("bob"), TEXT("30")));
    OK(comity_transaction_expect_exists(tx, TEXT("bob")));
    command(tx, "INCRBY", "alice", "-30");
    OK(comity_transaction_options_init(&options, sizeof options));
    options.ack = COMITY_ACK_DECIDED;
    options.timeout_us = 1000000;
    options.patience_us = 1000000;
    OK(comity_transaction_execute(w.co[0], tx, &options, w.now, &number));
    event = world_until(&w, 0, COMITY_EVENT_TRANSACTION_COMMITTED);
    CHECK(event->transaction == number && event->replies[0].integer == 70);
    OK(comity_transaction_execute(w.co[0], tx, &options, w.now, &number));
    CHECK(world_until(&w, 0, COMITY_EVENT_TRANSACTION_FAILED)->error == COMITY_ERROR_CONFLICT);

    /* A reply that nests is expected like any other. */
    OK(comity_transaction_clear(tx));
    command(tx, "HSET", "h", "f");
    FAILS(comity_transaction_execute(w.co[0], tx, NULL, w.now, &number),
          COMITY_ERROR_INVALID_ARGUMENT, "HSET");
    OK(comity_transaction_clear(tx));
    elements[0] = seen;
    memset(&elements[1], 0, sizeof elements[1]);
    elements[1].kind = COMITY_REPLY_NIL;
    seen.kind = COMITY_REPLY_ARRAY;
    seen.elements = elements;
    seen.count = 2;
    OK(comity_transaction_expect_unchanged(tx, 4, hmget, NULL, &seen));
    OK(comity_transaction_execute(w.co[0], tx, NULL, w.now, &number));
    event = world_until(&w, 0, COMITY_EVENT_TRANSACTION_FAILED);
    CHECK(event->error == COMITY_ERROR_CONFLICT);

    /* Nothing of it, because one command fails. */
    OK(comity_transaction_clear(tx));
    command(tx, "SET", "bob", "0");
    command(tx, "INCRBY", "l", "1");
    OK(comity_transaction_execute(w.co[0], tx, NULL, w.now, &number));
    event = world_until(&w, 0, COMITY_EVENT_TRANSACTION_FAILED);
    CHECK(event->error == COMITY_ERROR_COMMAND_FAILED && strstr(event->message, "INCRBY") != NULL);

    /* No transaction takes it. */
    OK(comity_transaction_clear(tx));
    command(tx, "SUBSCRIBE", "bob", NULL);
    other = number;
    FAILS(comity_transaction_execute(w.co[0], tx, NULL, w.now, &number), COMITY_ERROR_UNSUPPORTED,
          "SUBSCRIBE");
    CHECK(number == other);

    /* Given up before it has begun: the server's clock is asked for first. */
    OK(comity_transaction_clear(tx));
    command(tx, "SET", "bob", "0");
    OK(comity_transaction_execute(w.co[2], tx, NULL, w.now, &number));
    OK(comity_transaction_cancel(w.co[2], number, w.now));
    event = world_until(&w, 2, COMITY_EVENT_TRANSACTION_FAILED);
    CHECK(event->transaction == number && event->error == COMITY_ERROR_ABORTED);
    CHECK(event->id.len == 0);
    OK(comity_transaction_cancel(w.co[2], number, w.now));

    /* Replicas are asked for, and the store has none: it is committed all the same. */
    OK(comity_transaction_options_init(&options, sizeof options));
    CHECK(options.replicas == 0 && options.replicas_timeout_us == 1000000);
    options.replicas = 2;
    OK(comity_transaction_execute(w.co[2], tx, &options, w.now, &number));
    event = world_until(&w, 2, COMITY_EVENT_TRANSACTION_NOT_DURABLE);
    CHECK(event->node == 0 && event->replicas == 0 && event->id.len > 20);
    CHECK(event->error != COMITY_OK && strlen(event->message) > 0);
    event = world_until(&w, 2, COMITY_EVENT_TRANSACTION_COMMITTED);
    CHECK(event->transaction == number && event->replicas == 0 && event->applied == 1);

    /* Asked for by its id, in another process: the slot was used again, or it is as it was. */
    OK(comity_transaction_status(w.co[1], id, id_len, w.now, &call));
    event = world_until(&w, 1, COMITY_EVENT_TRANSACTION_STATUS);
    CHECK(event->call == call && event->id.len == id_len && memcmp(event->id.data, id, id_len) == 0);
    CHECK(event->outcome >= COMITY_OUTCOME_COMMITTED && event->outcome <= COMITY_OUTCOME_FORGOTTEN);
    OK(comity_transaction_resolve(w.co[1], id, id_len, COMITY_HEURISTIC_NONE, w.now, &call));
    event = world_until(&w, 1, COMITY_EVENT_TRANSACTION_RESOLVED);
    CHECK(event->call == call && event->outcome != 0);
    /* One of another session, of which nobody has heard. */
    memset(id, '0', 16);
    OK(comity_transaction_status(w.co[1], id, id_len, w.now, &call));
    event = world_until(&w, 1, COMITY_EVENT_TRANSACTION_STATUS);
    CHECK(event->call == call && event->outcome == COMITY_OUTCOME_UNHEARD);
    OK(comity_transaction_resolve(w.co[1], id, id_len, COMITY_HEURISTIC_NONE, w.now, &call));
    event = world_until(&w, 1, COMITY_EVENT_TRANSACTION_RESOLVED);
    CHECK(event->call == call && event->outcome == COMITY_OUTCOME_ABORTED);
    OK(comity_transaction_sweep(w.co[1], 1, w.now, &call));
    event = world_until(&w, 1, COMITY_EVENT_TRANSACTION_SWEPT);
    CHECK(event->call == call);

    comity_transaction_free(tx);
    world_close(&w);
    puts("ok");
    return 0;
}
