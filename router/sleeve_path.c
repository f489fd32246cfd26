#include "sleeve_path.h"

#include <sodium.h>
#include <stdio.h>

#include <weave/must.h>

#include "frame.h"

void path_init(struct sleeve_path *p, const struct path_config *config, struct mono now)
{
	*p = (struct sleeve_path){
		.conn = config->conn,
		.peer = config->peer,
		.slot = config->slot,
		.address = { .ip = config->remote },
		.mine = config->mine,
		.limits = config->limits,
		.seal_size = config->secret.sealed ? AEAD_TAG_SIZE : 0,
		.proving_since = now,
		.icmp_tokens = 32,
		.icmp_at = now,
	};
	/* Not in the literal above, of which a copy may stay on the stack. */
	p->secret = config->secret;
	pmtu_init(&p->pmtu, config->datagram_max);
}

void path_fini(struct sleeve_path *p)
{
	reassembly_fini(&p->reassembly);
	train_fini(&p->train);
	keys_fini(&p->keys);
	sodium_memzero(&p->secret, sizeof p->secret);
}

static bool make_keys(struct sleeve_path *p, struct mono now)
{
	uint8_t mine[SLEEVE_SETUP_SIZE], theirs[SLEEVE_SETUP_SIZE];
	struct writer m = writer_over(mine, sizeof mine), t = writer_over(theirs, sizeof theirs);
	bool dialled = p->secret.initiator;
	struct keys_config config = {
		.secret = p->secret.secret,
		.initiator = dialled,
		.cipher = aead_choose(p->mine.ciphers, p->theirs.ciphers),
		.limits = p->limits,
	};

	sleeve_setup_write(&p->mine, &m);
	sleeve_setup_write(&p->theirs, &t);
	config.dialled = writer_bytes(dialled ? &m : &t);
	config.answered = writer_bytes(dialled ? &t : &m);
	if (config.cipher == AEAD_NONE || !keys_init(&p->keys, &config, now))
		return false;
	sodium_memzero(&p->secret, sizeof p->secret);
	return true;
}

static void start_proving(struct sleeve_path *p, struct mono now)
{
	p->state = PATH_PROVING;
	p->proving_since = now;
	p->heartbeat_now = true;
	pmtu_stop(&p->pmtu);
}

const char *path_on_setup(struct sleeve_path *p, const struct sleeve_setup *theirs, struct mono now)
{
	/* The same keys from the beginning again would repeat nonces. */
	if (p->state != PATH_WAITING)
		return "setup.repeated";
	p->theirs = *theirs;
	if (path_is_sealed(p) && !make_keys(p, now)) {
		p->theirs = (struct sleeve_setup){ 0 };
		return "setup.ciphers";
	}
	/* A heartbeat may have come before this message and told the true port already. */
	if (!p->address_proof)
		p->address.port = theirs->port;
	start_proving(p, now);
	return NULL;
}

bool path_accepts(struct sleeve_path *p, struct netaddr from, uint64_t counter,
		  const struct sleeve_heartbeat *heartbeat)
{
	bool proven = heartbeat &&
		      heartbeat->proof == heartbeat_proof(&p->mine, counter, heartbeat);

	if (heartbeat && !proven)
		return false;
	if (proven && counter > p->address_proof) {
		p->address_proof = counter;
		p->address = from;
		return true;
	}
	return path_is_sealed(p) || netaddr_compare(from, p->address) == 0;
}

void path_on_heard(struct sleeve_path *p, size_t size, struct mono now)
{
	p->heard = true;
	p->heard_at = now;
	if (size > p->largest_heard)
		p->largest_heard = (uint32_t)size;
}

static bool is_fast(const struct sleeve_path *p, struct mono now)
{
	return now.ms < p->fast_until.ms;
}

static void go_fast(struct sleeve_path *p, struct mono now)
{
	if (!is_fast(p, now)) {
		/* The last echo may be seconds old: patience starts here. */
		p->fast_since = now;
		p->heartbeat_now = true;
	}
	p->fast_until = mono_after(now, PATH_DATA_LINGER_MS);
}

void path_on_data(struct sleeve_path *p, struct mono now)
{
	go_fast(p, now);
}

void path_on_suspect(struct sleeve_path *p, struct mono now)
{
	go_fast(p, now);
	p->suspected = true;
	p->suspected_at = now;
	p->heartbeat_now = true;
	if (p->state == PATH_PROVING)
		p->proving_since = now;
}

static void measure(struct sleeve_path *p, const struct path_sent *sent, uint16_t held_ms,
		    struct mono now)
{
	uint64_t ms = mono_elapsed(sent->at, now);
	uint32_t us;

	ms = ms > held_ms ? ms - held_ms : 0;
	us = ms > UINT32_MAX / 1000 ? UINT32_MAX : (uint32_t)ms * 1000;
	p->rtt_us = p->rtt_us ? (uint32_t)(((uint64_t)p->rtt_us * 7 + us) / 8) : us;
	pmtu_rtt(&p->pmtu, p->rtt_us / 1000);
}

