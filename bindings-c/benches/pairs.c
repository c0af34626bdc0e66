/* Lock and unlock through the adapter, beside what is often written by hand: SET NX PX and a script that
 * deletes if the value is still one's own. Both over the very same connection, in turns. The lock by hand
 * has no queue, no fence and no renewal.
 *
 *   pairs HOST PORT [ROUNDS PAIRS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <comity.h>
#include <comity/adapters/hiredis.h>

#define MAX_ROUNDS 101

static redisContext *shared;
static redisContext *monitor;
static const char *host;
static int port;

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void must(uint32_t status) {
    if (status != COMITY_OK) fail(comity_last_error());
}

static redisContext *open_shared(void *data, uint64_t deadline_us) {
    (void)data;
    (void)deadline_us;
    return shared = redisConnect(host, port);
}

/* An answer that is no error. */
static redisReply *ask(redisContext *context, const char *command) {
    redisReply *reply = (redisReply *)redisCommand(context, command);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) fail("the server does not answer");
    return reply;
}

/* Has the connection block, as plain hiredis does, or not, as the adapter does. */
static void set_blocking(int block) {
    int flags = fcntl(shared->fd, F_GETFL);
    fcntl(shared->fd, F_SETFL, block ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
    if (block) shared->flags |= REDIS_BLOCK;
    else shared->flags &= ~REDIS_BLOCK;
}

/* Microseconds that the server has spent on the commands that either lock is made of. */
static double spent_by_server(void) {
    static const char *const names[] = {"cmdstat_evalsha:", "cmdstat_set:"};
    redisReply *reply = ask(monitor, "INFO commandstats");
    double all = 0;
    size_t i;
    for (i = 0; i < 2; i++) {
        const char *at = strstr(reply->str, names[i]);
        const char *usec = at == NULL ? NULL : strstr(at, "usec=");
        /* What a script calls is counted apart, and in its own time, too. */
        if (usec != NULL) all += strtod(usec + 5, NULL);
    }
    freeReplyObject(reply);
    return all;
}

static const comity_event *await(comity_hiredis *redis, uint32_t kind) {
    const comity_event *event = NULL;
    while (event == NULL || event->kind != kind) {
        must(comity_hiredis_run(redis, COMITY_NONE, &event));
        if (event != NULL && event->error != COMITY_OK) fail(event->message);
    }
    return event;
}

static void with_comity(comity_hiredis *redis, int pairs) {
    comity_coordinator *co = comity_hiredis_coordinator(redis);
    int i;
    for (i = 0; i < pairs; i++) {
        uint64_t lock;
        must(comity_lock_acquire(co, "bench", 5, NULL, comity_hiredis_now(), &lock));
        await(redis, COMITY_EVENT_LOCK_GRANTED);
        must(comity_lock_release(co, lock, comity_hiredis_now()));
        await(redis, COMITY_EVENT_LOCK_RELEASED);
    }
}

static void by_hand(const char *sha, int pairs) {
    int i;
    for (i = 0; i < pairs; i++) {
        char token[32];
        redisReply *reply;
        snprintf(token, sizeof token, "token-%d", i);
        reply = (redisReply *)redisCommand(shared, "SET bench-by-hand %s NX PX 30000", token);
        if (reply == NULL || reply->type != REDIS_REPLY_STATUS) fail("not locked");
        freeReplyObject(reply);
        reply = (redisReply *)redisCommand(shared, "EVALSHA %s 1 bench-by-hand %s", sha, token);
        if (reply == NULL || reply->integer != 1) fail("not unlocked");
        freeReplyObject(reply);
    }
}

static int by_size(const void *a, const void *b) {
    double one = *(const double *)a, other = *(const double *)b;
    return one < other ? -1 : one > other;
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_size);
    return values[count / 2];
}

int main(int argc, char **argv) {
    comity_hiredis_server server;
    comity_hiredis *redis;
    redisReply *loaded;
    double pairs_per_s[2][MAX_ROUNDS], server_us[2][MAX_ROUNDS], ratios[MAX_ROUNDS];
    int rounds = argc > 4 ? atoi(argv[3]) : 15, pairs = argc > 4 ? atoi(argv[4]) : 2000;
    int round, side;

    if (argc < 3 || rounds < 1 || rounds > MAX_ROUNDS || pairs < 1) fail("pairs HOST PORT [ROUNDS PAIRS]");
    host = argv[1];
    port = atoi(argv[2]);
    memset(&server, 0, sizeof server);
    server.host = host;
    server.port = port;
    server.connect = open_shared;
    must(comity_hiredis_connect(&server, 1, NULL, &redis));
    monitor = redisConnect(host, port);
    with_comity(redis, 100);
    loaded = (redisReply *)redisCommand(
        monitor, "SCRIPT LOAD %s",
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0");
    if (loaded == NULL || loaded->type != REDIS_REPLY_STRING) fail("the script is not taken");

    for (round = 0; round < rounds; round++) {
        for (side = 0; side < 2; side++) {
            double before = spent_by_server();
            uint64_t began_us;
            if (side == 1) set_blocking(1);
            began_us = comity_hiredis_now();
            if (side == 0) with_comity(redis, pairs);
            else by_hand(loaded->str, pairs);
            pairs_per_s[side][round] = pairs * 1e6 / (double)(comity_hiredis_now() - began_us);
            if (side == 1) set_blocking(0);
            server_us[side][round] = (spent_by_server() - before) / pairs;
        }
        ratios[round] = pairs_per_s[0][round] / pairs_per_s[1][round];
    }
    printf("lock pairs through hiredis: comity %.0f/s, by hand %.0f/s, ratio %.2f (target 0.6)\n",
           median(pairs_per_s[0], rounds), median(pairs_per_s[1], rounds), median(ratios, rounds));
    printf("of a pair the server spends: comity %.1f us, by hand %.1f us\n",
           median(server_us[0], rounds), median(server_us[1], rounds));

    freeReplyObject(loaded);
    freeReplyObject(ask(monitor, "DEL bench-by-hand"));
    redisFree(monitor);
    must(comity_hiredis_close(redis));
    comity_hiredis_free(redis);
    return 0;
}
