/* Numbers as names, for logs. */
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
    puts("ok");
    return 0;
}
