/* models.list and models.authStatus as clients of both versions ask. */
#include "tests/rig/rig.h"

#include "gateway/model/discover.h"

#include <stdlib.h>

#define CONFIG                                                                                     \
    "{models:{providers:{a:{baseUrl:\"http://127.0.0.1:1/"                                         \
    "v1\",apiKey:\"sk-rig\",models:[{id:\"x\","                                                    \
    "contextWindow:1000,reasoning:true}]}}}}"
#define LIST                                                                                       \
    "{'ok':true,'payload':{'models':[{'id':'x','provider':'a','available':true,'contextWindow':"   \
    "1000,'reasoning':true,'thinkingDefault':'off','thinkingLevels':[{'id':'off','label':'off'},{" \
    "'id':'minimal'},{'id':'low'},{'id':'medium'},{'id':'high'}]},{'id':'echo'}]}}"

T(lists_what_is_configured)
{
    struct rig *rig = rig_new(CONFIG);

    for (int version = 3; version <= 4; version++) {
        struct peer *peer = peer_connect(rig, version, "operator.read");

        t_json(peer_call(peer, "models.list", "{}"), LIST);
        t_json(peer_call(peer, "models.authStatus", "{}"),
               "{'payload':{'providers':[{'provider':'a','status':'static'}]}}");
        t_ok(strstr(peer_call(peer, "models.authStatus", "{}"), "sk-rig") == NULL);
        peer_close(peer);
    }
    rig_free(rig);
}

/* It waits for a look at this machine, where nobody is. */
T(refreshes)
{
    struct rig *rig = rig_new(CONFIG);
    struct peer *peer = peer_connect(rig, 4, "operator.read");

    t_json(peer_call(peer, "models.list", "{'view':'all','refresh':true}"), LIST);
    rig_free(rig);
}

/* Nobody answers on that port, ever: the list does not wait for it, nor does the end of everything. */
T(gone_while_refreshing)
{
    for (int closes = 0; closes < 2; closes++) {
        struct rig *rig = rig_new(CONFIG);
        struct peer *peer = peer_connect(rig, 4, "operator.read");

        peer_send(peer, "{'type':'req','id':'r','method':'models.list','params':{'refresh':true}}");
        (void)loop_turn(rig->gw->loop, false);
        if (closes)
            peer_close(peer);
        rig_free(rig);
    }
}
