/* commands.list: the slash commands that work. protocol.md 4.3. */
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"
#include "gateway/session/command.h"

static const struct field command_rows[] = {
    R_STR("name", REQUIRED),
    R_STRS("textAliases", REQUIRED),
    R_STR("description", REQUIRED),
    R_STR("source", REQUIRED),
    R_STR("scope", REQUIRED),
    R_BOOL("acceptsArgs", REQUIRED),
    F_END,
};
static const struct field commands_list_reply[] = {R_OBJECTS("commands", REQUIRED, command_rows),
                                                   F_END};

static int commands_list_run(struct call *call, const void *params)
{
    struct json_writer *w = call_reply(call);

    (void)params;
    jw_object(w);
    jw_key(w, "commands");
    commands_write(w);
    jw_object_end(w);
    return call_send(call);
}

const struct method methods_commands[] = {
    M("commands.list", OPERATOR, READ, READ, no_params, commands_list_reply, commands_list_run),
    {0},
};
