/* A request of OpenAI's APIs as we understand it, and the parts both APIs read alike: the conversation
 * that becomes a prompt, tools, images and files. Pure: any thread. protocol.md 8.7. */
#pragma once

#include "base/json.h"

#define API_TOOLS_MAX      128
#define API_IMAGES_MAX     8
#define API_FILE_BYTES_MAX (5u << 20) /* of one file, decoded */
#define API_FILE_CHARS_MAX                                                                         \
    200000 /* bytes of its text that are passed on; the rest is cut, which is said */
#define API_PROMPT_MAX (48u << 20)
#define API_USER_MAX   256

enum api_choice { CHOICE_AUTO, CHOICE_NONE, CHOICE_REQUIRED, CHOICE_NAMED };

/* What the API asks of us. All owned: api_request_done. */
struct api_request {
    char *model;        /* as written; NULL: left out */
    char *message;      /* the prompt of the turn */
    char *images;       /* JSON array of image parts; NULL: none */
    char *system;       /* NULL: none */
    char *user;         /* NULL: none */
    char *thinking;     /* the level asked for; NULL: none */
    char *previous;     /* previous_response_id; NULL: none */
    struct json *tools; /* as model_request.tools; NULL: none */
    enum api_choice choice;
    char *choice_name; /* NAMED */
    bool stream, include_usage;
    int64_t max_tokens; /* 0: not told */
};
void api_request_done(struct api_request *request);

/* ---- the conversation ---- */

/* Who speaks. The last USER or TOOL entry is what is to be answered; what stands before it is told as the
 * conversation so far, what stands behind it is left out. */
enum api_role { API_USER, API_ASSISTANT, API_TOOL };

struct api_entry {
    enum api_role role;
    char *sender; /* "User", "Assistant", "Tool:call_1" */
    char *body;
};

struct api_prompt {
    struct api_entry *entries;
    size_t count, room;
    struct buf system;
};
void api_prompt_init(struct api_prompt *prompt);
void api_prompt_done(struct api_prompt *prompt);
/* body: copied. tool: the id (or name) of the call a result belongs to; NULL otherwise. */
void api_prompt_add(struct api_prompt *prompt, enum api_role role, const char *tool,
                    const char *body);
void api_prompt_system(struct api_prompt *prompt,
                       const char *text); /* a paragraph; "" and NULL: none */
/* "tool_call id=… name=… arguments=…" of a call in the conversation. Caller owns. */
char *api_prompt_call(const char *id, const char *name, const char *arguments) MUSTCHECK;
/* Moves what was gathered into request->message and ->system. -ERR_INVALID: nothing to answer. */
int api_prompt_take(struct api_prompt *prompt, struct api_request *request,
                    struct fault *reterr_fault);

/* ---- tools ---- */

/* tools: both APIs' spellings. -ERR_INVALID with a fault. */
int api_tools(const struct json *tools, struct api_request *request, struct fault *reterr_fault);
/* tool_choice, after api_tools: keeps the tools it leaves and tells the model what is asked of it. */
int api_tool_choice(const struct json *choice, struct api_request *request,
                    struct api_prompt *prompt, struct fault *reterr_fault);
/* What was asked for is not among the calls ([{name}…], NULL: none): the sentence for the caller; else NULL. */
const char *api_choice_missed(const struct api_request *request, const struct json *calls);

/* ---- what the client cannot have ---- */

/* response_format, text.format: asked of the model in words. */
int api_format(const struct json *format, struct api_prompt *prompt, struct fault *reterr_fault);

/* ---- media of the message to answer ---- */

/* Adds an image by its data: URL to the array (attachments_images' input). */
int api_image(struct json *images, const char *url, struct fault *reterr_fault);
/* The array into request->images. */
int api_images_take(const struct json *images, struct api_request *request,
                    struct fault *reterr_fault);
/* A text file, base64 or a data: URL: into the system part, marked as data. name, mime may be NULL. */
int api_file(struct api_prompt *prompt, const char *name, const char *mime, const char *data,
             struct fault *reterr_fault);
