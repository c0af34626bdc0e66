/* Structs of options, by a header that is older or newer than the library. */
#include "world.h"

/* The options of a header to come. */
typedef struct {
    comity_lock_options known;
    uint64_t later;
} later_options;

int main(void) {
    comity_transaction_options transaction;
    comity_counter_options counter;
    comity_ring_options ring;
    comity_lock_options lock;
    comity_config config;
    later_options later;
    const comity_event *event;
    uint64_t number, until;
    world w;

    world_open(&w, 1);

    /* The defaults. */
    memset(&config, 0xff, sizeof config);
    OK(comity_config_init(&config, sizeof config));
    CHECK(config.struct_size == sizeof config && config.nodes == NULL && config.node_count == 0);
    CHECK(config.prefix_len == 7 && memcmp(config.prefix, "comity:", 7) == 0);
    CHECK(config.timeout_us == 5000000 && config.push == 1 && config.reserved == 0);
    OK(comity_lock_options_init(&lock, sizeof lock));
    CHECK(lock.struct_size == sizeof lock && lock.ttl_us == 30000000 && lock.renew == 1);
    CHECK(lock.wait_us == COMITY_NONE && lock.max_hold_us == COMITY_NONE && lock.label_len == 0);
    OK(comity_transaction_options_init(&transaction, sizeof transaction));
    CHECK(transaction.struct_size == sizeof transaction && transaction.ack == COMITY_ACK_APPLIED);
    CHECK(transaction.timeout_us == COMITY_NONE && transaction.patience_us == COMITY_NONE);
    CHECK(transaction.copy_elements == 10000 && transaction.copy_bytes == 1048576);
    OK(comity_counter_options_init(&counter, sizeof counter));
    CHECK(counter.struct_size == sizeof counter && counter.durability == COMITY_COUNTER_BATCHED);
    CHECK(counter.max_delay_us == 10000 && counter.max_units == COMITY_NONE);
    CHECK(counter.collected == 0);
    OK(comity_ring_options_init(&ring, sizeof ring));
    CHECK(ring.struct_size == sizeof ring && ring.seed == 0 && ring.points_per_weight == 512);

    /* An older header: the struct ends behind ttl_us. What follows is not touched, and not read. */
    memset(&lock, 0xff, sizeof lock);
    OK(comity_lock_options_init(&lock, 16));
    CHECK(lock.struct_size == 16 && lock.ttl_us == 30000000 && lock.renew == UINT32_MAX);
    lock.ttl_us = 60000000;
    OK(comity_lock_acquire(w.co[0], TEXT("old"), &lock, w.now, &number));
    event = world_until(&w, 0, COMITY_EVENT_LOCK_GRANTED);
    CHECK(event->lock == number);
    OK(comity_lock_valid_until(w.co[0], number, &until));
    CHECK(until > w.now + 50000000);

    /* A newer header: what it has more is zero, and must stay so. */
    memset(&later, 0xff, sizeof later);
    OK(comity_lock_options_init(&later.known, sizeof later));
    CHECK(later.known.struct_size == sizeof later && later.later == 0);
    OK(comity_lock_acquire(w.co[0], TEXT("new"), &later.known, w.now, &number));
    later.later = 1;
    number = 7;
    FAILS(comity_lock_acquire(w.co[0], TEXT("newer"), &later.known, w.now, &number),
          COMITY_ERROR_UNSUPPORTED, "your header is newer");
    CHECK(number == 7);

    /* Sizes that no header has: a struct that was not initialised. */
    lock.struct_size = 0;
    FAILS(comity_lock_acquire(w.co[0], TEXT("none"), &lock, w.now, &number),
          COMITY_ERROR_INVALID_ARGUMENT, "comity_lock_options_init");
    FAILS(comity_counter_options_init(&counter, 13), COMITY_ERROR_INVALID_ARGUMENT,
          "comity_counter_options_init");
    CHECK(counter.struct_size == sizeof counter);

    world_close(&w);
    puts("ok");
    return 0;
}
