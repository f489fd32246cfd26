#include "ipam_database_io.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weave/alloc.h>
#include <weave/hash.h>
#include <weave/limits.h>
#include <weave/must.h>
#include <weave/reader.h>
#include <weave/writer.h>

#include "ipam_folder_io.h"

#define APPLICATION_ID 2003132790 /* "weav" */
#define FORMAT 1
#define SQL_NUMBER(n) SQL_TEXT(n)
#define SQL_TEXT(n) #n
#define SCHEMA                                                                                     \
	"CREATE TABLE row (universe INTEGER NOT NULL, kind INTEGER NOT NULL, "                     \
	"key INTEGER NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL, "                        \
	"PRIMARY KEY (universe, kind, key)) WITHOUT ROWID"
#define COLUMNS "universe, kind, key, value, sum"

/* Other programs that only look (sqlite3, a backup) hold the file for moments. */
#define BUSY_MS 2000
/* Then the log goes into the main file: 4 MiB, and what a start has to read. */
#define WAL_FRAMES_MAX 1000
#define WAL_SIZE_KEPT 4194304

/* Rows about the file itself belong to universe 0. */
enum { OWN_UNIVERSE = 0, OWN_PREFIX = 0, OWN_HEAD = 1 };

/* Guards against flipped bits, not against people: the key is nothing secret. */
static const struct hash_key row_key = { 0x697061642d726f77u, 0x2d73756d6d696e67u };

/* The head row's value: six u64, and a u32 first. */
#define HEAD_SIZE 52u
struct head {
	uint32_t format;
	uint64_t file_id; /* random, for ipam.db.seen */
	uint64_t commits; /* so many transactions */
	uint64_t rows;	  /* all but this one */
	uint64_t digest;  /* the sum of their sums */
	uint64_t store_id;
	peer_name name;
};

enum statement { FIND, PUT, DELETE, STATEMENTS };

static const char *const statement_texts[STATEMENTS] = {
	[FIND] = "SELECT sum FROM row WHERE universe = ?1 AND kind = ?2 AND key = ?3",
	[PUT] = "REPLACE INTO row (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5)",
	[DELETE] = "DELETE FROM row WHERE universe = ?1 AND kind = ?2 AND key = ?3",
};

struct database {
	struct folder folder;
	sqlite3 *sql;
	sqlite3_stmt *statements[STATEMENTS];
	struct head head; /* as committed */
	struct head work; /* of the transaction */
	bool in_transaction;
	bool unsure; /* a write failed: what SQLite takes for written may not be on the disk */
	int wal_frames;
};

/* ---- what SQLite says ---- */

/* The statements are fixed and fit the schema: an error of their own comes from what is in the
 * file. A file that cannot be read is as good as damaged. */
static bool means_damage(int code)
{
	switch (code) {
	case SQLITE_IOERR_READ:
	case SQLITE_IOERR_SHORT_READ:
	case SQLITE_IOERR_CORRUPTFS:
		return true;
	}
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR:
	case SQLITE_SCHEMA:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
	case SQLITE_FORMAT:
		return true;
	}
	return false;
}

static int error_number(int code, int system)
{
	if (means_damage(code))
		return -EBADMSG;
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
		return system ? -system : -EIO;
	}
	return -EIO;
}

static int failure(const struct database *d, struct why *why)
{
	int code = sqlite3_extended_errcode(d->sql), system = sqlite3_system_errno(d->sql);

	/* A number of the system that is left over from another call explains nothing. */
	if ((code & 0xff) != SQLITE_IOERR && (code & 0xff) != SQLITE_CANTOPEN)
		system = 0;
	why_set(why, WHY_INVALID, "%.70s: %.50s%s%s", d->folder.path, sqlite3_errmsg(d->sql),
		system ? ": " : "", system ? strerror(system) : "");
	return error_number(code, system);
}

