/* A lock over TLS: OpenSSL carries the bytes of a comity_connection.
 *
 *   cc tls.c $(pkg-config --cflags --libs comity openssl) -o tls
 *   tls rediss://:PASSWORD@HOST:PORT [CA.pem]
 *
 * The server's certificate has to be for the host, from an authority in CA.pem or one that the system
 * trusts. There is one server and one connection to it: whoever waits in line asks now and then, instead
 * of being told by push. Any other library for TLS fits in the same four places: dial, and the three in
 * exchange. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <comity.h>
#include <comity/adapters/system.h>

typedef struct host {
    comity_coordinator *co;
    comity_endpoint *endpoint;
    comity_connection *connection; /* Always there; made anew when one has ended. */
    SSL_CTX *context;
    SSL *tls; /* NULL if there is no stream. */
    int fd;
    short events; /* What the stream waits for. */
} host;

static void give_up(const char *words) {
    fprintf(stderr, "%s\n", words);
    exit(1);
}

/* Ends the program unless a call has succeeded. */
static void must(uint32_t status) {
    if (status != COMITY_OK) give_up(comity_last_error());
}

/* Ends the connection, and makes ready for the next. */
static void hang_up(host *self, const char *reason, uint32_t lasting) {
    uint64_t now_us = comity_system_now();
    if (self->tls != NULL) SSL_free(self->tls);
    if (self->fd >= 0) close(self->fd);
    self->tls = NULL;
    self->fd = -1;
    if (self->connection != NULL) {
        must(comity_connection_end(self->connection, self->co, reason, strlen(reason), lasting, now_us));
        comity_connection_free(self->connection);
    }
    must(comity_connection_new(self->endpoint, 0, COMITY_ROUTE_NODE, now_us, &self->connection));
}

/* Why OpenSSL has failed. */
static const char *tls_error(void) {
    const char *reason = ERR_reason_error_string(ERR_get_error());
    return reason == NULL ? "the TLS stream broke" : reason;
}

