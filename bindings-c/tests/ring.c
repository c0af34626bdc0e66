/* The ring as a C program uses it. Prints "ok" and returns 0 if all is as it should be. */
#include "check.h"

int main(void) {
    const char *key = "user:42";
    const size_t key_len = 7;
    comity_node_spec nodes[3];
    comity_ring *ring = NULL, *other = NULL;
    comity_bytes owner, replicas[5];
    size_t count = 99, len = 0;
    uint64_t fingerprint = 0, again = 0;

    CHECK(strcmp(comity_version(), COMITY_EXPECTED_VERSION) == 0);
    CHECK(strcmp(comity_last_error(), "") == 0);

    nodes[0] = node("a", 1);
    nodes[1] = node("b", 1);
    nodes[2] = node("c", 1);
    CHECK(comity_ring_new(nodes, 3, NULL, &ring) == COMITY_OK);
    CHECK(comity_ring_len(ring, &len) == COMITY_OK && len == 3);

    CHECK(comity_ring_node(ring, key, key_len, &owner) == COMITY_OK);
    CHECK(is(owner, "c"));
    CHECK(comity_ring_node(ring, NULL, 0, &owner) == COMITY_OK && owner.len == 1);
    CHECK(comity_ring_replicas(ring, key, key_len, 2, replicas, &count) == COMITY_OK);
    CHECK(count == 2 && is(replicas[0], "c") && is(replicas[1], "b"));
    CHECK(comity_ring_replicas(ring, key, key_len, 5, replicas, &count) == COMITY_OK);
    CHECK(count == 3 && is(replicas[2], "a"));
    CHECK(comity_ring_replicas(ring, key, key_len, 0, NULL, &count) == COMITY_OK);
    CHECK(count == 0);

    /* The order of the nodes does not matter. */
    nodes[0] = node("c", 1);
    nodes[2] = node("a", 1);
    CHECK(comity_ring_new(nodes, 3, NULL, &other) == COMITY_OK);
    CHECK(comity_ring_fingerprint(ring, &fingerprint) == COMITY_OK);
    CHECK(comity_ring_fingerprint(other, &again) == COMITY_OK);
    CHECK(fingerprint == again && fingerprint != 0);
    comity_ring_free(other);

    /* What fails writes nothing. */
    other = ring;
    nodes[0] = node("a", 1);
    CHECK(comity_ring_new(nodes, 3, NULL, &other) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(other == ring && strstr(comity_last_error(), "\"a\"") != NULL);
    CHECK(comity_ring_new(nodes, 65537, NULL, &other) == COMITY_ERROR_LIMIT_EXCEEDED);
    CHECK(strstr(comity_last_error(), "65536") != NULL);
    nodes[0] = node("d", 1);
    nodes[0].id_len = 257;
    CHECK(comity_ring_new(nodes, 3, NULL, &other) == COMITY_ERROR_LIMIT_EXCEEDED);
    nodes[0].id = NULL;
    nodes[0].id_len = 1;
    CHECK(comity_ring_new(nodes, 3, NULL, &other) == COMITY_ERROR_INVALID_ARGUMENT);
    nodes[0] = node("", 1);
    CHECK(comity_ring_new(nodes, 3, NULL, &other) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(comity_ring_new(NULL, 3, NULL, &other) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(comity_ring_new(nodes, 3, NULL, NULL) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(other == ring);
    CHECK(comity_ring_node(NULL, key, key_len, &owner) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(comity_ring_node(ring, NULL, 1, &owner) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(comity_ring_node(ring, key, SIZE_MAX, &owner) == COMITY_ERROR_LIMIT_EXCEEDED);
    CHECK(comity_ring_node(ring, key, key_len, NULL) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(comity_ring_replicas(ring, key, key_len, 1, NULL, &count)
          == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(comity_ring_replicas(ring, key, key_len, 1, replicas, NULL)
          == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(comity_ring_len(ring, NULL) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(comity_ring_fingerprint(NULL, &again) == COMITY_ERROR_INVALID_ARGUMENT);
    CHECK(strstr(comity_last_error(), "ring") != NULL);
    comity_ring_free(ring);
    comity_ring_free(NULL);

    /* An empty ring finds no node. */
    CHECK(comity_ring_new(NULL, 0, NULL, &ring) == COMITY_OK);
    CHECK(comity_ring_node(ring, key, key_len, &owner) == COMITY_OK);
    CHECK(owner.data == NULL && owner.len == 0);
    comity_ring_free(ring);

    puts("ok");
    return 0;
}
