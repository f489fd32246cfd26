/* A disk that fails and loses power, below SQLite and above the real files: a VFS.
 *
 * The real files are what the kernel's cache holds, and what is read. Beside each lies what the
 * disk holds: a page that was written gets there when its file is synced. As Linux does it:
 *  - a sync that fails is told once; the pages count as written from then on, though they are not;
 *  - a page that is written again is written as a whole.
 * When the power goes, of each 512 bytes of a page that was not synced the disk has the old or the
 * new ones, by chance. Then nothing is written any more, and faulty_disk_back puts what the disk
 * has into the real files.
 *
 * Any thread. */
#ifndef WEAVE_FAULTY_DISK_H
#define WEAVE_FAULTY_DISK_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weave/must.h>
#include <weave/rng.h>

#define DISK_PAGE 4096u
#define DISK_SECTOR 512u
#define DISK_FILE_MAX (8u << 20)
#define DISK_FILES 8u

struct disk_image {
	char path[128]; /* "": free */
	uint8_t *data;
	size_t size;
	bool dirty[DISK_FILE_MAX / DISK_PAGE];
};

static struct faulty_disk {
	pthread_mutex_t lock;
	sqlite3_vfs vfs, *real;
	struct disk_image images[DISK_FILES];
	struct rng rng;
	bool on;		/* SQLite uses it */
	bool off;		/* no power */
	bool main_only;		/* syncs of the log are not counted, and do not fail */
	unsigned syncs, writes; /* so far */
	unsigned sync_fails_from, sync_fails_to, write_fails_from, write_fails_to; /* [from, to) */
	unsigned syncs_failed, writes_failed;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct disk_file {
	sqlite3_file base;
	struct disk_image *image; /* NULL: not ours to lose */
	sqlite3_file *real;
};

static inline sqlite3_file *real_of(sqlite3_file *f)
{
	return ((struct disk_file *)f)->real;
}

static inline int disk_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static inline int disk_read(sqlite3_file *f, void *to, int size, sqlite3_int64 at)
{
	return real_of(f)->pMethods->xRead(real_of(f), to, size, at);
}

static inline int disk_write(sqlite3_file *f, const void *from, int size, sqlite3_int64 at)
{
	struct disk_image *image = ((struct disk_file *)f)->image;
	int rc = SQLITE_OK;

	pthread_mutex_lock(&disk.lock);
	disk.writes++;
	if (disk.off) {
		rc = SQLITE_IOERR_WRITE;
	} else if (disk.writes >= disk.write_fails_from && disk.writes < disk.write_fails_to) {
		disk.writes_failed++;
		rc = SQLITE_FULL;
	}
	if (rc && size > 1) /* half of it arrives */
		size /= 2;
	if (!disk.off) {
		int done = real_of(f)->pMethods->xWrite(real_of(f), from, size, at);

		rc = rc ? rc : done;
		MUST((size_t)(at + size) <= DISK_FILE_MAX);
		for (size_t p = (size_t)at / DISK_PAGE;
		     p <= (size_t)(at + size - 1) / DISK_PAGE && image; p++)
			image->dirty[p] = true;
	}
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static inline int disk_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc;

	pthread_mutex_lock(&disk.lock);
	rc = disk.off ? SQLITE_IOERR_TRUNCATE : real_of(f)->pMethods->xTruncate(real_of(f), size);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static inline size_t real_size(int fd)
{
	struct stat st;

	MUST(fstat(fd, &st) == 0 && (size_t)st.st_size <= DISK_FILE_MAX);
	return (size_t)st.st_size;
}

/* Dirty pages reach the disk: all, or by chance some of their sectors. */
static inline void write_back(struct disk_image *image, bool all)
{
	int fd = open(image->path, O_RDONLY | O_CLOEXEC);
	size_t size = fd < 0 ? 0 : real_size(fd);

	for (size_t at = 0; at < size; at += DISK_SECTOR) {
		if (image->dirty[at / DISK_PAGE] && (all || rng_below(&disk.rng, 2)))
			MUST(pread(fd, image->data + at, DISK_SECTOR, (off_t)at) >= 0);
	}
	memset(image->dirty, 0, sizeof image->dirty);
	if (all || rng_below(&disk.rng, 2)) {
		if (size < image->size)
			memset(image->data + size, 0, image->size - size);
		image->size = size;
	}
	if (fd >= 0)
		close(fd);
}

static inline int disk_sync(sqlite3_file *f, int flags)
{
	struct disk_image *image = ((struct disk_file *)f)->image;
	int rc = SQLITE_OK;
	bool counts;

	(void)flags;
	pthread_mutex_lock(&disk.lock);
	counts = image && !(disk.main_only && strstr(image->path, "-wal"));
	disk.syncs += counts;
	if (disk.off) {
		rc = SQLITE_IOERR_FSYNC;
	} else if (counts && disk.syncs >= disk.sync_fails_from &&
		   disk.syncs < disk.sync_fails_to) {
		disk.syncs_failed++;
		memset(image->dirty, 0, sizeof image->dirty);
		rc = SQLITE_IOERR_FSYNC;
	} else if (image) {
		write_back(image, true);
	}
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

static inline int disk_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static inline int disk_lock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xLock(real_of(f), level);
}

static inline int disk_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static inline int disk_reserved(sqlite3_file *f, int *out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static inline int disk_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static inline int disk_sector(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

/* Without the promise that an interrupted write harms nothing beside it, which a disk may not keep.
 */
static inline int disk_abilities(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f)) &
	       ~SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods disk_methods = {
	.iVersion = 1,
	.xClose = disk_close,
	.xRead = disk_read,
	.xWrite = disk_write,
	.xTruncate = disk_truncate,
	.xSync = disk_sync,
	.xFileSize = disk_size,
	.xLock = disk_lock,
	.xUnlock = disk_unlock,
	.xCheckReservedLock = disk_reserved,
	.xFileControl = disk_control,
	.xSectorSize = disk_sector,
	.xDeviceCharacteristics = disk_abilities,
};

/* What is there when it is first opened is on the disk. */
static inline struct disk_image *image_of(const char *path)
{
	struct disk_image *room = NULL;
	int fd;

	for (size_t n = 0; n < DISK_FILES; n++) {
		if (strcmp(disk.images[n].path, path) == 0)
			return &disk.images[n];
		if (!disk.images[n].path[0])
			room = &disk.images[n];
	}
	MUST(room && strlen(path) < sizeof room->path);
	strcpy(room->path, path);
	room->data = calloc(1, DISK_FILE_MAX);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		room->size = real_size(fd);
		MUST(pread(fd, room->data, room->size, 0) == (ssize_t)room->size);
		close(fd);
	}
	return room;
}

static inline int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags,
			    int *out)
{
	struct disk_file *d = (struct disk_file *)f;
	int rc;

	(void)vfs;
	d->real = (sqlite3_file *)(d + 1);
	d->image = NULL;
	d->base.pMethods = NULL;
	rc = disk.real->xOpen(disk.real, name, d->real, flags, out);
	if (rc == SQLITE_OK) {
		d->base.pMethods = &disk_methods;
		pthread_mutex_lock(&disk.lock);
		/* The file of ipam.db.new is renamed when it is whole and synced. */
		d->image = name && !strstr(name, ".new") ? image_of(name) : NULL;
		pthread_mutex_unlock(&disk.lock);
	}
	return rc;
}

static inline int disk_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	int rc = SQLITE_IOERR_DELETE;

