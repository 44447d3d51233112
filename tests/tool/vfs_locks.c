/* Locks and shared memory of the power-cut VFS, between connections of this process. */
#include "base/mem.h"
#include "tests/tool/vfs_private.h"

#include <string.h>

/* ---- file locks ---- */

static int lock_shared(struct handle *h)
{
    if (h->file->exclusive && h->file->exclusive != h)
        return SQLITE_BUSY;
    h->file->shared++;
    return SQLITE_OK;
}

static int lock_reserved(struct handle *h)
{
    if ((h->file->reserved && h->file->reserved != h) ||
        (h->file->exclusive && h->file->exclusive != h))
        return SQLITE_BUSY;
    h->file->reserved = h;
    return SQLITE_OK;
}

static int lock_exclusive(struct handle *h)
{
    if ((h->file->reserved && h->file->reserved != h) ||
        (h->file->exclusive && h->file->exclusive != h))
        return SQLITE_BUSY;
    h->file->exclusive = h; /* pending: nobody new may share */
    return h->file->shared > 1 ? SQLITE_BUSY : SQLITE_OK;
}

int vfs_lock(sqlite3_file *handle, int level)
{
    struct handle *h = (struct handle *)handle;
    int rc = SQLITE_OK;

    pthread_mutex_lock(&h->disk->lock);
    if (level > h->level) {
        if (level == SQLITE_LOCK_SHARED)
            rc = lock_shared(h);
        else if (level == SQLITE_LOCK_RESERVED)
            rc = lock_reserved(h);
        else
            rc = lock_exclusive(h);
        if (rc == SQLITE_OK)
            h->level = level;
    }
    pthread_mutex_unlock(&h->disk->lock);
    return rc;
}

int vfs_unlock(sqlite3_file *handle, int level)
{
    struct handle *h = (struct handle *)handle;

    pthread_mutex_lock(&h->disk->lock);
    if (h->file->exclusive == h)
        h->file->exclusive = NULL;
    if (h->file->reserved == h)
        h->file->reserved = NULL;
    if (level == SQLITE_LOCK_NONE && h->level >= SQLITE_LOCK_SHARED)
        h->file->shared--;
    if (level < h->level)
        h->level = level;
    pthread_mutex_unlock(&h->disk->lock);
    return SQLITE_OK;
}

int vfs_check_reserved(sqlite3_file *handle, int *ret)
{
    struct handle *h = (struct handle *)handle;

    pthread_mutex_lock(&h->disk->lock);
    *ret = h->file->reserved != NULL || h->file->exclusive != NULL;
    pthread_mutex_unlock(&h->disk->lock);
    return SQLITE_OK;
}

/* ---- shared memory ---- */

int vfs_shm_map(sqlite3_file *handle, int region, int size, int extend, void volatile **ret)
{
    struct handle *h = (struct handle *)handle;

    require(region >= 0 && region < VFS_SHM_REGIONS);
    pthread_mutex_lock(&h->disk->lock);
    if (!h->shm_open) {
        h->shm_open = true;
        h->file->shm_users++;
    }
    if (!h->file->regions[region] && extend)
        h->file->regions[region] = mem_new((size_t)size);
    *ret = h->file->regions[region];
    pthread_mutex_unlock(&h->disk->lock);
    return SQLITE_OK;
}

static bool shm_take(struct handle *h, int slot, int flags)
{
    int *held = &h->file->shm_slots[slot];
    unsigned bit = 1u << slot;

    if (flags & SQLITE_SHM_SHARED) {
        if (h->shm_shared & bit)
            return true;
        if (*held < 0)
            return false;
        ++*held;
        h->shm_shared |= bit;
        return true;
    }
    if (*held != 0)
        return false;
    *held = -1;
    h->shm_exclusive |= bit;
    return true;
}

static void shm_drop(struct handle *h, int slot)
{
    unsigned bit = 1u << slot;

    if (h->shm_exclusive & bit)
        h->file->shm_slots[slot] = 0;
    else if (h->shm_shared & bit)
        h->file->shm_slots[slot]--;
    h->shm_exclusive &= ~bit;
    h->shm_shared &= ~bit;
}

/* An exclusive lock of several slots is all or none. */
int vfs_shm_lock(sqlite3_file *handle, int offset, int count, int flags)
{
    struct handle *h = (struct handle *)handle;
    int rc = SQLITE_OK;

    pthread_mutex_lock(&h->disk->lock);
    for (int slot = offset; slot < offset + count && rc == SQLITE_OK; slot++) {
        if (flags & SQLITE_SHM_UNLOCK) {
            shm_drop(h, slot);
        } else if (!shm_take(h, slot, flags)) {
            while (slot-- > offset)
                shm_drop(h, slot);
            rc = SQLITE_BUSY;
        }
    }
    pthread_mutex_unlock(&h->disk->lock);
    return rc;
}

void vfs_shm_barrier(sqlite3_file *handle)
{
    struct handle *h = (struct handle *)handle;

    pthread_mutex_lock(&h->disk->lock);
    pthread_mutex_unlock(&h->disk->lock);
}

/* The memory goes with its last user: after a cut nobody finds it. */
int vfs_shm_unmap(sqlite3_file *handle, int remove)
{
    struct handle *h = (struct handle *)handle;

    (void)remove;
    pthread_mutex_lock(&h->disk->lock);
    if (h->shm_open) {
        h->shm_open = false;
        for (int slot = 0; slot < VFS_SHM_SLOTS; slot++)
            shm_drop(h, slot);
        if (--h->file->shm_users == 0)
            vfs_locks_done(h->file);
    }
    pthread_mutex_unlock(&h->disk->lock);
    return SQLITE_OK;
}

void vfs_locks_done(struct disk_file *file)
{
    for (size_t i = 0; i < VFS_SHM_REGIONS; i++)
        file->regions[i] = mem_free(file->regions[i]);
    memset(file->shm_slots, 0, sizeof(file->shm_slots));
}
