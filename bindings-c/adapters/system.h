/* What adapters need of the system: a clock, randomness, and writes that do not kill. Header-only, POSIX,
 * C99 and C++17. */
#ifndef COMITY_ADAPTERS_SYSTEM_H
#define COMITY_ADAPTERS_SYSTEM_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <comity.h>

#ifndef CLOCK_MONOTONIC
#error "this needs POSIX: compile with -std=gnu99 or later, or with -D_POSIX_C_SOURCE=200809L"
#endif

/* The clock that counts through a suspend: on Apple's systems the monotonic one does. */
#ifdef CLOCK_BOOTTIME
#define COMITY_SYSTEM_CLOCK CLOCK_BOOTTIME
#else
#define COMITY_SYSTEM_CLOCK CLOCK_MONOTONIC
#endif

/* Microseconds on the clock that every function of comity is to be called with here. */
static inline uint64_t comity_system_now(void) {
    struct timespec now;
    clock_gettime(COMITY_SYSTEM_CLOCK, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Fills len bytes from the system's cryptographic source. Returns whether that succeeded. */
static inline int comity_system_entropy(void *out, size_t len) {
    unsigned char *at = (unsigned char *)out;
    int fd = open("/dev/urandom", O_RDONLY);
    if (fd < 0) return 0;
    while (len > 0) {
        ssize_t got = read(fd, at, len);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        at += got;
        len -= (size_t)got;
    }
    close(fd);
    return len == 0;
}

/* Makes a coordinator over these nodes with the system's clock and randomness. config is NULL for the
 * defaults; its own nodes are not looked at.
 *
 * Returns as comity_coordinator_new, or COMITY_ERROR_UNSUPPORTED where the system has no randomness. */
static inline uint32_t comity_system_coordinator(const comity_node_spec *nodes, size_t count,
                                                 const comity_config *config,
                                                 comity_coordinator **out) {
    unsigned char entropy[32];
    comity_config all;
    uint32_t status;
    if (!comity_system_entropy(entropy, sizeof entropy)) {
        return comity_fail(COMITY_ERROR_UNSUPPORTED, "/dev/urandom cannot be read: no randomness for ids");
    }
    if (config != NULL && config->struct_size != sizeof all) {
        return comity_fail(COMITY_ERROR_INVALID_ARGUMENT,
                           "config: its struct_size is not that of comity_config: comity_config_init "
                           "was not called");
    }
    status = comity_config_init(&all, sizeof all);
    if (status != COMITY_OK) return status;
    if (config != NULL) all = *config;
    all.nodes = nodes;
    all.node_count = count;
    return comity_coordinator_new(&all, entropy, sizeof entropy, comity_system_now(), out);
}

/* How long to poll until a moment, in milliseconds: -1 for ever. Rounded up, for what is looked at too
 * early is looked at again at once. */
static inline int comity_system_timeout(uint64_t until_us, uint64_t now_us) {
    uint64_t left_us = until_us > now_us ? until_us - now_us : 0;
    if (until_us == COMITY_NONE) return -1;
    return left_us > 3600000000u ? 3600000 : (int)((left_us + 999) / 1000);
}

/* Keeps SIGPIPE from the calling thread. */
static inline void comity_system_mask_sigpipe(sigset_t *before) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, before);
}

/* Lets the thread have its signals as before, without the SIGPIPE that came meanwhile. */
static inline void comity_system_unmask_sigpipe(const sigset_t *before) {
    if (!sigismember(before, SIGPIPE)) {
        sigset_t pending;
        sigemptyset(&pending);
        if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE)) {
            sigset_t pipe;
            int number;
            sigemptyset(&pipe);
            sigaddset(&pipe, SIGPIPE);
            sigwait(&pipe, &number);
        }
    }
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* send(2) that never blocks for a signal: how many bytes were taken, or -1 and errno. */
static inline ssize_t comity_system_send(int fd, const char *data, size_t len) {
#ifdef MSG_NOSIGNAL
    return send(fd, data, len, MSG_NOSIGNAL);
#else
    sigset_t before;
    ssize_t sent;
    int error;
    comity_system_mask_sigpipe(&before);
    sent = send(fd, data, len, 0);
    error = errno;
    comity_system_unmask_sigpipe(&before);
    errno = error;
    return sent;
#endif
}

#endif