static void on_echo(struct sleeve_path *p, const struct sleeve_heartbeat *h, struct mono now)
{
	const struct path_sent *sent = &p->sent[h->echo % PATH_SENT_RING];

	/* Serial numbers: only what we sent and what is newer than the last echo. */
	if (h->echo == 0 || h->echo - p->echoed - 1 >= p->token - p->echoed)
		return;
	p->echoed = h->echo;
	if (sent->token != h->echo)
		return; /* so old that it proves nothing about now */
	p->echoed_at = now;
	p->unanswered = 0;
	keys_confirm(&p->keys, sent->epoch);
	if (sent->at.ms >= p->suspected_at.ms)
		p->suspected = false;
	measure(p, sent, h->held_ms, now);
	if (p->state == PATH_PROVING) {
		p->state = PATH_UP;
		p->fast_since = now;
		pmtu_start(&p->pmtu, p->rtt_us / 1000, now);
	} else if (p->state == PATH_UP) {
		pmtu_on_report(&p->pmtu, sent->largest, h->largest, now);
	}
}

void path_on_heartbeat(struct sleeve_path *p, const struct sleeve_heartbeat *h, struct mono now)
{
	if ((int32_t)(h->token - p->heard_token) > 0) {
		p->heard_token = h->token;
		p->heard_token_at = now;
		if (p->largest_heard > p->largest_closed)
			p->largest_closed = p->largest_heard;
		p->largest_heard = 0;
	}
	if (h->flags & HEARTBEAT_ANSWER)
		p->answer_due = true;
	on_echo(p, h, now);
}

void path_on_probe_ack(struct sleeve_path *p, const struct sleeve_probe_ack *a, struct mono now)
{
	if (p->state == PATH_UP)
		pmtu_on_ack(&p->pmtu, a->id, a->size, now);
}

static struct mono dead_at(const struct sleeve_path *p, struct mono now)
{
	bool fast = is_fast(p, now);
	struct mono since = p->echoed_at, asked;

	if (p->unanswered < PATH_DEAD_UNANSWERED)
		return MONO_NEVER;
	if (fast && p->fast_since.ms > since.ms)
		since = p->fast_since;
	since = mono_after(since, fast ? PATH_DEAD_FAST_MS : PATH_DEAD_IDLE_MS);
	/* The last one of those that count has its time, too. */
	asked = mono_after(p->doubted_at, fast ? PATH_OVERDUE_FAST_MS : PATH_OVERDUE_IDLE_MS);
	return asked.ms > since.ms ? asked : since;
}

void path_tick(struct sleeve_path *p, struct mono now)
{
	reassembly_tick(&p->reassembly, now);
	train_tick(&p->train, now);
	keys_tick(&p->keys, now);
	if (p->state == PATH_UP && mono_reached(now, dead_at(p, now)))
		start_proving(p, now);
}

/* Time from the last heartbeat to the next; '*answer': it asks for an answer at once. */
static uint32_t heartbeat_spacing(const struct sleeve_path *p, struct mono now, bool *answer)
{
	uint32_t fast = is_fast(p, now);
	uint32_t normal = fast ? PATH_HEARTBEAT_FAST_MS : PATH_HEARTBEAT_IDLE_MS;
	uint32_t closer = fast ? PATH_OVERDUE_FAST_MS : PATH_OVERDUE_IDLE_MS;
	uint64_t proving_ms;

	*answer = true;
	if (p->state == PATH_PROVING) {
		/* Quick while the other end surely just starts, then sparing; quick again when it
		 * is heard. */
		proving_ms = mono_elapsed(p->proving_since, now);
		if (proving_ms < 3000 ||
		    (p->heard && mono_elapsed(p->heard_at, now) < PATH_DEAD_FAST_MS))
			return 100;
		return proving_ms < 15000 ? 500 : 2000;
	}
	if (p->suspected || mono_elapsed(p->echoed_at, now) > normal + closer)
		return closer;
	*answer = false;
	return normal;
}

static struct mono heartbeat_due(const struct sleeve_path *p, struct mono now)
{
	struct mono due;
	uint32_t spacing;
	bool answer;

	if (p->heartbeat_now || !p->token)
		return now;
	spacing = heartbeat_spacing(p, now, &answer);
	due = mono_after(p->sent_at, spacing);
	/* Not yet overdue, but the moment when it will be comes first. */
	if (!answer && p->state == PATH_UP) {
		struct mono overdue = mono_after(
			p->echoed_at, is_fast(p, now)
					      ? PATH_HEARTBEAT_FAST_MS + PATH_OVERDUE_FAST_MS + 1
					      : PATH_HEARTBEAT_IDLE_MS + PATH_OVERDUE_IDLE_MS + 1);

		due = mono_min(due, overdue.ms > now.ms ? overdue : now);
	}
	if (p->answer_due)
		due = mono_min(due, mono_after(p->sent_at, PATH_ANSWER_MIN_MS));
	return due;
}

