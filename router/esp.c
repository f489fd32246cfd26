#include "esp.h"

#include <sodium.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#define LABEL "wv3 esp "

_Static_assert(sizeof LABEL - 1 == crypto_kdf_CONTEXTBYTES, "label size");
_Static_assert(ESP_CHAIN_SIZE == crypto_kdf_KEYBYTES, "chains are keys of crypto_kdf");

enum { CHAIN_KEY = 1, CHAIN_NEXT = 2 };

/* Per path: out n-1, n; in n-1, n, n+1; one more of each while lives are shorter than lingering. */
#define SAS_MAX 12u
#define NO_SESSION 0u

struct sa {
	bool out;
	bool told;
	uint32_t epoch, spi;
	struct ip_addr remote;
	uint32_t guard;
	struct mono ends; /* NEVER while it is needed */
	uint8_t key[FASTDP_SA_KEY_SIZE];
};

/* Of one remote address. */
struct guard {
	struct ip_addr remote;
	uint32_t number; /* in the kernel; from 1 */
	uint32_t owner;	 /* session of the newest path, whose association is used */
	uint32_t spi, told_spi;
	bool told, failed;
	unsigned users;	   /* paths */
	struct mono since; /* without users */
};

struct path {
	uint32_t session;
	uint32_t spi_in, spi_out; /* bases; out: 0 not known yet */
	struct ip_addr remote;
	uint8_t out[ESP_CHAIN_SIZE], in[ESP_CHAIN_SIZE]; /* of the epoch to be derived next */
	struct sa sas[SAS_MAX];
	unsigned sas_count;
	uint32_t sends, theirs;	      /* epochs: ours, and the one they send in */
	uint32_t takes, theirs_takes; /* newest that is told to the kernel; that they told us */
	struct mono since;	      /* of 'sends' */
	struct esp_message told;
	bool told_any, failed, ended;
};

struct esp {
	uint64_t life_ms;
	struct path **paths;
	size_t paths_count, paths_room;
	struct guard *guards;
	size_t guards_count, guards_room;
	bool dirty;			 /* something may have to be told */
	bool talk;			 /* some path may have a message */
	struct mono due;		 /* when time alone makes it so */
	uint8_t key[FASTDP_SA_KEY_SIZE]; /* of the order handed out last */
};

struct esp *esp_new(uint64_t life_ms)
{
	struct esp *e = mem_new(1, sizeof *e);

	e->life_ms = life_ms;
	e->due = MONO_NEVER;
	return e;
}

static void free_path(struct esp *e, size_t index)
{
	struct path *p = e->paths[index];

	e->paths[index] = e->paths[--e->paths_count];
	sodium_memzero(p, sizeof *p);
	mem_free(p);
}

void esp_free(struct esp *e)
{
	if (!e)
		return;
	while (e->paths_count)
		free_path(e, 0);
	mem_free(e->paths);
	mem_free(e->guards);
	sodium_memzero(e, sizeof *e);
	mem_free(e);
}

static struct path *path_of(const struct esp *e, uint32_t session)
{
	for (size_t i = 0; i < e->paths_count; i++)
		if (e->paths[i]->session == session && !e->paths[i]->ended)
			return e->paths[i];
	return NULL;
}

static struct guard *guard_of(const struct esp *e, struct ip_addr remote)
{
	for (size_t i = 0; i < e->guards_count; i++)
		if (ip_compare(e->guards[i].remote, remote) == 0)
			return &e->guards[i];
	return NULL;
}

/* While others hold lower ones it is the lowest that is free. */
static uint32_t free_number(const struct esp *e)
{
	for (uint32_t number = 1;; number++) {
		size_t i = 0;

		while (i < e->guards_count && e->guards[i].number != number)
			i++;
		if (i == e->guards_count)
			return number;
	}
}

static struct guard *hold_guard(struct esp *e, struct ip_addr remote)
{
	struct guard *g = guard_of(e, remote);

	if (!g) {
		if (e->guards_count == e->guards_room) {
			e->guards_room = e->guards_room ? e->guards_room * 2 : 16;
			e->guards = mem_resize(e->guards, e->guards_room, sizeof *e->guards);
		}
		g = &e->guards[e->guards_count];
		*g = (struct guard){ .remote = remote, .number = free_number(e) };
		e->guards_count++;
	}
	if (g->users++ == 0 && g->failed)
		g->told = g->failed = false; /* tried anew */
	return g;
}

static uint32_t spi_of(uint32_t base, uint32_t epoch)
{
	return base | (epoch & ESP_SPI_EPOCHS);
}

