/* One stream to one node for one route of its commands: a descriptor, and the comity_connection whose bytes
 * it moves. There always is a connection, so that commands can be queued before there is a stream; when
 * one has ended, the next takes its place. */
#ifndef COMITY_SOCKET_LINK_H
#define COMITY_SOCKET_LINK_H

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <comity.h>

#include "../system.h"

/* How long a stream may lie idle before it is looked at again before it is used. */
#define COMITY_SOCKET_STALE_US 1000000u

/* What is read at once. */
#define COMITY_SOCKET_READ 16384

typedef struct comity_socket_link {
    const comity_endpoint *endpoint;
    comity_connection *connection;
    struct addrinfo *addresses; /* Of the host, while a stream is being made. */
    struct addrinfo *next;      /* The next of them to try. */
    uint32_t node, route;
    int fd;                     /* -1 if there is none. */
    int connecting;
    uint64_t until_us;          /* When the next address is tried instead, while there is one. */
    uint64_t used_us;           /* When bytes last moved. */
    short watched;              /* What the host was last told to poll for. */
    char why[160];              /* What ended the last connection. */
} comity_socket_link;

/* What all links of an adapter share. */
typedef struct comity_socket_shared {
    comity_coordinator *coordinator;
    /* Called before a descriptor is closed. */
    void (*closing)(void *data, comity_socket_link *link, short events);
    void *closing_data;
    int ended; /* A connection has ended, which may have led to more commands. */
    char room[COMITY_SOCKET_READ];
} comity_socket_shared;

/* Puts a new connection in the place of the one there is. */
static inline uint32_t comity_socket_link_renew(comity_socket_link *link, uint64_t now_us) {
    comity_connection_free(link->connection);
    link->connection = NULL;
    return comity_connection_new(link->endpoint, link->node, link->route, now_us, &link->connection);
}

static inline uint32_t comity_socket_link_init(comity_socket_link *link, const comity_endpoint *endpoint,
                                               uint32_t node, uint32_t route) {
    memset(link, 0, sizeof *link);
    link->endpoint = endpoint;
    link->node = node;
    link->route = route;
    link->fd = -1;
    return comity_socket_link_renew(link, comity_system_now());
}

/* Closes the stream, or gives up making one. */
static inline void comity_socket_link_close(comity_socket_link *link, comity_socket_shared *shared) {
    if (link->fd >= 0) {
        if (shared->closing != NULL) shared->closing(shared->closing_data, link, 0);
        close(link->fd);
    }
    link->fd = -1;
    link->connecting = 0;
}

static inline void comity_socket_link_forget(comity_socket_link *link) {
    if (link->addresses != NULL) freeaddrinfo(link->addresses);
    link->addresses = link->next = NULL;
}

/* Ends the connection, for this reason unless it has ended for another. */
static inline void comity_socket_link_end(comity_socket_link *link, comity_socket_shared *shared,
                                          const char *reason, uint32_t lasting, uint64_t now_us) {
    const char *why = "";
    comity_socket_link_close(link, shared);
    comity_socket_link_forget(link);
    comity_connection_end(link->connection, shared->coordinator, reason, strlen(reason), lasting, now_us);
    if (comity_connection_why(link->connection, &why) == COMITY_OK) {
        snprintf(link->why, sizeof link->why, "%s", why);
    }
    comity_socket_link_renew(link, now_us);
    shared->ended = 1;
}

/* What to poll its descriptor for. */
static inline short comity_socket_link_events(const comity_socket_link *link) {
    comity_bytes rest = {NULL, 0};
    if (link->connecting) return POLLOUT;
    comity_connection_transmit(link->connection, &rest);
    return rest.len > 0 ? POLLIN | POLLOUT : POLLIN;
}

/* Moving bytes */

/* Writes what the system takes of what is ready. */
static inline void comity_socket_link_write(comity_socket_link *link, comity_socket_shared *shared,
                                            uint64_t now_us) {
    comity_bytes rest = {NULL, 0};
    while (comity_connection_transmit(link->connection, &rest) == COMITY_OK && rest.len > 0) {
        ssize_t sent = comity_system_send(link->fd, rest.data, rest.len);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) return;
            comity_socket_link_end(link, shared, strerror(errno), 0, now_us);
            return;
        }
        comity_connection_transmitted(link->connection, (size_t)sent);
        link->used_us = now_us;
    }
}

