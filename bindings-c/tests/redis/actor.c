/* A client in C for tests that see it from outside: takes commands from standard input, one a line, and
 * prints an event a line. It has a loop of its own, so that both ways to use the adapter are tested: the
 * examples use the other one.
 *
 *   actor TIMEOUT_US ID=HOST:PORT[,COMMAND]|ID=PATH...    COMMAND sets a connection up
 *   actor TIMEOUT_US ID=URL...                            over sockets
 *
 *   lock NAME TTL_US WAIT_US     -1 = as long as it takes; prints the request's number
 *   release LOCK, cancel LOCK
 *   transfer GIVER TAKER AMOUNT, replicated GIVER TAKER AMOUNT: on one replica of each server
 *   add NAME AMOUNT, flush NAME, read NAME
 *   check, fork, close */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "over.h"

#define MAX_SERVERS 8
#define MAX_COUNTERS 8

static adapter *redis;
static comity_coordinator *co;
static struct {
    char name[128];
    uint64_t counter;
} counters[MAX_COUNTERS];

static void must(uint32_t status) {
    if (status != COMITY_OK) {
        fprintf(stderr, "%s: %s\n", comity_error_name(status), comity_last_error());
        exit(1);
    }
}

#ifdef COMITY_OVER_SOCKET

/* Connects to ID=URL of each text. */
static int connect_to(char **texts, size_t count, comity_config *config) {
    comity_node_spec nodes[MAX_SERVERS];
    const char *urls[MAX_SERVERS];
    size_t i;
    for (i = 0; i < count; i++) {
        char *url = strchr(texts[i], '=');
        if (url == NULL) return 0;
        *url++ = '\0';
        urls[i] = url;
        nodes[i].id = texts[i];
        nodes[i].id_len = strlen(texts[i]);
        nodes[i].weight = 1;
    }
    config->nodes = nodes;
    config->node_count = count;
    must(comity_socket_connect(urls, count, config, &redis));
    return 1;
}

#else

/* A server whose connections are to be set up. */
typedef struct login {
    const char *host;
    int port;
    const char *command;
} login;

/* Connects and logs in, or whatever the command does, as a program's own connect function would. */
static redisContext *log_in(void *data, uint64_t deadline_us) {
    const login *to = (const login *)data;
    uint64_t now_us = comity_hiredis_now();
    uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 1;
    struct timeval left;
    redisContext *context;
    redisReply *reply;
    left.tv_sec = (time_t)(left_us / 1000000);
    left.tv_usec = (long)(left_us % 1000000);
    context = redisConnectWithTimeout(to->host, to->port, left);
    if (context == NULL || context->err != 0) return context;
    redisSetTimeout(context, left);
    reply = (redisReply *)redisCommand(context, to->command);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        redisFree(context);
        context = NULL;
    }
    if (reply != NULL) freeReplyObject(reply);
    return context;
}

/* Reads ID=HOST:PORT, ID=HOST:PORT,COMMAND or ID=PATH. */
static int read_server(char *text, comity_hiredis_server *server, login *to) {
    char *host = strchr(text, '='), *port, *command;
    if (host == NULL) return 0;
    *host++ = '\0';
    server->id = text;
    if (host[0] == '/') {
        server->path = host;
        return 1;
    }
    port = strrchr(host, ':');
    if (port == NULL) return 0;
    *port++ = '\0';
    command = strchr(port, ',');
    server->host = to->host = host;
    server->port = to->port = atoi(port);
    if (command != NULL) {
        to->command = command + 1;
        server->connect = log_in;
        server->data = to;
    }
    return 1;
}

static int connect_to(char **texts, size_t count, const comity_config *config) {
    static login logins[MAX_SERVERS];
    comity_hiredis_server servers[MAX_SERVERS];
    size_t i;
    memset(servers, 0, sizeof servers);
    for (i = 0; i < count; i++) {
        if (!read_server(texts[i], &servers[i], &logins[i])) return 0;
    }
    must(comity_hiredis_connect(servers, count, config, &redis));
    return 1;
}

