/* Copies of what tunnel_start was given, for the thread. */
#include "tunnel/options.h"

#include "base/mem.h"

#include <string.h>

/* The copies are ours, the structs say const for their callers. */
static void free_text(const char *text)
{
    char *own;

    memcpy(&own, &text, sizeof own);
    mem_free(own);
}

static void wipe_text(const char *text)
{
    char *own;

    memcpy(&own, &text, sizeof own);
    mem_wipe_free(own, own ? strlen(own) : 0);
}

struct tunnel_options *tunnel_options_copy(const struct tunnel_options *options)
{
    struct tunnel_options *copy = mem_copy(options, sizeof *options);
    struct tunnel_listen *listen = mem_array(options->listen_count + 1, sizeof *listen);
    struct tunnel_publish *publish = mem_array(options->publish_count + 1, sizeof *publish);

    copy->target = mem_string(options->target);
    copy->config_file = mem_string(options->config_file);
    copy->identity = mem_string(options->identity);
    copy->ssh_program = mem_string(options->ssh_program);
    copy->bridge_command = mem_string(options->bridge_command);
    for (size_t i = 0; i < options->listen_count; i++) {
        listen[i] = options->listen[i];
        listen[i].host = mem_string(listen[i].host);
        listen[i].unix_path = mem_string(listen[i].unix_path);
    }
    for (size_t i = 0; i < options->publish_count; i++) {
        publish[i] = options->publish[i];
        publish[i].bind_host = mem_string(publish[i].bind_host);
        publish[i].unix_path = mem_string(publish[i].unix_path);
        publish[i].ticket = mem_string(publish[i].ticket);
    }
    copy->listen = listen;
    copy->publish = publish;
    return copy;
}

struct tunnel_options *tunnel_options_free(struct tunnel_options *options)
{
    struct tunnel_listen *listen;
    struct tunnel_publish *publish;

    if (!options)
        return NULL;
    for (size_t i = 0; i < options->listen_count; i++) {
        free_text(options->listen[i].host);
        free_text(options->listen[i].unix_path);
    }
    for (size_t i = 0; i < options->publish_count; i++) {
        free_text(options->publish[i].bind_host);
        free_text(options->publish[i].unix_path);
        wipe_text(options->publish[i].ticket);
    }
    memcpy(&listen, &options->listen, sizeof listen);
    memcpy(&publish, &options->publish, sizeof publish);
    mem_free(listen);
    mem_free(publish);
    free_text(options->target);
    free_text(options->config_file);
    free_text(options->identity);
    free_text(options->ssh_program);
    free_text(options->bridge_command);
    return mem_free(options);
}
