/* Every function takes NULL for every pointer, and says no. */
#include "world.h"

#define NO(call, words) FAILS(call, COMITY_ERROR_INVALID_ARGUMENT, words)

static const char *one[] = {"GET"};
static const char *none[] = {NULL};
static const size_t three = 3;

static void coordinators(comity_coordinator *co) {
    comity_node_spec nodes[1];
    comity_config config;
    comity_coordinator *other = co;
    comity_bytes bytes;
    comity_ring *ring;
    unsigned char entropy[33] = {0};
    uint64_t number, calls[1];
    uint32_t small;
    size_t count;

    NO(comity_config_init(NULL, sizeof config), "options");
    OK(comity_config_init(&config, sizeof config));
    NO(comity_coordinator_new(&config, entropy, 32, 0, &other), "node");
    config.node_count = 1;
    NO(comity_coordinator_new(&config, entropy, 32, 0, &other), "nodes must not be NULL");
    nodes[0] = node("a", 0);
    config.nodes = nodes;
    NO(comity_coordinator_new(&config, entropy, 32, 0, &other), "weight");
    nodes[0].weight = 1;
    NO(comity_coordinator_new(NULL, entropy, 32, 0, &other), "comity_config");
    NO(comity_coordinator_new(&config, NULL, 32, 0, &other), "entropy");
    NO(comity_coordinator_new(&config, entropy, 31, 0, &other), "31");
    NO(comity_coordinator_new(&config, entropy, 33, 0, &other), "33");
    NO(comity_coordinator_new(&config, entropy, 32, 0, NULL), "out");
    config.timeout_us = 1;
    NO(comity_coordinator_new(&config, entropy, 32, 0, &other), "timeout");
    config.timeout_us = 5000000;
    config.push = 2;
    NO(comity_coordinator_new(&config, entropy, 32, 0, &other), "push: 2");
    config.push = 1;
    config.prefix = NULL;
    NO(comity_coordinator_new(&config, entropy, 32, 0, &other), "prefix");
    config.prefix = "{";
    config.prefix_len = 1;
    NO(comity_coordinator_new(&config, entropy, 32, 0, &other), "prefix");
    config.prefix_len = 0;
    config.reserved = 1;
    NO(comity_coordinator_new(&config, entropy, 32, 0, &other), "reserved");
    CHECK(other == co);

    NO(comity_close(NULL, 0), "comity_coordinator");
    NO(comity_next_deadline(NULL, &number), "comity_coordinator");
    NO(comity_next_deadline(co, NULL), "out");
    NO(comity_node_count(NULL, &small), "comity_coordinator");
    NO(comity_node_count(co, NULL), "out");
    NO(comity_node_id(NULL, 0, &bytes), "comity_coordinator");
    NO(comity_node_id(co, 0, NULL), "out");
    NO(comity_node_id(co, 1, &bytes), "node: 1 is not below 1");
    NO(comity_inbox(NULL, &bytes), "comity_coordinator");
    NO(comity_inbox(co, NULL), "out");
    NO(comity_coordinator_ring(NULL, &ring), "comity_coordinator");
    NO(comity_coordinator_ring(co, NULL), "out");
    NO(comity_check_nodes(NULL, 0, calls, 1, &count), "comity_coordinator");
    NO(comity_check_nodes(co, 0, calls, 0, &count), "capacity");
    comity_coordinator_free(NULL);

    /* A moment that no clock shows, as a deadline that means never. */
    NO(comity_close(co, COMITY_NONE), "now_us");
    NO(comity_check_nodes(co, COMITY_NONE, NULL, 0, NULL), "now_us");
    NO(comity_handle_timeout(co, COMITY_NONE), "now_us");
    NO(comity_handle_timeout(co, (uint64_t)1 << 63), "2^63");
    NO(comity_lock_acquire(co, "a", 1, NULL, COMITY_NONE, &number), "now_us");
    NO(comity_counter_open(co, "a", 1, NULL, COMITY_NONE, &number), "now_us");
    NO(comity_transaction_sweep(co, 1, COMITY_NONE, &number), "now_us");
}