#endif

/* Prints an event. Returns whether it was the last. */
static int tell(const comity_event *event) {
    printf("%s lock=%" PRIu64 " call=%" PRIu64 " fence=%" PRIu64 " rank=%" PRIu64 " at=%" PRIu64,
           comity_event_name(event->kind), event->lock, event->call, event->fence, event->rank,
           OVER(now)());
    printf(" error=%s holder=%.*s id=%.*s units=%" PRIu64, comity_error_name(event->error),
           (int)event->holder.len, event->holder.data, (int)event->id.len, event->id.data,
           event->units.increments);
    printf(" replicas=%" PRIu64, event->replicas);
    if (event->reading != NULL) {
        int64_t value;
        must(comity_int128_to_int64(event->reading->value, &value));
        printf(" value=%" PRId64, value);
    }
    printf(" why=%s\n", event->message);
    return event->kind == COMITY_EVENT_CLOSED;
}

static uint64_t counter(const char *name) {
    int i;
    for (i = 0; i < MAX_COUNTERS; i++) {
        if (counters[i].counter != 0 && strcmp(counters[i].name, name) == 0) break;
        if (counters[i].counter == 0) {
            snprintf(counters[i].name, sizeof counters[i].name, "%s", name);
            must(comity_counter_open(co, name, strlen(name), NULL, OVER(now)(),
                                     &counters[i].counter));
            break;
        }
    }
    return i == MAX_COUNTERS ? 0 : counters[i].counter;
}

static void acquire(const char *name, const char *ttl_us, const char *wait_us) {
    comity_lock_options options;
    uint64_t lock;
    must(comity_lock_options_init(&options, sizeof options));
    options.ttl_us = strtoull(ttl_us, NULL, 10);
    if (wait_us[0] != '-') options.wait_us = strtoull(wait_us, NULL, 10);
    options.label = "actor";
    options.label_len = 5;
    must(comity_lock_acquire(co, name, strlen(name), &options, OVER(now)(), &lock));
    printf("Asked lock=%" PRIu64 "\n", lock);
}

static void transfer(char *const *names, uint32_t replicas) {
    comity_transaction_options options;
    comity_transaction *tx;
    uint64_t number;
    const char *words[3];
    must(comity_transaction_new(&tx));
    words[0] = "DECRBY";
    words[1] = names[0];
    words[2] = names[2];
    must(comity_transaction_command(tx, 3, words, NULL));
    words[0] = "INCRBY";
    words[1] = names[1];
    must(comity_transaction_command(tx, 3, words, NULL));
    must(comity_transaction_options_init(&options, sizeof options));
    options.replicas = replicas;
    must(comity_transaction_execute(co, tx, &options, OVER(now)(), &number));
    comity_transaction_free(tx);
}

/* What the child of a fork may do: end, having said nothing to anybody. */
static void in_a_child(void) {
    const comity_event *event;
    pid_t child;
    int status = 1;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        int refused = OVER(run)(redis, 0, &event) == COMITY_ERROR_INVALID_STATE
                   && OVER(on_timer)(redis) == COMITY_ERROR_INVALID_STATE
                   && OVER(close)(redis) == COMITY_ERROR_INVALID_STATE
                   && strstr(comity_last_error(), "before fork()") != NULL;
        OVER(free)(redis);
        _exit(refused ? 0 : 1);
    }
    waitpid(child, &status, 0);
    printf("Forked error=%s\n", WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "Ok" : "wrong");
}

