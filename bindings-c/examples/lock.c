/* A fair, fenced lock: three who want it, the guard, and what a timeout says.
 *
 *   lock                       on the embedded store, no server
 *   lock --redis HOST:PORT     on a real Redis
 *
 * tests/examples/lock.txt has what it prints; so do the programs of the other languages. */
#include "store.h"

static const char *yes(int fact) {
    return fact ? "yes" : "no";
}

static uint64_t acquire(client *who, const char *label, uint64_t wait_us) {
    comity_lock_options options;
    uint64_t lock;
    must(comity_lock_options_init(&options, sizeof options));
    options.ttl_us = 5000000;
    options.wait_us = wait_us;
    options.label = label;
    options.label_len = strlen(label);
    must(comity_lock_acquire(who->co, "invoice:42", 10, &options, comity_system_now(), &lock));
    return lock;
}

static int guard_accepts(store *at, client *who, uint64_t fence) {
    uint64_t call;
    must(comity_fence_check(who->co, "ledger", 6, fence, comity_system_now(), &call));
    return (int)store_await(at, who, COMITY_EVENT_FENCE_CHECKED)->accepted;
}

int main(int argc, char **argv) {
    static const char *const names[] = {"second", "third"};
    store at;
    client *who;
    const comity_event *event;
    uint64_t first, locks[2], fences[3], call, asked_us, waited_us;
    const char *order[2];
    uint32_t held;
    int i, j;

    store_open(&at, argc, argv);
    who = store_connect(&at);

    first = acquire(who, "first", COMITY_NONE);
    fences[0] = store_await(&at, who, COMITY_EVENT_LOCK_GRANTED)->fence;
    must(comity_lock_is_held(who->co, first, comity_system_now(), &held));
    printf("first holds the lock: %s\n", yes((int)held));

    asked_us = comity_system_now();
    acquire(who, "hurried", 200000);
    event = store_await(&at, who, COMITY_EVENT_LOCK_FAILED);
    waited_us = comity_system_now() - asked_us;
    printf("who waits 0.2 s gives up in time: %s\n",
           yes(event->error == COMITY_ERROR_LOCK_TIMEOUT && waited_us > 190000
               && waited_us < 10000000));
    printf("and reads who holds it: %.*s\n", (int)event->holder.len, event->holder.data);

    for (i = 0; i < 2; i++) {
        locks[i] = acquire(who, names[i], COMITY_NONE);
        store_await(&at, who, COMITY_EVENT_LOCK_QUEUED);
    }
    must(comity_lock_inspect(who->co, "invoice:42", 10, comity_system_now(), &call));
    event = store_await(&at, who, COMITY_EVENT_LOCK_INSPECTED);
    printf("waiting in line: ");
    for (i = 0; i < (int)event->inspection->waiter_count; i++) {
        comity_bytes label = event->inspection->waiters[i].label;
        printf("%s%.*s", i == 0 ? "" : ", ", (int)label.len, label.data);
    }
    printf("\n");

    must(comity_lock_release(who->co, first, comity_system_now()));
    for (i = 0; i < 2; i++) {
        uint64_t lock;
        event = store_await(&at, who, COMITY_EVENT_LOCK_GRANTED);
        fences[i + 1] = event->fence;
        lock = event->lock;
        for (j = 0; j < 2; j++) {
            if (locks[j] == lock) order[i] = names[j];
        }
        must(comity_lock_release(who->co, lock, comity_system_now()));
    }
    printf("served in the order they came: %s, %s\n", order[0], order[1]);
    printf("fences rise from grant to grant: %s\n",
           yes(fences[0] < fences[1] && fences[1] < fences[2]));
    printf("the guard accepts the last fence: %s\n", yes(guard_accepts(&at, who, fences[2])));
    printf("and then refuses the first: %s\n", yes(!guard_accepts(&at, who, fences[0])));

    store_leave(&at, who);
    store_close(&at);
    return 0;
}
