/* URLs: each part is read, each malformed part is named, and no password is told. */
#include "check.h"

static comity_endpoint *parsed(const char *url) {
    comity_endpoint *endpoint;
    OK(comity_endpoint_parse(url, strlen(url), &endpoint));
    return endpoint;
}

static int same(const char *found, const char *expected) {
    return expected == NULL ? found == NULL : found != NULL && strcmp(found, expected) == 0;
}

static void address(const char *url, uint32_t kind, const char *host, uint32_t port,
                    const char *path, const char *id) {
    comity_endpoint *endpoint = parsed(url);
    comity_address found;
    OK(comity_endpoint_address(endpoint, &found));
    CHECK(found.kind == kind && found.port == port);
    CHECK(same(found.host, host) && same(found.path, path) && same(found.id, id));
    comity_endpoint_free(endpoint);
}

static void refused(const char *url, size_t len, const char *words) {
    comity_endpoint *none = NULL;
    FAILS(comity_endpoint_parse(url, len, &none), COMITY_ERROR_INVALID_ARGUMENT, words);
    CHECK(none == NULL && strstr(comity_last_error(), "secret") == NULL);
}

/* What a connection from a URL says first. */
static void login(const char *url, const char *words) {
    comity_endpoint *endpoint = parsed(url);
    comity_connection *connection;
    comity_coordinator *co;
    comity_config config;
    comity_node_spec nodes[1];
    comity_bytes out;
    unsigned char entropy[32] = {1};
    uint32_t ready;

    nodes[0] = node("a", 1);
    OK(comity_config_init(&config, sizeof config));
    config.nodes = nodes;
    config.node_count = 1;
    OK(comity_coordinator_new(&config, entropy, sizeof entropy, 1, &co));
    OK(comity_connection_new(endpoint, 0, COMITY_ROUTE_NODE, 1, &connection));
    /* The connection has a copy of what it needs. */
    comity_endpoint_free(endpoint);
    OK(comity_connection_transmit(connection, &out));
    CHECK(out.len == 0);
    OK(comity_connection_connected(connection, co, 1));
    OK(comity_connection_transmit(connection, &out));
    CHECK(is(out, words));
    OK(comity_connection_is_ready(connection, &ready));
    CHECK(ready == 0);
    comity_connection_free(connection);
    comity_coordinator_free(co);
}

int main(void) {
    const uint32_t tcp = COMITY_ADDRESS_TCP, unix_socket = COMITY_ADDRESS_UNIX;

    address("redis://", tcp, "localhost", 6379, NULL, "localhost:6379");
    address("redis://u:secret@example.org:7000/2", tcp, "example.org", 7000, NULL,
            "example.org:7000");
    address("redis://[::1]:65535", tcp, "::1", 65535, NULL, "::1:65535");
    address("redis://[fe80::1%25eth0]:7", tcp, "fe80::1%eth0", 7, NULL, "fe80::1%eth0:7");
    address("rediss://h", COMITY_ADDRESS_TLS, "h", 6379, NULL, "h:6379");
    address("unix://:secret@/run/a%20b.sock?db=1", unix_socket, NULL, 0, "/run/a b.sock",
            "/run/a b.sock");

#define REFUSED(url, words) refused(TEXT(url), words)
    REFUSED("", "begins with redis://");
    REFUSED("localhost:6379", "url: a URL begins with redis://");
    REFUSED("http://secret@h", "begins with redis://");
    REFUSED("redis://u:secret@a b", "the host of the URL");
    REFUSED("redis://secret@h", "has no password");
    REFUSED("redis://u:secret@h/1?db=2", "names one database, its option db another");
    REFUSED("redis://u:secret@h:x", "the port of the URL");
    REFUSED("redis://u:se/cret@h", "the port of the URL");
    REFUSED("redis://u:secret@h/x", "the database of the URL");
    REFUSED("redis://u:secret%4@h", "two hexadecimal digits");
    REFUSED("redis://u:secret@h?timeout=1", "db, client_name and protocol");
    REFUSED("redis://u:secret@h?protocol=4", "the protocol of the URL");
    REFUSED("redis://u:secret#@h", "a # in the URL");
    REFUSED("unix://u:secret@", "names no socket");
    REFUSED("unix://u:secret@/a%00b", "a zero byte");
    REFUSED("redis://u:secret\xff@h", "not UTF-8");
    REFUSED("redis://h\0", "the host of the URL");

    login("redis://h", "*1\r\n$4\r\nPING\r\n");
    login("redis://:pass@h", "*2\r\n$4\r\nAUTH\r\n$4\r\npass\r\n");
    login("redis://:@h", "*1\r\n$4\r\nPING\r\n");
    login("redis://u:@h", "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$0\r\n\r\n");
    login("redis://u:p%40@h/3?client_name=me",
          "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$2\r\np@\r\n"
          "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$2\r\nme\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
    login("redis://:pass@h?protocol=3",
          "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$4\r\npass\r\n");
    puts("ok");
    return 0;
}