static void obey(char *line) {
    char *words[4] = {NULL, NULL, NULL, NULL};
    uint64_t now_us = OVER(now)(), call;
    int i;
    for (i = 0; i < 4; i++) words[i] = strtok(i == 0 ? line : NULL, " \n");
    for (i = 0; i < 4; i++) {
        if (words[i] == NULL) words[i] = line + strlen(line);
    }
    if (strcmp(words[0], "lock") == 0) acquire(words[1], words[2], words[3]);
    else if (strcmp(words[0], "release") == 0) {
        uint32_t status = comity_lock_release(co, strtoull(words[1], NULL, 10), now_us);
        printf("Releasing at=%" PRIu64 " error=%s\n", now_us, comity_error_name(status));
    } else if (strcmp(words[0], "cancel") == 0) {
        must(comity_lock_cancel(co, strtoull(words[1], NULL, 10), now_us));
    } else if (strcmp(words[0], "transfer") == 0) transfer(words + 1, 0);
    else if (strcmp(words[0], "replicated") == 0) transfer(words + 1, 1);
    else if (strcmp(words[0], "add") == 0) {
        must(comity_counter_add(co, counter(words[1]), strtoll(words[2], NULL, 10), now_us));
    } else if (strcmp(words[0], "flush") == 0) {
        must(comity_counter_flush(co, counter(words[1]), now_us, &call));
    } else if (strcmp(words[0], "read") == 0) {
        must(comity_counter_read(co, counter(words[1]), COMITY_FRESH, now_us, &call));
    } else if (strcmp(words[0], "check") == 0) {
        must(comity_check_nodes(co, now_us, NULL, 0, NULL));
    } else if (strcmp(words[0], "fork") == 0) in_a_child();
    else if (strcmp(words[0], "close") == 0) must(comity_close(co, now_us));
    else {
        fprintf(stderr, "no such command: %s\n", words[0]);
        exit(2);
    }
}

/* Obeys what is in the buffer, line by line; keeps a line that is not whole. */
static size_t obey_all(char *buffer, size_t len) {
    char *end;
    while ((end = (char *)memchr(buffer, '\n', len)) != NULL) {
        size_t line = (size_t)(end - buffer) + 1;
        *end = '\0';
        obey(buffer);
        len -= line;
        memmove(buffer, buffer + line, len);
    }
    return len;
}

int main(int argc, char **argv) {
    comity_config config;
    char buffer[4096];
    size_t have = 0;
    int closed = 0;

    must(comity_config_init(&config, sizeof config));
    if (argc < 3 || argc - 2 > MAX_SERVERS) return 2;
    config.timeout_us = strtoull(argv[1], NULL, 10);
    if (!connect_to(argv + 2, (size_t)argc - 2, &config)) return 2;
    co = OVER(coordinator)(redis);

    while (!closed) {
        struct pollfd fds[OVER_LINKS * MAX_SERVERS + 1];
        const comity_event *event;
        uint64_t deadline_us, now_us;
        size_t watched, at;
        int timeout_ms = -1;

        must(OVER(on_timer)(redis));
        for (;;) {
            must(comity_poll_event(co, &event));
            if (event == NULL) break;
            closed |= tell(event);
        }
        fflush(stdout);
        /* What has just happened may have led to more that is to be sent. */
        must(OVER(on_timer)(redis));
        fds[0].fd = STDIN_FILENO;
        fds[0].events = POLLIN;
        watched = OVER(fds)(redis, fds + 1, OVER_LINKS * MAX_SERVERS);
        deadline_us = OVER(deadline)(redis);
        now_us = OVER(now)();
        if (deadline_us != COMITY_NONE) {
            timeout_ms = deadline_us <= now_us ? 0 : (int)((deadline_us - now_us + 999) / 1000);
        }
        if (closed || poll(fds, (nfds_t)(watched + 1), timeout_ms) <= 0) continue;
        for (at = 1; at <= watched; at++) {
            if (fds[at].revents & POLLOUT) must(OVER(on_writable)(redis, fds[at].fd));
            if (fds[at].revents & ~POLLOUT) must(OVER(on_readable)(redis, fds[at].fd));
        }
        if (fds[0].revents != 0) {
            ssize_t got = read(STDIN_FILENO, buffer + have, sizeof buffer - have);
            if (got <= 0) break;
            have = obey_all(buffer, have + (size_t)got);
        }
    }
    OVER(free)(redis);
    return 0;
}
