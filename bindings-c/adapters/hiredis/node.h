/* One node: where its server is, and a connection for each route of its commands. */
#ifndef COMITY_HIREDIS_NODE_H
#define COMITY_HIREDIS_NODE_H

#include "link.h"

/* How long a push connection may be silent before it is asked whether it still lives, and then until it
 * is given up. */
#define COMITY_HIREDIS_QUIET_US 10000000u

/* The longest address that is taken for an id, its end included. */
#define COMITY_HIREDIS_ADDRESS 256

/* Where a node's server is: host and port, or path, or connect. */
typedef struct comity_hiredis_server {
    /* The stable id, as in comity_config, ending with a zero byte; NULL = the address. */
    const char *id;
    /* A name or an address. Resolving a name blocks; an address does not. */
    const char *host;
    int port;
    /* A socket of the file system. */
    const char *path;
    /* For what needs more than an address: a password, a database, TLS. Returns a connection that is made,
     * or being made; NULL or one whose err is set, if there is none. It is called whenever a new one is
     * needed, may block, and should end by deadline_us on the clock of comity_hiredis_now. The connection
     * is the adapter's from then on, which makes it non-blocking. */
    redisContext *(*connect)(void *data, uint64_t deadline_us);
    void *data;
} comity_hiredis_server;

/* What all nodes of an adapter share. */
typedef struct comity_hiredis_shared {
    comity_coordinator *coordinator;
    comity_hiredis_elements elements;
    /* Called before a connection is closed. */
    void (*closing)(void *data, comity_hiredis_link *link, short events);
    void *closing_data;
} comity_hiredis_shared;

/* The connections of a node, by what they are for. */
enum {
    COMITY_HIREDIS_COMMANDS,
    COMITY_HIREDIS_PUSHES,   /* Once somebody waits for a lock. */
    COMITY_HIREDIS_BLOCKING, /* For commands that let all behind them wait. */
    COMITY_HIREDIS_LINKS
};

typedef struct comity_hiredis_node {
    comity_hiredis_server server;
    char *texts; /* What server points to. */
    comity_hiredis_link links[COMITY_HIREDIS_LINKS];
    int subscribed;
    int pinged;
} comity_hiredis_node;

static inline int comity_hiredis_is_pushes(const comity_hiredis_node *node,
                                           const comity_hiredis_link *link) {
    return link == &node->links[COMITY_HIREDIS_PUSHES];
}

/* The id of a server; room is used where it has none. */
static inline const char *comity_hiredis_id(const comity_hiredis_server *server,
                                            char room[COMITY_HIREDIS_ADDRESS]) {
    if (server->id != NULL) return server->id;
    if (server->path != NULL) return server->path;
    snprintf(room, COMITY_HIREDIS_ADDRESS, "%s:%d",
             server->host == NULL ? "localhost" : server->host, server->port);
    return room;
}

static inline char *comity_hiredis_copy(char **at, const char *text) {
    char *copied = *at;
    size_t len;
    if (text == NULL) return NULL;
    len = strlen(text) + 1;
    memcpy(copied, text, len);
    *at += len;
    return copied;
}

/* Finds the server of a node and copies it. */
static inline uint32_t comity_hiredis_node_init(comity_hiredis_node *node,
                                                comity_coordinator *coordinator, uint32_t number,
                                                const comity_hiredis_server *servers, size_t count) {
    char room[COMITY_HIREDIS_ADDRESS];
    const comity_hiredis_server *server = NULL;
    comity_bytes wanted;
    char *at;
    size_t i;
    uint32_t status;
    for (i = 0; i < COMITY_HIREDIS_LINKS; i++) comity_hiredis_link_init(&node->links[i], number);
    status = comity_node_id(coordinator, number, &wanted);
    if (status != COMITY_OK) return status;
    for (i = 0; i < count && server == NULL; i++) {
        const char *id = comity_hiredis_id(&servers[i], room);
        if (strlen(id) == wanted.len && memcmp(id, wanted.data, wanted.len) == 0) {
            server = &servers[i];
        }
    }
    if (server == NULL) {
        char words[COMITY_HIREDIS_ADDRESS];
        snprintf(words, sizeof words, "servers: none has the id of node %.*s",
                 wanted.len < 200 ? (int)wanted.len : 200, (const char *)wanted.data);
        return comity_fail(COMITY_ERROR_INVALID_ARGUMENT, words);
    }
    node->server = *server;
    node->texts = (char *)malloc((server->host == NULL ? 0 : strlen(server->host) + 1)
                                 + (server->path == NULL ? 0 : strlen(server->path) + 1) + 1);
    if (node->texts == NULL) {
        return comity_fail(COMITY_ERROR_LIMIT_EXCEEDED, "no memory for the address of a server");
    }
    at = node->texts;
    node->server.id = NULL;
    node->server.host = comity_hiredis_copy(&at, server->host);
    node->server.path = comity_hiredis_copy(&at, server->path);
    return COMITY_OK;
}

