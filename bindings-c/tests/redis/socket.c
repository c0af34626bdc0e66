/* The adapter for sockets against servers that this program plays, so that each fault comes when it is
 * wanted. Prints "ok" and returns 0 if all is as it should be. */
#include <arpa/inet.h>
#include <sys/wait.h>

#include "several.h"

#include <comity.h>
#include <comity/adapters/socket.h>

#include "../check.h"

/* The call fails so, says these words, and no password. */
#define FAILS_QUIETLY(call, code, words)                                                      \
    do {                                                                                      \
        FAILS(call, code, words);                                                             \
        CHECK(strstr(comity_last_error(), "secret") == NULL);                                 \
    } while (0)

/* How long what is to fail may take, which no stall of the machine reaches, and what is not. */
#define QUICK_US 2000000u
#define PATIENT_US 60000000u

/* The server: where it listens, and the connections that were made to it, the latest last. */
static int listener = -1;
static int peers[16];
static int made;
/* Whether it answers at once what a connection without a password asks first. */
static int polite;

/* A server, and an adapter to it as this user of this host. */
static comity_socket *begin(uint64_t timeout_us, const char *user, const char *host) {
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    comity_socket *redis = NULL;
    comity_config config;
    char text[128];
    const char *url = text;
    const int small = 65536;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    CHECK(bind(listener, (const struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 16) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
    snprintf(text, sizeof text, "redis://%s%s:%d", user, host, ntohs(at.sin_port));
    CHECK(comity_config_init(&config, sizeof config) == COMITY_OK);
    config.timeout_us = timeout_us;
    config.push = 0;
    made = 0;
    polite = *user == '\0';
    CHECK(comity_socket_connect(&url, 1, &config, &redis) == COMITY_OK);
    return redis;
}

static void answer(int peer, const char *text) {
    CHECK(send(peer, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Takes the connections that were made by now. */
static void meet(void) {
    int peer;
    while (made < 16 && listener >= 0 && (peer = accept(listener, NULL, NULL)) >= 0) {
        peers[made++] = peer;
        /* Of one that was given up already there is nothing to hear. */
        if (polite && send(peer, "+PONG\r\n", 7, MSG_NOSIGNAL) != 7) CHECK(errno == EPIPE || errno == ECONNRESET);
    }
}

/* Nobody can connect any more. */
static void deafen(void) {
    if (listener >= 0) close(listener);
    listener = -1;
}

static void end(comity_socket *redis) {
    comity_socket_free(redis);
    deafen();
    while (made > 0) close(peers[--made]);
}

static uint64_t acquire(comity_socket *redis) {
    uint64_t lock;
    CHECK(comity_lock_acquire(comity_socket_coordinator(redis), "job", 3, NULL, comity_socket_now(),
                              &lock) == COMITY_OK);
    return lock;
}

static const comity_statistics *stats(comity_socket *redis) {
    const comity_statistics *found;
    CHECK(comity_stats(comity_socket_coordinator(redis), &found) == COMITY_OK);
    return found;
}

static size_t outstanding(comity_socket *redis) {
    size_t count;
    CHECK(comity_connection_outstanding(redis->links[0].connection, &count) == COMITY_OK);
    return count;
}

/* Whether a server that was met has not let the connection in yet, and will. */
static int is_entering(comity_socket *redis) {
    uint32_t ready;
    CHECK(comity_connection_is_ready(redis->links[0].connection, &ready) == COMITY_OK);
    return polite && made > 0 && redis->links[0].fd >= 0 && !ready;
}

/* Has the adapter do what it can without waiting for long; no event is expected but that a server is
 * away. */
static void settle(comity_socket *redis) {
    const comity_event *event;
    int i = 0;
    while (i < 5) {
        CHECK(comity_socket_run(redis, comity_socket_now() + 2000, &event) == COMITY_OK);
        CHECK(event == NULL || is_of_an_outage(event));
        meet();
        if (!is_entering(redis)) i++;
    }
}

/* Has the adapter go on until this holds. How many steps that takes is a matter of time. */
#define UNTIL(condition)                                                                      \
    do {                                                                                      \
        const uint64_t end_us = comity_socket_now() + PATIENT_US;                             \
        do {                                                                                  \
            CHECK(comity_socket_now() < end_us);                                              \
            settle(redis);                                                                    \
        } while (!(condition));                                                               \
    } while (0)

/* Has the adapter connect, and say what it then has to say. */
static void meet_first(comity_socket *redis) {
    UNTIL(made > 0);
    settle(redis);
    CHECK(made == 1);
}

/* The next event but for those of a server's outage. */
static const comity_event *next(comity_socket *redis) {
    const comity_event *event;
    do {
        CHECK(comity_socket_run(redis, comity_socket_now() + PATIENT_US, &event) == COMITY_OK);
        CHECK(event != NULL);
    } while (is_of_an_outage(event));
    return event;
}

/* How many bytes come to a server; the first of them may take a while. */
static size_t drain(int peer) {
    static char room[1 << 16];
    struct pollfd fd;
    size_t all = 0;
    ssize_t got;
    fd.fd = peer;
    fd.events = POLLIN;
    poll(&fd, 1, 1000);
    while ((got = recv(peer, room, sizeof room, MSG_DONTWAIT)) > 0) all += (size_t)got;
    return all;
}

/* Whether the other end has closed. */
static int is_left(int peer) {
    char byte;
    ssize_t got;
    do {
        got = recv(peer, &byte, 1, 0);
    } while (got > 0);
    return got == 0 || errno == ECONNRESET;
}

static void urls_are_read_before_anything_is_made(void) {
    const char *urls[2] = {"redis://127.0.0.1:1", "unix:///tmp/none.sock"};
    comity_socket *redis = NULL;
    comity_config config;
    comity_node_spec nodes[2];
    comity_bytes id;
    FAILS_QUIETLY(comity_socket_connect(NULL, 1, NULL, &redis), COMITY_ERROR_INVALID_ARGUMENT,
          "urls must not be NULL");
    FAILS_QUIETLY(comity_socket_connect(urls, 0, NULL, &redis), COMITY_ERROR_INVALID_ARGUMENT, "at least one");
    FAILS_QUIETLY(comity_socket_connect(urls, 1, NULL, NULL), COMITY_ERROR_INVALID_ARGUMENT,
          "out must not be NULL");
    memset(&config, 0, sizeof config);
    FAILS_QUIETLY(comity_socket_connect(urls, 1, &config, &redis), COMITY_ERROR_INVALID_ARGUMENT,
          "comity_config_init");
    CHECK(comity_socket_connect(urls, 2, NULL, &redis) == COMITY_OK);
    CHECK(comity_node_id(comity_socket_coordinator(redis), 0, &id) == COMITY_OK);
    CHECK(id.len == 14 && memcmp(id.data, "/tmp/none.sock", 14) == 0);
    CHECK(comity_node_id(comity_socket_coordinator(redis), 1, &id) == COMITY_OK);
    CHECK(id.len == 11 && memcmp(id.data, "127.0.0.1:1", 11) == 0);
    CHECK(strcmp(comity_socket_why(redis, 7), "") == 0);
    comity_socket_free(redis);
    comity_socket_free(NULL);

    /* Ids and weights of one's own go with the URLs in their order. */
    CHECK(comity_config_init(&config, sizeof config) == COMITY_OK);
    nodes[0].id = "z";
    nodes[1].id = "a";
    nodes[0].id_len = nodes[1].id_len = 1;
    nodes[0].weight = nodes[1].weight = 2;
    config.nodes = nodes;
    config.node_count = 1;
    FAILS_QUIETLY(comity_socket_connect(urls, 2, &config, &redis), COMITY_ERROR_INVALID_ARGUMENT,
          "2 of them for 1 nodes");
    config.node_count = 2;
    CHECK(comity_socket_connect(urls, 2, &config, &redis) == COMITY_OK);
    CHECK(redis->links[0].endpoint == redis->endpoints[1]);
    CHECK(redis->links[COMITY_SOCKET_LINKS].endpoint == redis->endpoints[0]);
    comity_socket_free(redis);

    redis = NULL;
    urls[1] = NULL;
    FAILS_QUIETLY(comity_socket_connect(urls, 2, NULL, &redis), COMITY_ERROR_INVALID_ARGUMENT,
          "urls[1] must not be NULL");
    urls[1] = "redis://:secret@127.0.0.1:x";
    FAILS_QUIETLY(comity_socket_connect(urls, 2, NULL, &redis), COMITY_ERROR_INVALID_ARGUMENT,
          "urls[1]: url: the port of the URL");
    urls[1] = "rediss://:secret@127.0.0.1";
    FAILS_QUIETLY(comity_socket_connect(urls, 2, NULL, &redis), COMITY_ERROR_UNSUPPORTED,
          "urls[1]: this adapter has no TLS: give a comity_connection");
    CHECK(strstr(comity_last_error(), "examples/tls.c") != NULL && redis == NULL);
}

/* Of what no byte was written the core is told so; of what is written in part, or whole, that nobody
 * knows. */
static void what_was_written_is_known_exactly(void) {
    const size_t len = 4000000;
    const int small = 65536;
    char *big = (char *)malloc(len);
    comity_socket *redis = begin(QUICK_US, "", "127.0.0.1");
    comity_transaction *tx;
    comity_bytes rest;
    const comity_event *event;
    const char *words[3];
    size_t lens[3];
    uint64_t number;
    CHECK(big != NULL);
    memset(big, 'x', len);

    /* A connection that cannot be made. */
    deafen();
    acquire(redis);
    event = next(redis);
    CHECK(event->kind == COMITY_EVENT_LOCK_FAILED && event->error == COMITY_ERROR_UNREACHABLE);
    CHECK(strstr(event->message, "refused") != NULL);
    CHECK(stats(redis)->not_sent > 0 && stats(redis)->outcome_unknown == 0);
    CHECK(strstr(comity_socket_why(redis, 0), "refused") != NULL);
    end(redis);

    /* One that nobody answers on. */
    redis = begin(QUICK_US, "", "127.0.0.1");
    acquire(redis);
    meet_first(redis);
    CHECK(drain(peers[0]) > 0);
    event = next(redis);
    CHECK(event->kind == COMITY_EVENT_LOCK_FAILED && event->error == COMITY_ERROR_NO_ANSWER);
    /* Of the first connection, or of the next, where nobody answered either. */
    CHECK(strstr(comity_socket_why(redis, 0), "answer") != NULL);
    CHECK(stats(redis)->outcome_unknown > 0);
    end(redis);

    /* One that takes a part of the first command, and so nothing of the second. */
    redis = begin(PATIENT_US, "", "127.0.0.1");
    CHECK(comity_transaction_new(&tx) == COMITY_OK);
    words[0] = "SET";
    words[1] = "big";
    words[2] = big;
    lens[0] = lens[1] = 3;
    lens[2] = len;
    CHECK(comity_transaction_command(tx, 3, words, lens) == COMITY_OK);
    CHECK(comity_transaction_execute(comity_socket_coordinator(redis), tx, NULL, comity_socket_now(),
                                     &number) == COMITY_OK);
    meet_first(redis);
    /* The system is not to take all of it. */
    CHECK(setsockopt(redis->links[0].fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    /* The first question is what the time is. */
    UNTIL(outstanding(redis) == 1);
    CHECK(drain(peers[0]) > 0);
    answer(peers[0], "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
    UNTIL(stats(redis)->replies == 1 && outstanding(redis) == 1);
    CHECK(comity_connection_transmit(redis->links[0].connection, &rest) == COMITY_OK);
    CHECK(rest.len > 0 && rest.len < len);
    CHECK(comity_socket_link_events(&redis->links[0]) == (POLLIN | POLLOUT));
    acquire(redis);
    UNTIL(outstanding(redis) == 2);
    deafen();
    close(peers[0]);
    made = 0;
    UNTIL(stats(redis)->outcome_unknown == 1 && stats(redis)->not_sent >= 1);
    comity_transaction_free(tx);
    free(big);
    end(redis);
}

/* What is ready leaves at once, also behind what is not answered; answers belong to the oldest. */
static void commands_are_pipelined(void) {
    /* localhost may have an address on which nobody listens: the next one is tried. */
    comity_socket *redis = begin(PATIENT_US, "", "localhost");
    size_t i;
    for (i = 0; i < 100; i++) acquire(redis);
    UNTIL(made == 1 && outstanding(redis) == 100);
    settle(redis);
    CHECK(drain(peers[0]) > 100 * 100);
    acquire(redis);
    UNTIL(outstanding(redis) == 101);
    CHECK(drain(peers[0]) > 100);
    for (i = 0; i < 101; i++) answer(peers[0], "-ERR no\r\n");
    for (i = 0; i < 101; i++) {
        const comity_event *event = next(redis);
        CHECK(event->kind == COMITY_EVENT_LOCK_FAILED && event->lock == i + 1);
        CHECK(event->error == COMITY_ERROR_SERVER_REFUSED);
    }
    CHECK(made == 1);
    end(redis);
}

#ifdef __linux__
static void an_address_that_drops_packets_leaves_time_for_the_next(void) {
    comity_socket *redis = begin(PATIENT_US, "", "several");
    const uint64_t over_us = comity_socket_now() + PATIENT_US / 2;
    size_t i;
    int fds[9];
    drop_packets(fds);
    acquire(redis);
    while (made == 0 && comity_socket_now() < over_us) {
        const comity_event *event;
        CHECK(comity_socket_run(redis, comity_socket_now() + 10000, &event) == COMITY_OK);
        meet();
    }
    CHECK(made == 1);
    settle(redis);
    CHECK(drain(peers[0]) > 0);
    end(redis);
    for (i = 0; i < 9; i++) close(fds[i]);
}
#endif

/* Writing to a connection whose other end is closed is an error like others. */
static void no_signal_is_raised(void) {
    comity_socket *redis = begin(QUICK_US, "", "127.0.0.1");
    sigset_t pending;
    int i;
    acquire(redis);
    meet_first(redis);
    CHECK(drain(peers[0]) > 0);
    deafen();
    close(peers[0]);
    made = 0;
    /* Nobody has read that it is closed: the second write is to a connection that was reset. */
    for (i = 0; i < 2; i++) {
        acquire(redis);
        CHECK(comity_socket_on_timer(redis) == COMITY_OK);
        poll(NULL, 0, 10);
    }
    CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE));
    CHECK(next(redis)->kind == COMITY_EVENT_LOCK_FAILED);
    end(redis);
}

static void answers_may_come_in_pieces_and_not_as_nonsense(void) {
    static const char missing[] = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    static const char *const nonsense[] = {"?what\r\n", "HTTP/1.1 400 Bad Request\r\n", "*-7\r\n"};
    comity_socket *redis = begin(PATIENT_US, "", "127.0.0.1");
    uint64_t before;
    size_t i;
    acquire(redis);
    meet_first(redis);
    CHECK(drain(peers[0]) > 0);
    before = stats(redis)->replies;
    for (i = 0; i < sizeof missing - 1; i++) {
        CHECK(stats(redis)->replies == before);
        CHECK(send(peers[0], missing + i, 1, MSG_NOSIGNAL) == 1);
        settle(redis);
    }
    /* It is sent whole now, on the same connection. */
    UNTIL(stats(redis)->replies == before + 1 && stats(redis)->scripts_sent == 1);
    CHECK(made == 1 && drain(peers[0]) > 1000);
    end(redis);

    for (i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        redis = begin(PATIENT_US, "", "127.0.0.1");
        acquire(redis);
        meet_first(redis);
        answer(peers[0], nonsense[i]);
        UNTIL(stats(redis)->outcome_unknown == 1);
        CHECK(is_left(peers[0]));
        CHECK(strncmp(comity_socket_why(redis, 0), "no reply: ", 10) == 0);
        end(redis);
    }

    /* An answer to nothing ends a connection that was of no use to anybody else. */
    redis = begin(PATIENT_US, "", "127.0.0.1");
    acquire(redis);
    meet_first(redis);
    answer(peers[0], "+OK\r\n+OK\r\n");
    CHECK(next(redis)->kind == COMITY_EVENT_LOCK_FAILED);
    CHECK(is_left(peers[0]));
    CHECK(strstr(comity_socket_why(redis, 0), "a reply to nothing") != NULL);
    end(redis);
}

/* What is no Redis is told before a command has left, also without a password. */
static void a_stranger_is_told_from_a_server(void) {
    static const char *const strangers[][2] = {
        {"\x15\x03\x01", "no reply begins with '\\x15'; a server that wants TLS would send it"},
        {"HTTP/1.1 400 Bad Request\r\n", "no reply begins with 'H'"},
        {"-DENIED Redis is running in protected mode\r\n", "protected mode"}};
    comity_socket *redis;
    const comity_event *event;
    size_t i;
    for (i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        redis = begin(PATIENT_US, "", "127.0.0.1");
        polite = 0;
        acquire(redis);
        meet_first(redis);
        CHECK(drain(peers[0]) == strlen("*1\r\n$4\r\nPING\r\n"));
        answer(peers[0], strangers[i][0]);
        event = next(redis);
        CHECK(event->kind == COMITY_EVENT_LOCK_FAILED && strstr(event->message, strangers[i][1]) != NULL);
        CHECK(event->error == (i < 2 ? COMITY_ERROR_UNREACHABLE : COMITY_ERROR_SERVER_REFUSED));
        CHECK(stats(redis)->outcome_unknown == 0 && is_left(peers[0]));
        end(redis);
    }
    /* One that says nothing at all. */
    redis = begin(QUICK_US, "", "127.0.0.1");
    polite = 0;
    acquire(redis);
    event = next(redis);
    CHECK(event->error == COMITY_ERROR_UNREACHABLE && stats(redis)->outcome_unknown == 0);
    CHECK(strstr(event->message, "nothing was answered in time") != NULL);
    end(redis);
}

/* Nothing of a command leaves before the server has let the connection in. */
static void a_password_comes_first(void) {
    comity_socket *redis = begin(PATIENT_US, ":secret@", "127.0.0.1");
    const comity_event *event;
    acquire(redis);
    meet_first(redis);
    CHECK(drain(peers[0]) == strlen("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"));
    answer(peers[0], "+OK\r\n");
    settle(redis);
    CHECK(drain(peers[0]) > 100);
    end(redis);

    redis = begin(PATIENT_US, ":secret@", "127.0.0.1");
    acquire(redis);
    meet_first(redis);
    CHECK(drain(peers[0]) > 0);
    answer(peers[0], "-WRONGPASS invalid username-password pair\r\n");
    event = next(redis);
    CHECK(event->kind == COMITY_EVENT_LOCK_FAILED && event->error == COMITY_ERROR_SERVER_REFUSED);
    CHECK(strstr(event->message, "WRONGPASS") != NULL && stats(redis)->outcome_unknown == 0);
    CHECK(strstr(comity_socket_why(redis, 0), "WRONGPASS") != NULL && is_left(peers[0]));
    end(redis);

    redis = begin(QUICK_US, ":secret@", "127.0.0.1");
    acquire(redis);
    CHECK(next(redis)->error == COMITY_ERROR_UNREACHABLE && stats(redis)->outcome_unknown == 0);
    CHECK(strcmp(comity_socket_why(redis, 0), "there is a connection, but nothing was answered in time") == 0);
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
    comity_socket *redis = begin(PATIENT_US, "", "127.0.0.1");
    struct pollfd fds[COMITY_SOCKET_LINKS];
    const comity_event *event;
    int i;
    polite = 0;
    told_count = 0;
    comity_socket_watch(redis, watch, &told_fd);
    CHECK(told_count == 0);
    acquire(redis);
    CHECK(comity_socket_on_timer(redis) == COMITY_OK);
    CHECK(told_count == 1 && told[0] == POLLOUT);
    CHECK(comity_socket_fds(redis, fds, COMITY_SOCKET_LINKS) == 1);
    CHECK(fds[0].fd == told_fd && fds[0].events == POLLOUT);
    CHECK(comity_socket_fds(redis, NULL, 0) == 1);
    CHECK(comity_socket_on_writable(redis, 9999) == COMITY_OK && told_count == 1);
    CHECK(comity_socket_on_writable(redis, told_fd) == COMITY_OK);
    meet();
    CHECK(told_count == 2 && told[1] == POLLIN && made == 1 && drain(peers[0]) > 0);
    CHECK(comity_socket_deadline(redis) <= comity_socket_now() + PATIENT_US);
    close(peers[0]);
    made = 0;
    CHECK(poll(fds, 1, 1000) == 1);
    CHECK(comity_socket_on_readable(redis, told_fd) == COMITY_OK);
    CHECK(told_count > 2 && told[2] == 0);
    CHECK(comity_poll_event(comity_socket_coordinator(redis), &event) == COMITY_OK);
    /* It connects anew after a while, and that connection is closed in the end. */
    while (told_count < 4) {
        poll(NULL, 0, 5);
        CHECK(comity_socket_on_timer(redis) == COMITY_OK);
    }
    CHECK(told[3] == POLLOUT);
    i = told_count;
    end(redis);
    CHECK(told_count == i + 1 && told[i] == 0);
}

static void a_server_that_has_hung_up_is_not_sent_to(void) {
    comity_socket *redis = begin(PATIENT_US, "", "127.0.0.1");
    uint64_t lock = acquire(redis);
    meet_first(redis);
    CHECK(comity_lock_cancel(comity_socket_coordinator(redis), lock, comity_socket_now()) == COMITY_OK);
    while (outstanding(redis) > 0) {
        answer(peers[0], "-ERR no\r\n");
        settle(redis);
    }
    /* Nobody runs the loop for a while, in which the server ends. */
    drain(peers[0]);
    close(peers[0]);
    poll(NULL, 0, (int)(COMITY_SOCKET_STALE_US / 1000u) + 100);
    peers[0] = -1;
    acquire(redis);
    CHECK(comity_socket_on_timer(redis) == COMITY_OK);
    UNTIL(made == 2);
    CHECK(stats(redis)->outcome_unknown == 0);
    end(redis);
}

/* A name may lead to another server after a failover. */
static void a_server_that_is_no_master_any_more_is_left(void) {
    comity_socket *redis = begin(PATIENT_US, "", "127.0.0.1");
    acquire(redis);
    meet_first(redis);
    CHECK(drain(peers[0]) > 0);
    answer(peers[0], "-READONLY You can't write against a read only replica.\r\n");
    while (made < 2) {
        const comity_event *event;
        CHECK(comity_socket_run(redis, comity_socket_now() + 10000, &event) == COMITY_OK);
        if (event != NULL) acquire(redis);
        meet();
    }
    CHECK(is_left(peers[0]));
    settle(redis);
    CHECK(drain(peers[1]) > 0 && stats(redis)->outcome_unknown == 0);
    end(redis);
}

/* The child of a fork closes its ends of the parent's connections, and says nothing there. */
static void a_child_leaves_its_parents_connections_alone(void) {
    comity_socket *redis = begin(PATIENT_US, "", "127.0.0.1");
    const comity_event *event;
    pid_t child;
    int status = 1;
    acquire(redis);
    meet_first(redis);
    CHECK(drain(peers[0]) > 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        FAILS_QUIETLY(comity_socket_run(redis, 0, &event), COMITY_ERROR_INVALID_STATE, "before fork()");
        FAILS_QUIETLY(comity_socket_on_timer(redis), COMITY_ERROR_INVALID_STATE, "before fork()");
        FAILS_QUIETLY(comity_socket_on_readable(redis, redis->links[0].fd), COMITY_ERROR_INVALID_STATE,
              "before fork()");
        FAILS_QUIETLY(comity_socket_close(redis), COMITY_ERROR_INVALID_STATE, "before fork()");
        end(redis);
        exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    settle(redis);
    CHECK(outstanding(redis) == 1);
    answer(peers[0], "-ERR no\r\n");
    CHECK(next(redis)->kind == COMITY_EVENT_LOCK_FAILED && made == 1);
    end(redis);
}

int main(void) {
    urls_are_read_before_anything_is_made();
    what_was_written_is_known_exactly();
    commands_are_pipelined();
#ifdef __linux__
    an_address_that_drops_packets_leaves_time_for_the_next();
#endif
    no_signal_is_raised();
    answers_may_come_in_pieces_and_not_as_nonsense();
    a_stranger_is_told_from_a_server();
    a_password_comes_first();
    the_watcher_is_told_of_every_change();
    a_server_that_has_hung_up_is_not_sent_to();
    a_server_that_is_no_master_any_more_is_left();
    a_child_leaves_its_parents_connections_alone();
    puts("ok");
    return 0;
}
