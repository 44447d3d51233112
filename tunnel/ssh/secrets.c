/* Passphrases and the password that worked, by name, for all sessions of one tunnel. Each lies alone in memory that
 * is locked where the system allows it, and is wiped when it goes. */
#include "tunnel/ssh/session_internal.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <string.h>
#include <sys/mman.h>

#define SECRETS_MAX       32
#define SECRET_LENGTH_MAX 1024 /* longer: not kept, asked again */

struct secret {
    char *name;
    char *value; /* a page of its own, so that locking it locks nothing else */
};

struct ssh_secrets {
    struct secret items[SECRETS_MAX];
    size_t count;
};

#define SECRET_PAGE 4096

static char *secret_page(const char *value)
{
    char *page =
        mmap(NULL, SECRET_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    (void)mlock(page, SECRET_PAGE); /* a limit of the system may refuse: then it is only wiped */
    (void)madvise(page, SECRET_PAGE, MADV_DONTDUMP);
    memcpy(page, value, strlen(value) + 1);
    return page;
}

static void secret_done(struct secret *secret)
{
    crypto_wipe(secret->value, SECRET_PAGE);
    (void)munmap(secret->value, SECRET_PAGE);
    mem_free(secret->name);
    *secret = (struct secret){0};
}

struct ssh_secrets *ssh_secrets_new(void)
{
    return NEW(struct ssh_secrets);
}

struct ssh_secrets *ssh_secrets_free(struct ssh_secrets *secrets)
{
    if (secrets == NULL)
        return NULL;
    for (size_t i = 0; i < secrets->count; i++)
        secret_done(&secrets->items[i]);
    return mem_free(secrets);
}

void ssh_secrets_forget(struct ssh_secrets *secrets, const char *name)
{
    for (size_t i = 0; secrets != NULL && i < secrets->count; i++) {
        if (strcmp(secrets->items[i].name, name) != 0)
            continue;
        secret_done(&secrets->items[i]);
        secrets->items[i] = secrets->items[--secrets->count];
        return;
    }
}

void ssh_secrets_put(struct ssh_secrets *secrets, const char *name, const char *value)
{
    struct secret *secret;
    char *page;

    if (value == ssh_secrets_get(secrets, name))
        return; /* it came from here */
    ssh_secrets_forget(secrets, name);
    if (secrets == NULL || secrets->count == SECRETS_MAX || strlen(value) > SECRET_LENGTH_MAX)
        return;
    page = secret_page(value);
    if (page == NULL)
        return;
    secret = &secrets->items[secrets->count++];
    secret->name = mem_string(name);
    secret->value = page;
}

const char *ssh_secrets_get(const struct ssh_secrets *secrets, const char *name)
{
    for (size_t i = 0; secrets != NULL && i < secrets->count; i++) {
        if (strcmp(secrets->items[i].name, name) == 0)
            return secrets->items[i].value;
    }
    return NULL;
}