static int run(struct database *d, const char *text, struct why *why)
{
	return sqlite3_exec(d->sql, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : failure(d, why);
}

/* The first column of the first row: a text, cut to its room. */
static int ask(struct database *d, const char *text, char *answer, size_t size, struct why *why)
{
	sqlite3_stmt *s = NULL;
	const unsigned char *found;
	int rc = 0;

	answer[0] = '\0';
	if (sqlite3_prepare_v2(d->sql, text, -1, &s, NULL) != SQLITE_OK)
		return failure(d, why);
	if (sqlite3_step(s) == SQLITE_ROW) {
		found = sqlite3_column_text(s, 0);
		snprintf(answer, size, "%s", found ? (const char *)found : "");
	}
	if (sqlite3_finalize(s) != SQLITE_OK)
		rc = failure(d, why);
	return rc;
}

/* ---- rows ---- */

static uint64_t row_sum(const struct database_row *row)
{
	uint8_t bytes[24 + ENTRY_SIZE_MAX];
	struct writer w = writer_over(bytes, sizeof bytes);

	write_u64(&w, row->universe);
	write_u64(&w, row->kind);
	write_u64(&w, row->key);
	write_bytes(&w, row->value.data, row->value.size);
	MUST(!w.full);
	return hash64(&row_key, bytes, writer_size(&w));
}

static void head_encode(const struct head *h, uint8_t *out)
{
	struct writer w = writer_over(out, HEAD_SIZE);

	write_u32(&w, h->format);
	write_u64(&w, h->file_id);
	write_u64(&w, h->commits);
	write_u64(&w, h->rows);
	write_u64(&w, h->digest);
	write_u64(&w, h->store_id);
	write_u64(&w, h->name);
}

static const char *head_decode(struct head *h, struct bytes value)
{
	struct reader r = reader_over(value.data, value.size);

	h->format = read_u32(&r, "format");
	h->file_id = read_u64(&r, "file id");
	h->commits = read_u64(&r, "commits");
	h->rows = read_u64(&r, "number of rows");
	h->digest = read_u64(&r, "digest");
	h->store_id = read_u64(&r, "store id");
	h->name = read_u64(&r, "peer name");
	if (h->name > PEER_NAME_MAX || (h->store_id && h->name == PEER_NAME_NONE))
		reader_fail(&r, "peer name");
	return reader_verdict(&r);
}

static bool is_head(const struct database_row *row)
{
	return row->universe == OWN_UNIVERSE && row->kind == OWN_HEAD;
}

/* NULL, or what is wrong with the row that 's' stands on. */
static const char *read_row(sqlite3_stmt *s, struct database_row *row, uint64_t *sum)
{
	for (int n = 0; n < 5; n++)
		if (sqlite3_column_type(s, n) != (n == 3 ? SQLITE_BLOB : SQLITE_INTEGER))
			return "a row has wrong types";
	row->universe = (uint64_t)sqlite3_column_int64(s, 0);
	row->kind = (uint64_t)sqlite3_column_int64(s, 1);
	row->key = (uint64_t)sqlite3_column_int64(s, 2);
	row->value = bytes_of(sqlite3_column_blob(s, 3), (size_t)sqlite3_column_bytes(s, 3));
	*sum = (uint64_t)sqlite3_column_int64(s, 4);
	if (row->value.size > ENTRY_SIZE_MAX)
		return "a row is too long";
	return *sum == row_sum(row) ? NULL : "the checksum of a row";
}

typedef const char *row_function(void *ctx, const struct database_row *row);

/* Every row of 's', which is freed. */
static int walk(struct database *d, sqlite3_stmt *s, row_function *function, void *ctx,
		const char **wrong, struct why *why)
{
	struct database_row row;
	uint64_t sum;

	*wrong = NULL;
	while (!*wrong && sqlite3_step(s) == SQLITE_ROW) {
		*wrong = read_row(s, &row, &sum);
		if (!*wrong)
			*wrong = function(ctx, &row);
	}
	if (sqlite3_finalize(s) != SQLITE_OK && !*wrong)
		return failure(d, why);
	return *wrong ? -EBADMSG : 0;
}

/* ---- is the file whole? ---- */

struct contents {
	struct head head;
	uint64_t rows, digest;
	bool has_head;
};

static const char *count_row(void *ctx, const struct database_row *row)
{
	struct contents *c = ctx;

	if (is_head(row)) {
		if (c->has_head || row->key)
			return "its first row is there twice";
		c->has_head = true;
		return head_decode(&c->head, row->value);
	}
	c->rows++;
	c->digest += row_sum(row);
	return NULL;
}

static int damaged(const char *wrong, struct why *why)
{
	why_set(why, WHY_INVALID, "%s", wrong);
	return -EBADMSG;
}

static int read_contents(struct database *d, struct contents *c, struct why *why)
{
	const char *wrong = NULL;
	sqlite3_stmt *s;
	int rc;

	*c = (struct contents){ 0 };
	if (sqlite3_prepare_v2(d->sql, "SELECT " COLUMNS " FROM row", -1, &s, NULL) != SQLITE_OK)
		return failure(d, why);
	rc = walk(d, s, count_row, c, &wrong, why);
	return wrong ? damaged(wrong, why) : rc;
}

/* Pages as SQLite wants them, our table, every row as it was written, and none too few. */
static int check_whole(struct database *d, struct contents *c, struct why *why)
{
	char answer[512];
	int rc = ask(d, "SELECT group_concat(sql, ';') FROM sqlite_schema", answer, sizeof answer,
		     why);

	if (!rc && strcmp(answer, SCHEMA) != 0)
		rc = damaged("its table is not ours", why);
	rc = rc ? rc : ask(d, "PRAGMA quick_check(1)", answer, sizeof answer, why);
	if (!rc && strcmp(answer, "ok") != 0)
		rc = damaged(answer, why);
	rc = rc ? rc : read_contents(d, c, why);
	if (!rc && (!c->has_head || c->head.format != FORMAT))
		rc = damaged("its first row", why);
	if (!rc && (c->rows != c->head.rows || c->digest != c->head.digest))
		rc = damaged("rows are missing", why);
	return rc;
}

/* The number is not guarded by a checksum, but a file that is whole in our format is of no other.
 */
static int check_format(const struct database *d, const char *application, long version, int rc,
			struct why *why)
{
	if (strcmp(application, SQL_NUMBER(APPLICATION_ID)) != 0)
		return damaged("not a database of weave", why);
	if (version > FORMAT && rc == -EBADMSG) {
		why_set(why, WHY_VERSION,
			"%.60s was written by a newer weave (format %ld, this one knows %d): start "
			"that one, or move the file away",
			d->folder.path, version, FORMAT);
		return -ENOTSUP;
	}
	if (!rc && version != FORMAT)
		return damaged("the number of its format", why);
	return rc;
}

static int check_seen(struct database *d, struct why *why)
{
	uint64_t seen;
	int rc = folder_open_seen(&d->folder, d->head.file_id, &seen, why);

	if (rc || seen <= d->head.commits)
		return rc;
	why_set(why, WHY_INVALID, "it lacks the last %" PRIu64 " changes: cut, or an old copy",
		seen - d->head.commits);
	return -EBADMSG;
}

static int check(struct database *d, struct why *why)
{
	char application[24], version[24];
	struct contents c;
	int rc = ask(d, "PRAGMA application_id", application, sizeof application, why);

	rc = rc ? rc : ask(d, "PRAGMA user_version", version, sizeof version, why);
	if (rc)
		return rc;
	rc = check_whole(d, &c, why);
	if (!rc || rc == -EBADMSG)
		rc = check_format(d, application, strtol(version, NULL, 10), rc, why);
	if (rc)
		return rc;
	d->head = c.head;
	return check_seen(d, why);
}

/* ---- opening ---- */

static int on_wal(void *ctx, sqlite3 *sql, const char *name, int frames)
{
	struct database *d = ctx;

	(void)sql;
	(void)name;
	d->wal_frames = frames;
	return SQLITE_OK;
}

/* 'tidy' false leaves the log beside the file: what is set aside stays as it was found. */
static void close_sql(struct database *d, bool tidy)
{
	if (d->sql)
		sqlite3_db_config(d->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !tidy, NULL);
	for (unsigned n = 0; n < STATEMENTS; n++)
		sqlite3_finalize(d->statements[n]);
	memset(d->statements, 0, sizeof d->statements);
	sqlite3_close(d->sql);
	d->sql = NULL;
	d->in_transaction = d->unsure = false;
	d->wal_frames = 0;
}

static int open_sql(struct database *d, const char *path, struct why *why)
{
	int rc = sqlite3_open_v2(path, &d->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (!d->sql) {
		why_set(why, WHY_INVALID, "no memory for SQLite");
		return -ENOMEM;
	}
	sqlite3_extended_result_codes(d->sql, 1);
	if (rc != SQLITE_OK)
		return failure(d, why);
	sqlite3_busy_timeout(d->sql, BUSY_MS);
	/* SQLite opens what it may not write for reading only. */
	if (sqlite3_db_readonly(d->sql, "main") == 1 && access(path, W_OK) < 0) {
		rc = -errno;
		why_set(why, WHY_INVALID, "cannot write %.90s: %s", path, strerror(-rc));
		return rc;
	}
	/* Exclusive: there is no shared memory, and nobody else. No mapping: a file that gets
	 * shorter under us is an error, not a signal. */
	return run(d,
		   "PRAGMA locking_mode = EXCLUSIVE; PRAGMA mmap_size = 0;"
		   "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
		   "PRAGMA trusted_schema = OFF; PRAGMA synchronous = FULL",
		   why);
}

static int use_wal(struct database *d, struct why *why)
{
	char mode[16];
	int rc = ask(d, "PRAGMA journal_mode = WAL", mode, sizeof mode, why);

	if (!rc && strcmp(mode, "wal") != 0)
		rc = damaged("it takes no write-ahead log", why);
	rc = rc ? rc : run(d, "PRAGMA journal_size_limit = " SQL_NUMBER(WAL_SIZE_KEPT), why);
	if (!rc)
		sqlite3_wal_hook(d->sql, on_wal, d);
	return rc;
}

static int prepare(struct database *d, struct why *why)
{
	for (unsigned n = 0; n < STATEMENTS; n++)
		if (sqlite3_prepare_v3(d->sql, statement_texts[n], -1, SQLITE_PREPARE_PERSISTENT,
				       &d->statements[n], NULL) != SQLITE_OK)
			return failure(d, why);
	return 0;
}

/* Everything that is in the log goes into the main file, is synced there, and the log starts empty.
 *
 * After a failed sync the kernel may hold pages that it takes for written though they are not on
 * the disk, and a second sync would find nothing to do. This writes all of them once more: what the
 * log holds, from its first frame on, to other places; and of the main file just that.  Until
 * the main file's sync has succeeded the log stays as it is, and counts from its beginning. */
static int write_anew(struct database *d, struct why *why)
{
	int rc = sqlite3_wal_checkpoint_v2(d->sql, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	d->unsure = rc != SQLITE_OK;
	d->wal_frames = d->unsure ? d->wal_frames : 0;
	return d->unsure ? failure(d, why) : 0;
}

static int open_found(struct database *d, struct why *why)
{
	int rc = folder_database_is_cut(&d->folder) ? damaged("it is cut", why) : 0;

	rc = rc ? rc : open_sql(d, d->folder.path, why);

	rc = rc ? rc : check(d, why);
	rc = rc ? rc : use_wal(d, why);
	/* Whoever wrote this may have been killed after a sync that failed. */
	rc = rc ? rc : write_anew(d, why);
	rc = rc ? rc : prepare(d, why);
	return rc;
}

/* Made under another name, so that there never is half of one. */
static int make_new(struct database *d, struct why *why)
{
	int rc = folder_begin_new(&d->folder, why);

	rc = rc ? rc : open_sql(d, d->folder.new, why);
	rc = rc ? rc : use_wal(d, why);
	rc = rc ? rc
		: run(d,
		      "PRAGMA application_id = " SQL_NUMBER(
			      APPLICATION_ID) "; "
					      "PRAGMA user_version = " SQL_NUMBER(
						      FORMAT) "; " SCHEMA,
		      why);
	rc = rc ? rc : prepare(d, why);
	d->head = (struct head){ .format = FORMAT };
	sqlite3_randomness(sizeof d->head.file_id, &d->head.file_id);
	rc = rc ? rc : database_begin(d, why);
	rc = rc ? rc : database_commit(d, why);
	rc = rc ? rc : write_anew(d, why);
	close_sql(d, true);
	rc = rc ? rc : folder_end_new(&d->folder, why);
	return rc ? rc : open_found(d, why);
}

static int set_aside_and_make_new(struct database *d, const char *wrong, struct why *why)
{
	struct why aside;
	int rc;

	close_sql(d, false);
	rc = folder_set_aside(&d->folder, wrong, why);
	aside = *why;
	rc = rc ? rc : make_new(d, why);
	if (!rc)
		*why = aside;
	return rc;
}

int database_set_aside(struct database *d, const char *wrong, struct why *why)
{
	char copy[80];
	int rc;

	snprintf(copy, sizeof copy, "%s", wrong);
	rc = set_aside_and_make_new(d, copy, why);
	return rc ? rc : -EBADMSG;
}

int database_open(const char *directory, struct database **out, enum ipam_store_found *found,
		  struct why *why)
{
	struct database *d = mem_new(1, sizeof *d);
	int rc = folder_open(&d->folder, directory, why);

	*found = IPAM_STORE_KEPT;
	if (!rc && folder_has_database(&d->folder))
		rc = open_found(d, why);
	else if (!rc && folder_is_used(&d->folder))
		rc = damaged("ipam.db itself is missing", why);
	else if (!rc)
		*found = IPAM_STORE_NEW;
	if (!rc && *found == IPAM_STORE_NEW)
		rc = make_new(d, why);
	if (rc == -EBADMSG && *found == IPAM_STORE_KEPT) {
		*found = IPAM_STORE_DAMAGED;
		rc = database_set_aside(d, why->text, why);
		rc = rc == -EBADMSG ? 0 : rc;
	}
	if (rc)
		database_close(d);
	*out = rc ? NULL : d;
	return rc;
}

void database_close(struct database *d)
{
	if (!d)
		return;
	close_sql(d, true);
	folder_close(&d->folder);
	mem_free(d);
}

/* ---- transactions ---- */

/* After this, SQLite sees nothing of the transaction any more; the disk may. */
static int abandon(struct database *d, struct why *why)
{
	int rc = failure(d, why);

	for (unsigned n = 0; n < STATEMENTS; n++)
		sqlite3_reset(d->statements[n]);
	if (!sqlite3_get_autocommit(d->sql))
		sqlite3_exec(d->sql, "ROLLBACK", NULL, NULL, NULL);
	d->in_transaction = false;
	d->unsure = true;
	return rc;
}

int database_begin(struct database *d, struct why *why)
{
	int rc = d->unsure ? write_anew(d, why) : 0;

	MUST(!d->in_transaction);
	if (rc)
		return rc;
	if (sqlite3_exec(d->sql, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return abandon(d, why);
	d->in_transaction = true;
	d->work = d->head;
	return 0;
}

static sqlite3_stmt *bind(struct database *d, enum statement which, const struct database_row *row)
{
	sqlite3_stmt *s = d->statements[which];

	sqlite3_bind_int64(s, 1, (sqlite3_int64)row->universe);
	sqlite3_bind_int64(s, 2, (sqlite3_int64)row->kind);
	sqlite3_bind_int64(s, 3, (sqlite3_int64)row->key);
	return s;
}

/* SQLITE_ROW or SQLITE_DONE; else the transaction is gone. */
static int step(sqlite3_stmt *s, uint64_t *sum)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW)
		*sum = (uint64_t)sqlite3_column_int64(s, 0);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		sqlite3_reset(s);
	return rc;
}

/* Takes the row that is there out of the head's account; SQLITE_ROW: there was one. */
static int account(struct database *d, const struct database_row *row)
{
	uint64_t sum;
	int rc = step(bind(d, FIND, row), &sum);

	if (rc == SQLITE_ROW) {
		d->work.rows--;
		d->work.digest -= sum;
	}
	return rc;
}

static int put(struct database *d, const struct database_row *row)
{
	sqlite3_stmt *s = bind(d, PUT, row);
	uint64_t sum = row_sum(row);

	/* A NULL pointer would be the SQL value NULL, not an empty one. */
	sqlite3_bind_blob64(s, 4, row->value.size ? row->value.data : (const uint8_t *)"",
			    row->value.size, SQLITE_STATIC);
	sqlite3_bind_int64(s, 5, (sqlite3_int64)sum);
	return step(s, &sum);
}

int database_put(struct database *d, const struct database_row *row, struct why *why)
{
	int rc;

	MUST(d->in_transaction && row->value.size <= ENTRY_SIZE_MAX);
	rc = account(d, row);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		rc = put(d, row);
	if (rc != SQLITE_DONE)
		return abandon(d, why);
	d->work.rows++;
	d->work.digest += row_sum(row);
	return 0;
}

int database_delete(struct database *d, const struct database_row *row, struct why *why)
{
	uint64_t ignored;
	int rc;

	MUST(d->in_transaction);
	rc = account(d, row);
	if (rc == SQLITE_ROW)
		rc = step(bind(d, DELETE, row), &ignored);
	return rc == SQLITE_DONE ? 0 : abandon(d, why);
}

int database_commit(struct database *d, struct why *why)
{
	uint8_t value[HEAD_SIZE];
	struct database_row row = { OWN_UNIVERSE, OWN_HEAD, 0, bytes_of(value, sizeof value) };

	MUST(d->in_transaction);
	d->work.commits++;
	head_encode(&d->work, value);
	if (put(d, &row) != SQLITE_DONE ||
	    sqlite3_exec(d->sql, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return abandon(d, why);
	d->in_transaction = false;
	d->head = d->work;
	if (d->folder.seen_fd >= 0)
		folder_see(&d->folder, d->head.file_id, d->head.commits);
	return 0;
}

int database_tidy(struct database *d, struct why *why)
{
	int rc;

	if (d->unsure)
		return write_anew(d, why);
	if (d->wal_frames < WAL_FRAMES_MAX)
		return 0;
	/* Unlike write_anew this keeps the file's blocks: overwriting syncs faster than growing. */
	rc = sqlite3_wal_checkpoint_v2(d->sql, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	d->unsure = rc != SQLITE_OK;
	d->wal_frames = 0;
	return d->unsure ? failure(d, why) : 0;
}

/* ---- what the file is for ---- */

uint64_t database_store_id(const struct database *d, peer_name *name)
{
	*name = d->head.name;
	return d->head.store_id;
}

int database_set_store_id(struct database *d, peer_name name, uint64_t store_id, struct why *why)
{
	int rc = database_begin(d, why);

	if (rc)
		return rc;
	d->work.name = name;
	d->work.store_id = store_id;
	return database_commit(d, why);
}

struct prefix_search {
	const char *text;
	uint64_t number, last;
};

static const char *compare_prefix(void *ctx, const struct database_row *row)
{
	struct prefix_search *p = ctx;

	if (row->kind != OWN_PREFIX)
		return NULL;
	if (bytes_equal(row->value, bytes_of(p->text, strlen(p->text))))
		p->number = row->key;
	if (row->key > p->last)
		p->last = row->key;
	return NULL;
}

int database_load(struct database *d, uint64_t universe, row_function *row, void *ctx,
		  const char **wrong, struct why *why)
{
	static const char text[] = "SELECT " COLUMNS " FROM row WHERE universe = ?1";
	sqlite3_stmt *s;

	*wrong = NULL;
	if (sqlite3_prepare_v2(d->sql, text, -1, &s, NULL) != SQLITE_OK)
		return failure(d, why);
	sqlite3_bind_int64(s, 1, (sqlite3_int64)universe);
	return walk(d, s, row, ctx, wrong, why);
}

int database_universe(struct database *d, struct cidr prefix, uint64_t *number, struct why *why)
{
	char text[CIDR_TEXT_SIZE];
	struct prefix_search p = { .text = cidr_text(cidr_network(prefix), text) };
	struct database_row row = { OWN_UNIVERSE, OWN_PREFIX, 0, bytes_of(text, strlen(text)) };
	const char *wrong;
	int rc = database_load(d, OWN_UNIVERSE, compare_prefix, &p, &wrong, why);

	if (wrong)
		return damaged(wrong, why);
	row.key = *number = p.number ? p.number : p.last + 1;
	if (rc || p.number)
		return rc;
	rc = database_begin(d, why);
	rc = rc ? rc : database_put(d, &row, why);
	return rc ? rc : database_commit(d, why);
}

int database_remove(const char *directory, struct why *why)
{
	return folder_remove(directory, why);
}
