/* The disk is a list of files under one lock. Lives here: files and their two forms, the cut, and the
 * sqlite3_vfs around them; locks and shared memory, which no cut keeps, are in vfs_locks.c. */
#include "tests/tool/vfs_powercut.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "tests/tool/vfs_private.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECTOR 512

/* ---- chance: splitmix64, so that a seed tells the whole story of what a cut keeps ---- */

static uint64_t chance(struct powercut *disk)
{
    uint64_t z = disk->random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- forms of a file ---- */

static void form_resize(struct form *form, size_t size)
{
    if (size > form->room) {
        size_t room = form->room ? form->room : 4096;
        while (room < size)
            room *= 2;
        form->data = mem_grow(form->data, room, 1);
        form->room = room;
    }
    if (size > form->size)
        memset(form->data + form->size, 0, size - form->size);
    form->size = size;
}

static void form_write(struct form *form, size_t offset, const void *data, size_t length)
{
    if (offset + length > form->size)
        form_resize(form, offset + length);
    memcpy(form->data + offset, data, length);
}

static void form_apply(struct form *form, const struct change *change)
{
    if (change->truncate)
        form_resize(form, change->offset);
    else
        form_write(form, change->offset, change->data, change->length);
}

static void changes_free(struct disk_file *file)
{
    struct change *change = TAKE(file->changes);

    file->changes_tail = &file->changes;
    while (change) {
        struct change *next = change->next;
        mem_free(change);
        change = next;
    }
}

static void change_add(struct disk_file *file, bool truncate, size_t offset, const void *data,
                       size_t length)
{
    struct change *change = mem_new(sizeof(*change) + length);

    change->truncate = truncate;
    change->offset = offset;
    change->length = length;
    if (length > 0)
        memcpy(change->data, data, length);
    *file->changes_tail = change;
    file->changes_tail = &change->next;
    form_apply(&file->seen, change);
}

static void file_sync(struct disk_file *file)
{
    for (struct change *change = file->changes; change; change = change->next)
        form_apply(&file->kept, change);
    changes_free(file);
    file->kept_exists = file->seen_exists;
}

/* ---- the cut ---- */

/* A write survives sector by sector; a lost one below the end leaves zeros or what was there. */
static void change_survive(struct powercut *disk, struct disk_file *file,
                           const struct change *change)
{
    if (change->truncate) {
        if (chance(disk) & 1)
            form_apply(&file->kept, change);
        else
            disk->lost++;
        return;
    }
    for (size_t done = 0; done < change->length;) {
        size_t part = SECTOR - (change->offset + done) % SECTOR;
        if (part > change->length - done)
            part = change->length - done;
        if (chance(disk) & 1)
            form_write(&file->kept, change->offset + done, change->data + done, part);
        else
            disk->lost++;
        done += part;
    }
}

static void file_cut(struct powercut *disk, struct disk_file *file)
{
    if (file->kept_exists != file->seen_exists && (chance(disk) & 1))
        file->kept_exists = file->seen_exists;
    for (struct change *change = file->changes; change; change = change->next)
        change_survive(disk, file, change);
    changes_free(file);
    if (!file->kept_exists)
        file->kept.size = 0;
    file->seen_exists = file->kept_exists;
    form_resize(&file->seen, file->kept.size);
    if (file->kept.size > 0)
        memcpy(file->seen.data, file->kept.data, file->kept.size);
}

void powercut_restore(struct powercut *disk)
{
    pthread_mutex_lock(&disk->lock);
    for (struct disk_file *file = disk->files; file; file = file->next) {
        require(file->refs == 0);
        file_cut(disk, file);
    }
    disk->dead = false;
    disk->armed = 0;
    pthread_mutex_unlock(&disk->lock);
}

void powercut_arm(struct powercut *disk, uint64_t n)
{
    pthread_mutex_lock(&disk->lock);
    disk->armed = n;
    pthread_mutex_unlock(&disk->lock);
}

bool powercut_is_dead(struct powercut *disk)
{
    pthread_mutex_lock(&disk->lock);
    bool dead = disk->dead;
    pthread_mutex_unlock(&disk->lock);
    return dead;
}

void powercut_set_room(struct powercut *disk, int64_t bytes)
{
    pthread_mutex_lock(&disk->lock);
    disk->room = bytes;
    pthread_mutex_unlock(&disk->lock);
}

void powercut_set_broken(struct powercut *disk, bool broken)
{
    pthread_mutex_lock(&disk->lock);
    disk->broken = broken;
    pthread_mutex_unlock(&disk->lock);
}

uint64_t powercut_lost(const struct powercut *disk)
{
    return disk->lost;
}

/* Under lock, before each thing that changes the disk: false when it does not happen. */
static bool disk_works(struct powercut *disk)
{
    if (disk->armed > 0 && --disk->armed == 0)
        disk->dead = true;
    return !disk->dead && !disk->broken;
}

/* ---- files ---- */

static struct disk_file *disk_find(struct powercut *disk, const char *name)
{
    struct disk_file *file = disk->files;

    while (file && strcmp(file->name, name) != 0)
        file = file->next;
    return file;
}

static struct disk_file *disk_make(struct powercut *disk, const char *name)
{
    struct disk_file *file = NEW(struct disk_file);

    file->name = mem_string(name);
    file->changes_tail = &file->changes;
    file->next = disk->files;
    disk->files = file;
    return file;
}

bool powercut_damage(struct powercut *disk, const char *name, size_t offset, size_t length)
{
    pthread_mutex_lock(&disk->lock);
    struct disk_file *file = disk_find(disk, name);
    bool fits = file && file->seen.size >= offset + length && file->kept.size >= offset + length;
    if (fits) {
        crypto_random(file->kept.data + offset, length);
        memcpy(file->seen.data + offset, file->kept.data + offset, length);
    }
    pthread_mutex_unlock(&disk->lock);
    return fits;
}

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
        change_add(file, false, (size_t)offset, data, (size_t)length);
    pthread_mutex_unlock(&disk->lock);
    return rc;
}

static int io_truncate(sqlite3_file *handle, sqlite3_int64 size)
{
    struct powercut *disk = ((struct handle *)handle)->disk;
    int rc = SQLITE_IOERR_TRUNCATE;

    pthread_mutex_lock(&disk->lock);
    if (disk_works(disk)) {
        change_add(file_of(handle), true, (size_t)size, NULL, 0);
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
        file_sync(file_of(handle));
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
        changes_free(file);
        form_resize(&file->seen, 0);
        form_resize(&file->kept, 0);
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
        changes_free(file);
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
