/* A small daemon of which only one is active: whoever has the lock leads, and counts the ticks.
 *
 *   leader HOST:PORT [NAME]
 *
 * Start several and kill the one that leads: another goes on. It has a loop of its own, with epoll and
 * timerfd (Linux); SIGTERM and SIGINT end it in order, which hands over at once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <comity.h>
#include <comity/adapters/hiredis.h>

#define TICK_US 100000u
#define LOCK "leader"
#define COUNTER "ticks"

typedef struct daemon_state {
    comity_hiredis *redis;
    comity_coordinator *co;
    const char *name;
    int epoll, timer, ticker, signals;
    uint64_t lock, ticks;
    int leads, asked, ended;
} daemon_state;

static void must(uint32_t status) {
    if (status != COMITY_OK) {
        fprintf(stderr, "%s: %s\n", comity_error_name(status), comity_last_error());
        exit(1);
    }
}

static int need(int fd, const char *what) {
    if (fd < 0) {
        perror(what);
        exit(1);
    }
    return fd;
}

/* What the adapter wants to have watched has changed. */
static void watch(void *data, int fd, short events) {
    daemon_state *self = (daemon_state *)data;
    struct epoll_event wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.events = (events & POLLIN ? (uint32_t)EPOLLIN : 0)
                  | (events & POLLOUT ? (uint32_t)EPOLLOUT : 0);
    wanted.data.fd = fd;
    if (events == 0) epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &wanted) != 0) {
        need(epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &wanted), "epoll_ctl");
    }
}

/* Has a timer ring at a moment on the adapter's clock, then every so many microseconds; COMITY_NONE =
 * never. */
static void set_timer(int fd, uint64_t at_us, uint64_t every_us) {
    struct itimerspec when;
    memset(&when, 0, sizeof when);
    if (at_us != COMITY_NONE) {
        when.it_value.tv_sec = (time_t)(at_us / 1000000);
        when.it_value.tv_nsec = (long)(at_us % 1000000 * 1000) + 1; /* Nothing at all would be never. */
        when.it_interval.tv_nsec = (long)(every_us * 1000);
    }
    need(timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL), "timerfd_settime");
}

static void stand(daemon_state *self) {
    comity_lock_options options;
    must(comity_lock_options_init(&options, sizeof options));
    options.ttl_us = 2000000;
    options.label = self->name;
    options.label_len = strlen(self->name);
    must(comity_lock_acquire(self->co, LOCK, strlen(LOCK), &options, comity_hiredis_now(),
                             &self->lock));
    self->asked = 1;
}

static void hear(daemon_state *self, const comity_event *event) {
    switch (event->kind) {
    case COMITY_EVENT_LOCK_QUEUED:
        printf("%s waits for %.*s\n", self->name, (int)event->holder.len, event->holder.data);
        break;
    case COMITY_EVENT_LOCK_GRANTED:
        self->leads = 1;
        printf("%s leads\n", self->name);
        set_timer(self->ticker, comity_hiredis_now(), TICK_US);
        break;
    case COMITY_EVENT_LOCK_LOST:
    case COMITY_EVENT_LOCK_FAILED:
        /* Whatever it was, it has no lock now: it stops, and stands again at the next tick. */
        printf("%s leads no more: %s\n", self->name, event->message);
        self->leads = self->asked = 0;
        set_timer(self->ticker, comity_hiredis_now() + 5 * TICK_US, TICK_US);
        break;
    case COMITY_EVENT_CLOSED:
        self->ended = 1;
        break;
    default:
        break;
    }
}

/* What whoever leads is for. */
static void tick(daemon_state *self) {
    uint32_t held = 0;
    if (!self->asked) {
        stand(self);
        return;
    }
    /* The lease may have run out since the last event. */
    must(comity_lock_is_held(self->co, self->lock, comity_hiredis_now(), &held));
    if (self->leads && held) {
        int64_t all;
        must(comity_counter_add(self->co, self->ticks, 1, comity_hiredis_now()));
        must(comity_counter_value_int64(self->co, self->ticks, comity_hiredis_now(), &all));
        if (all % 10 == 0) printf("%s has counted to %" PRId64 "\n", self->name, all);
    }
}

static void drain(int fd) {
    char room[256];
    if (read(fd, room, sizeof room) < 0 && errno != EAGAIN) perror("read");
}

static void turn(daemon_state *self) {
    struct epoll_event found[16];
    const comity_event *event;
    int i, count;

    must(comity_hiredis_on_timer(self->redis));
    for (;;) {
        must(comity_poll_event(self->co, &event));
        if (event == NULL) break;
        hear(self, event);
    }
    fflush(stdout);
    if (self->ended) return;
    /* What was heard may have led to more that is to be sent. */
    must(comity_hiredis_on_timer(self->redis));
    set_timer(self->timer, comity_hiredis_deadline(self->redis), 0);

    count = epoll_wait(self->epoll, found, 16, -1);
    for (i = 0; i < count; i++) {
        int fd = found[i].data.fd;
        if (fd == self->timer) drain(fd);
        else if (fd == self->ticker) {
            drain(fd);
            tick(self);
        } else if (fd == self->signals) {
            drain(fd);
            must(comity_close(self->co, comity_hiredis_now()));
        } else {
            if (found[i].events & EPOLLOUT) must(comity_hiredis_on_writable(self->redis, fd));
            if (found[i].events & ~(uint32_t)EPOLLOUT) {
                must(comity_hiredis_on_readable(self->redis, fd));
            }
        }
    }
}

static void add(daemon_state *self, int fd) {
    watch(self, fd, POLLIN);
}

int main(int argc, char **argv) {
    daemon_state self;
    comity_hiredis_server server;
    sigset_t ends;
    char *port = argc < 2 ? NULL : strrchr(argv[1], ':');

    if (port == NULL) {
        fprintf(stderr, "usage: %s HOST:PORT [NAME]\n", argv[0]);
        return 2;
    }
    *port++ = '\0';
    memset(&self, 0, sizeof self);
    memset(&server, 0, sizeof server);
    server.host = argv[1];
    server.port = atoi(port);
    self.name = argc > 2 ? argv[2] : "somebody";

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    self.epoll = need(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    self.signals = need(signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd");
    self.timer = need(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create");
    self.ticker = need(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create");
    add(&self, self.signals);
    add(&self, self.timer);
    add(&self, self.ticker);

    must(comity_hiredis_connect(&server, 1, NULL, &self.redis));
    self.co = comity_hiredis_coordinator(self.redis);
    comity_hiredis_watch(self.redis, watch, &self);
    must(comity_counter_open(self.co, COUNTER, strlen(COUNTER), NULL, comity_hiredis_now(),
                             &self.ticks));
    stand(&self);
    while (!self.ended) turn(&self);

    comity_hiredis_free(self.redis);
    close(self.ticker);
    close(self.timer);
    close(self.signals);
    close(self.epoll);
    return 0;
}
