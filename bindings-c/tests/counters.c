/* Counters on the embedded store: counted, read, flushed, reset, audited, closed. */
#include "world.h"

int main(void) {
    const comity_counter_reading *reading;
    const comity_statistics *statistics;
    comity_counter_options options;
    const comity_event *event;
    uint64_t hits, same, there, call, token, room;
    int64_t value = 0;
    world w;

    world_open(&w, 2);
    OK(comity_counter_open(w.co[0], TEXT("hits"), NULL, w.now, &hits));
    FAILS(comity_counter_open(w.co[0], TEXT("hits"), NULL, w.now, &same),
          COMITY_ERROR_INVALID_STATE, "hits");
    OK(comity_counter_options_init(&options, sizeof options));
    options.durability = COMITY_COUNTER_SYNC;
    OK(comity_counter_open(w.co[1], TEXT("hits"), &options, w.now, &there));

    OK(comity_counter_add(w.co[0], hits, 7, w.now));
    OK(comity_counter_add(w.co[0], hits, -2, w.now));
    OK(comity_counter_value(w.co[0], hits, w.now, &reading));
    CHECK(reading->value.low == 5 && reading->value.high == 0);
    CHECK(reading->staleness_us == COMITY_NONE && reading->epoch == 0);
    CHECK(reading->pending.increments == 7 && reading->pending.decrements == 2);
    CHECK(reading->oldest_pending_us != COMITY_NONE);
    OK(comity_counter_value_int64(w.co[0], hits, w.now, &value));
    CHECK(value == 5);
    OK(comity_counter_flush(w.co[0], hits, w.now, &call));
    event = world_until(&w, 0, COMITY_EVENT_COUNTER_FLUSHED);
    CHECK(event->call == call && event->counter == hits);

    /* The other one sees it when it asks. */
    OK(comity_counter_add(w.co[1], there, 10, w.now));
    OK(comity_counter_read(w.co[1], there, COMITY_FRESH, w.now, &call));
    event = world_until(&w, 1, COMITY_EVENT_COUNTER_READ);
    CHECK(event->call == call && event->counter == there && event->reading != NULL);
    CHECK(event->reading->value.low == 15 && event->reading->pending.increments == 0);
    token = event->reading->token;
    OK(comity_counter_value(w.co[1], there, w.now, &reading));
    CHECK(reading->oldest_pending_us == COMITY_NONE && reading->token == token);
    OK(comity_counter_read(w.co[0], hits, token, w.now, &call));
    event = world_until(&w, 0, COMITY_EVENT_COUNTER_READ);
    CHECK(event->reading->value.low == 15 && event->reading->token >= token);
    CHECK(event->reading->staleness_us != COMITY_NONE);

    /* Anew from zero, once. */
    OK(comity_counter_reset(w.co[0], hits, 0, w.now, &call));
    event = world_until(&w, 0, COMITY_EVENT_COUNTER_RESET);
    CHECK(event->call == call && event->counter == hits && event->epoch == 1);
    OK(comity_counter_reset(w.co[1], there, COMITY_NONE, w.now, &call));
    CHECK(world_until(&w, 1, COMITY_EVENT_COUNTER_RESET)->epoch == 2);
    OK(comity_counter_audit(w.co[0], hits, COMITY_NONE, w.now, &call));
    event = world_until(&w, 0, COMITY_EVENT_COUNTER_AUDITED);
    CHECK(event->call == call && event->audit != NULL && event->audit->live == 2);
    CHECK(event->audit->compared == 1 && event->audit->corrected.low == 0);

    /* Beyond what may be unacknowledged. */
    OK(comity_counter_close(w.co[1], there, w.now));
    event = world_until(&w, 1, COMITY_EVENT_COUNTER_CLOSED);
    CHECK(event->counter == there && event->units.increments == 0);
    FAILS(comity_counter_add(w.co[1], there, 1, w.now), COMITY_ERROR_INVALID_STATE, "not open");
    options.durability = COMITY_COUNTER_BATCHED;
    options.max_units = 10;
    OK(comity_counter_open(w.co[1], TEXT("hits"), &options, w.now, &there));
    OK(comity_counter_room(w.co[1], there, &room));
    CHECK(room == 10);
    OK(comity_counter_add(w.co[1], there, -10, w.now));
    FAILS(comity_counter_add(w.co[1], there, 1, w.now), COMITY_ERROR_LIMIT_EXCEEDED, "10");
    OK(comity_counter_room(w.co[1], there, &room));
    CHECK(room == 0);
    OK(comity_counter_room(w.co[0], hits, &room));
    CHECK(room == COMITY_NONE);

    /* Beyond 64 bits: refused as such, and told exactly. */
    OK(comity_counter_add(w.co[0], hits, INT64_MAX, w.now));
    OK(comity_counter_add(w.co[0], hits, INT64_MAX - 8, w.now));
    value = 7;
    FAILS(comity_counter_value_int64(w.co[0], hits, w.now, &value), COMITY_ERROR_OVERFLOW,
          "64 bits");
    CHECK(value == 7);
    OK(comity_counter_value(w.co[0], hits, w.now, &reading));
    CHECK(reading->value.high == 0 && reading->value.low == UINT64_MAX - 9);
    FAILS(comity_counter_add(w.co[0], hits, INT64_MAX, w.now), COMITY_ERROR_OVERFLOW, "2^64");

    OK(comity_stats(w.co[0], &statistics));
    CHECK(statistics->counter_opens == 1 && statistics->counter_flushes >= 1);
    world_close(&w);
    puts("ok");
    return 0;
}
