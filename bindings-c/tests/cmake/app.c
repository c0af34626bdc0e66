/* Says which version it was linked with. */
#include <stdio.h>

#include <comity.h>

int main(void) {
    printf("comity %s\n", comity_version());
    return 0;
}
