/* A collected counter: the host counts in its own memory, and is asked before each flush. */
#include "world.h"

int main(void) {
    comity_counter_options options;
    const comity_command *command;
    comity_tally tally = {0, 0};
    uint64_t counter, due, next;
    int64_t value;
    int turns;
    world w;

    world_open(&w, 1);
    OK(comity_counter_options_init(&options, sizeof options));
    options.collected = 1;
    OK(comity_counter_open(w.co[0], TEXT("hits"), &options, w.now, &counter));
    OK(comity_poll_counter_due(w.co[0], &due));
    CHECK(due == 0);

    tally.increments = 1;
    OK(comity_counter_advance(w.co[0], counter, tally, w.now));
    for (turns = 0; turns < 100; turns++) {
        /* Counted without a word, until the core asks. */
        tally.increments += 1000;
        tally.decrements += 1;
        OK(comity_poll_counter_due(w.co[0], &due));
        if (due != 0) {
            break;
        }
        OK(comity_next_deadline(w.co[0], &next));
        CHECK(next != COMITY_NONE);
        w.now = next;
        OK(comity_handle_timeout(w.co[0], w.now));
        world_run(&w);
    }
    CHECK(due == counter);
    OK(comity_counter_collect(w.co[0], counter, tally, w.now));
    OK(comity_poll_counter_due(w.co[0], &due));
    CHECK(due == 0);
    OK(comity_poll_command(w.co[0], &command));
    CHECK(command != NULL && command->origin == 0);
    world_execute(&w, 0, command);
    world_run(&w);
    OK(comity_counter_value_int64(w.co[0], counter, w.now, &value));
    CHECK(value == (int64_t)(tally.increments - tally.decrements));

    /* A lower tally than before changes nothing. */
    tally.increments -= 500;
    OK(comity_counter_advance(w.co[0], counter, tally, w.now));
    OK(comity_counter_value_int64(w.co[0], counter, w.now, &value));
    CHECK(value == (int64_t)(tally.increments - tally.decrements) + 500);
    world_close(&w);
    puts("ok");
    return 0;
}
