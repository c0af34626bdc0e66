/* From hiredis' replies to comity's. The kinds have the same numbers; the elements of an array lie
 * side by side in comity's, where hiredis has a pointer for each. */
#ifndef COMITY_HIREDIS_REPLY_H
#define COMITY_HIREDIS_REPLY_H

#include <stdlib.h>
#include <string.h>

#include <comity.h>
#include <hiredis/hiredis.h>

/* Room for the elements of one reply, used again for the next. */
typedef struct comity_hiredis_elements {
    comity_reply *room;
    size_t capacity; /* comity_reply */
    size_t used; /* comity_reply */
} comity_hiredis_elements;

static inline int comity_hiredis_has_elements(const redisReply *reply) {
    switch (reply->type) {
    case REDIS_REPLY_ARRAY:
#ifdef REDIS_REPLY_MAP
    case REDIS_REPLY_MAP:
    case REDIS_REPLY_SET:
    case REDIS_REPLY_PUSH:
#endif
        return 1;
    default:
        return 0;
    }
}

/* How many elements a reply has, those of its elements included. */
static inline size_t comity_hiredis_count(const redisReply *reply) {
    size_t i, count = 0;
    if (comity_hiredis_has_elements(reply)) {
        count = reply->elements;
        for (i = 0; i < reply->elements; i++) count += comity_hiredis_count(reply->element[i]);
    }
    return count;
}

static inline void comity_hiredis_fill(comity_hiredis_elements *elements, const redisReply *from,
                                       comity_reply *to) {
    size_t i;
    memset(to, 0, sizeof *to);
    to->kind = (uint32_t)from->type;
    to->integer = from->integer;
    to->bytes = from->str;
    to->len = from->str == NULL ? 0 : from->len;
    if (comity_hiredis_has_elements(from) && from->elements > 0) {
        comity_reply *side_by_side = elements->room + elements->used;
        elements->used += from->elements;
        to->elements = side_by_side;
        to->count = from->elements;
        for (i = 0; i < from->elements; i++) {
            comity_hiredis_fill(elements, from->element[i], side_by_side + i);
        }
    }
}

/* Makes *to say what from says; it points into from and into elements. Returns 0 without memory. */
static inline int comity_hiredis_convert(comity_hiredis_elements *elements, const redisReply *from,
                                         comity_reply *to) {
    size_t needed = comity_hiredis_count(from);
    if (needed > elements->capacity) {
        size_t capacity = needed < 64 ? 64 : needed;
        void *room = realloc(elements->room, capacity * sizeof(comity_reply));
        if (room == NULL) return 0;
        elements->room = (comity_reply *)room;
        elements->capacity = capacity;
    }
    elements->used = 0;
    comity_hiredis_fill(elements, from, to);
    return 1;
}

/* Whether a reply is a text that begins with these words. */
static inline int comity_hiredis_begins(const redisReply *reply, const char *words) {
    size_t len = strlen(words);
    return reply->str != NULL && reply->len >= len && memcmp(reply->str, words, len) == 0;
}

#endif
