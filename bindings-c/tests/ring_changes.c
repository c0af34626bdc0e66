/* Rings made from rings and from bytes, and what moves between them. */
#include "check.h"

static int near(double a, double b) {
    return a - b < 1e-9 && b - a < 1e-9;
}

int main(void) {
    comity_node_spec nodes[3], fourth;
    comity_ring *three, *four, *heavy, *back, *restored;
    comity_bytes bytes, again;
    double share = 9, moved = 9, shares[4];
    uint64_t one, other;
    char *copy;
    size_t len;
    int i;

    nodes[0] = node("a", 1);
    nodes[1] = node("b", 2);
    nodes[2] = node("c", 0);
    OK(comity_ring_new(nodes, 3, NULL, &three));
    fourth = node("d", 1);
    OK(comity_ring_with_node(three, &fourth, &four));
    OK(comity_ring_len(three, &len));
    CHECK(len == 3);
    OK(comity_ring_len(four, &len));
    CHECK(len == 4);

    /* What moves is what the new node has. */
    OK(comity_ring_share(four, TEXT("d"), &share));
    OK(comity_ring_moved_share(three, four, &moved));
    CHECK(near(share, moved) && share > 0.15 && share < 0.35);
    OK(comity_ring_moved_share(four, four, &moved));
    CHECK(moved == 0);
    OK(comity_ring_shares(four, shares, 4));
    CHECK(near(shares[0] + shares[1] + shares[2] + shares[3], 1) && near(shares[3], share));
    CHECK(shares[2] == 0 && shares[1] > shares[0]);

    /* Without it again, it is the ring from before. */
    OK(comity_ring_without_node(four, TEXT("d"), &back));
    OK(comity_ring_fingerprint(three, &one));
    OK(comity_ring_fingerprint(back, &other));
    CHECK(one == other);
    OK(comity_ring_with_weight(four, TEXT("d"), 3, &heavy));
    OK(comity_ring_share(heavy, TEXT("d"), &moved));
    CHECK(moved > share);

    /* Bytes and back; the ring may be gone by then. */
    OK(comity_ring_snapshot(three, &bytes));
    OK(comity_ring_snapshot(back, &again));
    CHECK(bytes.len == again.len && memcmp(bytes.data, again.data, bytes.len) == 0);
    copy = malloc(bytes.len);
    CHECK(copy != NULL);
    memcpy(copy, bytes.data, bytes.len);
    len = bytes.len;
    comity_ring_free(three);
    OK(comity_ring_restore(copy, len, &restored));
    OK(comity_ring_fingerprint(restored, &other));
    CHECK(one == other);
    comity_ring_free(restored);
    for (i = 0; i < (int)len; i++) {
        copy[i] ^= 1;
        CHECK(comity_ring_restore(copy, len, &restored) == COMITY_ERROR_CORRUPT);
        copy[i] ^= 1;
        CHECK(comity_ring_restore(copy, (size_t)i, &restored) == COMITY_ERROR_CORRUPT);
    }
    free(copy);

    comity_ring_free(four);
    comity_ring_free(back);
    comity_ring_free(heavy);
    puts("ok");
    return 0;
}
