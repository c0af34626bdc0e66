/* The adapter for hiredis against servers that are socket pairs, so that each fault comes when it is
 * wanted. Prints "ok" and returns 0 if all is as it should be. */
#include <comity.h>
#include <comity/adapters/hiredis.h>

#include "../check.h"

/* How long what is to fail may take, and what is not. */
#define QUICK_US 200000u
#define PATIENT_US 60000000u

/* The other ends of the connections that were made, the latest last. */
static int servers[16];
static int made;
static int refuse;

#ifdef REDIS_REPLY_MAP
/* Whether the adapter is to take the connections for some of TLS, which hiredis has since 1.0. */
static int as_tls;
#endif

static redisContext *pair(void *data, uint64_t deadline_us) {
    redisContext *context;
    int ends[2];
    (void)data;
    CHECK(deadline_us > comity_hiredis_now() && made < 16);
    if (refuse) return NULL;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    servers[made++] = ends[1];
    context = redisConnectFd(ends[0]);
#ifdef REDIS_REPLY_MAP
    if (as_tls) context->privctx = &as_tls;
#endif
    return context;
}

static comity_hiredis *begin(uint64_t timeout_us) {
    comity_hiredis_server server;
    comity_hiredis *redis = NULL;
    comity_config config;
    memset(&server, 0, sizeof server);
    server.id = "a";
    server.connect = pair;
    CHECK(comity_config_init(&config, sizeof config) == COMITY_OK);
    config.timeout_us = timeout_us;
    config.push = 0;
    made = refuse = 0;
    CHECK(comity_hiredis_connect(&server, 1, &config, &redis) == COMITY_OK);
    return redis;
}

static void end(comity_hiredis *redis) {
    comity_hiredis_free(redis);
    while (made > 0) close(servers[--made]);
}

static uint64_t acquire(comity_hiredis *redis) {
    uint64_t lock;
    CHECK(comity_lock_acquire(comity_hiredis_coordinator(redis), "job", 3, NULL,
                              comity_hiredis_now(), &lock) == COMITY_OK);
    return lock;
}

static const comity_statistics *stats(comity_hiredis *redis) {
    const comity_statistics *found;
    CHECK(comity_stats(comity_hiredis_coordinator(redis), &found) == COMITY_OK);
    return found;
}

/* Has the adapter do what it can without waiting; no event is expected but that a server is away. */
static void settle(comity_hiredis *redis) {
    const comity_event *event;
    int i;
    for (i = 0; i < 5; i++) {
        CHECK(comity_hiredis_run(redis, 0, &event) == COMITY_OK);
        CHECK(event == NULL || is_of_an_outage(event));
    }
}

static const comity_event *any(comity_hiredis *redis) {
    const comity_event *event;
    CHECK(comity_hiredis_run(redis, comity_hiredis_now() + PATIENT_US, &event) == COMITY_OK);
    CHECK(event != NULL);
    return event;
}

/* The next event but for those of a server's outage. */
static const comity_event *next(comity_hiredis *redis) {
    const comity_event *event;
    do {
        event = any(redis);
    } while (is_of_an_outage(event));
    return event;
}

/* How many bytes have come to a server by now. */
static size_t drain(int server) {
    static char room[1 << 16];
    size_t all = 0;
    ssize_t got;
    while ((got = recv(server, room, sizeof room, MSG_DONTWAIT)) > 0) all += (size_t)got;
    return all;
}

