/* The verbs of the lock beside asking and giving back. */
#include "world.h"

int main(void) {
    const comity_inspection *inspection;
    comity_lock_options options;
    const comity_event *event;
    uint64_t lock, waiting, other, call, fence, until, later;
    uint32_t held;
    world w;

    world_open(&w, 2);
    OK(comity_lock_options_init(&options, sizeof options));
    options.label = "holder";
    options.label_len = 6;
    OK(comity_lock_acquire(w.co[0], TEXT("a"), &options, w.now, &lock));
    fence = world_until(&w, 0, COMITY_EVENT_LOCK_GRANTED)->fence;

    /* Renewed at once, for longer. */
    OK(comity_lock_valid_until(w.co[0], lock, &until));
    OK(comity_lock_renew(w.co[0], lock, 60000000, w.now));
    event = world_until(&w, 0, COMITY_EVENT_LOCK_RENEWED);
    CHECK(event->lock == lock && event->valid_until_us > until && event->accepted == 1);
    OK(comity_lock_valid_until(w.co[0], lock, &later));
    CHECK(later == event->valid_until_us);

    /* Looked at. */
    options.label = "waiter\0x";
    options.label_len = 8;
    OK(comity_lock_acquire(w.co[1], TEXT("a"), &options, w.now, &waiting));
    event = world_until(&w, 1, COMITY_EVENT_LOCK_QUEUED);
    CHECK(event->lock == waiting && event->rank == 0 && is(event->holder, "holder"));
    OK(comity_lock_inspect(w.co[1], TEXT("a"), w.now, &call));
    event = world_until(&w, 1, COMITY_EVENT_LOCK_INSPECTED);
    CHECK(event->call == call && event->inspection != NULL);
    inspection = event->inspection;
    CHECK(inspection->holders_total == 1 && inspection->holder_count == 1);
    CHECK(inspection->waiters_total == 1 && inspection->waiter_count == 1);
    CHECK(inspection->capacity == 1 && inspection->now_us == w.now);
    CHECK(is(inspection->holders[0].label, "holder") && inspection->holders[0].fence == fence);
    CHECK(inspection->holders[0].id.len == 22 && inspection->holders[0].weight == 1);
    CHECK(inspection->holders[0].expiry_us > w.now);
    CHECK(inspection->waiters[0].label.len == 8 && inspection->waiters[0].id.len == 22);
    CHECK(memcmp(inspection->waiters[0].label.data, "waiter\0x", 8) == 0);

    /* Tried once, and refused. */
    options.wait_us = 0;
    OK(comity_lock_acquire(w.co[1], TEXT("a"), &options, w.now, &other));
    event = world_until(&w, 1, COMITY_EVENT_LOCK_FAILED);
    CHECK(event->lock == other && event->error == COMITY_ERROR_LOCK_TIMEOUT);
    CHECK(strcmp(comity_error_name(event->error), "LockTimeout") == 0);
    CHECK(is(event->holder, "holder") && strlen(event->message) > 0);

    /* Given up while waiting, and while held; neither is told. */
    OK(comity_lock_cancel(w.co[1], waiting, w.now));
    OK(comity_lock_cancel(w.co[0], lock, w.now));
    OK(comity_lock_cancel(w.co[0], lock, w.now));
    world_run(&w);
    OK(comity_lock_is_held(w.co[0], lock, w.now, &held));
    CHECK(held == 0);
    OK(comity_lock_valid_until(w.co[0], lock, &until));
    CHECK(until == COMITY_NONE);
    FAILS(comity_lock_release(w.co[0], lock, w.now), COMITY_ERROR_NOT_HELD, "not held");
    OK(comity_lock_acquire(w.co[1], TEXT("a"), NULL, w.now, &lock));
    CHECK(world_until(&w, 1, COMITY_EVENT_LOCK_GRANTED)->fence > fence);

    /* The guard knows the highest fence. */
    OK(comity_fence_check(w.co[0], TEXT("a"), fence + 1, w.now, &call));
    event = world_until(&w, 0, COMITY_EVENT_FENCE_CHECKED);
    CHECK(event->call == call && event->accepted == 1 && event->fence == fence + 1);
    OK(comity_fence_check(w.co[0], TEXT("a"), fence, w.now, &call));
    event = world_until(&w, 0, COMITY_EVENT_FENCE_CHECKED);
    CHECK(event->call == call && event->accepted == 0 && event->fence == fence + 1);

    world_close(&w);
    puts("ok");
    return 0;
}
