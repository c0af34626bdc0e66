/* A connection without a socket: what leaves, what belongs to what, and what becomes of each command. */
#include "world.h"

static world w;

static comity_connection *open_one(comity_endpoint *endpoint, uint32_t route) {
    comity_connection *connection;
    OK(comity_connection_new(endpoint, 0, route, w.now, &connection));
    OK(comity_connection_connected(connection, w.co[0], w.now));
    return connection;
}

static comity_endpoint *with_password(void) {
    comity_endpoint *endpoint;
    OK(comity_endpoint_parse(TEXT("redis://:secret@h"), &endpoint));
    return endpoint;
}

static void take(comity_connection *connection) {
    OK(comity_connection_take(w.co[0], &connection, 1, w.now, NULL));
}

static size_t outstanding(comity_connection *connection) {
    size_t count;
    OK(comity_connection_outstanding(connection, &count));
    return count;
}

static size_t unwritten(comity_connection *connection) {
    comity_bytes out;
    OK(comity_connection_transmit(connection, &out));
    return out.len;
}

static void write_all(comity_connection *connection) {
    OK(comity_connection_transmitted(connection, unwritten(connection)));
    CHECK(unwritten(connection) == 0);
}

/* Hands bytes in. Returns whether the connection goes on. */
static uint32_t receive(comity_connection *connection, const char *bytes) {
    uint32_t open = 7;
    OK(comity_connection_receive(connection, w.co[0], bytes, strlen(bytes), w.now, &open));
    return open;
}

static const char *why(comity_connection *connection) {
    const char *text;
    OK(comity_connection_why(connection, &text));
    return text;
}

static uint64_t acquire(const char *name) {
    uint64_t lock;
    OK(comity_lock_acquire(w.co[0], name, strlen(name), NULL, w.now, &lock));
    return lock;
}

static comity_statistics stats(void) {
    const comity_statistics *found;
    OK(comity_stats(w.co[0], &found));
    return *found;
}

/* The next event; NULL if there is none. */
static const comity_event *next(void) {
    const comity_event *event;
    OK(comity_poll_event(w.co[0], &event));
    return event;
}

/* The next event of this kind; none of the others before it is of interest. */
static const comity_event *until(uint32_t kind) {
    const comity_event *event = next();
    while (event != NULL && event->kind != kind) event = next();
    CHECK(event != NULL);
    return event;
}

static void begin(void) {
    world_open(&w, 1);
}

static void end(comity_connection *connection) {
    comity_connection_free(connection);
    world_close(&w);
}

static void replies_go_to_the_coordinator(void) {
    comity_connection *connection;
    size_t i;
    const char *text = "-ERR no\r\n-ERR no either\r\n";
    begin();
    connection = open_one(NULL, COMITY_ROUTE_NODE);
    CHECK(unwritten(connection) == 0);
    acquire("a");
    acquire("b");
    take(connection);
    CHECK(outstanding(connection) == 2 && unwritten(connection) > 100);
    write_all(connection);
    /* Byte by byte. */
    for (i = 0; i < strlen(text); i++) {
        uint32_t open;
        CHECK(outstanding(connection) == (i < 9 ? 2u : 1u));
        OK(comity_connection_receive(connection, w.co[0], text + i, 1, w.now, &open));
        CHECK(open == 1);
    }
    CHECK(outstanding(connection) == 0 && stats().replies == 2);
    CHECK(strstr(until(COMITY_EVENT_LOCK_FAILED)->message, "ERR no") != NULL);
    CHECK(strstr(until(COMITY_EVENT_LOCK_FAILED)->message, "ERR no either") != NULL);
    CHECK(strcmp(why(connection), "") == 0);
    /* Nothing was asked. */
    CHECK(receive(connection, "+OK\r\n") == 0);
    CHECK(strstr(why(connection), "a reply to nothing") != NULL);
    end(connection);
}

