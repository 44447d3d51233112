/* The conversation of a request becomes one prompt: what was said before, then what is to be answered.
 * An API's client keeps the history itself and sends it each time, so it is text of the turn's message
 * and not of the session's transcript. protocol.md 8.7. */
#include "gateway/http/api_request.h"

#include "base/mem.h"

#include <string.h>

void api_request_done(struct api_request *request)
{
    mem_free(request->model);
    mem_free(request->message);
    mem_free(request->images);
    mem_free(request->system);
    mem_free(request->user);
    mem_free(request->previous);
    mem_free(request->thinking);
    mem_free(request->choice_name);
    json_free(request->tools);
    *request = (struct api_request){0};
}

void api_prompt_init(struct api_prompt *prompt)
{
    *prompt = (struct api_prompt){0};
    buf_init(&prompt->system, API_PROMPT_MAX);
}

void api_prompt_done(struct api_prompt *prompt)
{
    for (size_t i = 0; i < prompt->count; i++) {
        mem_free(prompt->entries[i].sender);
        mem_free(prompt->entries[i].body);
    }
    mem_free(prompt->entries);
    buf_done(&prompt->system);
}

void api_prompt_add(struct api_prompt *prompt, enum api_role role, const char *tool,
                    const char *body)
{
    static const char *const names[] = {
        [API_USER] = "User", [API_ASSISTANT] = "Assistant", [API_TOOL] = "Tool"};

    if (prompt->count == prompt->room) {
        prompt->room = prompt->room ? prompt->room * 2 : 16;
        prompt->entries = mem_grow(prompt->entries, prompt->room, sizeof(*prompt->entries));
    }
    prompt->entries[prompt->count++] = (struct api_entry){
        .role = role,
        .sender = tool && *tool ? mem_format("%s:%s", names[role], tool) : mem_string(names[role]),
        .body = mem_string(body),
    };
}

void api_prompt_system(struct api_prompt *prompt, const char *text)
{
    if (!text || !*text)
        return;
    if (prompt->system.length)
        buf_add_str(&prompt->system, "\n\n");
    buf_add_str(&prompt->system, text);
}

char *api_prompt_call(const char *id, const char *name, const char *arguments)
{
    return mem_format("tool_call id=%s name=%s arguments=%s", id, name, arguments);
}

/* The entry to answer: the last that is not the assistant's, else the last. */
static size_t current_entry(const struct api_prompt *prompt)
{
    for (size_t i = prompt->count; i-- > 0;)
        if (prompt->entries[i].role != API_ASSISTANT)
            return i;
    return prompt->count - 1;
}

int api_prompt_take(struct api_prompt *prompt, struct api_request *request,
                    struct fault *reterr_fault)
{
    struct buf b;

    if (prompt->count == 0)
        return fault_set(reterr_fault, -ERR_INVALID, "there is no user message to answer");
    size_t current = current_entry(prompt);
    const struct api_entry *last = &prompt->entries[current];
    buf_init(&b, API_PROMPT_MAX);
    if (current > 0)
        buf_add_str(&b, "[The conversation so far]\n");
    for (size_t i = 0; i < current; i++)
        buf_addf(&b, "%s: %s\n", prompt->entries[i].sender, prompt->entries[i].body);
    if (current > 0)
        buf_add_str(&b, "\n[Answer this]\n");
    if (current > 0 || last->role == API_TOOL)
        buf_addf(&b, "%s: ", last->sender);
    buf_add_str(&b, last->body);
    request->message = buf_take(&b);
    request->system = prompt->system.length ? buf_take(&prompt->system) : NULL;
    if (!request->message || prompt->system.bad)
        return fault_set(reterr_fault, -ERR_TOO_LARGE, "the conversation is too long");
    return 0;
}