	(void)vfs;
	pthread_mutex_lock(&disk.lock);
	for (size_t n = 0; n < DISK_FILES && !disk.off; n++)
		if (strcmp(disk.images[n].path, name) == 0) {
			free(disk.images[n].data);
			memset(&disk.images[n], 0, sizeof disk.images[n]);
		}
	if (!disk.off)
		rc = disk.real->xDelete(disk.real, name, sync);
	pthread_mutex_unlock(&disk.lock);
	return rc;
}

/* SQLite uses it from now on, with everything on the disk and nothing failing. */
static inline void faulty_disk_on(uint64_t seed)
{
	disk.real = sqlite3_vfs_find(NULL);
	disk.vfs = *disk.real;
	disk.vfs.zName = "faulty";
	disk.vfs.szOsFile = disk.real->szOsFile + (int)sizeof(struct disk_file);
	disk.vfs.xOpen = disk_open;
	disk.vfs.xDelete = disk_delete;
	disk.rng.state = seed;
	disk.on = true;
	disk.off = false;
	disk.syncs = disk.writes = disk.syncs_failed = disk.writes_failed = 0;
	disk.sync_fails_from = disk.sync_fails_to = 0;
	disk.write_fails_from = disk.write_fails_to = 0;
	MUST(sqlite3_vfs_register(&disk.vfs, 1) == SQLITE_OK);
}

/* Of the next syncs (writes), counted from 0, those from 'from' up to 'to' fail. */
static inline void faulty_disk_fail_syncs(unsigned from, unsigned to, bool main_only)
{
	pthread_mutex_lock(&disk.lock);
	disk.main_only = main_only;
	disk.sync_fails_from = disk.syncs + 1 + from;
	disk.sync_fails_to = disk.syncs + 1 + to;
	pthread_mutex_unlock(&disk.lock);
}

static inline void faulty_disk_fail_writes(unsigned from, unsigned to)
{
	pthread_mutex_lock(&disk.lock);
	disk.write_fails_from = disk.writes + 1 + from;
	disk.write_fails_to = disk.writes + 1 + to;
	pthread_mutex_unlock(&disk.lock);
}

static inline unsigned faulty_disk_failed(void)
{
	unsigned n;

	pthread_mutex_lock(&disk.lock);
	n = disk.syncs_failed + disk.writes_failed;
	pthread_mutex_unlock(&disk.lock);
	return n;
}

static inline void faulty_disk_cut_power(void)
{
	pthread_mutex_lock(&disk.lock);
	disk.off = true;
	for (size_t n = 0; n < DISK_FILES; n++)
		if (disk.images[n].path[0])
			write_back(&disk.images[n], false);
	pthread_mutex_unlock(&disk.lock);
}

/* A process that dies writes nothing more; the cache stays. */
static inline void faulty_disk_kill(bool dead)
{
	pthread_mutex_lock(&disk.lock);
	disk.off = dead;
	pthread_mutex_unlock(&disk.lock);
}

/* After faulty_disk_cut_power, and when nobody has a file open: SQLite is as it was before. */
static inline void faulty_disk_back(void)
{
	disk.on = false;
	MUST(sqlite3_vfs_unregister(&disk.vfs) == SQLITE_OK);
	for (size_t n = 0; n < DISK_FILES; n++) {
		struct disk_image *image = &disk.images[n];
		int fd = disk.off && image->path[0] ? open(image->path, O_RDWR | O_CREAT, 0600)
						    : -1;

		if (fd >= 0) {
			MUST(ftruncate(fd, 0) == 0);
			MUST(pwrite(fd, image->data, image->size, 0) == (ssize_t)image->size);
			close(fd);
		}
		free(image->data);
		memset(image, 0, sizeof *image);
	}
}

#endif
