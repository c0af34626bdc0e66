/* What calls of the library cost from C. Prints a name and nanoseconds a line: see border.rs, which does
 * the same work without a border. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <comity.h>

/* Short, so that most of them are not interrupted; the median of all is told. */
#define BATCHES 300u
#define CALLS 8192u
#define KEYS (1u << 16)
#define LOCKS 512u
#define NOW 1000000u

static void must(uint32_t status) {
    if (status != COMITY_OK) {
        fprintf(stderr, "%s\n", comity_last_error());
        exit(1);
    }
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b) {
    double one = *(const double *)a, other = *(const double *)b;
    return one < other ? -1 : one > other;
}

static void tell(const char *name, double *seconds_per_call) {
    qsort(seconds_per_call, BATCHES, sizeof *seconds_per_call, by_size);
    printf("%s: %.2f\n", name, seconds_per_call[BATCHES / 2] * 1e9);
}

static comity_coordinator *coordinator(uint32_t batch) {
    comity_coordinator *made;
    comity_config config;
    comity_node_spec node;
    unsigned char entropy[32];
    memset(entropy, 7, sizeof entropy);
    memcpy(entropy, &batch, sizeof batch);
    must(comity_config_init(&config, sizeof config));
    node.id = "a";
    node.id_len = 1;
    node.weight = 1;
    config.nodes = &node;
    config.node_count = 1;
    must(comity_coordinator_new(&config, entropy, sizeof entropy, NOW, &made));
    return made;
}

static void nothing(void) {
    comity_coordinator *co = coordinator(0);
    const comity_event *event;
    double spent[BATCHES];
    unsigned batch, i;
    for (batch = 0; batch < BATCHES; batch++) {
        double began = seconds();
        for (i = 0; i < CALLS; i++) must(comity_poll_event(co, &event));
        spent[batch] = (seconds() - began) / CALLS;
    }
    tell("no-op", spent);
    comity_coordinator_free(co);
}

static void next_command(void) {
    double spent[BATCHES];
    unsigned batch, i;
    for (batch = 0; batch < BATCHES; batch++) {
        comity_coordinator *co = coordinator(batch);
        const comity_command *command;
        double began;
        for (i = 0; i < LOCKS; i++) {
            char name[32];
            uint64_t lock;
            int len = snprintf(name, sizeof name, "lock:%u", i);
            must(comity_lock_acquire(co, name, (size_t)len, NULL, NOW, &lock));
        }
        began = seconds();
        for (i = 0; i < LOCKS; i++) must(comity_poll_command(co, &command));
        spent[batch] = (seconds() - began) / LOCKS;
        comity_coordinator_free(co);
    }
    tell("next command", spent);
}

/* SplitMix64, for keys that no branch predictor learns. */
static uint64_t mixed(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void lookup(void) {
    static char keys[KEYS][16];
    comity_node_spec nodes[32];
    char ids[32][16];
    comity_ring *ring;
    comity_bytes id;
    double spent[BATCHES];
    unsigned batch, i, turn = 0;
    for (i = 0; i < 32; i++) {
        nodes[i].id_len = (size_t)snprintf(ids[i], sizeof ids[i], "node-%u", i);
        nodes[i].id = ids[i];
        nodes[i].weight = 1;
    }
    must(comity_ring_new(nodes, 32, NULL, &ring));
    for (i = 0; i < KEYS; i++) {
        uint64_t state = i, halves[2];
        halves[0] = mixed(&state);
        halves[1] = mixed(&state);
        memcpy(keys[i], halves, sizeof keys[i]);
    }
    for (batch = 0; batch < BATCHES; batch++) {
        double began = seconds();
        for (i = 0; i < CALLS; i++) must(comity_ring_node(ring, keys[turn++ % KEYS], 16, &id));
        spent[batch] = (seconds() - began) / CALLS;
    }
    tell("ring lookup", spent);
    comity_ring_free(ring);
}

int main(void) {
    nothing();
    next_command();
    lookup();
    return 0;
}