static void in_and_out(comity_coordinator *co) {
    const comity_statistics *statistics;
    const comity_command *command;
    const comity_event *event;
    comity_reply reply;

    memset(&reply, 0, sizeof reply);
    NO(comity_poll_command(NULL, &command), "comity_coordinator");
    NO(comity_poll_command(co, NULL), "out");
    NO(comity_poll_command_for(NULL, 0, &command), "comity_coordinator");
    NO(comity_poll_command_for(co, 0, NULL), "out");
    NO(comity_poll_event(NULL, &event), "comity_coordinator");
    NO(comity_poll_event(co, NULL), "out");
    NO(comity_stats(NULL, &statistics), "comity_coordinator");
    NO(comity_stats(co, NULL), "out");
    NO(comity_handle_reply(NULL, 1, &reply, 0), "comity_coordinator");
    NO(comity_handle_reply(co, 1, NULL, 0), "reply");
    NO(comity_handle_reply(co, 1, &reply, 0), "kind of a reply: 0");
    NO(comity_handle_failure(NULL, 1, COMITY_FAILURE_NOT_SENT, 0), "comity_coordinator");
    NO(comity_handle_failure(co, 1, 3, 0), "failure: 3");
    NO(comity_handle_node(NULL, 0, COMITY_NODE_LOST, 0), "comity_coordinator");
    NO(comity_handle_node(co, 0, 0, 0), "change: 0");
    NO(comity_handle_unreachable(NULL, 0, "a", 1, 0, 0), "comity_coordinator");
    NO(comity_handle_unreachable(co, 0, NULL, 1, 0, 0), "reason");
    NO(comity_handle_unreachable(co, 0, "a", 1, 2, 0), "lasting: 2");
    NO(comity_handle_refused(NULL, 0, "a", 1, 0), "comity_coordinator");
    NO(comity_handle_refused(co, 0, NULL, 1, 0), "text");
    NO(comity_handle_message(NULL, 0, "a", 1, "b", 1, 0), "comity_coordinator");
    NO(comity_handle_message(co, 0, NULL, 1, "b", 1, 0), "channel");
    NO(comity_handle_message(co, 0, "a", 1, NULL, 1, 0), "payload");
    NO(comity_handle_clock_gap(NULL, 0), "comity_coordinator");
    NO(comity_handle_timeout(NULL, 0), "comity_coordinator");
}

static void locks(comity_coordinator *co) {
    comity_lock_options options;
    uint64_t number;
    uint32_t held;
    char label[257] = {0};

    NO(comity_lock_options_init(NULL, sizeof options), "options");
    OK(comity_lock_options_init(&options, sizeof options));
    NO(comity_lock_acquire(NULL, "a", 1, NULL, 0, &number), "comity_coordinator");
    NO(comity_lock_acquire(co, NULL, 1, NULL, 0, &number), "name");
    NO(comity_lock_acquire(co, "", 0, NULL, 0, &number), "name");
    NO(comity_lock_acquire(co, "a", 1, NULL, 0, NULL), "lock");
    FAILS(comity_lock_acquire(co, label, SIZE_MAX, NULL, 0, &number), COMITY_ERROR_LIMIT_EXCEEDED,
          "name");
    options.ttl_us = 49999;
    NO(comity_lock_acquire(co, "a", 1, &options, 0, &number), "ttl: 49999");
    options.ttl_us = 50000;
    options.renew = 2;
    NO(comity_lock_acquire(co, "a", 1, &options, 0, &number), "renew: 2");
    options.renew = 1;
    options.reserved = 1;
    NO(comity_lock_acquire(co, "a", 1, &options, 0, &number), "reserved");
    options.reserved = 0;
    options.label_len = 1;
    NO(comity_lock_acquire(co, "a", 1, &options, 0, &number), "label");
    options.label = label;
    options.label_len = sizeof label;
    FAILS(comity_lock_acquire(co, "a", 1, &options, 0, &number), COMITY_ERROR_LIMIT_EXCEEDED,
          "label: 257");

    NO(comity_lock_release(NULL, 1, 0), "comity_coordinator");
    FAILS(comity_lock_release(co, 1, 0), COMITY_ERROR_NOT_HELD, "not held");
    NO(comity_lock_cancel(NULL, 1, 0), "comity_coordinator");
    NO(comity_lock_renew(NULL, 1, COMITY_NONE, 0), "comity_coordinator");
    NO(comity_lock_renew(co, 1, 0, 0), "ttl: 0");
    FAILS(comity_lock_renew(co, 1, COMITY_NONE, 0), COMITY_ERROR_NOT_HELD, "not held");
    NO(comity_lock_is_held(NULL, 1, 0, &held), "comity_coordinator");
    NO(comity_lock_is_held(co, 1, 0, NULL), "out");
    NO(comity_lock_valid_until(NULL, 1, &number), "comity_coordinator");
    NO(comity_lock_valid_until(co, 1, NULL), "out");
    NO(comity_lock_inspect(NULL, "a", 1, 0, &number), "comity_coordinator");
    NO(comity_lock_inspect(co, NULL, 1, 0, &number), "name");
    NO(comity_lock_inspect(co, "a", 1, 0, NULL), "call");
    NO(comity_fence_check(NULL, "a", 1, 1, 0, &number), "comity_coordinator");
    NO(comity_fence_check(co, NULL, 1, 1, 0, &number), "resource");
    NO(comity_fence_check(co, "a", 1, 1, 0, NULL), "call");
    NO(comity_fence_check(co, "a", 1, (uint64_t)1 << 53, 0, &number), "2^53");
}