/* SPI of the path's present association out; 0: it has none to where it is now. */
static uint32_t spi_out(const struct path *p)
{
	for (unsigned i = 0; p->spi_out && !p->failed && i < p->sas_count; i++) {
		const struct sa *sa = &p->sas[i];

		if (sa->out && sa->told && sa->epoch == p->sends &&
		    ip_compare(sa->remote, p->remote) == 0)
			return sa->spi;
	}
	return 0;
}

static void settle_guard(struct esp *e, struct guard *g)
{
	const struct path *owner = path_of(e, g->owner);
	uint32_t spi = owner ? spi_out(owner) : 0;

	if (g->spi != spi || !g->told)
		e->dirty = true;
	g->spi = spi;
}

static void release_guard(struct esp *e, struct ip_addr remote, uint32_t session, struct mono now)
{
	struct guard *g = guard_of(e, remote);

	MUST(g && g->users > 0);
	g->users--;
	g->since = now;
	if (g->owner == session) {
		g->owner = NO_SESSION;
		for (size_t i = 0; i < e->paths_count; i++) {
			const struct path *p = e->paths[i];

			if (p->session != session && !p->ended && p->spi_out &&
			    ip_compare(p->remote, remote) == 0)
				g->owner = p->session;
		}
	}
	settle_guard(e, g);
	e->dirty = true;
}

/* ---- associations ---- */

/* The key of the chain's epoch; the chain moves on. */
static void turn(uint8_t chain[ESP_CHAIN_SIZE], uint8_t key[FASTDP_SA_KEY_SIZE])
{
	uint8_t next[ESP_CHAIN_SIZE];

	MUST(crypto_kdf_derive_from_key(key, FASTDP_SA_KEY_SIZE, CHAIN_KEY, LABEL, chain) == 0);
	MUST(crypto_kdf_derive_from_key(next, sizeof next, CHAIN_NEXT, LABEL, chain) == 0);
	memcpy(chain, next, sizeof next);
	sodium_memzero(next, sizeof next);
}

static void add_sa(struct esp *e, struct path *p, bool out, uint32_t epoch)
{
	struct sa *sa = &p->sas[p->sas_count++];

	MUST(p->sas_count <= SAS_MAX);
	*sa = (struct sa){
		.out = out,
		.epoch = epoch,
		.spi = spi_of(out ? p->spi_out : p->spi_in, epoch),
		.remote = p->remote,
		.guard = guard_of(e, p->remote)->number,
		.ends = MONO_NEVER,
	};
	turn(out ? p->out : p->in, sa->key);
	e->dirty = true;
}

static void end_sa(struct esp *e, struct path *p, bool out, uint32_t epoch, struct mono now)
{
	uint64_t linger_ms = e->life_ms < ESP_LINGER_MS ? e->life_ms : ESP_LINGER_MS;

	for (unsigned i = 0; i < p->sas_count; i++)
		if (p->sas[i].out == out && p->sas[i].epoch == epoch)
			p->sas[i].ends = mono_after(now, linger_ms);
	e->dirty = true;
}

/* ---- paths ---- */

void esp_begin(struct esp *e, uint32_t session, uint32_t spi, const struct esp_chains *chains,
	       struct ip_addr remote, struct mono now)
{
	struct path *p = mem_new(1, sizeof *p);

	MUST(session != NO_SESSION && !path_of(e, session));
	MUST(spi > ESP_SPI_EPOCHS && !(spi & ESP_SPI_EPOCHS));
	p->session = session;
	p->spi_in = spi;
	p->remote = remote;
	p->since = now;
	memcpy(p->out, chains->out, sizeof p->out);
	memcpy(p->in, chains->in, sizeof p->in);
	hold_guard(e, remote);
	if (e->paths_count == e->paths_room) {
		e->paths_room = e->paths_room ? e->paths_room * 2 : 16;
		e->paths = mem_resize(e->paths, e->paths_room, sizeof(struct path *));
	}
	e->paths[e->paths_count++] = p;
	add_sa(e, p, false, 0);
	add_sa(e, p, false, 1);
}

void esp_on_setup(struct esp *e, uint32_t session, uint32_t spi, struct mono now)
{
	struct path *p = path_of(e, session);

	if (!p || p->spi_out)
		return;
	p->spi_out = spi;
	p->since = now;
	add_sa(e, p, true, 0);
	guard_of(e, p->remote)->owner = session;
}

void esp_set_remote(struct esp *e, uint32_t session, struct ip_addr remote, struct mono now)
{
	struct path *p = path_of(e, session);
	struct ip_addr before;

	if (!p || ip_compare(p->remote, remote) == 0)
		return;
	before = p->remote;
	p->remote = remote;
	hold_guard(e, remote)->owner = session;
	release_guard(e, before, session, now);
	settle_guard(e, guard_of(e, remote));
}

