/* A disk for SQLite that can lose its power: files live in memory twice, as programs see them and as they
 * would be found after a cut. What is written reaches the second form at the next sync of its file; at a
 * cut each unsynced 512-byte sector is kept or lost at random. Any thread. */
#pragma once

#include "base/own.h"

struct powercut;

/* Registered with SQLite under powercut_name until freed; no database may be open on it then. */
struct powercut *powercut_new(uint64_t seed) MUSTCHECK;
struct powercut *powercut_free(struct powercut *disk);
const char *powercut_name(const struct powercut *disk);

/* The power goes at the n-th write, truncation, sync or deletion from now; from there on they all fail. */
void powercut_arm(struct powercut *disk, uint64_t n);
bool powercut_is_dead(struct powercut *disk);
/* After everything is closed: what was not synced is kept or lost, and the power is back. */
void powercut_restore(struct powercut *disk);

/* Instead of losing power: room for so many bytes more, then "disk full"; -1: no end of room. */
void powercut_set_room(struct powercut *disk, int64_t bytes);
/* Writes and syncs fail with an I/O error until turned off. */
void powercut_set_broken(struct powercut *disk, bool broken);
/* Overwrites bytes of a file with noise, in both forms. False: no such file, or too short. */
bool powercut_damage(struct powercut *disk, const char *name, size_t offset, size_t length);

/* Losses so far: unsynced sectors that a cut has thrown away. */
uint64_t powercut_lost(const struct powercut *disk);
