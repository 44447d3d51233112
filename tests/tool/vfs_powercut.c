/* The sqlite3_vfs around a disk that can lose its power (vfs_disk.c). Locks and shared memory, which no
 * cut keeps, are in vfs_locks.c. */
#include "tests/tool/vfs_powercut.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "tests/tool/vfs_private.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- sqlite3_io_methods ---- */

static struct disk_file *file_of(sqlite3_file *handle)
{
    return ((struct handle *)handle)->file;
}

static int io_close(sqlite3_file *handle)
{
    struct handle *h = (struct handle *)handle;
    struct powercut *disk = h->disk;

    pthread_mutex_lock(&disk->lock);
    h->file->refs--;
    if (h->delete_on_close)
        h->file->seen_exists = h->file->kept_exists = false;
    pthread_mutex_unlock(&disk->lock);
    return SQLITE_OK;
}

static int io_read(sqlite3_file *handle, void *out, int length, sqlite3_int64 offset)
{
    struct powercut *disk = ((struct handle *)handle)->disk;
    struct form *form = &file_of(handle)->seen;
    size_t have;

    pthread_mutex_lock(&disk->lock);
    have = (size_t)offset < form->size ? form->size - (size_t)offset : 0;
    if (have > (size_t)length)
        have = (size_t)length;
    if (have > 0)
        memcpy(out, form->data + offset, have);
    pthread_mutex_unlock(&disk->lock);
    if (have == (size_t)length)
        return SQLITE_OK;
    memset((char *)out + have, 0, (size_t)length - have);
    return SQLITE_IOERR_SHORT_READ;
}

static int io_write(sqlite3_file *handle, const void *data, int length, sqlite3_int64 offset)
{
    struct powercut *disk = ((struct handle *)handle)->disk;
    struct disk_file *file = file_of(handle);
    int rc = SQLITE_OK;

    pthread_mutex_lock(&disk->lock);
    bool was_dead = disk->dead;
    int64_t growth = offset + length - (int64_t)file->seen.size;
    if (disk->room >= 0 && growth > disk->room)
        rc = SQLITE_FULL;
    else if (!disk_works(disk))
        rc = SQLITE_IOERR_WRITE;
    /* The write during which the power goes may be there in part. */
    if (disk->room >= 0 && rc == SQLITE_OK && growth > 0)
        disk->room -= growth;
    if (rc == SQLITE_OK || (disk->dead && !was_dead))
        disk_change(file, false, (size_t)offset, data, (size_t)length);
    pthread_mutex_unlock(&disk->lock);
    return rc;
}

static int io_truncate(sqlite3_file *handle, sqlite3_int64 size)
{
    struct powercut *disk = ((struct handle *)handle)->disk;
    int rc = SQLITE_IOERR_TRUNCATE;

    pthread_mutex_lock(&disk->lock);
    if (disk_works(disk)) {
        disk_change(file_of(handle), true, (size_t)size, NULL, 0);
        rc = SQLITE_OK;
    }
    pthread_mutex_unlock(&disk->lock);
    return rc;
}

static int io_sync(sqlite3_file *handle, int flags)
{
    struct powercut *disk = ((struct handle *)handle)->disk;
    int rc = SQLITE_IOERR_FSYNC;

    (void)flags;
    pthread_mutex_lock(&disk->lock);
    if (disk_works(disk)) {
        disk_sync(file_of(handle));
        rc = SQLITE_OK;
    }
    pthread_mutex_unlock(&disk->lock);
    return rc;
}

static int io_size(sqlite3_file *handle, sqlite3_int64 *ret)
{
    struct powercut *disk = ((struct handle *)handle)->disk;

    pthread_mutex_lock(&disk->lock);
    *ret = (sqlite3_int64)file_of(handle)->seen.size;
    pthread_mutex_unlock(&disk->lock);
    return SQLITE_OK;
}