/* Reads what has arrived. */
static inline void comity_socket_link_read(comity_socket_link *link, comity_socket_shared *shared,
                                           uint64_t now_us) {
    uint32_t open = 0;
    ssize_t got = recv(link->fd, shared->room, sizeof shared->room, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got > 0) {
        link->used_us = now_us;
        comity_connection_receive(link->connection, shared->coordinator, shared->room, (size_t)got,
                                  now_us, &open);
    }
    if (open) {
        /* The server may have let the connection in just now. */
        comity_socket_link_write(link, shared, now_us);
    } else {
        comity_socket_link_end(link, shared, got < 0 ? strerror(errno) : "closed by the server", 0,
                               now_us);
    }
}

/* An idle stream is of no use if its server has hung up, or said something that nobody asked for. */
static inline void comity_socket_link_look(comity_socket_link *link, comity_socket_shared *shared,
                                           uint64_t now_us) {
    size_t outstanding = 1;
    if (link->fd < 0 || link->connecting || now_us - link->used_us < COMITY_SOCKET_STALE_US) return;
    comity_connection_outstanding(link->connection, &outstanding);
    if (outstanding > 0) return;
    link->used_us = now_us;
    comity_socket_link_read(link, shared, now_us);
}

/* Connecting */

static inline void comity_socket_link_made(comity_socket_link *link, comity_socket_shared *shared,
                                           uint64_t now_us) {
    link->connecting = 0;
    link->used_us = now_us;
    comity_socket_link_forget(link);
    comity_connection_connected(link->connection, shared->coordinator, now_us);
    comity_socket_link_write(link, shared, now_us);
}

/* Begins to connect to one address. Returns whether there is a stream, or will be; errno otherwise. */
static inline int comity_socket_link_try(comity_socket_link *link, comity_socket_shared *shared,
                                         int family, const struct sockaddr *address, socklen_t len,
                                         uint64_t now_us) {
    int fd = socket(family, SOCK_STREAM, 0), one = 1, error, flags;
    if (fd < 0) return 0;
    flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0
        && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) {
        if (family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        link->fd = fd;
        if (connect(fd, address, len) == 0) {
            comity_socket_link_made(link, shared, now_us);
            return 1;
        }
        link->connecting = errno == EINPROGRESS || errno == EINTR;
        if (link->connecting) return 1;
    }
    error = errno;
    link->fd = -1;
    close(fd);
    errno = error;
    return 0;
}

/* When what is asked is late. */
static inline uint64_t comity_socket_link_late(const comity_socket_link *link) {
    uint64_t due_us = COMITY_NONE;
    comity_connection_deadline(link->connection, &due_us);
    return due_us;
}

/* Until when to try one address before those that are left: one that drops packets leaves time for the
 * others. */
static inline uint64_t comity_socket_link_share(const comity_socket_link *link, uint64_t now_us) {
    uint64_t due_us = comity_socket_link_late(link), among = 1;
    const struct addrinfo *at;
    for (at = link->next; at != NULL; at = at->ai_next) among++;
    if (among == 1 || due_us == COMITY_NONE || due_us <= now_us) return due_us;
    return now_us + (due_us - now_us) / among;
}

/* Tries the addresses that are left; with none, the last error is the connection's. */
static inline void comity_socket_link_next(comity_socket_link *link, comity_socket_shared *shared,
                                           int error, uint64_t now_us) {
    while (link->next != NULL) {
        const struct addrinfo *at = link->next;
        link->next = at->ai_next;
        link->until_us = comity_socket_link_share(link, now_us);
        if (comity_socket_link_try(link, shared, at->ai_family, at->ai_addr, at->ai_addrlen, now_us)) return;
        error = errno;
    }
    comity_socket_link_end(link, shared, strerror(error), 0, now_us);
}

