/* Replies of every kind, both ways: as a transaction's expectation in, and its replies out. */
#include "world.h"

static comity_reply text(uint32_t kind, const char *bytes, size_t len) {
    comity_reply reply;

    memset(&reply, 0, sizeof reply);
    reply.kind = kind;
    reply.bytes = bytes;
    reply.len = len;
    return reply;
}

static comity_reply number(uint32_t kind, int64_t integer) {
    comity_reply reply;

    memset(&reply, 0, sizeof reply);
    reply.kind = kind;
    reply.integer = integer;
    return reply;
}

static comity_reply list(uint32_t kind, const comity_reply *elements, size_t count) {
    comity_reply reply;

    memset(&reply, 0, sizeof reply);
    reply.kind = kind;
    reply.elements = elements;
    reply.count = count;
    return reply;
}

int main(void) {
    static const uint32_t lists[] = {COMITY_REPLY_ARRAY, COMITY_REPLY_SET, COMITY_REPLY_PUSH,
                                     COMITY_REPLY_MAP};
    static comity_reply chain[COMITY_REPLY_MAX_DEPTH + 1];
    comity_reply all[8], reply;
    comity_reply *many;
    world w;
    size_t i;

    world_open(&w, 1);
    all[0] = text(COMITY_REPLY_STRING, "a\0b", 3);
    all[1] = text(COMITY_REPLY_STATUS, "OK", 2);
    all[2] = text(COMITY_REPLY_ERROR, NULL, 0);
    all[3] = number(COMITY_REPLY_INTEGER, INT64_MIN);
    all[4] = number(COMITY_REPLY_NIL, 0);
    all[5] = text(COMITY_REPLY_DOUBLE, "1.5", 3);
    all[6] = number(COMITY_REPLY_BOOL, 1);
    all[7] = text(COMITY_REPLY_BIGNUM, "123456789012345678901234567890", 30);
    /* Nobody waits for them, so they are ignored, but only once they are understood. */
    for (i = 0; i < sizeof all / sizeof all[0]; i++) {
        OK(comity_handle_reply(w.co[0], 99, &all[i], w.now));
    }
    reply = text(COMITY_REPLY_VERBATIM, "text", 4);
    OK(comity_handle_reply(w.co[0], 99, &reply, w.now));
    for (i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        reply = list(lists[i], all, 8);
        OK(comity_handle_reply(w.co[0], 99, &reply, w.now));
        reply = list(lists[i], NULL, 0);
        OK(comity_handle_reply(w.co[0], 99, &reply, w.now));
        reply = list(lists[i], NULL, 2);
        FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_INVALID_ARGUMENT,
              "elements of a reply");
    }

    /* Wrong in themselves. */
    reply = list(COMITY_REPLY_MAP, all, 7);
    FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_INVALID_ARGUMENT,
          "7 elements");
    reply = text(COMITY_REPLY_STRING, NULL, 1);
    FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_INVALID_ARGUMENT,
          "bytes of a reply");
    reply = number(11, 0);
    FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_INVALID_ARGUMENT,
          "kind of a reply: 11");
    all[7] = reply;
    reply = list(COMITY_REPLY_ARRAY, all, 8);
    FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_INVALID_ARGUMENT,
          "kind of a reply: 11");

    /* As deep as may be, and deeper. */
    chain[0] = number(COMITY_REPLY_INTEGER, 1);
    for (i = 1; i <= COMITY_REPLY_MAX_DEPTH; i++) {
        chain[i] = list(COMITY_REPLY_ARRAY, &chain[i - 1], 1);
    }
    OK(comity_handle_reply(w.co[0], 99, &chain[COMITY_REPLY_MAX_DEPTH], w.now));
    reply = list(COMITY_REPLY_ARRAY, &chain[COMITY_REPLY_MAX_DEPTH], 1);
    FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_LIMIT_EXCEEDED, "32");

    /* As many elements as may be, and more: these say that they are there, and are not looked at. */
    many = calloc(COMITY_REPLY_MAX_ELEMENTS, sizeof *many);
    CHECK(many != NULL);
    for (i = 0; i < COMITY_REPLY_MAX_ELEMENTS; i++) {
        many[i].kind = COMITY_REPLY_NIL;
    }
    reply = list(COMITY_REPLY_ARRAY, many, COMITY_REPLY_MAX_ELEMENTS);
    OK(comity_handle_reply(w.co[0], 99, &reply, w.now));
    reply.count++;
    FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_LIMIT_EXCEEDED, "1048576");
    many[0] = list(COMITY_REPLY_ARRAY, chain, 1);
    reply.count--;
    FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_LIMIT_EXCEEDED, "1048576");
    reply.count = SIZE_MAX;
    FAILS(comity_handle_reply(w.co[0], 99, &reply, w.now), COMITY_ERROR_LIMIT_EXCEEDED, "1048576");
    free(many);

    world_close(&w);
    puts("ok");
    return 0;
}