static int io_control(sqlite3_file *handle, int op, void *arg)
{
    (void)handle;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int io_sector(sqlite3_file *handle)
{
    (void)handle;
    return 4096;
}

/* As the default VFS on a local disk: a write cut short does not touch bytes outside its range. */
static int io_characteristics(sqlite3_file *handle)
{
    (void)handle;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods io_methods = {
    .iVersion = 2,
    .xClose = io_close,
    .xRead = io_read,
    .xWrite = io_write,
    .xTruncate = io_truncate,
    .xSync = io_sync,
    .xFileSize = io_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check_reserved,
    .xFileControl = io_control,
    .xSectorSize = io_sector,
    .xDeviceCharacteristics = io_characteristics,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

/* ---- sqlite3_vfs ---- */

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *handle, int flags, int *out)
{
    struct powercut *disk = vfs->pAppData;
    struct handle *h = (struct handle *)handle;
    char temporary[32];

    pthread_mutex_lock(&disk->lock);
    if (!name) {
        snprintf(temporary, sizeof(temporary), "temporary-%llu",
                 (unsigned long long)++disk->temporaries);
        name = temporary;
    }
    struct disk_file *file = disk_find(disk, name);
    if (!file)
        file = disk_make(disk, name);
    memset(h, 0, sizeof(*h));
    if (!file->seen_exists && !(flags & SQLITE_OPEN_CREATE)) {
        pthread_mutex_unlock(&disk->lock);
        return SQLITE_CANTOPEN;
    }
    if (!file->seen_exists) {
        file->seen_exists = true;
        disk_changes_free(file);
        disk_form_resize(&file->seen, 0);
        disk_form_resize(&file->kept, 0);
    }
    file->refs++;
    h->base.pMethods = &io_methods;
    h->disk = disk;
    h->file = file;
    h->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    if (out)
        *out = flags;
    pthread_mutex_unlock(&disk->lock);
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    struct powercut *disk = vfs->pAppData;
    int rc = SQLITE_IOERR_DELETE;

    pthread_mutex_lock(&disk->lock);
    struct disk_file *file = disk_find(disk, name);
    if (!file || !file->seen_exists) {
        rc = SQLITE_IOERR_DELETE_NOENT;
    } else if (disk_works(disk)) {
        file->seen_exists = false;
        file->kept_exists = file->kept_exists && !sync;
        rc = SQLITE_OK;
    }
    pthread_mutex_unlock(&disk->lock);
    return rc;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    struct powercut *disk = vfs->pAppData;

    (void)flags;
    pthread_mutex_lock(&disk->lock);
    struct disk_file *file = disk_find(disk, name);
    *ret = file && file->seen_exists && file->seen.size > 0;
    pthread_mutex_unlock(&disk->lock);
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    snprintf(out, (size_t)size, "%s", name);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int length, char *out)
{
    (void)vfs;
    crypto_random(out, (size_t)length);
    return length;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    poll(NULL, 0, us / 1000 + 1);
    return us;
}

static int vfs_now(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
    struct timespec ts;

    (void)vfs;
    clock_gettime(CLOCK_REALTIME, &ts);
    *ret = (sqlite3_int64)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + 210866760000000;
    return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    (void)size;
    (void)out;
    return 0;
}

/* ---- life ---- */

struct powercut *powercut_new(uint64_t seed)
{
    struct powercut *disk = NEW(struct powercut);

    pthread_mutex_init(&disk->lock, NULL);
    disk->random = seed;
    disk->room = -1;
    snprintf(disk->name, sizeof(disk->name), "powercut-%p", (void *)disk);
    disk->vfs = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 512,
        .zName = disk->name,
        .pAppData = disk,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xGetLastError = vfs_error,
        .xCurrentTimeInt64 = vfs_now,
    };
    require(sqlite3_vfs_register(&disk->vfs, 0) == SQLITE_OK);
    return disk;
}

struct powercut *powercut_free(struct powercut *disk)
{
    if (!disk)
        return NULL;
    sqlite3_vfs_unregister(&disk->vfs);
    while (disk->files) {
        struct disk_file *file = disk->files;
        disk->files = file->next;
        require(file->refs == 0);
        disk_changes_free(file);
        vfs_locks_done(file);
        mem_free(file->seen.data);
        mem_free(file->kept.data);
        mem_free(file->name);
        mem_free(file);
    }
    pthread_mutex_destroy(&disk->lock);
    return mem_free(disk);
}

const char *powercut_name(const struct powercut *disk)
{
    return disk->name;
}