static inline void comity_hiredis_node_free(comity_hiredis_node *node) {
    int i;
    for (i = 0; i < COMITY_HIREDIS_LINKS; i++) comity_hiredis_link_free(&node->links[i]);
    free(node->texts);
}

/* Tells the core of every command that waits what has become of it, and of what. A connection that was
 * closed while nothing waited says nothing of the server, nor does a WAIT that takes its time. */
static inline void comity_hiredis_node_fail(comity_hiredis_node *node, comity_hiredis_shared *shared,
                                            comity_hiredis_link *link, uint64_t now_us) {
    if (link->waiting_count > 0 && link != &node->links[COMITY_HIREDIS_BLOCKING]) {
        comity_handle_unreachable(shared->coordinator, link->node, link->why, strlen(link->why), 0,
                                  now_us);
    }
    comity_hiredis_link_fail(link, shared->coordinator, now_us);
}

/* Gives a connection up, and with it all that waits there. */
static inline void comity_hiredis_node_drop(comity_hiredis_node *node, comity_hiredis_shared *shared,
                                            comity_hiredis_link *link, const char *why,
                                            uint64_t now_us) {
    int was_open = link->state == COMITY_HIREDIS_OPEN;
    int was_subscribed = node->subscribed;
    if (link->context != NULL && shared->closing != NULL) {
        shared->closing(shared->closing_data, link, 0);
    }
    comity_hiredis_link_close(link, why);
    comity_hiredis_node_fail(node, shared, link, now_us);
    if (comity_hiredis_is_pushes(node, link)) {
        node->subscribed = node->pinged = 0;
        if (was_subscribed) {
            comity_handle_node(shared->coordinator, link->node, COMITY_NODE_PUSH_LOST, now_us);
        }
    } else if (was_open) {
        comity_handle_node(shared->coordinator, link->node, COMITY_NODE_LOST, now_us);
    }
}

/* Begins to connect, if there is something to send. What comes of it shows when the descriptor can be
 * written. */
static inline void comity_hiredis_node_reach(comity_hiredis_node *node, comity_hiredis_shared *shared,
                                             comity_hiredis_link *link, uint64_t now_us) {
    const comity_hiredis_server *server = &node->server;
    redisContext *context;
    if (server->connect != NULL) context = server->connect(server->data, link->due_us);
    else if (server->path != NULL) context = redisConnectUnixNonBlock(server->path);
    else {
        context = redisConnectNonBlock(server->host == NULL ? "localhost" : server->host,
                                       server->port);
    }
    if (!comity_hiredis_link_adopt(link, context, now_us)) {
        comity_hiredis_node_fail(node, shared, link, now_us);
    }
}

/* Writes what is gathered, as far as the system takes it. */
static inline void comity_hiredis_node_write(comity_hiredis_node *node, comity_hiredis_shared *shared,
                                             comity_hiredis_link *link, uint64_t now_us) {
    const char *why = "";
    if (!comity_hiredis_link_write(link, now_us, &why)) {
        char words[sizeof link->why];
        snprintf(words, sizeof words, "%s", why);
        comity_hiredis_node_drop(node, shared, link, words, now_us);
    }
}

static inline comity_hiredis_link *comity_hiredis_node_route(comity_hiredis_node *node,
                                                             uint32_t route) {
    switch (route) {
    case COMITY_ROUTE_SUBSCRIBE:
        return &node->links[COMITY_HIREDIS_PUSHES];
    case COMITY_ROUTE_BLOCKING:
        return &node->links[COMITY_HIREDIS_BLOCKING];
    default:
        return &node->links[COMITY_HIREDIS_COMMANDS];
    }
}

