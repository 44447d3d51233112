/* Smoke. */
#include "tests/rig/rig.h"

T(echo)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, "operator.read operator.write operator.admin");

    printf("%s\n", peer_call(p, "sessions.subscribe", "{}"));
    printf("%s\n", peer_call(p, "sessions.messages.subscribe", "{'key':'main'}"));
    printf("%s\n", peer_call(p, "chat.send",
                             "{'sessionKey':'main','message':'hello','idempotencyKey':'k1'}"));
    for (int i = 0; i < 20; i++) {
        rig_advance(rig, 100);
        const char *m = peer_next(p);
        if (!*m)
            break;
        printf("EV %s\n", m);
    }
    printf("%s\n", peer_call(p, "chat.history", "{'sessionKey':'main'}"));
    printf("%s\n", peer_call(p, "chat.send",
                             "{'sessionKey':'main','message':'hello','idempotencyKey':'k1'}"));
    rig_free(rig);
}