static void transactions(comity_coordinator *co) {
    comity_transaction_options options;
    comity_transaction *tx;
    comity_reply reply;
    uint64_t number;

    memset(&reply, 0, sizeof reply);
    NO(comity_transaction_options_init(NULL, sizeof options), "options");
    OK(comity_transaction_options_init(&options, sizeof options));
    NO(comity_transaction_new(NULL), "out");
    OK(comity_transaction_new(&tx));
    NO(comity_transaction_clear(NULL), "comity_transaction");
    NO(comity_transaction_command(NULL, 1, one, &three), "comity_transaction");
    NO(comity_transaction_command(tx, 1, NULL, &three), "argv");
    NO(comity_transaction_command(tx, 1, none, &three), "a word of argv");
    NO(comity_transaction_command(tx, 1, none, NULL), "a word of argv");
    NO(comity_transaction_command(tx, 0, one, &three), "argc: 0");
    NO(comity_transaction_command(tx, -1, one, &three), "argc: -1");
    FAILS(comity_transaction_command(tx, 4001, one, NULL), COMITY_ERROR_LIMIT_EXCEEDED, "4000");
    NO(comity_transaction_expect_value(NULL, "a", 1, "b", 1), "comity_transaction");
    NO(comity_transaction_expect_value(tx, NULL, 1, "b", 1), "key");
    NO(comity_transaction_expect_value(tx, "a", 1, NULL, 1), "value");
    NO(comity_transaction_expect_exists(NULL, "a", 1), "comity_transaction");
    NO(comity_transaction_expect_exists(tx, NULL, 1), "key");
    NO(comity_transaction_expect_absent(NULL, "a", 1), "comity_transaction");
    NO(comity_transaction_expect_absent(tx, NULL, 1), "key");
    NO(comity_transaction_expect_unchanged(NULL, 1, one, &three, &reply), "comity_transaction");
    NO(comity_transaction_expect_unchanged(tx, 1, NULL, &three, &reply), "argv");
    NO(comity_transaction_expect_unchanged(tx, 1, one, &three, NULL), "reply");
    NO(comity_transaction_expect_unchanged(tx, 1, one, &three, &reply), "kind of a reply");

    /* Nothing of all this was added. */
    NO(comity_transaction_execute(co, tx, NULL, 0, &number), "nothing to do");
    NO(comity_transaction_execute(NULL, tx, NULL, 0, &number), "comity_coordinator");
    NO(comity_transaction_execute(co, NULL, NULL, 0, &number), "comity_transaction");
    NO(comity_transaction_execute(co, tx, NULL, 0, NULL), "number");
    options.ack = 0;
    NO(comity_transaction_execute(co, tx, &options, 0, &number), "ack: 0");
    options.ack = COMITY_ACK_DECIDED;
    options.timeout_us = 1;
    NO(comity_transaction_execute(co, tx, &options, 0, &number), "timeout: 1");
    options.timeout_us = COMITY_NONE;
    options.replicas = 65;
    NO(comity_transaction_execute(co, tx, &options, 0, &number), "65 replicas");
    NO(comity_transaction_cancel(NULL, 1, 0), "comity_coordinator");
    NO(comity_transaction_status(NULL, "a", 1, 0, &number), "comity_coordinator");
    NO(comity_transaction_status(co, NULL, 1, 0, &number), "id");
    NO(comity_transaction_status(co, "a", 1, 0, &number), "'a'");
    NO(comity_transaction_status(co, "a", 1, 0, NULL), "call");
    NO(comity_transaction_resolve(NULL, "a", 1, 0, 0, &number), "comity_coordinator");
    NO(comity_transaction_resolve(co, NULL, 1, 0, 0, &number), "id");
    NO(comity_transaction_resolve(co, "a", 1, 3, 0, &number), "heuristic: 3");
    NO(comity_transaction_resolve(co, "a", 1, 0, 0, NULL), "call");
    NO(comity_transaction_sweep(NULL, 1, 0, &number), "comity_coordinator");
    NO(comity_transaction_sweep(co, 1, 0, NULL), "call");
    NO(comity_transaction_sweep(co, 2, 0, &number), "shadows");
    comity_transaction_free(tx);
    comity_transaction_free(NULL);
}