/* Gathers a command. One that is late already, or for which there is no memory, was not sent. */
static inline void comity_hiredis_node_take(comity_hiredis_node *node, comity_hiredis_shared *shared,
                                            const comity_command *command, uint64_t now_us) {
    comity_hiredis_link *link = comity_hiredis_node_route(node, command->route);
    if (command->deadline_us > now_us) {
        if (!comity_hiredis_link_usable(link, now_us)) {
            comity_hiredis_node_drop(node, shared, link, "closed by the server", now_us);
        }
        if (comity_hiredis_link_expect(link, command->request, command->deadline_us)) {
            if (comity_hiredis_link_put(link, command->argc, command->argv, command->argvlen)) return;
            link->waiting_count--;
        }
    }
    comity_handle_failure(shared->coordinator, command->request, COMITY_FAILURE_NOT_SENT, now_us);
}

/* Sends what is gathered on each connection; connects where there is none. */
static inline void comity_hiredis_node_flush(comity_hiredis_node *node, comity_hiredis_shared *shared,
                                             uint64_t now_us) {
    int i;
    for (i = 0; i < COMITY_HIREDIS_LINKS; i++) {
        comity_hiredis_link *link = &node->links[i];
        if (link->out_at == link->out_len) continue;
        if (link->state == COMITY_HIREDIS_CLOSED) {
            comity_hiredis_node_reach(node, shared, link, now_us);
        } else if (link->state == COMITY_HIREDIS_OPEN) {
            comity_hiredis_node_write(node, shared, link, now_us);
        }
    }
}

/* The descriptor of a connection that is being made can be written. */
static inline void comity_hiredis_node_connected(comity_hiredis_node *node,
                                                 comity_hiredis_shared *shared,
                                                 comity_hiredis_link *link, uint64_t now_us) {
    const char *why = comity_hiredis_link_connected(link);
    if (why != NULL) {
        comity_hiredis_node_drop(node, shared, link, why, now_us);
        return;
    }
    if (!comity_hiredis_is_pushes(node, link)) {
        comity_handle_node(shared->coordinator, link->node, COMITY_NODE_CONNECTED, now_us);
    }
    comity_hiredis_node_write(node, shared, link, now_us);
}

/* Answers */

/* Gives the core the reply to a request. */
static inline void comity_hiredis_node_answer(comity_hiredis_shared *shared, uint64_t request,
                                              const redisReply *reply, uint64_t now_us) {
    comity_reply told;
    if (!comity_hiredis_convert(&shared->elements, reply, &told)
        || comity_handle_reply(shared->coordinator, request, &told, now_us) != COMITY_OK) {
        comity_handle_failure(shared->coordinator, request, COMITY_FAILURE_OUTCOME_UNKNOWN, now_us);
    }
}

static inline int comity_hiredis_is(const redisReply *reply, const char *word) {
    return reply->str != NULL && reply->len == strlen(word)
        && memcmp(reply->str, word, reply->len) == 0;
}

/* A message, a confirmation, the answer to a ping, or a refusal. Returns why the connection is of no more
 * use, or NULL. */
static inline const char *comity_hiredis_node_hear(comity_hiredis_node *node,
                                                   comity_hiredis_shared *shared,
                                                   const redisReply *reply, uint64_t now_us) {
    comity_hiredis_link *link = &node->links[COMITY_HIREDIS_PUSHES];
    if (comity_hiredis_has_elements(reply)) {
        if (reply->elements == 3 && comity_hiredis_is(reply->element[0], "message")) {
            comity_handle_message(shared->coordinator, link->node, reply->element[1]->str,
                                  reply->element[1]->len, reply->element[2]->str,
                                  reply->element[2]->len, now_us);
        } else if (reply->elements == 3 && comity_hiredis_is(reply->element[0], "subscribe")
                   && link->waiting_count > 0) {
            comity_hiredis_link_answered(link);
            node->subscribed = 1;
            comity_handle_node(shared->coordinator, link->node, COMITY_NODE_PUSH_READY, now_us);
        }
    } else if (reply->type == REDIS_REPLY_ERROR && link->waiting_count > 0) {
        comity_hiredis_node_answer(shared, comity_hiredis_link_answered(link), reply, now_us);
        return "the server refused the subscription";
    }
    return NULL;
}

