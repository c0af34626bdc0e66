/* What is no live handle of its kind is refused: freed, of another kind, or freed twice. */
#include "world.h"

#define GONE(call, words) FAILS(call, COMITY_ERROR_INVALID_STATE, words)

int main(void) {
    comity_transaction *tx;
    comity_memory *memory;
    comity_ring *ring;
    uint64_t number = 7;
    size_t len = 7;
    world w;

    world_open(&w, 1);
    OK(comity_ring_new(NULL, 0, NULL, &ring));
    OK(comity_memory_new(&memory));
    OK(comity_transaction_new(&tx));

    GONE(comity_ring_len((comity_ring *)memory, &len), "this is no comity_ring");
    GONE(comity_transaction_clear((comity_transaction *)ring), "this is no comity_transaction");
    GONE(comity_next_deadline((comity_coordinator *)memory, &number),
         "this is no comity_coordinator");
    GONE(comity_transaction_execute(w.co[0], (comity_transaction *)ring, NULL, w.now, &number),
         "this is no comity_transaction");
    GONE(comity_ring_len((comity_ring *)(void *)((char *)ring + 1), &len), "this is no comity_ring");
    CHECK(len == 7 && number == 7);

    /* One that is freed as another kind is not freed. */
    comity_memory_free((comity_memory *)ring);
    CHECK(strstr(comity_last_error(), "this is no comity_memory") != NULL);
    OK(comity_ring_len(ring, &len));
    CHECK(len == 0);

    comity_ring_free(ring);
    comity_memory_free(memory);
    comity_transaction_free(tx);
#ifdef COMITY_DEBUG_LIBRARY
    len = 7;
    GONE(comity_ring_len(ring, &len), "this comity_ring was freed");
    GONE(comity_transaction_clear(tx), "this comity_transaction was freed");
    CHECK(len == 7);
    comity_memory_free(memory);
    CHECK(strstr(comity_last_error(), "this comity_memory was freed") != NULL);
#endif
    world_close(&w);
    puts("ok");
    return 0;
}
