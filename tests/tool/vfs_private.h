/* What the files of the power-cut VFS share. */
#pragma once

#include "base/own.h"

#include <pthread.h>
#include <sqlite3.h>

#define VFS_SHM_SLOTS   8
#define VFS_SHM_REGIONS 64

/* The bytes of a file: as seen by programs, or as kept through a cut. */
struct form {
    char *data;
    size_t size, room;
};

/* A write or truncation since the last sync. */
struct change {
    struct change *next;
    bool truncate;
    size_t offset, length;
    char data[];
};

struct disk_file {
    struct disk_file *next;
    char *name;
    struct form seen, kept;
    bool seen_exists, kept_exists;
    struct change *changes, **changes_tail;
    unsigned refs;

    unsigned shared;                  /* handles with a lock of SHARED or more */
    const void *reserved, *exclusive; /* handles; exclusive also while pending */
    void *regions[VFS_SHM_REGIONS];   /* shared memory */
    unsigned shm_users;
    int shm_slots[VFS_SHM_SLOTS]; /* -1: exclusive, else how many share it */
};

struct powercut {
    sqlite3_vfs vfs;
    char name[40];
    pthread_mutex_t lock;
    uint64_t random, armed, lost, temporaries;
    int64_t room;
    bool dead, broken;
    struct disk_file *files;
};

struct handle {
    sqlite3_file base; /* first */
    struct powercut *disk;
    struct disk_file *file;
    bool delete_on_close;
    int level; /* SQLITE_LOCK_x */
    bool shm_open;
    unsigned shm_shared, shm_exclusive; /* slots held, as bits */
};

/* vfs_disk.c; all under disk->lock. */
void disk_form_resize(struct form *form, size_t size);
void disk_changes_free(struct disk_file *file);
void disk_change(struct disk_file *file, bool truncate, size_t offset, const void *data,
                 size_t length);
void disk_sync(struct disk_file *file);
/* Before each thing that changes the disk: false when it does not happen. */
bool disk_works(struct powercut *disk);
struct disk_file *disk_find(struct powercut *disk, const char *name);
struct disk_file *disk_make(struct powercut *disk, const char *name);

/* vfs_locks.c */
int vfs_lock(sqlite3_file *handle, int level);
int vfs_unlock(sqlite3_file *handle, int level);
int vfs_check_reserved(sqlite3_file *handle, int *ret);
int vfs_shm_map(sqlite3_file *handle, int region, int size, int extend, void volatile **ret);
int vfs_shm_lock(sqlite3_file *handle, int offset, int count, int flags);
void vfs_shm_barrier(sqlite3_file *handle);
int vfs_shm_unmap(sqlite3_file *handle, int remove);
void vfs_locks_done(struct disk_file *file);