void esp_end(struct esp *e, uint32_t session, struct mono now)
{
	struct path *p = path_of(e, session);

	if (!p)
		return;
	p->ended = true;
	sodium_memzero(p->out, sizeof p->out);
	sodium_memzero(p->in, sizeof p->in);
	for (unsigned i = 0; i < p->sas_count; i++)
		p->sas[i].ends = now;
	release_guard(e, p->remote, session, now);
}

void esp_on_failed(struct esp *e, const struct fastdp_op *op)
{
	struct path *p = op->type == FASTDP_OP_SA ? path_of(e, op->session) : NULL;
	struct guard *g = guard_of(e, p ? p->remote : op->remote);

	if (p)
		p->failed = true;
	else if (g)
		g->failed = true;
	if (g)
		settle_guard(e, g);
}

bool esp_ready(const struct esp *e, uint32_t session)
{
	const struct path *p = path_of(e, session);

	const struct guard *g = p ? guard_of(e, p->remote) : NULL;

	return g && !p->failed && g->told && !g->failed;
}

bool esp_spi_in_use(const struct esp *e, uint32_t spi)
{
	for (size_t i = 0; i < e->paths_count; i++)
		if (e->paths[i]->spi_in == (spi & ~ESP_SPI_EPOCHS))
			return true;
	return false;
}

/* ---- epochs ---- */

static bool may_turn(const struct path *p)
{
	/* Epochs are numbers of 32 bits: 16 000 years of two minutes. */
	return p->spi_out && !p->ended && !p->failed && p->theirs_takes > p->sends &&
	       p->sas_count + 2 <= SAS_MAX;
}

static void turn_when_due(struct esp *e, struct path *p, struct mono now)
{
	if (!may_turn(p) || mono_elapsed(p->since, now) < e->life_ms)
		return;
	end_sa(e, p, true, p->sends, now);
	p->sends++;
	p->since = now;
	e->talk = true;
	add_sa(e, p, true, p->sends);
}

const char *esp_on_message(struct esp *e, uint32_t session, const struct esp_message *m,
			   struct mono now)
{
	struct path *p = path_of(e, session);

	if (!p || p->failed)
		return NULL;
	if (m->sends != p->theirs && m->sends != p->theirs + 1)
		return "esp.sends";
	if (m->takes < p->theirs_takes || m->takes > p->sends + 1)
		return "esp.takes";
	/* They cannot be in an epoch that we did not say we take. */
	if (m->sends > p->theirs && (p->takes < m->sends || p->sas_count == SAS_MAX))
		return "esp.sends";
	p->theirs_takes = m->takes;
	if (m->sends > p->theirs) {
		end_sa(e, p, false, p->theirs, now);
		p->theirs = m->sends;
		add_sa(e, p, false, p->theirs + 1);
	}
	e->dirty = true;
	return NULL;
}

bool esp_next_message(struct esp *e, uint32_t *session, struct esp_message *m)
{
	for (size_t i = 0; e->talk && i < e->paths_count; i++) {
		struct path *p = e->paths[i];

		if (p->ended || p->failed || !p->takes ||
		    (p->told_any && p->told.sends == p->sends && p->told.takes == p->takes))
			continue;
		p->told = (struct esp_message){ p->sends, p->takes };
		p->told_any = true;
		*session = p->session;
		*m = p->told;
		return true;
	}
	e->talk = false;
	return false;
}

/* ---- what the kernel has to be told ---- */

static void fill_sa(struct esp *e, const struct path *p, struct sa *sa, struct fastdp_op *op)
{
	uint64_t expires_s = e->life_ms * ESP_LIVES / 1000;

	*op = (struct fastdp_op){
		.type = FASTDP_OP_SA,
		.remove = sa->told,
		.session = p->session,
		.remote = sa->remote,
		.out = sa->out,
		.spi = sa->spi,
		.guard = sa->guard,
		.expires_s = (uint32_t)(expires_s < ESP_EXPIRES_MIN_S ? ESP_EXPIRES_MIN_S
								      : expires_s),
		.sa_key = e->key,
	};
	/* The kernel has it from now on. */
	memcpy(e->key, sa->key, sizeof e->key);
	sodium_memzero(sa->key, sizeof sa->key);
}