static void fill_heartbeat(struct sleeve_path *p, struct sleeve_heartbeat *h, struct mono now)
{
	uint64_t held = mono_elapsed(p->heard_token_at, now);
	bool answer;

	/* As an answer it asks for none: two ends that are both in doubt would never stop. */
	heartbeat_spacing(p, now, &answer);
	if (p->heartbeat_now)
		answer = true;
	else if (p->answer_due)
		answer = false;
	p->heartbeat_now = false;
	p->answer_due = false;

	p->token = p->token == UINT32_MAX ? 1 : p->token + 1;
	p->sent_at = now;
	if (++p->unanswered == PATH_DEAD_UNANSWERED)
		p->doubted_at = now;
	p->sent[p->token % PATH_SENT_RING] = (struct path_sent){
		.token = p->token,
		.largest = p->largest_sent,
		.epoch = p->keys.out.epoch,
		.at = now,
	};
	p->largest_sent = 0;
	*h = (struct sleeve_heartbeat){
		.flags = answer ? HEARTBEAT_ANSWER : 0,
		.token = p->token,
		.echo = p->heard_token,
		.held_ms = held > UINT16_MAX ? UINT16_MAX : (uint16_t)held,
		.largest = (uint16_t)p->largest_closed,
	};
	p->largest_closed = 0;
}

bool path_pull(struct sleeve_path *p, struct mono now, struct sleeve_record *record, uint32_t *size)
{
	uint32_t id;

	*record = (struct sleeve_record){ 0 };
	if (p->state == PATH_WAITING)
		return false;
	if (mono_reached(now, heartbeat_due(p, now))) {
		record->type = SLEEVE_HEARTBEAT;
		fill_heartbeat(p, &record->heartbeat, now);
		return true;
	}
	if (!pmtu_pull(&p->pmtu, now, &id, size))
		return false;
	record->type = SLEEVE_PROBE;
	record->probe.id = id;
	return true;
}

struct mono path_deadline(const struct sleeve_path *p, struct mono now)
{
	struct mono due = mono_min(reassembly_deadline(&p->reassembly), train_deadline(&p->train));

	if (p->state == PATH_WAITING)
		return due;
	due = mono_min(due, heartbeat_due(p, now));
	if (p->state == PATH_UP) {
		due = mono_min(due, dead_at(p, now));
		due = mono_min(due, pmtu_deadline(&p->pmtu));
	}
	return due;
}

uint32_t path_mtu(const struct sleeve_path *p)
{
	uint32_t headers = SLEEVE_HEADER_SIZE + SLEEVE_PARTIAL_HEADER_SIZE + p->seal_size +
			   FRAME_HEADER_SIZE;

	return p->pmtu.size - headers;
}

bool path_may_send_icmp(struct sleeve_path *p, struct mono now)
{
	uint64_t more = mono_elapsed(p->icmp_at, now) / 10;

	if (more) {
		p->icmp_tokens = (uint32_t)(p->icmp_tokens + more > 32 ? 32
								       : p->icmp_tokens + more);
		p->icmp_at = now;
	}
	if (!p->icmp_tokens)
		return false;
	p->icmp_tokens--;
	return true;
}

void path_explain(const struct sleeve_path *p, struct mono now, char *text, size_t size)
{
	char address[ENDPOINT_TEXT_SIZE];

	netaddr_text(p->address, address);
	if (p->state == PATH_WAITING)
		snprintf(text, size, "waiting for the peer's data path");
	else if (p->state == PATH_UP)
		text[0] = '\0';
	else if (!p->heard)
		snprintf(text, size, "no UDP heard from %s", address);
	else if (mono_elapsed(p->heard_at, now) < PATH_DEAD_FAST_MS)
		snprintf(text, size, "peer does not hear our UDP to %s", address);
	else
		snprintf(text, size, "no UDP from %s for %llu s", address,
			 (unsigned long long)(mono_elapsed(p->heard_at, now) / 1000));
}

void path_check(const struct sleeve_path *p)
{
	pmtu_check(&p->pmtu);
	reassembly_check(&p->reassembly);
	train_check(&p->train);
	MUST((p->state == PATH_UP) == (p->pmtu.state != PMTU_STOPPED));
	MUST(p->state == PATH_WAITING || p->theirs.port);
	MUST(p->pmtu.size <= SLEEVE_DATAGRAM_SIZE_MAX);
	MUST(path_is_sealed(p) || p->keys.cipher == AEAD_NONE);
	MUST(!path_is_sealed(p) || (p->state == PATH_WAITING) == (p->keys.cipher == AEAD_NONE));
	keys_check(&p->keys);
}
