#include "proof_wire.h"

#include <sodium.h>

#include <weave/must.h>
#include <weave/reader.h>

static const char channel[] = "weave.3 proof on a connection";

/* One message on its way through the machine. */
struct step {
	struct reader body;
	const struct passwords *passwords;
	const uint8_t *binding, *entropy;
	struct writer *out;
	uint32_t *password;
	const char **bad;
};

static enum proof_result bad(struct proof *p, const struct step *s, const char *field)
{
	proof_wipe(p);
	*s->bad = field;
	return PROOF_BAD;
}

static void begin(struct proof *p, bool asking, const uint8_t session[PROOF_SESSION_SIZE],
		  const struct passwords *passwords, const uint8_t binding[DERIVED_SIZE],
		  const uint8_t *entropy)
{
	proof_wipe(p);
	memcpy(p->session, session, PROOF_SESSION_SIZE);
	memcpy(p->session + PROOF_SESSION_SIZE, binding, DERIVED_SIZE);
	key_exchange_begin(&p->keys, asking, passwords, bytes_of(channel, strlen(channel)),
			   bytes_of(p->session, sizeof p->session), entropy);
}

static void write_offer(const struct proof *p, bool asking, struct writer *w)
{
	write_u8(w, PROOF_OFFER);
	if (asking)
		write_bytes(w, p->session, PROOF_SESSION_SIZE);
	write_bytes(w, p->keys.offer, p->keys.ours * CPACE_SHARE_SIZE);
}

static void write_tags(struct proof *p, struct writer *w)
{
	uint8_t tags[PROOF_SIZE_MAX];
	size_t size = key_exchange_prove(&p->keys, tags);

	write_u8(w, PROOF_TAGS);
	write_bytes(w, tags, size);
}

static void keep_said(struct proof *p, struct bytes said)
{
	MUST(said.size <= sizeof p->said);
	memcpy(p->said, said.data, said.size);
	p->said_size = said.size;
}

void proof_begin(struct proof *p, const struct passwords *passwords,
		 const uint8_t binding[DERIVED_SIZE], const uint8_t entropy[PROOF_ENTROPY_SIZE],
		 struct writer *out)
{
	begin(p, true, entropy, passwords, binding, entropy + PROOF_SESSION_SIZE);
	write_offer(p, true, out);
	keep_said(p, writer_bytes(out));
	p->state = PROOF_OFFERED;
}

static bool take_offer(struct proof *p, struct bytes offer, struct bytes asked_said)
{
	return key_exchange_offered(&p->keys, offer, bytes_of(p->session, sizeof p->session),
				    bytes_of(p->said, p->said_size), asked_said);
}

/* At the asked end. */
static enum proof_result on_first_offer(struct proof *p, struct step *s, struct bytes body)
{
	const uint8_t *session = read_bytes(&s->body, PROOF_SESSION_SIZE, "proof.session");
	struct bytes offer = bytes_of(s->body.at, reader_left(&s->body));

	if (!session || offer.size > OFFER_SIZE_MAX)
		return bad(p, s, "proof.session");
	begin(p, false, session, s->passwords, s->binding, s->entropy + PROOF_SESSION_SIZE);
	keep_said(p, body);
	write_offer(p, false, s->out);
	if (!take_offer(p, offer, writer_bytes(s->out)))
		return bad(p, s, "proof.offer");
	p->state = PROOF_ANSWERED;
	return PROOF_GOES_ON;
}

/* At the asking end. */
static enum proof_result on_second_offer(struct proof *p, struct step *s, struct bytes body)
{
	struct bytes offer = bytes_of(s->body.at, reader_left(&s->body));

	if (p->state != PROOF_OFFERED)
		return bad(p, s, "proof.step: an offer that nobody asked for");
	if (!take_offer(p, offer, body))
		return bad(p, s, "proof.offer");
	write_tags(p, s->out);
	p->state = PROOF_TAGGED;
	return PROOF_GOES_ON;
}

static enum proof_result on_tags(struct proof *p, struct step *s, bool dialled)
{
	struct bytes tags = bytes_of(s->body.at, reader_left(&s->body));
	bool agreed;

	if (p->state != (dialled ? PROOF_TAGGED : PROOF_ANSWERED))
		return bad(p, s, "proof.step: tags that nobody asked for");
	agreed = key_exchange_proved(&p->keys, tags);
	if (agreed)
		*s->password = key_exchange_password(&p->keys);
	if (!dialled && agreed)
		write_tags(p, s->out);
	else if (!dialled)
		write_u8(s->out, PROOF_TAGS); /* none */
	proof_wipe(p);
	return agreed ? PROOF_DONE : PROOF_FAILED;
}

enum proof_result proof_on_message(struct proof *p, bool dialled, struct bytes body,
				   const struct passwords *passwords,
				   const uint8_t binding[DERIVED_SIZE],
				   const uint8_t entropy[PROOF_ENTROPY_SIZE], struct writer *out,
				   uint32_t *password, const char **field)
{
	struct step s = {
		reader_over(body.data, body.size), passwords, binding, entropy, out, password, field
	};

	switch (read_u8(&s.body, "proof.step")) {
	case PROOF_ASK:
		if (!dialled || reader_left(&s.body))
			return bad(p, &s, "proof.step: ASK");
		return PROOF_WANTED;
	case PROOF_OFFER:
		return dialled ? on_second_offer(p, &s, body) : on_first_offer(p, &s, body);
	case PROOF_TAGS:
		return on_tags(p, &s, dialled);
	default:
		return bad(p, &s, "proof.step");
	}
}

void proof_wipe(struct proof *p)
{
	sodium_memzero(p, sizeof *p);
}
