/* One lock on the embedded store: asked for, held, handed over by push, given back. */
#include "world.h"

int main(void) {
    world w;
    comity_lock_options options;
    const comity_event *event;
    uint64_t first, second, fence, until;
    uint32_t held = 9;

    world_open(&w, 2);
    OK(comity_lock_options_init(&options, sizeof options));
    CHECK(options.ttl_us == 30000000 && options.wait_us == COMITY_NONE && options.renew == 1);
    options.label = "first";
    options.label_len = 5;

    OK(comity_lock_acquire(w.co[0], TEXT("invoice:42"), &options, w.now, &first));
    event = world_until(&w, 0, COMITY_EVENT_LOCK_GRANTED);
    CHECK(event->lock == first && event->fence > 0 && event->error == COMITY_OK);
    fence = event->fence;
    OK(comity_lock_is_held(w.co[0], first, w.now, &held));
    CHECK(held == 1);
    OK(comity_lock_valid_until(w.co[0], first, &until));
    CHECK(until > w.now && until <= w.now + 30000000);

    OK(comity_lock_acquire(w.co[1], TEXT("invoice:42"), NULL, w.now, &second));
    event = world_until(&w, 1, COMITY_EVENT_LOCK_QUEUED);
    CHECK(event->lock == second && is(event->holder, "first"));
    OK(comity_lock_release(w.co[0], first, w.now));
    world_until(&w, 0, COMITY_EVENT_LOCK_RELEASED);
    event = world_until(&w, 1, COMITY_EVENT_LOCK_GRANTED);
    CHECK(event->lock == second && event->fence > fence);

    world_close(&w);
    puts("ok");
    return 0;
}
