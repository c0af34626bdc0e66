/* The embedded store as a small Redis. */
#include "check.h"

static const comity_reply *execute(comity_memory *memory, int argc, const char **argv,
                                   uint64_t now) {
    const comity_reply *reply = NULL;

    OK(comity_memory_execute(memory, argc, argv, NULL, now, &reply));
    CHECK(reply != NULL);
    return reply;
}

static int says(const comity_reply *reply, uint32_t kind, const char *bytes) {
    return reply->kind == kind && reply->len == strlen(bytes) &&
           memcmp(reply->bytes, bytes, reply->len) == 0;
}

int main(void) {
    const char *ping[] = {"PING"}, *get[] = {"GET", "k"}, *incr[] = {"INCR", "n"};
    const char *set[] = {"SET", "k", "v", "PX", "10"}, *wrong[] = {"NOSUCH"};
    const char *push[] = {"RPUSH", "l", "a", "b"}, *range[] = {"LRANGE", "l", "0", "-1"};
    const char *publish[] = {"PUBLISH", "channel", "payload"};
    const char *binary[] = {"SET", "\0k", "v\0"};
    const size_t lens[] = {3, 2, 2};
    const char *get_binary[] = {"GET", "\0k"};
    const comity_message *message;
    const comity_reply *reply;
    comity_memory *memory;

    OK(comity_memory_new(&memory));
    CHECK(says(execute(memory, 1, ping, 0), COMITY_REPLY_STATUS, "PONG"));
    CHECK(execute(memory, 2, get, 0)->kind == COMITY_REPLY_NIL);
    CHECK(says(execute(memory, 5, set, 1000), COMITY_REPLY_STATUS, "OK"));
    CHECK(says(execute(memory, 2, get, 1000), COMITY_REPLY_STRING, "v"));
    /* Its clock is the host's, and does not run backwards. */
    CHECK(execute(memory, 2, get, 20000)->kind == COMITY_REPLY_NIL);
    CHECK(execute(memory, 2, get, 1000)->kind == COMITY_REPLY_NIL);
    reply = execute(memory, 2, incr, 20000);
    CHECK(reply->kind == COMITY_REPLY_INTEGER && reply->integer == 1);
    execute(memory, 4, push, 20000);
    reply = execute(memory, 4, range, 20000);
    CHECK(reply->kind == COMITY_REPLY_ARRAY && reply->count == 2);
    CHECK(says(&reply->elements[0], COMITY_REPLY_STRING, "a"));
    CHECK(says(&reply->elements[1], COMITY_REPLY_STRING, "b"));
    reply = execute(memory, 1, wrong, 20000);
    CHECK(reply->kind == COMITY_REPLY_ERROR && reply->len > 4 && memcmp(reply->bytes, "ERR ", 4) == 0);

    /* Words of any bytes. */
    OK(comity_memory_execute(memory, 3, binary, lens, 20000, &reply));
    CHECK(says(reply, COMITY_REPLY_STATUS, "OK"));
    OK(comity_memory_execute(memory, 2, get_binary, lens, 20000, &reply));
    CHECK(reply->kind == COMITY_REPLY_STRING && reply->len == 2);
    CHECK(memcmp(reply->bytes, "v\0", 2) == 0);

    /* What is published waits to be delivered. */
    OK(comity_memory_poll_message(memory, &message));
    CHECK(message == NULL);
    execute(memory, 3, publish, 20000);
    OK(comity_memory_poll_message(memory, &message));
    CHECK(message != NULL && is(message->channel, "channel") && is(message->payload, "payload"));
    OK(comity_memory_poll_message(memory, &message));
    CHECK(message == NULL);
    comity_memory_free(memory);
    puts("ok");
    return 0;
}