static void what_is_half_written_is_unknown_and_the_rest_was_not_sent(void) {
    comity_connection *connection;
    const comity_event *event;
    uint64_t first, second;
    begin();
    connection = open_one(NULL, COMITY_ROUTE_NODE);
    first = acquire("a");
    second = acquire("b");
    take(connection);
    OK(comity_connection_transmitted(connection, 1));
    FAILS(comity_connection_transmitted(connection, unwritten(connection) + 1),
          COMITY_ERROR_INVALID_ARGUMENT, "bytes to write");
    FAILS(comity_connection_committed(connection, unwritten(connection) + 1),
          COMITY_ERROR_INVALID_ARGUMENT, "bytes to write");
    OK(comity_connection_end(connection, w.co[0], TEXT("cable\0cut"), 0, w.now));
    CHECK(stats().outcome_unknown == 1 && stats().not_sent == 1);
    CHECK(strcmp(why(connection), "cable\\0cut") == 0);
    CHECK(unwritten(connection) == 0 && outstanding(connection) == 0);
    event = until(COMITY_EVENT_NODE_DOWN);
    CHECK(strstr(event->message, "cable") != NULL);
    /* Twice is harmless, and so is what comes late. */
    OK(comity_connection_end(connection, w.co[0], TEXT("again"), 0, w.now));
    CHECK(receive(connection, "+OK\r\n") == 0);
    CHECK(strcmp(why(connection), "cable\\0cut") == 0 && stats().outcome_unknown == 1);
    FAILS(comity_connection_take(w.co[0], &connection, 1, w.now, NULL), COMITY_ERROR_INVALID_STATE,
          "has ended: cable");
    FAILS(comity_connection_connected(connection, w.co[0], w.now), COMITY_ERROR_INVALID_STATE,
          "has ended");
    OK(comity_lock_cancel(w.co[0], first, w.now));
    OK(comity_lock_cancel(w.co[0], second, w.now));
    end(connection);
}

static void what_was_given_to_tls_may_have_left(void) {
    comity_connection *connection;
    size_t len;
    begin();
    connection = open_one(NULL, COMITY_ROUTE_NODE);
    acquire("a");
    acquire("b");
    take(connection);
    len = unwritten(connection);
    OK(comity_connection_committed(connection, len));
    CHECK(unwritten(connection) == len);
    OK(comity_connection_end(connection, w.co[0], NULL, 0, 1, w.now));
    CHECK(stats().outcome_unknown == 2 && stats().not_sent == 0);
    end(connection);
}

static void nothing_leaves_before_the_server_has_let_the_connection_in(void) {
    comity_endpoint *endpoint = with_password();
    comity_connection *connection;
    comity_bytes out;
    uint32_t ready, open;
    begin();
    OK(comity_connection_new(endpoint, 0, COMITY_ROUTE_NODE, w.now, &connection));
    acquire("a");
    take(connection);
    /* There is no stream yet. */
    CHECK(outstanding(connection) == 1 && unwritten(connection) == 0);
    FAILS(comity_connection_receive(connection, w.co[0], "+", 1, w.now, &open),
          COMITY_ERROR_INVALID_STATE, "comity_connection_connected was not called");
    OK(comity_connection_connected(connection, w.co[0], w.now));
    OK(comity_connection_transmit(connection, &out));
    CHECK(is(out, "*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"));
    write_all(connection);
    OK(comity_connection_is_ready(connection, &ready));
    CHECK(ready == 0 && receive(connection, "+OK\r\n") == 1);
    OK(comity_connection_is_ready(connection, &ready));
    CHECK(ready == 1 && unwritten(connection) > 100);
    comity_connection_free(connection);

    /* A wrong password: what was asked was not sent, and fails with the server's words. */
    acquire("b");
    connection = open_one(endpoint, COMITY_ROUTE_NODE);
    take(connection);
    write_all(connection);
    CHECK(receive(connection, "-WRONGPASS invalid username-password pair\r\n") == 0);
    CHECK(strstr(why(connection), "WRONGPASS") != NULL && stats().not_sent == 1);
    CHECK(until(COMITY_EVENT_LOCK_FAILED)->error == COMITY_ERROR_SERVER_REFUSED);
    comity_connection_free(connection);

    /* Whatever it says can be shown, and does not say the password. */
    acquire("c");
    connection = open_one(endpoint, COMITY_ROUTE_NODE);
    take(connection);
    write_all(connection);
    CHECK(receive(connection, "-DENIED \033[2J secret\r\n") == 0);
    CHECK(strcmp(why(connection), "DENIED \\u{1b}[2J ***") == 0);
    CHECK(strstr(until(COMITY_EVENT_LOCK_FAILED)->message, "DENIED \\u{1b}[2J ***") != NULL);
    comity_connection_free(connection);

    acquire("d");
    connection = open_one(endpoint, COMITY_ROUTE_NODE);
    take(connection);
    write_all(connection);
    CHECK(receive(connection, "-\r\n") == 0);
    CHECK(strcmp(why(connection), "an error without words") == 0);
    comity_endpoint_free(endpoint);
    end(connection);
}

