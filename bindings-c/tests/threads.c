/* A ring read by many threads, each with a last error of its own; a coordinator that moves from one
   thread to another. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>

#include "world.h"

#define THREADS 4

static comity_ring *ring;

static void *look(void *seen) {
    comity_bytes owner, bytes;
    size_t count;
    int i;

    CHECK(strcmp(comity_last_error(), "") == 0);
    for (i = 0; i < 2000; i++) {
        char key[16];
        size_t len = (size_t)sprintf(key, "%d", i);

        OK(comity_ring_node(ring, key, len, &owner));
        CHECK(owner.len == 1);
        OK(comity_ring_replicas(ring, key, len, 1, &bytes, &count));
        CHECK(count == 1 && bytes.data == owner.data);
        OK(comity_ring_snapshot(ring, &bytes));
        *(comity_bytes *)seen = bytes;
    }
    FAILS(comity_ring_node(ring, NULL, 1, &owner), COMITY_ERROR_INVALID_ARGUMENT, "key");
    return NULL;
}

static void *use(void *place) {
    world *w = place;
    uint64_t lock;

    OK(comity_lock_acquire(w->co[0], TEXT("a"), NULL, w->now, &lock));
    world_until(w, 0, COMITY_EVENT_LOCK_GRANTED);
    return NULL;
}

int main(void) {
    comity_bytes seen[THREADS];
    comity_node_spec nodes[2];
    pthread_t threads[THREADS];
    int i;
    world w;

    nodes[0] = node("a", 1);
    nodes[1] = node("b", 1);
    OK(comity_ring_new(nodes, 2, NULL, &ring));
    FAILS(comity_ring_new(nodes, 2, NULL, NULL), COMITY_ERROR_INVALID_ARGUMENT, "out");
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, look, &seen[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(seen[i].data == seen[0].data);
    }
    CHECK(strstr(comity_last_error(), "out") != NULL);
    comity_ring_free(ring);

    world_open(&w, 1);
    CHECK(pthread_create(&threads[0], NULL, use, &w) == 0);
    CHECK(pthread_join(threads[0], NULL) == 0);
    OK(comity_close(w.co[0], w.now));
    world_until(&w, 0, COMITY_EVENT_CLOSED);
    world_close(&w);
    puts("ok");
    return 0;
}
