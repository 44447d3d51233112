/* What an agent is told of itself before a conversation: who it is, where it works, and its workspace's
 * own files (AGENTS.md, SOUL.md, …), each and all of them with a ceiling. */
#pragma once

#include "base/buf.h"

#define CONTEXT_SYSTEM_MAX (1024u * 1024) /* bytes of a system prompt */

/* Whose session it is: what is private stays out of groups, helpers get the working rules alone. */
enum context_reader { CONTEXT_OWNER, CONTEXT_GROUP, CONTEXT_CRON, CONTEXT_HELPER };
/* By the form of a canonical session key (protocol.md 6.4). */
enum context_reader context_reader_of(const char *session_key);

/* Reads the files beneath root into out as a section of the system prompt: at most `each` bytes of one
 * file, `all` of all; what was cut or could not be read is said there. Blocks: pool threads only. */
void context_read(const char *root, enum context_reader reader, size_t each, size_t all,
                  struct buf *out);

/* The whole system prompt; members NULL: not told. Caller owns. Pure. */
struct context_facts {
    const char *name;      /* of the agent */
    const char *workspace; /* its folder */
    const char *model;     /* "provider/model" */
    const char *files;     /* from context_read */
    const char *extra;     /* of the request */
    int64_t now; /* wall ms: the day is told, not the minute, so that prompts stay alike */
    bool tools;  /* it has some */
};
char *context_system(const struct context_facts *facts) MUSTCHECK;