/* What was outstanding is unknown, and nothing of what follows is kept. */
static void bytes_that_are_no_reply_end_it(void) {
    static const char *const nonsense[] = {
        "HTTP/1.1 400 Bad Request\r\n", "*99999999\r\n", "$9999999999\r\n", ":x\r\n", "$1\r\nabc",
    };
    comity_connection *connection;
    size_t i;
    for (i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        begin();
        connection = open_one(NULL, COMITY_ROUTE_NODE);
        acquire("a");
        take(connection);
        write_all(connection);
        CHECK(receive(connection, nonsense[i]) == 0);
        CHECK(strncmp(why(connection), "no reply: ", 10) == 0);
        CHECK(stats().outcome_unknown == 1 && outstanding(connection) == 0);
        CHECK(receive(connection, nonsense[i]) == 0 && stats().outcome_unknown == 1);
        end(connection);
    }
    /* A line that never ends is not kept for ever. */
    begin();
    connection = open_one(NULL, COMITY_ROUTE_NODE);
    acquire("a");
    take(connection);
    write_all(connection);
    CHECK(receive(connection, "+") == 1);
    for (i = 0; receive(connection, "a thousand and more bytes that are no end of a line") == 1; i++) {
        CHECK(i < 2000);
    }
    CHECK(stats().outcome_unknown == 1);
    end(connection);
}

static void what_is_late_ends_it(void) {
    comity_connection *connection;
    uint64_t due;
    uint32_t open;
    begin();
    connection = open_one(NULL, COMITY_ROUTE_NODE);
    OK(comity_connection_deadline(connection, &due));
    CHECK(due == COMITY_NONE);
    acquire("a");
    take(connection);
    write_all(connection);
    OK(comity_connection_deadline(connection, &due));
    CHECK(due > w.now && due != COMITY_NONE);
    OK(comity_connection_handle_timeout(connection, w.co[0], due - 1, &open));
    CHECK(open == 1);
    OK(comity_connection_handle_timeout(connection, w.co[0], due, &open));
    CHECK(open == 0 && strcmp(why(connection), "no answer in time") == 0);
    CHECK(stats().outcome_unknown == 1);
    OK(comity_connection_deadline(connection, &due));
    CHECK(due == COMITY_NONE);
    comity_connection_free(connection);

    /* A stream that cannot be made in time. */
    OK(comity_connection_new(NULL, 0, COMITY_ROUTE_NODE, w.now, &connection));
    OK(comity_connection_deadline(connection, &due));
    CHECK(due == COMITY_NONE);
    acquire("b");
    take(connection);
    OK(comity_connection_deadline(connection, &due));
    OK(comity_connection_handle_timeout(connection, w.co[0], due, &open));
    CHECK(open == 0 && strcmp(why(connection), "no connection in time") == 0);
    CHECK(stats().not_sent == 1);
    end(connection);
}

