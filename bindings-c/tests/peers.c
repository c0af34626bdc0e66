/* A counter without a server, and numbers of 128 bits. */
#include "check.h"

static comity_int128 value(const comity_pn_counter *peer) {
    comity_int128 out;

    OK(comity_pn_counter_value(peer, &out));
    return out;
}

static void text_is(comity_int128 number, const char *expected) {
    char text[COMITY_INT128_TEXT];

    OK(comity_int128_to_text(number, text, sizeof text));
    CHECK(strcmp(text, expected) == 0);
    /* Exactly enough room, and one too little. */
    memset(text, 'x', sizeof text);
    OK(comity_int128_to_text(number, text, strlen(expected) + 1));
    CHECK(strcmp(text, expected) == 0);
    memset(text, 'x', sizeof text);
    FAILS(comity_int128_to_text(number, text, strlen(expected)), COMITY_ERROR_LIMIT_EXCEEDED,
          "needs");
    CHECK(text[0] == 'x');
}

int main(void) {
    const unsigned char one[16] = {1}, two[16] = {2}, three[16] = {3};
    comity_pn_counter *here, *there;
    const comity_pn_slot *slots;
    comity_int128 number;
    comity_tally tally;
    comity_bytes bytes;
    unsigned char id[16];
    int64_t small = 7;
    size_t count;

    OK(comity_pn_counter_new(one, sizeof one, &here));
    OK(comity_pn_counter_new(two, sizeof two, &there));
    OK(comity_pn_counter_replica(there, id));
    CHECK(memcmp(id, two, sizeof id) == 0);
    OK(comity_pn_counter_add(here, 5));
    OK(comity_pn_counter_add(there, -7));
    tally.increments = 1;
    tally.decrements = 2;
    OK(comity_pn_counter_count(there, tally));
    text_is(value(there), "-8");

    /* Merged both ways, in any order and any number of times. */
    OK(comity_pn_counter_snapshot(here, &bytes));
    OK(comity_pn_counter_merge(there, bytes.data, bytes.len));
    OK(comity_pn_counter_merge(there, bytes.data, bytes.len));
    OK(comity_pn_counter_snapshot(there, &bytes));
    OK(comity_pn_counter_merge(here, bytes.data, bytes.len));
    text_is(value(here), "-3");
    text_is(value(there), "-3");
    OK(comity_int128_to_int64(value(here), &small));
    CHECK(small == -3);
    OK(comity_pn_counter_slots(here, &slots, &count));
    CHECK(count == 2 && memcmp(slots[0].replica, one, 16) == 0 && slots[0].tally.increments == 5);
    CHECK(slots[1].tally.increments == 1 && slots[1].tally.decrements == 9);

    /* As another replica it counts in another slot. */
    OK(comity_pn_counter_rename(here, three, sizeof three));
    OK(comity_pn_counter_add(here, 1));
    OK(comity_pn_counter_slots(here, &slots, &count));
    CHECK(count == 3 && slots[2].tally.increments == 1);

    /* Beyond 64 bits. */
    tally.increments = UINT64_MAX - 1;
    tally.decrements = 0;
    OK(comity_pn_counter_count(here, tally));
    tally.increments = 1;
    FAILS(comity_pn_counter_count(here, tally), COMITY_ERROR_OVERFLOW, "2^64");
    FAILS(comity_pn_counter_add(here, 1), COMITY_ERROR_OVERFLOW, "2^64");
    number = value(here);
    text_is(number, "18446744073709551612");
    small = 7;
    FAILS(comity_int128_to_int64(number, &small), COMITY_ERROR_OVERFLOW, "18446744073709551612");
    CHECK(small == 7);

    number.low = 0;
    number.high = INT64_MIN;
    text_is(number, "-170141183460469231731687303715884105728");
    number.high = 0;
    text_is(number, "0");
    number.low = (uint64_t)INT64_MAX;
    OK(comity_int128_to_int64(number, &small));
    CHECK(small == INT64_MAX);

    comity_pn_counter_free(here);
    comity_pn_counter_free(there);
    puts("ok");
    return 0;
}
