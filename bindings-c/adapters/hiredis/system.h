/* What the adapter needs of the system: a clock, randomness, and writes that do not kill. */
#ifndef COMITY_HIREDIS_SYSTEM_H
#define COMITY_HIREDIS_SYSTEM_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef CLOCK_MONOTONIC
#error "this needs POSIX: compile with -std=gnu99 or later, or with -D_POSIX_C_SOURCE=200809L"
#endif

/* The clock that counts through a suspend: on Apple's systems the monotonic one does. */
#ifdef CLOCK_BOOTTIME
#define COMITY_HIREDIS_CLOCK CLOCK_BOOTTIME
#else
#define COMITY_HIREDIS_CLOCK CLOCK_MONOTONIC
#endif

/* Microseconds on the clock that every function of comity is to be called with here. */
static inline uint64_t comity_hiredis_now(void) {
    struct timespec now;
    clock_gettime(COMITY_HIREDIS_CLOCK, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Fills len bytes from the system's cryptographic source. Returns whether that succeeded. */
static inline int comity_hiredis_entropy(void *out, size_t len) {
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

/* Keeps SIGPIPE from the calling thread. */
static inline void comity_hiredis_mask_sigpipe(sigset_t *before) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, before);
}

/* Lets the thread have its signals as before, without the SIGPIPE that came meanwhile. */
static inline void comity_hiredis_unmask_sigpipe(const sigset_t *before) {
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
static inline ssize_t comity_hiredis_send(int fd, const char *data, size_t len) {
#ifdef MSG_NOSIGNAL
    return send(fd, data, len, MSG_NOSIGNAL);
#else
    sigset_t before;
    ssize_t sent;
    int error;
    comity_hiredis_mask_sigpipe(&before);
    sent = send(fd, data, len, 0);
    error = errno;
    comity_hiredis_unmask_sigpipe(&before);
    errno = error;
    return sent;
#endif
}

#endif
