#include "ipam_folder_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/hash.h>
#include <weave/must.h>
#include <weave/reader.h>
#include <weave/writer.h>

#define DATABASE "ipam.db"
#define WAL DATABASE "-wal"
#define JOURNAL DATABASE "-journal"
#define SHARED DATABASE "-shm"
#define NEW DATABASE ".new"
#define SEEN DATABASE ".seen"
#define DAMAGED DATABASE ".damaged"
#define PAGE_SIZE_MIN 512 /* of SQLite */
#define SEEN_SIZE 24u	  /* file id, commits, sum */

/* Guards against cut and flipped bytes, not against people: the key is nothing secret. */
static const struct hash_key seen_key = { 0x697061642d736565u, 0x6e2d636f6d6d6974u };

static int failed(const struct folder *f, const char *what, const char *name, struct why *why)
{
	int rc = -errno;

	why_set(why, WHY_INVALID, "cannot %s %.80s/%s: %s", what, f->directory, name,
		strerror(-rc));
	return rc;
}

static char *path_of(const char *directory, const char *name)
{
	size_t size = strlen(directory) + strlen(name) + 2;
	char *path = mem_new(1, size);

	snprintf(path, size, "%s/%s", directory, name);
	return path;
}

int folder_open(struct folder *f, const char *directory, struct why *why)
{
	int rc;

	*f = (struct folder){ .fd = -1, .seen_fd = -1 };
	f->directory = mem_copy_text(directory);
	f->path = path_of(directory, DATABASE);
	f->new = path_of(directory, NEW);
	f->fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0) {
		rc = -errno;
		why_set(why, WHY_INVALID, "cannot open state folder %.90s: %s", directory,
			strerror(-rc));
		return rc;
	}
	/* The kernel lets go of the lock when we die, however we do. */
	if (flock(f->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (rc == -EBUSY)
		why_set(why, WHY_INVALID,
			"state folder %.50s is in use by another router: stop it first, or give "
			"this one its own --state-dir",
			directory);
	else
		why_set(why, WHY_INVALID, "cannot lock state folder %.60s: %s", directory,
			strerror(-rc));
	return rc;
}

void folder_close(struct folder *f)
{
	if (f->seen_fd >= 0)
		close(f->seen_fd);
	if (f->fd >= 0)
		close(f->fd);
	mem_free(f->directory);
	mem_free(f->path);
	mem_free(f->new);
	*f = (struct folder){ .fd = -1, .seen_fd = -1 };
}

static bool is_there(const struct folder *f, const char *name)
{
	return faccessat(f->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool folder_has_database(const struct folder *f)
{
	return is_there(f, DATABASE);
}

bool folder_database_is_cut(const struct folder *f)
{
	struct stat st;

	return fstatat(f->fd, DATABASE, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_size < PAGE_SIZE_MIN;
}

bool folder_is_used(const struct folder *f)
{
	return is_there(f, DATABASE) || is_there(f, WAL) || is_there(f, SEEN);
}

static int sync_folder(const struct folder *f, struct why *why)
{
	return fsync(f->fd) < 0 ? failed(f, "sync", "", why) : 0;
}

static int unlink_all(const struct folder *f, const char *const *names, size_t count,
		      struct why *why)
{
	for (size_t n = 0; n < count; n++)
		if (unlinkat(f->fd, names[n], 0) < 0 && errno != ENOENT)
			return failed(f, "remove", names[n], why);
	return 0;
}

static int move(const struct folder *f, const char *from, const char *to, struct why *why)
{
	if (renameat(f->fd, from, f->fd, to) < 0 && errno != ENOENT)
		return failed(f, "set aside", from, why);
	return 0;
}

/* A crash in the middle leaves files of which folder_is_used says that something was there, so that
 * the next start sets aside the rest. */
int folder_set_aside(struct folder *f, const char *wrong, struct why *why)
{
	static const char *const older[] = { DAMAGED, DAMAGED "-wal", DAMAGED "-journal" };
	static const char *const rest[] = { SHARED, SEEN };
	int rc;

	if (f->seen_fd >= 0)
		close(f->seen_fd);
	f->seen_fd = -1;
	rc = unlink_all(f, older, ARRAY_COUNT(older), why);
	rc = rc ? rc : move(f, DATABASE, DAMAGED, why);
	rc = rc ? rc : move(f, WAL, DAMAGED "-wal", why);
	rc = rc ? rc : move(f, JOURNAL, DAMAGED "-journal", why);
	rc = rc ? rc : unlink_all(f, rest, ARRAY_COUNT(rest), why);
	rc = rc ? rc : sync_folder(f, why);
	if (!rc)
		why_set(why, WHY_INVALID,
			DATABASE " was damaged (%.64s); it was set aside as %.50s/" DAMAGED, wrong,
			f->directory);
	return rc;
}

int folder_begin_new(struct folder *f, struct why *why)
{
	static const char *const old[] = { NEW, NEW "-wal", NEW "-journal", NEW "-shm" };
	int rc = unlink_all(f, old, ARRAY_COUNT(old), why);
	int fd;

	if (rc)
		return rc;
	fd = openat(f->fd, NEW, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(f, "make", NEW, why);
	close(fd);
	return 0;
}

int folder_end_new(struct folder *f, struct why *why)
{
	MUST(!is_there(f, WAL)); /* it would be played into the new file */
	if (renameat(f->fd, NEW, f->fd, DATABASE) < 0)
		return failed(f, "make", DATABASE, why);
	return sync_folder(f, why);
}

/* ---- the last commit that was known to be durable ---- */

static void seen_encode(uint8_t *out, uint64_t file_id, uint64_t commits)
{
	struct writer w = writer_over(out, SEEN_SIZE);

	write_u64(&w, file_id);
	write_u64(&w, commits);
	write_u64(&w, hash64(&seen_key, out, writer_size(&w)));
}

int folder_open_seen(struct folder *f, uint64_t file_id, uint64_t *commits, struct why *why)
{
	uint8_t bytes[SEEN_SIZE + 1], expected[SEEN_SIZE];
	struct reader r = reader_over(bytes, SEEN_SIZE);
	uint64_t id, seen;
	ssize_t size;

	*commits = 0;
	f->seen_fd = openat(f->fd, SEEN, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->seen_fd < 0)
		return failed(f, "open", SEEN, why);
	size = pread(f->seen_fd, bytes, sizeof bytes, 0);
	if (size < 0)
		return failed(f, "read", SEEN, why);
	if (size != SEEN_SIZE)
		return 0;
	id = read_u64(&r, "seen.file");
	seen = read_u64(&r, "seen.commits");
	seen_encode(expected, id, seen);
	if (id == file_id && memcmp(bytes, expected, sizeof expected) == 0)
		*commits = seen;
	return 0;
}

void folder_see(struct folder *f, uint64_t file_id, uint64_t commits)
{
	uint8_t bytes[SEEN_SIZE];
	ssize_t done;

	seen_encode(bytes, file_id, commits);
	done = pwrite(f->seen_fd, bytes, sizeof bytes, 0);
	(void)done;
}

/* ---- weave reset ---- */

int folder_remove(const char *directory, struct why *why)
{
	/* The database first: what a crash leaves then is known for the rest of one. */
	static const char *const all[] = { DATABASE,
					   WAL,
					   JOURNAL,
					   SHARED,
					   NEW,
					   NEW "-wal",
					   NEW "-journal",
					   NEW "-shm",
					   DAMAGED,
					   DAMAGED "-wal",
					   DAMAGED "-journal",
					   SEEN };
	struct folder f;
	int rc = folder_open(&f, directory, why);

	if (rc == -ENOENT || rc == -ENOTDIR)
		rc = 0;
	else if (!rc)
		rc = unlink_all(&f, all, ARRAY_COUNT(all), why);
	if (!rc && f.fd >= 0)
		rc = sync_folder(&f, why);
	folder_close(&f);
	return rc;
}