static void counters(comity_coordinator *co) {
    const comity_counter_reading *reading;
    comity_counter_options options;
    comity_tally tally = {1, 0};
    comity_bytes bytes;
    uint64_t number;
    int64_t value;

    NO(comity_counter_options_init(NULL, sizeof options), "options");
    OK(comity_counter_options_init(&options, sizeof options));
    NO(comity_counter_open(NULL, "a", 1, NULL, 0, &number), "comity_coordinator");
    NO(comity_counter_open(co, NULL, 1, NULL, 0, &number), "name");
    NO(comity_counter_open(co, "", 0, NULL, 0, &number), "name");
    NO(comity_counter_open(co, "a", 1, NULL, 0, NULL), "counter");
    options.durability = 0;
    NO(comity_counter_open(co, "a", 1, &options, 0, &number), "durability: 0");
    options.durability = COMITY_COUNTER_BATCHED;
    options.max_units = 1;
    NO(comity_counter_open(co, "a", 1, &options, 0, &number), "max_units: 1");
    options.max_units = COMITY_NONE;
    options.max_delay_us = UINT64_C(3600000001);
    NO(comity_counter_open(co, "a", 1, &options, 0, &number), "max_delay");
    options.collected = 2;
    NO(comity_counter_open(co, "a", 1, &options, 0, &number), "collected: 2");
    NO(comity_counter_restore(NULL, "a", 1, NULL, "b", 1, 0, &number), "comity_coordinator");
    NO(comity_counter_restore(co, NULL, 1, NULL, "b", 1, 0, &number), "name");
    NO(comity_counter_restore(co, "a", 1, NULL, NULL, 1, 0, &number), "data");
    NO(comity_counter_restore(co, "a", 1, NULL, "b", 1, 0, NULL), "counter");
    FAILS(comity_counter_restore(co, "a", 1, NULL, "b", 1, 0, &number), COMITY_ERROR_CORRUPT,
          "snapshot");

#define UNKNOWN(call) FAILS(call, COMITY_ERROR_INVALID_STATE, "not open")
    NO(comity_counter_take_up(NULL, 1, "b", 1, 0), "comity_coordinator");
    NO(comity_counter_take_up(co, 1, NULL, 1, 0), "data");
    UNKNOWN(comity_counter_take_up(co, 1, "b", 1, 0));
    NO(comity_counter_merge(NULL, 1, "b", 1, 0), "comity_coordinator");
    NO(comity_counter_merge(co, 1, NULL, 1, 0), "data");
    FAILS(comity_counter_merge(co, 1, "b", 1, 0), COMITY_ERROR_CORRUPT, "snapshot");
    NO(comity_counter_add(NULL, 1, 1, 0), "comity_coordinator");
    UNKNOWN(comity_counter_add(co, 1, 1, 0));
    NO(comity_counter_advance(NULL, 1, tally, 0), "comity_coordinator");
    UNKNOWN(comity_counter_advance(co, 1, tally, 0));
    NO(comity_poll_counter_due(NULL, &number), "comity_coordinator");
    NO(comity_poll_counter_due(co, NULL), "counter");
    NO(comity_counter_collect(NULL, 1, tally, 0), "comity_coordinator");
    UNKNOWN(comity_counter_collect(co, 1, tally, 0));
    NO(comity_counter_value(NULL, 1, 0, &reading), "comity_coordinator");
    NO(comity_counter_value(co, 1, 0, NULL), "out");
    UNKNOWN(comity_counter_value(co, 1, 0, &reading));
    NO(comity_counter_value_int64(NULL, 1, 0, &value), "comity_coordinator");
    NO(comity_counter_value_int64(co, 1, 0, NULL), "out");
    UNKNOWN(comity_counter_value_int64(co, 1, 0, &value));
    NO(comity_counter_room(NULL, 1, &number), "comity_coordinator");
    NO(comity_counter_room(co, 1, NULL), "out");
    UNKNOWN(comity_counter_room(co, 1, &number));
    NO(comity_counter_read(NULL, 1, COMITY_FRESH, 0, &number), "comity_coordinator");
    NO(comity_counter_read(co, 1, COMITY_FRESH, 0, NULL), "call");
    UNKNOWN(comity_counter_read(co, 1, COMITY_FRESH, 0, &number));
    NO(comity_counter_flush(NULL, 1, 0, &number), "comity_coordinator");
    NO(comity_counter_flush(co, 1, 0, NULL), "call");
    UNKNOWN(comity_counter_flush(co, 1, 0, &number));
    NO(comity_counter_reset(NULL, 1, COMITY_NONE, 0, &number), "comity_coordinator");
    NO(comity_counter_reset(co, 1, COMITY_NONE, 0, NULL), "call");
    UNKNOWN(comity_counter_reset(co, 1, COMITY_NONE, 0, &number));
    NO(comity_counter_audit(NULL, 1, COMITY_NONE, 0, &number), "comity_coordinator");
    NO(comity_counter_audit(co, 1, COMITY_NONE, 0, NULL), "call");
    UNKNOWN(comity_counter_audit(co, 1, COMITY_NONE, 0, &number));
    NO(comity_counter_snapshot(NULL, 1, &bytes), "comity_coordinator");
    NO(comity_counter_snapshot(co, 1, NULL), "out");
    UNKNOWN(comity_counter_snapshot(co, 1, &bytes));
    NO(comity_counter_journaled(NULL, 1, 0), "comity_coordinator");
    UNKNOWN(comity_counter_journaled(co, 1, 0));
    NO(comity_counter_close(NULL, 1, 0), "comity_coordinator");
    UNKNOWN(comity_counter_close(co, 1, 0));
}

