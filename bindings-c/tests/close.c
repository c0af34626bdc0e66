/* The end of a coordinator: what is held is given back, what waits is told, then all is refused. */
#include "world.h"

int main(void) {
    const comity_event *event;
    comity_transaction *tx;
    uint64_t held, waiting, counter, number = 7;
    size_t count = 7;
    uint32_t still = 1;
    int closed = 0, failed = 0;
    const char *ping[] = {"GET", "k"};
    world w;

    world_open(&w, 2);
    OK(comity_lock_acquire(w.co[0], TEXT("a"), NULL, w.now, &held));
    world_until(&w, 0, COMITY_EVENT_LOCK_GRANTED);
    OK(comity_lock_acquire(w.co[1], TEXT("b"), NULL, w.now, &waiting));
    world_until(&w, 1, COMITY_EVENT_LOCK_GRANTED);
    OK(comity_lock_acquire(w.co[0], TEXT("b"), NULL, w.now, &waiting));
    world_until(&w, 0, COMITY_EVENT_LOCK_QUEUED);
    OK(comity_counter_open(w.co[0], TEXT("hits"), NULL, w.now, &counter));
    OK(comity_counter_add(w.co[0], counter, 1, w.now));
    OK(comity_transaction_new(&tx));
    OK(comity_transaction_command(tx, 2, ping, NULL));

    OK(comity_close(w.co[0], w.now));
    OK(comity_close(w.co[0], w.now));
#define SHUT(call) FAILS(call, COMITY_ERROR_CLOSED, "closed")
    SHUT(comity_lock_acquire(w.co[0], TEXT("a"), NULL, w.now, &number));
    /* What was held is lost to who goes on as if it were not, as often as it is asked. */
#define LOST(call) FAILS(call, COMITY_ERROR_LOCK_LOST, "lock 'a' was given back when the coordinator was closed")
    LOST(comity_lock_release(w.co[0], held, w.now));
    LOST(comity_lock_renew(w.co[0], held, COMITY_NONE, w.now));
    LOST(comity_lock_release(w.co[0], held, w.now));
    OK(comity_lock_is_held(w.co[0], held, w.now, &still));
    CHECK(!still);
    SHUT(comity_lock_inspect(w.co[0], TEXT("a"), w.now, &number));
    SHUT(comity_fence_check(w.co[0], TEXT("a"), 1, w.now, &number));
    SHUT(comity_check_nodes(w.co[0], w.now, NULL, 0, &count));
    SHUT(comity_counter_open(w.co[0], TEXT("x"), NULL, w.now, &number));
    SHUT(comity_counter_add(w.co[0], counter, 1, w.now));
    SHUT(comity_transaction_execute(w.co[0], tx, NULL, w.now, &number));
    SHUT(comity_transaction_sweep(w.co[0], 0, w.now, &number));
    CHECK(number == 7 && count == 7);
    while (!closed) {
        world_run(&w);
        OK(comity_poll_event(w.co[0], &event));
        if (event == NULL) {
            world_wait(&w);
        } else if (event->kind == COMITY_EVENT_LOCK_FAILED) {
            CHECK(event->lock == waiting && event->error == COMITY_ERROR_CLOSED);
            failed = 1;
        } else {
            closed = event->kind == COMITY_EVENT_CLOSED;
        }
    }
    CHECK(failed);
    /* Given back: the other one has it at once. */
    OK(comity_lock_acquire(w.co[1], TEXT("a"), NULL, w.now, &number));
    CHECK(world_until(&w, 1, COMITY_EVENT_LOCK_GRANTED)->lock == number);

    comity_transaction_free(tx);
    world_close(&w);
    puts("ok");
    return 0;
}