static inline void comity_socket_link_resolve(comity_socket_link *link, comity_socket_shared *shared,
                                              const comity_address *to, uint64_t now_us) {
    struct addrinfo hints;
    char port[16];
    int error;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    snprintf(port, sizeof port, "%u", (unsigned)to->port);
    error = getaddrinfo(to->host, port, &hints, &link->addresses);
    if (error != 0) {
        link->addresses = NULL;
        /* A name that nobody knows stays unknown for what waits now. */
        comity_socket_link_end(link, shared, gai_strerror(error), error == EAI_NONAME, now_us);
        return;
    }
    link->next = link->addresses;
    comity_socket_link_next(link, shared, ECONNREFUSED, now_us);
}

/* Begins to connect, if there is something to send. What comes of it shows when the descriptor can be
 * written. */
static inline void comity_socket_link_reach(comity_socket_link *link, comity_socket_shared *shared,
                                            uint64_t now_us) {
    comity_address to;
    struct sockaddr_un file;
    size_t outstanding = 0;
    comity_connection_outstanding(link->connection, &outstanding);
    if (outstanding == 0 || comity_endpoint_address(link->endpoint, &to) != COMITY_OK) return;
    if (to.path == NULL) {
        comity_socket_link_resolve(link, shared, &to, now_us);
        return;
    }
    memset(&file, 0, sizeof file);
    file.sun_family = AF_UNIX;
    if (strlen(to.path) >= sizeof file.sun_path) {
        comity_socket_link_end(link, shared, strerror(ENAMETOOLONG), 1, now_us);
        return;
    }
    memcpy(file.sun_path, to.path, strlen(to.path));
    if (!comity_socket_link_try(link, shared, AF_UNIX, (const struct sockaddr *)&file, sizeof file,
                                now_us)) {
        comity_socket_link_end(link, shared, strerror(errno), 0, now_us);
    }
}

/* The descriptor of a stream that is being made can be written. */
static inline void comity_socket_link_connected(comity_socket_link *link, comity_socket_shared *shared,
                                                uint64_t now_us) {
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
    if (error == 0) {
        comity_socket_link_made(link, shared, now_us);
    } else {
        comity_socket_link_close(link, shared);
        comity_socket_link_next(link, shared, error, now_us);
    }
}

/* What poll has found. */
static inline void comity_socket_link_serve(comity_socket_link *link, comity_socket_shared *shared,
                                            short events, uint64_t now_us) {
    if (link->connecting) comity_socket_link_connected(link, shared, now_us);
    /* An error or a hang-up shows when it is read. */
    else if (events & ~POLLOUT) comity_socket_link_read(link, shared, now_us);
    else comity_socket_link_write(link, shared, now_us);
}

/* Sends what is queued; connects where there is no stream. */
static inline void comity_socket_link_flush(comity_socket_link *link, comity_socket_shared *shared,
                                            uint64_t now_us) {
    if (link->fd < 0) comity_socket_link_reach(link, shared, now_us);
    else if (!link->connecting) comity_socket_link_write(link, shared, now_us);
}

/* Whether there is another address to be tried after this one. */
static inline int comity_socket_link_spare(const comity_socket_link *link) {
    return link->connecting && link->next != NULL;
}

static inline uint64_t comity_socket_link_due(const comity_socket_link *link) {
    uint64_t due_us = comity_socket_link_late(link);
    return comity_socket_link_spare(link) && link->until_us < due_us ? link->until_us : due_us;
}

/* Gives up what is late; asks a silent server whether it still lives. */
static inline void comity_socket_link_tick(comity_socket_link *link, comity_socket_shared *shared,
                                           uint64_t now_us) {
    uint32_t open = 1;
    if (comity_socket_link_due(link) > now_us) return;
    if (comity_socket_link_spare(link) && comity_socket_link_late(link) > now_us) {
        comity_socket_link_close(link, shared);
        comity_socket_link_next(link, shared, ETIMEDOUT, now_us);
        return;
    }
    comity_connection_handle_timeout(link->connection, shared->coordinator, now_us, &open);
    if (!open) comity_socket_link_end(link, shared, "", 0, now_us);
    else if (link->fd >= 0 && !link->connecting) comity_socket_link_write(link, shared, now_us);
}

#endif