static void peers(void) {
    const comity_pn_slot *slots;
    comity_pn_counter *peer = NULL;
    comity_tally tally = {1, 0};
    comity_int128 value = {0, 0};
    comity_bytes bytes;
    unsigned char id[17] = {0};
    char text[1];
    size_t count;

    NO(comity_pn_counter_new(NULL, 16, &peer), "replica");
    NO(comity_pn_counter_new(id, 17, &peer), "17");
    NO(comity_pn_counter_new(id, 16, NULL), "out");
    CHECK(peer == NULL);
    OK(comity_pn_counter_new(id, 16, &peer));
    NO(comity_pn_counter_add(NULL, 1), "comity_pn_counter");
    NO(comity_pn_counter_count(NULL, tally), "comity_pn_counter");
    NO(comity_pn_counter_value(NULL, &value), "comity_pn_counter");
    NO(comity_pn_counter_value(peer, NULL), "out");
    NO(comity_pn_counter_merge(NULL, "a", 1), "comity_pn_counter");
    NO(comity_pn_counter_merge(peer, NULL, 1), "data");
    FAILS(comity_pn_counter_merge(peer, "a", 1), COMITY_ERROR_CORRUPT, "snapshot");
    NO(comity_pn_counter_snapshot(NULL, &bytes), "comity_pn_counter");
    NO(comity_pn_counter_snapshot(peer, NULL), "out");
    NO(comity_pn_counter_rename(NULL, id, 16), "comity_pn_counter");
    NO(comity_pn_counter_rename(peer, NULL, 16), "replica");
    NO(comity_pn_counter_rename(peer, id, 15), "15");
    NO(comity_pn_counter_replica(NULL, id), "comity_pn_counter");
    NO(comity_pn_counter_replica(peer, NULL), "replica");
    NO(comity_pn_counter_slots(NULL, &slots, &count), "comity_pn_counter");
    NO(comity_pn_counter_slots(peer, NULL, &count), "out");
    NO(comity_pn_counter_slots(peer, &slots, NULL), "count");
    comity_pn_counter_free(peer);
    comity_pn_counter_free(NULL);

    NO(comity_int128_to_int64(value, NULL), "out");
    NO(comity_int128_to_text(value, NULL, 41), "text");
    FAILS(comity_int128_to_text(value, text, 1), COMITY_ERROR_LIMIT_EXCEEDED, "needs 2");
}

