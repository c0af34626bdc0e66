/* Which server each key belongs to, the same in every process and every language. No server.
 *
 * tests/examples/ring.txt has what it prints; so do the programs of the other languages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <comity.h>

static void must(uint32_t status) {
    if (status != COMITY_OK) {
        fprintf(stderr, "%s: %s\n", comity_error_name(status), comity_last_error());
        exit(1);
    }
}

static comity_node_spec node(const char *id, uint32_t weight) {
    comity_node_spec spec;
    spec.id = id;
    spec.id_len = strlen(id);
    spec.weight = weight;
    return spec;
}

int main(void) {
    static const char *const keys[] = {"user:1", "user:2", "user:3", "invoice:42", "größe"};
    comity_node_spec nodes[3], fourth = node("d", 1);
    comity_ring *ring, *bigger, *again, *heavy;
    uint64_t before, after;
    double moved;
    size_t i, count;
    int on_a = 0;

    nodes[0] = node("a", 1);
    nodes[1] = node("b", 1);
    nodes[2] = node("c", 1);
    must(comity_ring_new(nodes, 3, NULL, &ring));
    for (i = 0; i < sizeof keys / sizeof *keys; i++) {
        comity_bytes ids[3];
        must(comity_ring_replicas(ring, keys[i], strlen(keys[i]), 3, ids, &count));
        printf("%s lies on %.*s, then on %.*s, %.*s\n", keys[i], (int)ids[0].len, ids[0].data,
               (int)ids[1].len, ids[1].data, (int)ids[2].len, ids[2].data);
    }

    must(comity_ring_with_node(ring, &fourth, &bigger));
    must(comity_ring_moved_share(ring, bigger, &moved));
    printf("a fourth node takes %.1f %% of the keys\n", 100 * moved);
    must(comity_ring_without_node(bigger, "d", 1, &again));
    must(comity_ring_fingerprint(ring, &before));
    must(comity_ring_fingerprint(again, &after));
    printf("taking it away again gives the same ring: %s\n", before == after ? "yes" : "no");

    nodes[0] = node("a", 2);
    must(comity_ring_new(nodes, 3, NULL, &heavy));
    for (i = 0; i < 30000; i++) {
        char key[32];
        comity_bytes id;
        int len = snprintf(key, sizeof key, "key:%u", (unsigned)i);
        must(comity_ring_node(heavy, key, (size_t)len, &id));
        on_a += id.len == 1 && id.data[0] == 'a';
    }
    printf("with twice the weight, a has %.0f %% of the keys\n", on_a / 300.0);

    comity_ring_free(ring);
    comity_ring_free(bigger);
    comity_ring_free(again);
    comity_ring_free(heavy);
    return 0;
}
