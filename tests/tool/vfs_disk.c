/* The disk of the power-cut VFS: files and their two forms, the cut, what makes it fail. */
#include "base/crypto.h"
#include "base/mem.h"
#include "tests/tool/vfs_powercut.h"
#include "tests/tool/vfs_private.h"

#include <string.h>

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

void disk_form_resize(struct form *form, size_t size)
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
        disk_form_resize(form, offset + length);
    memcpy(form->data + offset, data, length);
}

static void form_apply(struct form *form, const struct change *change)
{
    if (change->truncate)
        disk_form_resize(form, change->offset);
    else
        form_write(form, change->offset, change->data, change->length);
}

void disk_changes_free(struct disk_file *file)
{
    struct change *change = TAKE(file->changes);

    file->changes_tail = &file->changes;
    while (change) {
        struct change *next = change->next;
        mem_free(change);
        change = next;
    }
}

void disk_change(struct disk_file *file, bool truncate, size_t offset, const void *data,
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

void disk_sync(struct disk_file *file)
{
    for (struct change *change = file->changes; change; change = change->next)
        form_apply(&file->kept, change);
    disk_changes_free(file);
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
    disk_changes_free(file);
    if (!file->kept_exists)
        file->kept.size = 0;
    file->seen_exists = file->kept_exists;
    disk_form_resize(&file->seen, file->kept.size);
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
bool disk_works(struct powercut *disk)
{
    if (disk->armed > 0 && --disk->armed == 0)
        disk->dead = true;
    return !disk->dead && !disk->broken;
}

/* ---- files ---- */

struct disk_file *disk_find(struct powercut *disk, const char *name)
{
    struct disk_file *file = disk->files;

    while (file && strcmp(file->name, name) != 0)
        file = file->next;
    return file;
}

struct disk_file *disk_make(struct powercut *disk, const char *name)
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