static void rings(void) {
    comity_node_spec nodes[3];
    const comity_node_spec *all;
    comity_ring_options options;
    comity_ring *ring, *other;
    comity_bytes bytes, keys[1];
    uint64_t number;
    uint32_t small;
    size_t count;
    double share;

    nodes[0] = node("a", 1);
    nodes[1] = node("b", 1);
    nodes[2] = node("c", 1);
    OK(comity_ring_new(nodes, 3, NULL, &ring));
    other = ring;
    NO(comity_ring_options_init(NULL, sizeof options), "options");
    OK(comity_ring_options_init(&options, sizeof options));
    NO(comity_ring_new(NULL, 3, NULL, &other), "nodes");
    NO(comity_ring_new(nodes, 3, NULL, NULL), "out");
    options.points_per_weight = 0;
    NO(comity_ring_new(nodes, 3, &options, &other), "at least 1 point");
    options.reserved = 1;
    NO(comity_ring_new(nodes, 3, &options, &other), "reserved");
    nodes[0] = node("b", 1);
    NO(comity_ring_new(nodes, 3, NULL, &other), "\"b\"");
    nodes[0] = node("", 1);
    NO(comity_ring_new(nodes, 3, NULL, &other), "at least 1 byte");
    nodes[0].id = NULL;
    nodes[0].id_len = 1;
    NO(comity_ring_new(nodes, 3, NULL, &other), "id of a node");
    nodes[0].id_len = 257;
    FAILS(comity_ring_new(nodes, 3, NULL, &other), COMITY_ERROR_LIMIT_EXCEEDED, "256");
    FAILS(comity_ring_new(nodes, 65537, NULL, &other), COMITY_ERROR_LIMIT_EXCEEDED, "65536");
    NO(comity_ring_restore(NULL, 1, &other), "data");
    NO(comity_ring_restore("a", 1, NULL), "out");
    FAILS(comity_ring_restore("a", 1, &other), COMITY_ERROR_CORRUPT, "snapshot");
    NO(comity_ring_with_node(NULL, nodes, &other), "comity_ring");
    NO(comity_ring_with_node(ring, NULL, &other), "node");
    NO(comity_ring_with_node(ring, &nodes[1], &other), "\"b\"");
    NO(comity_ring_with_node(ring, nodes, NULL), "out");
    NO(comity_ring_without_node(NULL, "a", 1, &other), "comity_ring");
    NO(comity_ring_without_node(ring, NULL, 1, &other), "id of a node");
    NO(comity_ring_without_node(ring, "x", 1, &other), "\"x\"");
    NO(comity_ring_without_node(ring, "a", 1, NULL), "out");
    NO(comity_ring_with_weight(NULL, "a", 1, 2, &other), "comity_ring");
    NO(comity_ring_with_weight(ring, NULL, 1, 2, &other), "id of a node");
    NO(comity_ring_with_weight(ring, "x", 1, 2, &other), "\"x\"");
    NO(comity_ring_with_weight(ring, "a", 1, 2, NULL), "out");
    FAILS(comity_ring_with_weight(ring, "a", 1, UINT32_MAX, &other), COMITY_ERROR_LIMIT_EXCEEDED,
          "4194304");
    NO(comity_ring_moved_share(NULL, ring, &share), "comity_ring");
    NO(comity_ring_moved_share(ring, NULL, &share), "comity_ring");
    NO(comity_ring_moved_share(ring, ring, NULL), "out");
    CHECK(other == ring);

    NO(comity_ring_snapshot(NULL, &bytes), "comity_ring");
    NO(comity_ring_snapshot(ring, NULL), "out");
    NO(comity_ring_fingerprint(NULL, &number), "comity_ring");
    NO(comity_ring_fingerprint(ring, NULL), "out");
    NO(comity_ring_config(NULL, &number, &small), "comity_ring");
    NO(comity_ring_len(NULL, &count), "comity_ring");
    NO(comity_ring_len(ring, NULL), "out");
    NO(comity_ring_points(NULL, &small), "comity_ring");
    NO(comity_ring_points(ring, NULL), "out");
    NO(comity_ring_nodes(NULL, &all, &count), "comity_ring");
    NO(comity_ring_nodes(ring, NULL, &count), "out");
    NO(comity_ring_nodes(ring, &all, NULL), "count");
    NO(comity_ring_share(NULL, "a", 1, &share), "comity_ring");
    NO(comity_ring_share(ring, NULL, 1, &share), "id of a node");
    NO(comity_ring_share(ring, "x", 1, &share), "\"x\"");
    NO(comity_ring_share(ring, "a", 1, NULL), "out");
    NO(comity_ring_shares(NULL, &share, 1), "comity_ring");
    NO(comity_ring_shares(ring, NULL, 3), "out");
    NO(comity_ring_shares(ring, &share, 1), "count: 1, the ring has 3 nodes");
    NO(comity_ring_node(NULL, "k", 1, &bytes), "comity_ring");
    NO(comity_ring_node(ring, NULL, 1, &bytes), "key");
    NO(comity_ring_node(ring, "k", 1, NULL), "out");
    FAILS(comity_ring_node(ring, "k", SIZE_MAX, &bytes), COMITY_ERROR_LIMIT_EXCEEDED, "key");
    NO(comity_ring_node_index(NULL, "k", 1, &small), "comity_ring");
    NO(comity_ring_node_index(ring, NULL, 1, &small), "key");
    NO(comity_ring_node_index(ring, "k", 1, NULL), "out");
    keys[0].data = NULL;
    keys[0].len = 1;
    NO(comity_ring_lookup_batch(NULL, keys, 1, &small), "comity_ring");
    NO(comity_ring_lookup_batch(ring, NULL, 1, &small), "keys");
    NO(comity_ring_lookup_batch(ring, keys, 1, NULL), "out");
    NO(comity_ring_lookup_batch(ring, keys, 1, &small), "a key");
    FAILS(comity_ring_lookup_batch(ring, keys, SIZE_MAX, &small), COMITY_ERROR_LIMIT_EXCEEDED,
          "out");
    NO(comity_ring_replicas(NULL, "k", 1, 1, &bytes, &count), "comity_ring");
    NO(comity_ring_replicas(ring, NULL, 1, 1, &bytes, &count), "key");
    NO(comity_ring_replicas(ring, "k", 1, 1, NULL, &count), "out");
    NO(comity_ring_replicas(ring, "k", 1, 1, &bytes, NULL), "count");
    NO(comity_ring_hash(NULL, "k", 1, &number), "comity_ring");
    NO(comity_ring_hash(ring, NULL, 1, &number), "key");
    NO(comity_ring_hash(ring, "k", 1, NULL), "out");
    NO(comity_ring_node_for_hash(NULL, 1, &bytes), "comity_ring");
    NO(comity_ring_node_for_hash(ring, 1, NULL), "out");
    NO(comity_ring_replicas_for_hash(NULL, 1, 1, &bytes, &count), "comity_ring");
    NO(comity_ring_replicas_for_hash(ring, 1, 1, NULL, &count), "out");
    NO(comity_ring_replicas_for_hash(ring, 1, 1, &bytes, NULL), "count");
    NO(comity_ring_index_of(NULL, "a", 1, &small), "comity_ring");
    NO(comity_ring_index_of(ring, NULL, 1, &small), "id");
    NO(comity_ring_index_of(ring, "a", 1, NULL), "out");
    comity_ring_free(ring);
    comity_ring_free(NULL);
}

