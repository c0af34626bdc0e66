/* A server's outage and its end are told once each, and a renewal that comes to nothing in its time. */
#include "world.h"

/* Nothing that is ready is sent. */
static void nothing_is_sent(world *w) {
    const comity_command *command;

    for (;;) {
        OK(comity_poll_command(w->co[0], &command));
        if (command == NULL) return;
        OK(comity_handle_failure(w->co[0], command->request, COMITY_FAILURE_NOT_SENT, w->now));
    }
}

int main(void) {
    const char *why = "connection refused";
    world w;
    const comity_event *event;
    uint64_t lock, begun, until, now_until;
    int downs = 0, ended = 0;

    world_open(&w, 1);
    OK(comity_lock_acquire(w.co[0], TEXT("invoice:42"), NULL, w.now, &lock));
    world_until(&w, 0, COMITY_EVENT_LOCK_GRANTED);
    OK(comity_lock_valid_until(w.co[0], lock, &until));
    begun = w.now;
    OK(comity_lock_renew(w.co[0], lock, COMITY_NONE, w.now));
    while (!ended) {
        OK(comity_handle_unreachable(w.co[0], 0, why, strlen(why), 0, w.now));
        nothing_is_sent(&w);
        for (;;) {
            OK(comity_poll_event(w.co[0], &event));
            if (event == NULL) break;
            if (event->kind == COMITY_EVENT_NODE_DOWN) {
                downs++;
                CHECK(event->node == 0 && event->error == COMITY_ERROR_UNREACHABLE);
                CHECK(strcmp(event->message, why) == 0 && event->count == 0);
            } else {
                CHECK(event->kind == COMITY_EVENT_LOCK_NOT_RENEWED && event->lock == lock);
                CHECK(event->error == COMITY_ERROR_UNREACHABLE && event->node == 0);
                CHECK(strstr(event->message, why) != NULL);
                CHECK(is(event->name, "invoice:42"));
                ended = 1;
            }
        }
        if (!ended) world_wait(&w);
    }
    CHECK(downs == 1);
    CHECK(w.now - begun <= 5000000);
    OK(comity_lock_valid_until(w.co[0], lock, &now_until));
    CHECK(now_until == until);

    event = world_until(&w, 0, COMITY_EVENT_NODE_UP);
    CHECK(event->node == 0 && event->outage_us == w.now - begun && event->error == COMITY_OK);
    world_until(&w, 0, COMITY_EVENT_LOCK_RENEWED);
    CHECK(strcmp(comity_event_name(COMITY_EVENT_NODE_DOWN), "NodeDown") == 0);

    world_close(&w);
    puts("ok");
    return 0;
}
