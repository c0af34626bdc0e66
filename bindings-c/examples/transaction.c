/* Transfers between accounts: all or nothing, on a condition, and many at once.
 *
 *   transaction                       on the embedded store, no server
 *   transaction --redis HOST:PORT     on a real Redis
 *
 * tests/examples/transaction.txt has what it prints; so do the programs of the other languages. */
#include "store.h"

#define WORD 64

static char alice[WORD], bob[WORD], carol[WORD];

static comity_transaction *begin(void) {
    comity_transaction *tx;
    must(comity_transaction_new(&tx));
    return tx;
}

/* Adds a command of two or three words. */
static void add(comity_transaction *tx, const char *name, const char *key, const char *value) {
    const char *words[3];
    words[0] = name;
    words[1] = key;
    words[2] = value;
    must(comity_transaction_command(tx, value == NULL ? 2 : 3, words, NULL));
}

static uint64_t start(client *who, const comity_transaction *tx) {
    uint64_t number;
    must(comity_transaction_execute(who->co, tx, NULL, comity_system_now(), &number));
    return number;
}

/* Executes a transaction that will succeed, or will fail in this way. */
static const comity_event *finish(store *at, client *who, comity_transaction *tx, uint32_t error) {
    const comity_event *event;
    start(who, tx);
    comity_transaction_free(tx);
    event = store_await(at, who, error == COMITY_OK ? COMITY_EVENT_TRANSACTION_COMMITTED
                                                    : COMITY_EVENT_TRANSACTION_FAILED);
    if (event->error != error) {
        fprintf(stderr, "%s: %s\n", comity_error_name(event->error), event->message);
        exit(1);
    }
    return event;
}

/* What all three hold at one instant. */
static void show(store *at, client *who, const char *what) {
    static const char *const names[] = {"alice", "bob", "carol"};
    comity_transaction *tx = begin();
    const comity_event *event;
    int i;
    add(tx, "GET", alice, NULL);
    add(tx, "GET", bob, NULL);
    add(tx, "GET", carol, NULL);
    event = finish(at, who, tx, COMITY_OK);
    printf("%s: ", what);
    for (i = 0; i < 3; i++) {
        const comity_reply *reply = &event->replies[i];
        if (reply->kind == COMITY_REPLY_NIL) printf("%s nothing", names[i]);
        else printf("%s %.*s", names[i], (int)reply->len, reply->bytes);
        printf("%s", i < 2 ? ", " : "\n");
    }
}

static comity_transaction *transfer(const char *giver, const char *taker, const char *amount) {
    comity_transaction *tx = begin();
    add(tx, "DECRBY", giver, amount);
    add(tx, "INCRBY", taker, amount);
    return tx;
}

/* Begins ten transfers before the first has ended; what meets another one is begun again. */
static void ten_at_once(store *at, client *who) {
    comity_transaction *pairs[2];
    uint64_t numbers[10];
    int i, left = 10;
    pairs[0] = transfer(alice, carol, "1");
    pairs[1] = transfer(bob, carol, "1");
    for (i = 0; i < 10; i++) numbers[i] = start(who, pairs[i % 2]);
    while (left > 0) {
        const comity_event *event = store_next(at, who, COMITY_NONE);
        if (event == NULL) continue;
        if (event->kind == COMITY_EVENT_TRANSACTION_COMMITTED) {
            left--;
        } else if (event->kind == COMITY_EVENT_TRANSACTION_FAILED) {
            if (event->error != COMITY_ERROR_CONFLICT) must(event->error);
            for (i = 0; i < 10; i++) {
                if (numbers[i] == event->transaction) {
                    numbers[i] = start(who, pairs[i % 2]);
                    break;
                }
            }
        } else if (event->kind == COMITY_EVENT_TRANSACTION_UNKNOWN) {
            must(event->error);
        }
    }
    comity_transaction_free(pairs[0]);
    comity_transaction_free(pairs[1]);
}

int main(int argc, char **argv) {
    store at;
    client *who;
    comity_transaction *tx;
    const comity_event *event;

    snprintf(alice, sizeof alice, "example-%ld:alice", (long)getpid());
    snprintf(bob, sizeof bob, "example-%ld:bob", (long)getpid());
    snprintf(carol, sizeof carol, "example-%ld:carol", (long)getpid());
    store_open(&at, argc, argv);
    who = store_connect(&at);

    tx = begin();
    add(tx, "SET", alice, "100");
    add(tx, "SET", bob, "50");
    finish(&at, who, tx, COMITY_OK);
    show(&at, who, "opened");

    event = finish(&at, who, transfer(alice, bob, "30"), COMITY_OK);
    printf("a transfer of 30 replies: %ld, %ld\n", (long)event->replies[0].integer,
           (long)event->replies[1].integer);
    show(&at, who, "transferred");

    tx = transfer(alice, bob, "30");
    must(comity_transaction_expect_value(tx, alice, strlen(alice), "100", 3));
    finish(&at, who, tx, COMITY_ERROR_CONFLICT);
    show(&at, who, "not applied, alice has no 100 any more");

    tx = begin();
    add(tx, "INCRBY", alice, "5");
    add(tx, "RPUSH", bob, "a note");
    finish(&at, who, tx, COMITY_ERROR_COMMAND_FAILED);
    show(&at, who, "not applied, a command failed");

    ten_at_once(&at, who);
    show(&at, who, "ten transfers at once");

    tx = begin();
    add(tx, "DEL", alice, NULL);
    add(tx, "DEL", bob, NULL);
    add(tx, "DEL", carol, NULL);
    finish(&at, who, tx, COMITY_OK);
    show(&at, who, "closed");

    store_leave(&at, who);
    store_close(&at);
    return 0;
}
