/* Numbers as names, for logs, and the words of what an adapter says has failed. */
#include "check.h"

int main(void) {
    CHECK(strcmp(comity_error_name(COMITY_OK), "Ok") == 0);
    CHECK(strcmp(comity_error_name(COMITY_ERROR_INVALID_ARGUMENT), "InvalidArgument") == 0);
    CHECK(strcmp(comity_error_name(COMITY_ERROR_INTERNAL), "Internal") == 0);
    CHECK(strcmp(comity_error_name(6), "unknown") == 0);
    CHECK(strcmp(comity_event_name(COMITY_EVENT_LOCK_GRANTED), "LockGranted") == 0);
    CHECK(strcmp(comity_event_name(COMITY_EVENT_CLOSED), "Closed") == 0);
    CHECK(strcmp(comity_event_name(0), "unknown") == 0);
    CHECK(strcmp(comity_event_name(UINT32_MAX), "unknown") == 0);
    CHECK(comity_fail(COMITY_ERROR_UNREACHABLE, "nobody there") == COMITY_ERROR_UNREACHABLE);
    CHECK(strcmp(comity_last_error(), "nobody there") == 0);
    CHECK(comity_fail(7, comity_last_error()) == 7);
    CHECK(strcmp(comity_last_error(), "nobody there") == 0);
    puts("ok");
    return 0;
}
