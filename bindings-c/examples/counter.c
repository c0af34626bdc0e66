/* A counter that is exact: counted by two, after a crash, and where there is no server.
 *
 *   counter                       on the embedded store, no server
 *   counter --redis HOST:PORT     on a real Redis
 *
 * tests/examples/counter.txt has what it prints; so do the programs of the other languages. */
#include "store.h"

/* Opens the counter; nothing is sent before it is flushed. */
static uint64_t open_hits(client *who) {
    comity_counter_options options;
    uint64_t hits;
    must(comity_counter_options_init(&options, sizeof options));
    options.max_delay_us = 3600000000u;
    must(comity_counter_open(who->co, "hits", 4, &options, comity_system_now(), &hits));
    return hits;
}

static void count(client *who, uint64_t hits, int64_t amount) {
    must(comity_counter_add(who->co, hits, amount, comity_system_now()));
}

static void flush(store *at, client *who, uint64_t hits) {
    uint64_t call;
    must(comity_counter_flush(who->co, hits, comity_system_now(), &call));
    store_await(at, who, COMITY_EVENT_COUNTER_FLUSHED);
}

/* As far as is known here. */
static long value(client *who, uint64_t hits) {
    int64_t found;
    must(comity_counter_value_int64(who->co, hits, comity_system_now(), &found));
    return (long)found;
}

/* As the server has it. */
static long read_hits(store *at, client *who, uint64_t hits) {
    uint64_t call;
    int64_t found;
    must(comity_counter_read(who->co, hits, COMITY_FRESH, comity_system_now(), &call));
    must(comity_int128_to_int64(store_await(at, who, COMITY_EVENT_COUNTER_READ)->reading->value,
                                &found));
    return (long)found;
}

/* Two count, each in a client of its own. */
static void together(store *at) {
    client *one = store_connect(at), *two = store_connect(at);
    uint64_t mine = open_hits(one), yours = open_hits(two);
    long first, second;
    int i;
    for (i = 0; i < 1000; i++) {
        count(one, mine, 1);
        count(two, yours, 2);
    }
    count(two, yours, -500);
    printf("before they are sent, each knows its own: %ld and %ld\n", value(one, mine),
           value(two, yours));
    flush(at, one, mine);
    flush(at, two, yours);
    first = read_hits(at, one, mine);
    second = read_hits(at, two, yours);
    printf("then both read: %ld and %ld\n", first, second);
    store_leave(at, two);
    store_leave(at, one);
}

/* Somebody counts 75, then 25 more, of which only a snapshot is left. */
static void after_a_crash(store *at) {
    client *who = store_connect(at);
    uint64_t hits = open_hits(who);
    comity_bytes snapshot;
    char kept[4096];
    size_t len;
    int i;
    count(who, hits, 75);
    flush(at, who, hits);
    count(who, hits, 25);
    must(comity_counter_snapshot(who->co, hits, &snapshot));
    len = snapshot.len < sizeof kept ? snapshot.len : sizeof kept;
    memcpy(kept, snapshot.data, len);
    store_drop(who);
    for (i = 0; i < 2; i++) {
        who = store_connect(at);
        must(comity_counter_restore(who->co, "hits", 4, NULL, kept, len, comity_system_now(), &hits));
        flush(at, who, hits);
        printf("after a crash, restored from a snapshot: %ld\n", read_hits(at, who, hits));
        store_leave(at, who);
    }
}

/* An audit, and a reset. */
static void anew(store *at) {
    client *who = store_connect(at);
    uint64_t hits = open_hits(who), call;
    int64_t corrected;
    must(comity_counter_audit(who->co, hits, COMITY_NONE, comity_system_now(), &call));
    must(comity_int128_to_int64(store_await(at, who, COMITY_EVENT_COUNTER_AUDITED)->audit->corrected,
                                &corrected));
    printf("an audit has to correct: %ld\n", (long)corrected);
    must(comity_counter_reset(who->co, hits, COMITY_NONE, comity_system_now(), &call));
    printf("resets so far, with this one: %ld\n",
           (long)store_await(at, who, COMITY_EVENT_COUNTER_RESET)->epoch);
    printf("after it: %ld\n", read_hits(at, who, hits));
    store_leave(at, who);
}

static comity_pn_counter *replica(void) {
    unsigned char id[COMITY_REPLICA_ID];
    comity_pn_counter *made;
    must(comity_system_entropy(id, sizeof id) ? COMITY_OK : COMITY_ERROR_UNSUPPORTED);
    must(comity_pn_counter_new(id, sizeof id, &made));
    return made;
}

/* Has one replica know what another does. */
static void tell(comity_pn_counter *from, comity_pn_counter *to) {
    comity_bytes snapshot;
    must(comity_pn_counter_snapshot(from, &snapshot));
    must(comity_pn_counter_merge(to, snapshot.data, snapshot.len));
}

static long stands_at(const comity_pn_counter *counter) {
    comity_int128 exact;
    int64_t found;
    must(comity_pn_counter_value(counter, &exact));
    must(comity_int128_to_int64(exact, &found));
    return (long)found;
}

/* Replicas that exchange bytes. */
static void without_a_server(void) {
    comity_pn_counter *tea = replica(), *coffee = replica();
    int i;
    must(comity_pn_counter_add(tea, 5));
    must(comity_pn_counter_add(tea, -2));
    must(comity_pn_counter_add(coffee, 7));
    for (i = 0; i < 2; i++) {
        tell(coffee, tea);
        tell(tea, coffee);
        printf("two that exchange what they know: %ld and %ld\n", stands_at(tea), stands_at(coffee));
    }
    comity_pn_counter_free(tea);
    comity_pn_counter_free(coffee);
}

int main(int argc, char **argv) {
    store at;
    store_open(&at, argc, argv);
    together(&at);
    after_a_crash(&at);
    anew(&at);
    without_a_server();
    store_close(&at);
    return 0;
}