static void a_server_that_is_no_master_any_more_is_left(void) {
    comity_connection *connection;
    begin();
    connection = open_one(NULL, COMITY_ROUTE_NODE);
    acquire("a");
    acquire("b");
    take(connection);
    write_all(connection);
    CHECK(receive(connection, "-READONLY You can't write against a read only replica.\r\n") == 1);
    CHECK(receive(connection, "-READONLY You can't write against a read only replica.\r\n") == 0);
    CHECK(strstr(why(connection), "takes no writes") != NULL && stats().outcome_unknown == 0);
    end(connection);
}

/* Executes what a coordinator asks of the node, but its subscription, which goes to the connection. */
static void serve(comity_connection *messages) {
    const comity_command *command;
    for (;;) {
        OK(comity_poll_command_for(w.co[0], 0, &command));
        if (command == NULL) return;
        if (command->route == COMITY_ROUTE_SUBSCRIBE) OK(comity_connection_send(messages, command));
        else world_execute(&w, 0, command);
    }
}

/* Messages come on a connection of their own, which is asked whether it lives. */
static void messages_come_on_their_own_connection(void) {
    const comity_message *message;
    comity_connection *messages;
    comity_bytes inbox, out;
    char text[1024];
    uint64_t held, due;
    uint32_t open;
    int len;
    world_open(&w, 2);
    OK(comity_inbox(w.co[0], &inbox));
    OK(comity_lock_acquire(w.co[1], TEXT("a"), NULL, w.now, &held));
    world_until(&w, 1, COMITY_EVENT_LOCK_GRANTED);
    messages = open_one(NULL, COMITY_ROUTE_SUBSCRIBE);
    acquire("a");
    serve(messages);
    until(COMITY_EVENT_LOCK_QUEUED);
    CHECK(outstanding(messages) == 1);
    OK(comity_connection_transmit(messages, &out));
    len = snprintf(text, sizeof text, "*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%.*s\r\n", (int)inbox.len,
                   (int)inbox.len, inbox.data);
    CHECK(len > 0 && is(out, text));
    write_all(messages);
    snprintf(text, sizeof text, "*3\r\n$9\r\nsubscribe\r\n$%d\r\n%.*s\r\n:1\r\n", (int)inbox.len,
             (int)inbox.len, inbox.data);
    CHECK(receive(messages, text) == 1);
    until(COMITY_EVENT_PUSH_READY);
    serve(messages);

    /* What the release hands over comes as a message. */
    OK(comity_lock_release(w.co[1], held, w.now));
    {
        const comity_command *command;
        for (;;) {
            OK(comity_poll_command(w.co[1], &command));
            if (command == NULL) break;
            world_execute(&w, 1, command);
        }
    }
    OK(comity_memory_poll_message(w.memory, &message));
    CHECK(message != NULL);
    snprintf(text, sizeof text, "*3\r\n$7\r\nmessage\r\n$%d\r\n%.*s\r\n$%d\r\n%.*s\r\n",
             (int)message->channel.len, (int)message->channel.len, message->channel.data,
             (int)message->payload.len, (int)message->payload.len, message->payload.data);
    CHECK(receive(messages, text) == 1);
    until(COMITY_EVENT_LOCK_GRANTED);

    /* A quiet server is asked whether it lives. */
    OK(comity_connection_deadline(messages, &due));
    CHECK(due == w.now + 10000000);
    OK(comity_connection_handle_timeout(messages, w.co[0], due, &open));
    OK(comity_connection_transmit(messages, &out));
    CHECK(open == 1 && is(out, "*1\r\n$4\r\nPING\r\n"));
    write_all(messages);
    OK(comity_connection_deadline(messages, &due));
    OK(comity_connection_handle_timeout(messages, w.co[0], due, &open));
    CHECK(open == 0 && strcmp(why(messages), "the server is silent") == 0);
    until(COMITY_EVENT_PUSH_UNAVAILABLE);
    end(messages);
}