/* What comes in before what goes out. */
static bool next_new_sa(struct esp *e, struct path *p, struct fastdp_op *op)
{
	for (unsigned out = 0; out < 2 && !p->ended; out++) {
		for (unsigned i = 0; i < p->sas_count; i++) {
			struct sa *sa = &p->sas[i];

			if (sa->told || sa->out != (out == 1))
				continue;
			fill_sa(e, p, sa, op);
			sa->told = true;
			if (sa->out)
				settle_guard(e, guard_of(e, p->remote));
			else
				p->takes = sa->epoch;
			e->talk = true;
			return true;
		}
	}
	return false;
}

static bool next_add(struct esp *e, struct fastdp_op *op)
{
	for (size_t i = 0; i < e->paths_count; i++)
		if (next_new_sa(e, e->paths[i], op))
			return true;
	/* Now that there are the associations that they name. */
	for (size_t i = 0; i < e->guards_count; i++) {
		struct guard *g = &e->guards[i];

		if (g->failed || (g->told ? g->told_spi == g->spi : !g->users))
			continue;
		g->told = true;
		g->told_spi = g->spi;
		*op = (struct fastdp_op){
			.type = FASTDP_OP_GUARD,
			.session = g->owner,
			.remote = g->remote,
			.guard = g->number,
			.spi = g->spi,
		};
		return true;
	}
	return false;
}

/* True with an order; else all associations of 'p' that are over are gone. */
static bool next_old_sa(struct esp *e, struct path *p, struct fastdp_op *op, struct mono now)
{
	for (unsigned i = p->sas_count; i-- > 0;) {
		struct sa gone = p->sas[i];

		if (!mono_reached(now, gone.ends)) {
			e->due = mono_min(e->due, gone.ends);
			continue;
		}
		p->sas[i] = p->sas[--p->sas_count];
		sodium_memzero(&p->sas[p->sas_count], sizeof p->sas[0]);
		sodium_memzero(gone.key, sizeof gone.key);
		if (!gone.told)
			continue;
		fill_sa(e, p, &gone, op);
		return true;
	}
	return false;
}

static bool next_old_guard(struct esp *e, struct fastdp_op *op, struct mono now)
{
	for (size_t i = e->guards_count; i-- > 0;) {
		struct guard gone = e->guards[i];
		struct mono ends = mono_after(gone.since, ESP_LINGER_MS);

		if (gone.users)
			continue;
		if (!mono_reached(now, ends)) {
			e->due = mono_min(e->due, ends);
			continue;
		}
		e->guards[i] = e->guards[--e->guards_count];
		if (!gone.told)
			continue;
		*op = (struct fastdp_op){
			.type = FASTDP_OP_GUARD,
			.remove = true,
			.remote = gone.remote,
			.guard = gone.number,
		};
		return true;
	}
	return false;
}

static bool next_removal(struct esp *e, struct fastdp_op *op, struct mono now)
{
	for (size_t i = e->paths_count; i-- > 0;) {
		struct path *p = e->paths[i];

		if (next_old_sa(e, p, op, now))
			return true;
		if (p->ended) {
			MUST(p->sas_count == 0);
			free_path(e, i);
		} else if (may_turn(p)) {
			e->due = mono_min(e->due, mono_after(p->since, e->life_ms));
		}
	}
	return next_old_guard(e, op, now);
}

bool esp_next(struct esp *e, enum esp_orders orders, struct fastdp_op *op, struct mono now)
{
	sodium_memzero(e->key, sizeof e->key);
	if (!e->dirty && !mono_reached(now, e->due))
		return false;
	if (orders == ESP_ADDS) {
		for (size_t i = 0; i < e->paths_count; i++)
			turn_when_due(e, e->paths[i], now);
		return next_add(e, op);
	}
	e->due = MONO_NEVER;
	if (next_removal(e, op, now)) {
		e->dirty = true;
		return true;
	}
	e->dirty = false;
	return false;
}

struct mono esp_deadline(const struct esp *e, struct mono now)
{
	return e->dirty || e->talk || mono_reached(now, e->due) ? now : e->due;
}

void esp_check(const struct esp *e)
{
	for (size_t i = 0; i < e->paths_count; i++) {
		const struct path *p = e->paths[i];
		const struct guard *g = guard_of(e, p->remote);

		MUST(p->ended || (g && g->users > 0));
		MUST(p->sas_count <= SAS_MAX);
		MUST(p->theirs_takes <= p->sends + 1);
		MUST(p->takes <= p->theirs + 1);
	}
	for (size_t i = 0; i < e->guards_count; i++) {
		unsigned users = 0;

		for (size_t k = 0; k < e->paths_count; k++)
			users += !e->paths[k]->ended &&
				 ip_compare(e->paths[k]->remote, e->guards[i].remote) == 0;
		MUST(users == e->guards[i].users);
	}
}
