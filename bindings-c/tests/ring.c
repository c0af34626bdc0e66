/* The ring: placement, copies, batches. */
#include "check.h"

#define MANY 100

int main(void) {
    const comity_node_spec *all;
    comity_node_spec nodes[3];
    comity_ring_options options;
    comity_ring *ring = NULL, *other = NULL;
    comity_bytes owner, replicas[5], keys[MANY];
    uint32_t index = 99, owners[MANY], points = 0;
    uint64_t fingerprint = 0, again = 0, seed = 99, hash = 0;
    size_t count = 99, len = 0;
    char names[MANY][8];
    int i;

    CHECK(strcmp(comity_version(), COMITY_EXPECTED_VERSION) == 0);
    CHECK(strcmp(comity_last_error(), "") == 0);
    nodes[0] = node("a", 1);
    nodes[1] = node("b", 1);
    nodes[2] = node("c", 1);
    OK(comity_ring_new(nodes, 3, NULL, &ring));
    OK(comity_ring_len(ring, &len));
    CHECK(len == 3);
    OK(comity_ring_points(ring, &points));
    CHECK(points == 3 * 512);
    OK(comity_ring_config(ring, &seed, &index));
    CHECK(seed == 0 && index == 512);
    OK(comity_ring_config(ring, NULL, NULL));

    OK(comity_ring_node(ring, TEXT("user:42"), &owner));
    CHECK(is(owner, "c"));
    OK(comity_ring_node_index(ring, TEXT("user:42"), &index));
    CHECK(index == 2);
    OK(comity_ring_node(ring, NULL, 0, &owner));
    CHECK(owner.len == 1);
    OK(comity_ring_replicas(ring, TEXT("user:42"), 2, replicas, &count));
    CHECK(count == 2 && is(replicas[0], "c") && is(replicas[1], "b"));
    OK(comity_ring_replicas(ring, TEXT("user:42"), 5, replicas, &count));
    CHECK(count == 3 && is(replicas[2], "a"));
    OK(comity_ring_replicas(ring, TEXT("user:42"), 0, NULL, &count));
    CHECK(count == 0);
    OK(comity_ring_hash(ring, TEXT("user:42"), &hash));
    OK(comity_ring_hash(ring, TEXT("user:43"), &again));
    CHECK(hash != again);
    OK(comity_ring_node_for_hash(ring, hash, &owner));
    CHECK(is(owner, "c"));
    OK(comity_ring_replicas_for_hash(ring, hash, 5, replicas, &count));
    CHECK(count == 3 && is(replicas[0], "c") && is(replicas[1], "b") && is(replicas[2], "a"));
    OK(comity_ring_index_of(ring, TEXT("b"), &index));
    CHECK(index == 1);
    OK(comity_ring_index_of(ring, TEXT("bb"), &index));
    CHECK(index == COMITY_NO_NODE);

    /* A batch says the same as one by one. */
    for (i = 0; i < MANY; i++) {
        keys[i].data = names[i];
        keys[i].len = (size_t)sprintf(names[i], "key:%d", i);
    }
    OK(comity_ring_lookup_batch(ring, keys, MANY, owners));
    for (i = 0; i < MANY; i++) {
        OK(comity_ring_node_index(ring, keys[i].data, keys[i].len, &index));
        CHECK(owners[i] == index && index < 3);
    }
    OK(comity_ring_lookup_batch(ring, NULL, 0, NULL));

    /* The nodes are in the order of their ids, whatever order they came in. */
    nodes[0] = node("c", 1);
    nodes[2] = node("a", 1);
    OK(comity_ring_new(nodes, 3, NULL, &other));
    OK(comity_ring_fingerprint(ring, &fingerprint));
    OK(comity_ring_fingerprint(other, &again));
    CHECK(fingerprint == again && fingerprint != 0);
    OK(comity_ring_nodes(other, &all, &count));
    CHECK(count == 3 && memcmp(all[0].id, "a", 1) == 0 && memcmp(all[2].id, "c", 1) == 0);
    CHECK(all[0].id_len == 1 && all[0].weight == 1);
    /* What was listed can be listed again. */
    comity_ring_free(ring);
    OK(comity_ring_new(all, count, NULL, &ring));
    comity_ring_free(other);

    /* Another seed places keys otherwise. */
    OK(comity_ring_options_init(&options, sizeof options));
    options.seed = UINT64_MAX;
    options.points_per_weight = 64;
    OK(comity_ring_new(nodes, 3, &options, &other));
    OK(comity_ring_config(other, &seed, &points));
    CHECK(seed == UINT64_MAX && points == 64);
    OK(comity_ring_fingerprint(other, &again));
    CHECK(fingerprint != again);
    OK(comity_ring_hash(other, TEXT("user:42"), &again));
    CHECK(hash != again);
    comity_ring_free(other);
    comity_ring_free(ring);

    /* An empty ring finds no node. */
    OK(comity_ring_new(NULL, 0, NULL, &ring));
    OK(comity_ring_node(ring, TEXT("k"), &owner));
    CHECK(owner.data == NULL && owner.len == 0);
    OK(comity_ring_node_index(ring, TEXT("k"), &index));
    CHECK(index == COMITY_NO_NODE);
    OK(comity_ring_lookup_batch(ring, keys, MANY, owners));
    CHECK(owners[0] == COMITY_NO_NODE && owners[MANY - 1] == COMITY_NO_NODE);
    OK(comity_ring_replicas(ring, TEXT("k"), 5, replicas, &count));
    CHECK(count == 0);
    comity_ring_free(ring);

    puts("ok");
    return 0;
}