/* Takes one reply. Returns why the connection is of no more use, or NULL. */
static inline const char *comity_hiredis_node_got(comity_hiredis_node *node,
                                                  comity_hiredis_shared *shared,
                                                  comity_hiredis_link *link, const redisReply *reply,
                                                  uint64_t now_us) {
    if (comity_hiredis_is_pushes(node, link)) return comity_hiredis_node_hear(node, shared, reply, now_us);
#ifdef REDIS_REPLY_MAP
    if (reply->type == REDIS_REPLY_PUSH) return NULL;
#endif
    if (link->waiting_count == 0) return "an answer to nothing";
    if (reply->type == REDIS_REPLY_ERROR && comity_hiredis_begins(reply, "READONLY")) {
        link->doubtful = 1;
    }
    comity_hiredis_node_answer(shared, comity_hiredis_link_answered(link), reply, now_us);
    return NULL;
}

/* Reads what has arrived. */
static inline void comity_hiredis_node_read(comity_hiredis_node *node, comity_hiredis_shared *shared,
                                            comity_hiredis_link *link, uint64_t now_us) {
    redisContext *context = link->context;
    const char *why = NULL;
    size_t had;
    int again;
    do {
        void *reply = NULL;
        had = context->reader->len - context->reader->pos;
        if (redisBufferRead(context) != REDIS_OK) {
            why = context->errstr;
        } else {
            link->last_us = now_us;
            if (comity_hiredis_is_pushes(node, link)) node->pinged = 0;
        }
        again = context->reader->len - context->reader->pos > had;
        while (why == NULL) {
            if (redisGetReplyFromReader(context, &reply) != REDIS_OK) why = context->errstr;
            if (why != NULL || reply == NULL) break;
            why = comity_hiredis_node_got(node, shared, link, (const redisReply *)reply, now_us);
            freeReplyObject(reply);
        }
        /* TLS may have more than the descriptor shows. */
    } while (why == NULL && again && comity_hiredis_link_is_tls(link));
    if (why == NULL && link->behind) comity_hiredis_node_write(node, shared, link, now_us);
    if (why != NULL) {
        char words[sizeof link->why];
        snprintf(words, sizeof words, "%s", why);
        comity_hiredis_node_drop(node, shared, link, words, now_us);
    }
}

/* Time */

/* When a silent push connection is to be looked after. */
static inline uint64_t comity_hiredis_node_quiet(const comity_hiredis_node *node) {
    if (!node->subscribed) return COMITY_NONE;
    return node->links[COMITY_HIREDIS_PUSHES].last_us + COMITY_HIREDIS_QUIET_US * (node->pinged ? 2u : 1u);
}

/* When something is late. */
static inline uint64_t comity_hiredis_node_due(const comity_hiredis_node *node) {
    uint64_t due_us = comity_hiredis_node_quiet(node);
    int i;
    for (i = 0; i < COMITY_HIREDIS_LINKS; i++) {
        if (node->links[i].due_us < due_us) due_us = node->links[i].due_us;
    }
    return due_us;
}

/* Gives up what is late; asks a silent push connection whether it still lives. */
static inline void comity_hiredis_node_tick(comity_hiredis_node *node, comity_hiredis_shared *shared,
                                            uint64_t now_us) {
    int i;
    for (i = 0; i < COMITY_HIREDIS_LINKS; i++) {
        if (comity_hiredis_link_late(&node->links[i], now_us)) {
            comity_hiredis_node_drop(node, shared, &node->links[i], "no answer in time", now_us);
        }
    }
    if (comity_hiredis_node_quiet(node) <= now_us) {
        const char *ping = "PING";
        const size_t len = 4;
        comity_hiredis_link *pushes = &node->links[COMITY_HIREDIS_PUSHES];
        uint64_t last_us = pushes->last_us;
        if (node->pinged || !comity_hiredis_link_put(pushes, 1, &ping, &len)) {
            comity_hiredis_node_drop(node, shared, pushes, "silent", now_us);
        } else {
            node->pinged = 1;
            comity_hiredis_node_write(node, shared, pushes, now_us);
            pushes->last_us = last_us;
        }
    }
}

#endif