static void a_subscription_may_be_refused(void) {
    comity_connection *messages;
    uint64_t held;
    world_open(&w, 2);
    OK(comity_lock_acquire(w.co[1], TEXT("a"), NULL, w.now, &held));
    world_until(&w, 1, COMITY_EVENT_LOCK_GRANTED);
    messages = open_one(NULL, COMITY_ROUTE_SUBSCRIBE);
    acquire("a");
    serve(messages);
    write_all(messages);
    CHECK(receive(messages, "-NOPERM no channels for you\r\n") == 0);
    CHECK(strcmp(why(messages), "the server refuses the subscription") == 0);
    CHECK(strstr(until(COMITY_EVENT_PUSH_UNAVAILABLE)->message, "NOPERM") != NULL);
    end(messages);
}

/* Each command goes to the connection for its route; what has none was not sent. */
static void commands_go_where_their_route_leads(void) {
    const comity_command *command;
    comity_connection *all[3], *other, *twice[2];
    size_t i;
    begin();
    for (i = 0; i < 3; i++) all[i] = open_one(NULL, (uint32_t)i + 1);
    OK(comity_connection_new(NULL, 1, COMITY_ROUTE_NODE, w.now, &other));
    acquire("a");
    OK(comity_poll_command(w.co[0], &command));
    FAILS(comity_connection_send(all[1], command), COMITY_ERROR_INVALID_ARGUMENT, "another route");
    FAILS(comity_connection_send(other, command), COMITY_ERROR_INVALID_ARGUMENT, "for node 0");
    OK(comity_connection_send(all[0], command));
    CHECK(outstanding(all[0]) == 1 && outstanding(all[1]) == 0);

    acquire("b");
    twice[0] = twice[1] = all[0];
    FAILS(comity_connection_take(w.co[0], twice, 2, w.now, NULL), COMITY_ERROR_INVALID_ARGUMENT, "twice");
    twice[1] = other;
    FAILS(comity_connection_take(w.co[0], twice, 2, w.now, NULL), COMITY_ERROR_INVALID_ARGUMENT,
          "more than one node");
    comity_connection_free(other);
    other = open_one(NULL, COMITY_ROUTE_NODE);
    twice[1] = other;
    FAILS(comity_connection_take(w.co[0], twice, 2, w.now, NULL), COMITY_ERROR_INVALID_ARGUMENT,
          "the same route");
    FAILS(comity_connection_take(w.co[0], NULL, 0, w.now, NULL), COMITY_ERROR_INVALID_ARGUMENT,
          "at least one");
    OK(comity_connection_take(w.co[0], all, 3, w.now, NULL));
    CHECK(outstanding(all[0]) == 2 && outstanding(all[1]) == 0 && outstanding(all[2]) == 0);
    acquire("c");
    OK(comity_connection_take(w.co[0], all + 1, 2, w.now, NULL));
    CHECK(outstanding(all[1]) == 0 && stats().not_sent == 1);
    for (i = 0; i < 3; i++) comity_connection_free(all[i]);
    end(other);
}

int main(void) {
    replies_go_to_the_coordinator();
    what_is_half_written_is_unknown_and_the_rest_was_not_sent();
    what_was_given_to_tls_may_have_left();
    nothing_leaves_before_the_server_has_let_the_connection_in();
    bytes_that_are_no_reply_end_it();
    what_is_late_ends_it();
    a_server_that_is_no_master_any_more_is_left();
    messages_come_on_their_own_connection();
    a_subscription_may_be_refused();
    commands_go_where_their_route_leads();
    puts("ok");
    return 0;
}