static void memories(comity_memory *memory) {
    const comity_message *message;
    const comity_reply *reply;

    NO(comity_memory_new(NULL), "out");
    NO(comity_memory_execute(NULL, 1, one, &three, 0, &reply), "comity_memory");
    NO(comity_memory_execute(memory, 1, NULL, &three, 0, &reply), "argv");
    NO(comity_memory_execute(memory, 1, none, &three, 0, &reply), "a word of argv");
    NO(comity_memory_execute(memory, 0, one, &three, 0, &reply), "argc: 0");
    NO(comity_memory_execute(memory, 1, one, &three, 0, NULL), "out");
    FAILS(comity_memory_execute(memory, 1048577, one, NULL, 0, &reply),
          COMITY_ERROR_LIMIT_EXCEEDED, "1048576");
    NO(comity_memory_poll_message(NULL, &message), "comity_memory");
    NO(comity_memory_poll_message(memory, NULL), "out");
    comity_memory_free(NULL);
}

static void connections(comity_coordinator *co) {
    comity_endpoint *endpoint;
    comity_connection *connection, *none[] = {NULL};
    comity_command command;
    comity_address address;
    comity_bytes bytes;
    const char *text;
    uint64_t number;
    uint32_t small;
    size_t count;

    NO(comity_endpoint_parse(NULL, 1, &endpoint), "url");
    NO(comity_endpoint_parse("redis://", 8, NULL), "out");
    OK(comity_endpoint_parse("redis://", 8, &endpoint));
    NO(comity_endpoint_address(NULL, &address), "comity_endpoint");
    NO(comity_endpoint_address(endpoint, NULL), "out");
    NO(comity_connection_new(endpoint, 0, 0, 0, &connection), "route: 0");
    NO(comity_connection_new(endpoint, 0, 4, 0, &connection), "route: 4");
    NO(comity_connection_new(endpoint, 0, COMITY_ROUTE_NODE, COMITY_NONE, &connection), "now_us");
    NO(comity_connection_new(endpoint, 0, COMITY_ROUTE_NODE, 0, NULL), "out");
    FAILS(comity_connection_new((const comity_endpoint *)co, 0, COMITY_ROUTE_NODE, 0, &connection),
          COMITY_ERROR_INVALID_STATE, "no comity_endpoint");
    OK(comity_connection_new(endpoint, 0, COMITY_ROUTE_NODE, 0, &connection));
    NO(comity_connection_connected(NULL, co, 0), "comity_connection");
    NO(comity_connection_connected(connection, NULL, 0), "comity_coordinator");
    NO(comity_connection_connected(connection, co, COMITY_NONE), "now_us");
    memset(&command, 0, sizeof command);
    NO(comity_connection_send(NULL, &command), "comity_connection");
    NO(comity_connection_send(connection, NULL), "command");
    NO(comity_connection_send(connection, &command), "argc: 0");
    command.argc = 1;
    NO(comity_connection_send(connection, &command), "argv");
    command.argv = one;
    command.argvlen = &three;
    NO(comity_connection_send(connection, &command), "route: 0");
    command.argc = 1048577;
    FAILS(comity_connection_send(connection, &command), COMITY_ERROR_LIMIT_EXCEEDED, "1048576");
    NO(comity_connection_take(NULL, &connection, 1, 0, NULL), "comity_coordinator");
    NO(comity_connection_take(co, NULL, 1, 0, NULL), "connections");
    NO(comity_connection_take(co, none, 1, 0, NULL), "comity_connection");
    NO(comity_connection_take(co, &connection, 1, COMITY_NONE, NULL), "now_us");
    NO(comity_connection_transmit(NULL, &bytes), "comity_connection");
    NO(comity_connection_transmit(connection, NULL), "out");
    NO(comity_connection_committed(NULL, 0), "comity_connection");
    NO(comity_connection_committed(connection, 1), "count: 1, there are 0");
    NO(comity_connection_transmitted(NULL, 0), "comity_connection");
    NO(comity_connection_transmitted(connection, SIZE_MAX), "there are 0");
    NO(comity_connection_receive(NULL, co, "+", 1, 0, &small), "comity_connection");
    NO(comity_connection_receive(connection, NULL, "+", 1, 0, &small), "comity_coordinator");
    NO(comity_connection_receive(connection, co, NULL, 1, 0, &small), "data");
    NO(comity_connection_receive(connection, co, "+", 1, COMITY_NONE, &small), "now_us");
    NO(comity_connection_receive(connection, co, "+", 1, 0, NULL), "out");
    NO(comity_connection_is_ready(NULL, &small), "comity_connection");
    NO(comity_connection_is_ready(connection, NULL), "out");
    NO(comity_connection_outstanding(NULL, &count), "comity_connection");
    NO(comity_connection_outstanding(connection, NULL), "out");
    NO(comity_connection_deadline(NULL, &number), "comity_connection");
    NO(comity_connection_deadline(connection, NULL), "out");
    NO(comity_connection_handle_timeout(NULL, co, 0, &small), "comity_connection");
    NO(comity_connection_handle_timeout(connection, NULL, 0, &small), "comity_coordinator");
    NO(comity_connection_handle_timeout(connection, co, 0, NULL), "out");
    NO(comity_connection_end(NULL, co, "a", 1, 0, 0), "comity_connection");
    NO(comity_connection_end(connection, NULL, "a", 1, 0, 0), "comity_coordinator");
    NO(comity_connection_end(connection, co, NULL, 1, 0, 0), "reason");
    NO(comity_connection_end(connection, co, "a", 1, 2, 0), "lasting: 2");
    NO(comity_connection_why(NULL, &text), "comity_connection");
    NO(comity_connection_why(connection, NULL), "out");
    /* It has not ended by any of these. */
    OK(comity_connection_why(connection, &text));
    CHECK(strcmp(text, "") == 0);
    OK(comity_connection_connected(connection, co, 0));
    comity_connection_free(connection);
    comity_connection_free(NULL);
    comity_endpoint_free(endpoint);
    comity_endpoint_free(NULL);
}

int main(void) {
    const comity_command *command;
    const comity_event *event;
    world w;

    world_open(&w, 1);
    coordinators(w.co[0]);
    in_and_out(w.co[0]);
    locks(w.co[0]);
    transactions(w.co[0]);
    counters(w.co[0]);
    peers();
    rings();
    memories(w.memory);
    connections(w.co[0]);

    /* Nothing came of all this. */
    OK(comity_poll_command(w.co[0], &command));
    OK(comity_poll_event(w.co[0], &event));
    CHECK(command == NULL && event == NULL);
    world_close(&w);
    /* No message is an empty one. */
    CHECK(comity_fail(COMITY_ERROR_INTERNAL, NULL) == COMITY_ERROR_INTERNAL);
    CHECK(strcmp(comity_last_error(), "") == 0);
    puts("ok");
    return 0;
}
