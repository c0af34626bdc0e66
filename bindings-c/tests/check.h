/* What every test in C uses. */
#ifndef COMITY_CHECK_H
#define COMITY_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comity.h"

/* Ends the program if the condition does not hold. */
#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__,   \
                    #condition, comity_last_error());                             \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

/* The call succeeds. */
#define OK(call) CHECK((call) == COMITY_OK)

/* The call fails with this code, and the last error, which is its own, has these words. */
#define FAILS(call, code, words)                                                  \
    do {                                                                          \
        comity_fail(COMITY_OK, "an earlier error");                               \
        CHECK((call) == (code));                                                  \
        CHECK(strstr(comity_last_error(), (words)) != NULL);                      \
    } while (0)

/* A text and its length, as two arguments. */
#define TEXT(literal) (literal), (sizeof(literal) - 1)

static inline int is(comity_bytes bytes, const char *text) {
    return bytes.len == strlen(text) && (bytes.len == 0 || memcmp(bytes.data, text, bytes.len) == 0);
}

static inline int is_of_an_outage(const comity_event *event) {
    return event->kind == COMITY_EVENT_NODE_DOWN || event->kind == COMITY_EVENT_NODE_UP;
}

static inline comity_node_spec node(const char *id, uint32_t weight) {
    comity_node_spec spec;
    spec.id = id;
    spec.id_len = strlen(id);
    spec.weight = weight;
    return spec;
}

#endif
