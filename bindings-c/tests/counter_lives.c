/* A counter that outlives its process: journal, snapshot, restore. */
#include "world.h"

static char kept[4096];
static size_t kept_len;

static void keep(comity_bytes bytes) {
    CHECK(bytes.len > 0 && bytes.len <= sizeof kept);
    memcpy(kept, bytes.data, bytes.len);
    kept_len = bytes.len;
}

static void expect(world *w, int i, uint64_t counter, uint64_t value) {
    const comity_event *event;
    uint64_t call;

    OK(comity_counter_read(w->co[i], counter, COMITY_FRESH, w->now, &call));
    event = world_until(w, i, COMITY_EVENT_COUNTER_READ);
    CHECK(event->call == call && event->reading->value.low == value);
}

int main(void) {
    comity_counter_options options;
    const comity_event *event;
    comity_pn_counter *peer;
    comity_bytes bytes;
    uint64_t first, second, third, call;
    unsigned char replica[16] = {7};
    world w;

    world_open(&w, 3);
    OK(comity_counter_options_init(&options, sizeof options));
    options.durability = COMITY_COUNTER_JOURNALED;

    /* What is pending is told, and written down. */
    OK(comity_counter_open(w.co[0], TEXT("hits"), &options, w.now, &first));
    FAILS(comity_counter_journaled(w.co[0], first, w.now), COMITY_ERROR_INVALID_STATE, "journal");
    OK(comity_counter_add(w.co[0], first, 3, w.now));
    event = world_until(&w, 0, COMITY_EVENT_COUNTER_JOURNAL);
    CHECK(event->counter == first);
    keep(event->data);
    OK(comity_counter_journaled(w.co[0], first, w.now));
    OK(comity_counter_flush(w.co[0], first, w.now, &call));
    world_until(&w, 0, COMITY_EVENT_COUNTER_FLUSHED);
    OK(comity_counter_snapshot(w.co[0], first, &bytes));
    CHECK(bytes.len > 0);

    /* Its process dies. Another restores what was written down: each unit is counted once. */
    comity_coordinator_free(w.co[0]);
    w.co[0] = w.co[2];
    w.count = 2;
    OK(comity_counter_restore(w.co[1], TEXT("hits"), NULL, kept, kept_len, w.now, &second));
    expect(&w, 1, second, 3);
    FAILS(comity_counter_restore(w.co[0], TEXT("others"), NULL, kept, kept_len, w.now, &third),
          COMITY_ERROR_CORRUPT, "hits");
    OK(comity_counter_open(w.co[0], TEXT("hits"), NULL, w.now, &third));
    OK(comity_counter_take_up(w.co[0], third, kept, kept_len, w.now));
    expect(&w, 0, third, 3);
    FAILS(comity_counter_take_up(w.co[0], third, kept, kept_len, w.now),
          COMITY_ERROR_INVALID_STATE, "use");

    /* A snapshot holds what the server has not. */
    OK(comity_counter_add(w.co[0], third, 4, w.now));
    OK(comity_counter_snapshot(w.co[0], third, &bytes));
    keep(bytes);

    /* What peers have counted goes in as well, once. */
    OK(comity_pn_counter_new(replica, sizeof replica, &peer));
    OK(comity_pn_counter_add(peer, 5));
    OK(comity_pn_counter_snapshot(peer, &bytes));
    OK(comity_counter_merge(w.co[0], third, bytes.data, bytes.len, w.now));
    OK(comity_counter_merge(w.co[1], second, bytes.data, bytes.len, w.now));
    OK(comity_counter_flush(w.co[1], second, w.now, &call));
    world_until(&w, 1, COMITY_EVENT_COUNTER_FLUSHED);
    expect(&w, 0, third, 12);
    comity_pn_counter_free(peer);

    world_close(&w);
    comity_coordinator_free(NULL);
    puts("ok");
    return 0;
}