static void answer(int server, const char *text) {
    CHECK(send(server, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static void servers_are_those_of_the_nodes(void) {
    comity_hiredis_server server;
    comity_hiredis *redis = NULL, *other = NULL;
    comity_coordinator *co;
    comity_config config;
    memset(&server, 0, sizeof server);
    FAILS(comity_hiredis_connect(NULL, 1, NULL, &redis), COMITY_ERROR_INVALID_ARGUMENT,
          "servers must not be NULL");
    FAILS(comity_hiredis_connect(&server, 0, NULL, &redis), COMITY_ERROR_INVALID_ARGUMENT,
          "at least one");
    FAILS(comity_hiredis_connect(&server, 1, NULL, NULL), COMITY_ERROR_INVALID_ARGUMENT,
          "out must not be NULL");
    memset(&config, 0, sizeof config);
    FAILS(comity_hiredis_connect(&server, 1, &config, &redis), COMITY_ERROR_INVALID_ARGUMENT,
          "comity_config_init");
    server.host = "127.0.0.1";
    server.port = 1;
    CHECK(comity_hiredis_connect(&server, 1, NULL, &redis) == COMITY_OK);
    co = comity_hiredis_coordinator(redis);
    {
        comity_bytes id;
        CHECK(comity_node_id(co, 0, &id) == COMITY_OK);
        CHECK(id.len == 11 && memcmp(id.data, "127.0.0.1:1", 11) == 0);
    }
    FAILS(comity_hiredis_new(NULL, &server, 1, &other), COMITY_ERROR_INVALID_ARGUMENT,
          "must not be NULL");
    FAILS(comity_hiredis_new(co, &server, 2, &other), COMITY_ERROR_INVALID_ARGUMENT,
          "2 of them for 1 nodes");
    server.id = "another";
    FAILS(comity_hiredis_new(co, &server, 1, &other), COMITY_ERROR_INVALID_ARGUMENT,
          "none has the id of node 127.0.0.1:1");
    CHECK(other == NULL);
    CHECK(strcmp(comity_hiredis_why(redis, 7), "") == 0);
    /* Nobody listens there. */
    acquire(redis);
    CHECK(comity_hiredis_run(redis, 0, (const comity_event **)&other) == COMITY_OK);
    comity_hiredis_free(redis);
    comity_hiredis_free(NULL);
}

/* Of what no byte was written the core is told so; of what is written in part, or whole, that nobody
 * knows. */
static void what_was_written_is_known_exactly(void) {
    const size_t len = 900000;
    char *big = (char *)malloc(len);
    comity_hiredis *redis = begin(QUICK_US);
    comity_transaction *tx;
    const comity_event *event;
    const char *words[3];
    size_t lens[3];
    uint64_t number;
    CHECK(big != NULL);
    memset(big, 'x', len);

    /* A connection that cannot be made. */
    refuse = 1;
    acquire(redis);
    event = any(redis);
    CHECK(event->kind == COMITY_EVENT_NODE_DOWN && event->error == COMITY_ERROR_UNREACHABLE);
    event = next(redis);
    CHECK(event->kind == COMITY_EVENT_LOCK_FAILED && event->error == COMITY_ERROR_UNREACHABLE);
    CHECK(stats(redis)->not_sent > 0 && stats(redis)->outcome_unknown == 0);
    CHECK(strcmp(comity_hiredis_why(redis, 0), "no connection") == 0);

    /* One that nobody answers on. */
    refuse = 0;
    acquire(redis);
    event = next(redis);
    CHECK(event->kind == COMITY_EVENT_LOCK_FAILED && event->error == COMITY_ERROR_NO_ANSWER);
    CHECK(stats(redis)->outcome_unknown > 0 && made > 0);
    CHECK(strcmp(comity_hiredis_why(redis, 0), "no answer in time") == 0);
    end(redis);

    /* One that takes a part of the first command, and so nothing of the second. */
    redis = begin(PATIENT_US);
    CHECK(comity_transaction_new(&tx) == COMITY_OK);
    words[0] = "SET";
    words[1] = "big";
    words[2] = big;
    lens[0] = 3;
    lens[1] = 3;
    lens[2] = len;
    CHECK(comity_transaction_command(tx, 3, words, lens) == COMITY_OK);
    CHECK(comity_transaction_execute(comity_hiredis_coordinator(redis), tx, NULL,
                                     comity_hiredis_now(), &number) == COMITY_OK);
    settle(redis);
    CHECK(made == 1);
    /* The first question is what the time is. */
    CHECK(drain(servers[0]) > 0);
    answer(servers[0], "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
    settle(redis);
    CHECK(redis->nodes[0].links[COMITY_HIREDIS_COMMANDS].waiting_count == 1);
    CHECK(redis->nodes[0].links[COMITY_HIREDIS_COMMANDS].out_at > 0);
    CHECK(redis->nodes[0].links[COMITY_HIREDIS_COMMANDS].out_at < redis->nodes[0].links[COMITY_HIREDIS_COMMANDS].out_len);
    acquire(redis);
    settle(redis);
    CHECK(redis->nodes[0].links[COMITY_HIREDIS_COMMANDS].waiting_count == 2);
    close(servers[0]);
    made = 0;
    settle(redis);
    CHECK(stats(redis)->outcome_unknown == 1 && stats(redis)->not_sent == 1);
    comity_transaction_free(tx);
    free(big);
    end(redis);
}

/* Writing to a connection whose other end is closed is an error like others. */
/* What is ready leaves at once, also behind what is not answered; answers belong to the oldest. */
static void commands_are_pipelined(void) {
    comity_hiredis *redis = begin(PATIENT_US);
    const comity_hiredis_link *link = &redis->nodes[0].links[COMITY_HIREDIS_COMMANDS];
    size_t i, come;
    for (i = 0; i < 100; i++) acquire(redis);
    settle(redis);
    CHECK(made == 1 && link->waiting_count == 100);
    come = drain(servers[0]);
    CHECK(come > 100 * 100);
    acquire(redis);
    settle(redis);
    CHECK(link->waiting_count == 101 && drain(servers[0]) > 100);
    for (i = 0; i < 101; i++) answer(servers[0], "-ERR no\r\n");
    for (i = 0; i < 101; i++) {
        const comity_event *event = next(redis);
        CHECK(event->kind == COMITY_EVENT_LOCK_FAILED && event->lock == i + 1);
        CHECK(event->error == COMITY_ERROR_SERVER_REFUSED);
    }
    CHECK(made == 1);
    end(redis);
}

static void no_signal_is_raised(void) {
    comity_hiredis *redis = begin(QUICK_US);
    const comity_event *event;
    sigset_t pending;
    acquire(redis);
    CHECK(comity_hiredis_run(redis, 0, &event) == COMITY_OK);
    CHECK(made == 1 && redis->nodes[0].links[COMITY_HIREDIS_COMMANDS].state != COMITY_HIREDIS_CLOSED);
    close(servers[0]);
    made = 0;
    settle(redis);
    CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE));
    event = next(redis);
    CHECK(event->kind == COMITY_EVENT_LOCK_FAILED);
    end(redis);

    /* The way that TLS takes. */
    {
        sigset_t before;
        int ends[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        close(ends[1]);
        comity_system_mask_sigpipe(&before);
        CHECK(write(ends[0], "x", 1) == -1 && errno == EPIPE);
        comity_system_unmask_sigpipe(&before);
        CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE));
        close(ends[0]);
    }
}

static void answers_may_come_in_pieces_and_not_as_nonsense(void) {
    static const char granted[] =
        "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    comity_hiredis *redis = begin(PATIENT_US);
    uint64_t before;
    size_t i;
    acquire(redis);
    settle(redis);
    CHECK(made == 1 && drain(servers[0]) > 0);
    before = stats(redis)->replies;
    for (i = 0; i < sizeof granted - 1; i++) {
        CHECK(stats(redis)->replies == before);
        CHECK(send(servers[0], granted + i, 1, MSG_NOSIGNAL) == 1);
        settle(redis);
    }
    /* It is sent whole now, on the same connection. */
    CHECK(stats(redis)->replies == before + 1 && stats(redis)->scripts_sent == 1);
    CHECK(made == 1 && drain(servers[0]) > 1000);
    answer(servers[0], "?what\r\n");
    settle(redis);
    CHECK(stats(redis)->outcome_unknown == 1 && recv(servers[0], &i, 1, 0) == 0);
    end(redis);

    /* An answer to nothing ends a connection that was of no use to anybody else. */
    redis = begin(PATIENT_US);
    acquire(redis);
    settle(redis);
    drain(servers[0]);
    answer(servers[0], "+OK\r\n+OK\r\n");
    CHECK(next(redis)->kind == COMITY_EVENT_LOCK_FAILED);
    CHECK(recv(servers[0], &i, 1, 0) == 0);
    CHECK(strcmp(comity_hiredis_why(redis, 0), "an answer to nothing") == 0);
    end(redis);
}

static short told[8];
static int told_count;
static int told_fd;

static void watch(void *data, int fd, short events) {
    CHECK(data == &told_fd && told_count < 8);
    told_fd = fd;
    told[told_count++] = events;
}

static void the_watcher_is_told_of_every_change(void) {
    comity_hiredis *redis = begin(PATIENT_US);
    struct pollfd fds[COMITY_HIREDIS_LINKS];
    const comity_event *event;
    int i;
    told_count = 0;
    comity_hiredis_watch(redis, watch, &told_fd);
    CHECK(told_count == 0);
    acquire(redis);
    CHECK(comity_hiredis_on_timer(redis) == COMITY_OK);
    CHECK(told_count == 1 && told[0] == POLLOUT && comity_hiredis_fds(redis, fds, COMITY_HIREDIS_LINKS) == 1);
    CHECK(fds[0].fd == told_fd && fds[0].events == POLLOUT);
    CHECK(comity_hiredis_fds(redis, NULL, 0) == 1);
    CHECK(comity_hiredis_on_writable(redis, 9999) == COMITY_OK && told_count == 1);
    CHECK(comity_hiredis_on_writable(redis, told_fd) == COMITY_OK);
    CHECK(told_count == 2 && told[1] == POLLIN && drain(servers[0]) > 0);
    CHECK(comity_hiredis_deadline(redis) <= comity_hiredis_now() + PATIENT_US);
    close(servers[0]);
    made = 0;
    CHECK(comity_hiredis_on_readable(redis, told_fd) == COMITY_OK);
    CHECK(told_count > 2 && told[2] == 0);
    CHECK(comity_poll_event(comity_hiredis_coordinator(redis), &event) == COMITY_OK);
    /* It connects anew after a while, and that connection is closed in the end. */
    while (told_count < 4) {
        poll(NULL, 0, 5);
        CHECK(comity_hiredis_on_timer(redis) == COMITY_OK);
    }
    CHECK(told[3] == POLLOUT);
    i = told_count;
    end(redis);
    CHECK(told_count == i + 1 && told[i] == 0);
}

static void a_server_that_has_hung_up_is_not_sent_to(void) {
    comity_hiredis *redis = begin(PATIENT_US);
    uint64_t lock = acquire(redis);
    settle(redis);
    drain(servers[0]);
    CHECK(comity_lock_cancel(comity_hiredis_coordinator(redis), lock, comity_hiredis_now())
          == COMITY_OK);
    /* How many are asked meanwhile is a matter of time. */
    while (redis->nodes[0].links[COMITY_HIREDIS_COMMANDS].waiting_count > 0) {
        answer(servers[0], "-ERR no\r\n");
        settle(redis);
    }
    /* Nobody runs the loop for a while, in which the server ends. */
    CHECK(made == 1);
    close(servers[0]);
    poll(NULL, 0, (int)(COMITY_HIREDIS_STALE_US / 1000u) + 100);
    servers[0] = -1;
    acquire(redis);
    CHECK(comity_hiredis_on_timer(redis) == COMITY_OK);
    CHECK(made == 2 && stats(redis)->outcome_unknown == 0);
    end(redis);
}

#ifdef REDIS_REPLY_MAP
/* What TLS cannot write yet it writes when the descriptor can be written again. */
static void hiredis_may_be_behind_with_writing(void) {
    const size_t len = 900000;
    char *big = (char *)calloc(1, len);
    comity_hiredis *redis = begin(PATIENT_US);
    comity_transaction *tx;
    const comity_hiredis_link *link = &redis->nodes[0].links[COMITY_HIREDIS_COMMANDS];
    const char *words[3];
    size_t lens[3], come;
    uint64_t number;
    int i;
    words[0] = "SET";
    words[1] = "big";
    words[2] = big;
    lens[0] = lens[1] = 3;
    lens[2] = len;
    CHECK(comity_transaction_new(&tx) == COMITY_OK);
    CHECK(comity_transaction_command(tx, 3, words, lens) == COMITY_OK);
    CHECK(comity_transaction_execute(comity_hiredis_coordinator(redis), tx, NULL,
                                     comity_hiredis_now(), &number) == COMITY_OK);
    settle(redis);
    CHECK(drain(servers[0]) > 0);
    answer(servers[0], "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
    settle(redis);
    CHECK(link->behind && comity_hiredis_link_events(link) == (POLLIN | POLLOUT));
    for (come = 0, i = 0; link->behind && i < 100; i++) {
        come += drain(servers[0]);
        settle(redis);
    }
    come += drain(servers[0]);
    CHECK(!link->behind && come > len);
    comity_transaction_free(tx);
    free(big);
    end(redis);
}
#endif

/* A name may lead to another server after a failover. */
static void a_server_that_is_no_master_any_more_is_left(void) {
    comity_hiredis *redis = begin(PATIENT_US);
    char byte;
    acquire(redis);
    settle(redis);
    drain(servers[0]);
    answer(servers[0], "-READONLY You can't write against a read only replica.\r\n");
    /* It is asked again after a while. */
    while (made < 2) {
        const comity_event *event;
        CHECK(comity_hiredis_run(redis, comity_hiredis_now() + 10000, &event) == COMITY_OK);
        if (event != NULL) acquire(redis);
    }
    CHECK(drain(servers[0]) == 0 && recv(servers[0], &byte, 1, 0) == 0);
    settle(redis);
    CHECK(drain(servers[1]) > 0 && stats(redis)->outcome_unknown == 0);
    end(redis);
}

int main(void) {
    servers_are_those_of_the_nodes();
    what_was_written_is_known_exactly();
    commands_are_pipelined();
    no_signal_is_raised();
    answers_may_come_in_pieces_and_not_as_nonsense();
    the_watcher_is_told_of_every_change();
    a_server_that_has_hung_up_is_not_sent_to();
    a_server_that_is_no_master_any_more_is_left();
#ifdef REDIS_REPLY_MAP
    as_tls = 1;
    no_signal_is_raised();
    answers_may_come_in_pieces_and_not_as_nonsense();
    the_watcher_is_told_of_every_change();
    hiredis_may_be_behind_with_writing();
#endif
    puts("ok");
    return 0;
}