/* Makes a stream, which may take as long as the first command has. */
static void dial(host *self, uint64_t due_us) {
    comity_address to;
    struct addrinfo hints, *found = NULL, *at;
    struct timeval patience;
    X509_VERIFY_PARAM *wanted;
    uint64_t now_us = comity_system_now();
    char port[16];
    int error;
    must(comity_endpoint_address(self->endpoint, &to));
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    snprintf(port, sizeof port, "%u", (unsigned)to.port);
    error = getaddrinfo(to.host, port, &hints, &found);
    if (error != 0) {
        hang_up(self, gai_strerror(error), error == EAI_NONAME);
        return;
    }
    patience.tv_sec = due_us > now_us ? (time_t)((due_us - now_us) / 1000000) : 0;
    patience.tv_usec = 1000;
    for (at = found; at != NULL && self->fd < 0; at = at->ai_next) {
        self->fd = socket(at->ai_family, SOCK_STREAM, 0);
        setsockopt(self->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(self->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(self->fd, at->ai_addr, at->ai_addrlen) != 0) {
            error = errno;
            close(self->fd);
            self->fd = -1;
        }
    }
    freeaddrinfo(found);
    if (self->fd < 0) {
        hang_up(self, strerror(error), 0);
        return;
    }
    self->tls = SSL_new(self->context);
    wanted = SSL_get0_param(self->tls);
    if (!X509_VERIFY_PARAM_set1_ip_asc(wanted, to.host)) {
        X509_VERIFY_PARAM_set1_host(wanted, to.host, 0);
        SSL_set_tlsext_host_name(self->tls, to.host);
    }
    SSL_set_fd(self->tls, self->fd);
    if (SSL_connect(self->tls) != 1) {
        /* Waiting does not help against a certificate that is not trusted. */
        long verdict = SSL_get_verify_result(self->tls);
        if (verdict == X509_V_OK) hang_up(self, tls_error(), 0);
        else hang_up(self, X509_verify_cert_error_string(verdict), 1);
        return;
    }
    fcntl(self->fd, F_SETFL, fcntl(self->fd, F_GETFL) | O_NONBLOCK);
    must(comity_connection_connected(self->connection, self->co, comity_system_now()));
}

/* Whether a call of OpenSSL is to be repeated once the stream can be read or written. */
static int is_waiting(host *self, int result) {
    int error = SSL_get_error(self->tls, result);
    if (error == SSL_ERROR_WANT_WRITE) self->events |= POLLOUT;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* Moves all bytes that can be moved now. */
static void exchange(host *self) {
    static char room[16384];
    uint32_t open = 1;
    self->events = POLLIN;
    while (self->tls != NULL) {
        comity_bytes rest;
        int count;
        must(comity_connection_transmit(self->connection, &rest));
        if (rest.len > 0) {
            int len = rest.len > 1u << 30 ? 1 << 30 : (int)rest.len;
            /* OpenSSL may have sent of this what it does not count. */
            must(comity_connection_committed(self->connection, (size_t)len));
            count = SSL_write(self->tls, rest.data, len);
            if (count > 0) {
                must(comity_connection_transmitted(self->connection, (size_t)count));
                continue;
            }
            if (!is_waiting(self, count)) {
                hang_up(self, tls_error(), 0);
                return;
            }
        }
        count = SSL_read(self->tls, room, sizeof room);
        if (count <= 0) {
            if (!is_waiting(self, count)) hang_up(self, "closed by the server", 0);
            return;
        }
        must(comity_connection_receive(self->connection, self->co, room, (size_t)count,
                                       comity_system_now(), &open));
        if (!open) hang_up(self, "", 0);
    }
}

/* The next thing that happens. */
static const comity_event *next(host *self) {
    const comity_event *event;
    for (;;) {
        struct pollfd fd;
        uint64_t first_us, due_us;
        size_t outstanding;
        uint32_t open;
        must(comity_connection_take(self->co, &self->connection, 1, comity_system_now(), NULL));
        must(comity_connection_outstanding(self->connection, &outstanding));
        must(comity_connection_deadline(self->connection, &due_us));
        if (self->tls == NULL && outstanding > 0) dial(self, due_us);
        exchange(self);
        must(comity_poll_event(self->co, &event));
        if (event != NULL) return event;
        must(comity_next_deadline(self->co, &first_us));
        must(comity_connection_deadline(self->connection, &due_us));
        fd.fd = self->fd;
        fd.events = self->events;
        poll(&fd, 1, comity_system_timeout(due_us < first_us ? due_us : first_us, comity_system_now()));
        exchange(self);
        must(comity_connection_handle_timeout(self->connection, self->co, comity_system_now(), &open));
        if (!open) hang_up(self, "", 0);
        must(comity_handle_timeout(self->co, comity_system_now()));
    }
}

int main(int argc, char **argv) {
    host self;
    comity_address to;
    comity_config config;
    comity_node_spec node;
    const comity_event *event;
    uint64_t lock;

    memset(&self, 0, sizeof self);
    self.fd = -1;
    if (argc < 2) give_up("usage: tls rediss://:PASSWORD@HOST:PORT [CA.pem]");
    signal(SIGPIPE, SIG_IGN);
    self.context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(self.context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(self.context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if ((argc > 2 ? SSL_CTX_load_verify_locations(self.context, argv[2], NULL)
                  : SSL_CTX_set_default_verify_paths(self.context)) != 1) {
        give_up(tls_error());
    }
    must(comity_endpoint_parse(argv[1], strlen(argv[1]), &self.endpoint));
    must(comity_endpoint_address(self.endpoint, &to));
    if (to.kind != COMITY_ADDRESS_TLS) give_up("the URL does not begin with rediss://");
    must(comity_config_init(&config, sizeof config));
    config.push = 0;
    config.timeout_us = 30000000; /* A busy server may take its time over the first handshake. */
    node.id = to.id;
    node.id_len = strlen(to.id);
    node.weight = 1;
    must(comity_system_coordinator(&node, 1, &config, &self.co));
    hang_up(&self, "", 0);

    must(comity_lock_acquire(self.co, "invoice:42", 10, NULL, comity_system_now(), &lock));
    do {
        event = next(&self);
        if (event->kind == COMITY_EVENT_LOCK_GRANTED) {
            printf("granted over %s\n", self.tls == NULL ? "TLS" : SSL_get_version(self.tls));
            must(comity_lock_release(self.co, lock, comity_system_now()));
        }
    } while (event->kind != COMITY_EVENT_LOCK_RELEASED && event->kind != COMITY_EVENT_LOCK_FAILED);
    if (event->kind == COMITY_EVENT_LOCK_FAILED) give_up(event->message);
    printf("given back\n");

    if (self.tls != NULL) SSL_free(self.tls);
    if (self.fd >= 0) close(self.fd);
    SSL_CTX_free(self.context);
    comity_connection_free(self.connection);
    comity_endpoint_free(self.endpoint);
    comity_coordinator_free(self.co);
    return 0;
}
