/* The child of a fork has no part in what its parent holds. */
#define _POSIX_C_SOURCE 200809L

#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

static void in_the_child(world *w, comity_pn_counter *peer, comity_connection *connection,
                         uint64_t lock) {
    const unsigned char fresh[16] = {2};
    const comity_pn_slot *slots;
    const comity_command *command;
    comity_int128 value;
    comity_bytes bytes;
    uint32_t held = 7;
    uint64_t number;
    size_t count;

#define FOREIGN(call) FAILS(call, COMITY_ERROR_INVALID_STATE, "made before fork()")
    FOREIGN(comity_lock_is_held(w->co[0], lock, w->now, &held));
    FOREIGN(comity_lock_release(w->co[0], lock, w->now));
    FOREIGN(comity_poll_command(w->co[0], &command));
    FOREIGN(comity_handle_timeout(w->co[0], w->now + 100000000));
    FOREIGN(comity_next_deadline(w->co[0], &number));
    FOREIGN(comity_close(w->co[0], w->now));
    CHECK(held == 7);

    /* The stream is the parent's, and so are the bytes that wait for it. */
    FOREIGN(comity_connection_transmit(connection, &bytes));
    FOREIGN(comity_connection_take(w->co[0], &connection, 1, w->now, NULL));
    FOREIGN(comity_connection_receive(connection, w->co[0], "+OK\r\n", 5, w->now, &held));
    FOREIGN(comity_connection_end(connection, w->co[0], NULL, 0, 0, w->now));
    comity_connection_free(connection);
    CHECK(held == 7);

    /* A replica counts on under another name. */
    FOREIGN(comity_pn_counter_add(peer, 1));
    OK(comity_pn_counter_value(peer, &value));
    CHECK(value.low == 5);
    OK(comity_pn_counter_rename(peer, fresh, sizeof fresh));
    OK(comity_pn_counter_add(peer, 1));
    OK(comity_pn_counter_slots(peer, &slots, &count));
    CHECK(count == 2 && slots[0].tally.increments == 5 && slots[1].tally.increments == 1);
    OK(comity_pn_counter_snapshot(peer, &bytes));

    /* Its own coordinator is like any other. */
    comity_coordinator_free(w->co[0]);
    comity_memory_free(w->memory);
    world_open(w, 1);
    OK(comity_lock_acquire(w->co[0], TEXT("a"), NULL, w->now, &lock));
    world_until(w, 0, COMITY_EVENT_LOCK_GRANTED);
}

int main(void) {
    const unsigned char replica[16] = {1};
    comity_pn_counter *peer;
    comity_connection *connection;
    comity_bytes bytes;
    uint64_t lock, other;
    uint32_t held;
    int status;
    pid_t child;
    world w;

    world_open(&w, 1);
    OK(comity_pn_counter_new(replica, sizeof replica, &peer));
    OK(comity_pn_counter_add(peer, 5));
    OK(comity_lock_acquire(w.co[0], TEXT("a"), NULL, w.now, &lock));
    world_until(&w, 0, COMITY_EVENT_LOCK_GRANTED);
    OK(comity_connection_new(NULL, 0, COMITY_ROUTE_NODE, w.now, &connection));
    OK(comity_connection_connected(connection, w.co[0], w.now));
    OK(comity_lock_acquire(w.co[0], TEXT("b"), NULL, w.now, &other));
    OK(comity_connection_take(w.co[0], &connection, 1, w.now, NULL));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_the_child(&w, peer, connection, lock);
        world_close(&w);
        comity_pn_counter_free(peer);
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    OK(comity_lock_is_held(w.co[0], lock, w.now, &held));
    CHECK(held == 1);
    OK(comity_connection_transmit(connection, &bytes));
    CHECK(bytes.len > 0);
    comity_connection_free(connection);
    OK(comity_pn_counter_add(peer, 1));
    world_close(&w);
    comity_pn_counter_free(peer);
    puts("ok");
    return 0;
}
