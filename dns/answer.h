/* From a question to an answer, or to the decision that others must be asked.
 *
 * Pure; the thread that answers.  What is ours: names of our domain, names of one label (asked for
 * without a search domain), and addresses of ours.
 */
#ifndef WEAVE_DNS_ANSWER_H
#define WEAVE_DNS_ANSWER_H

#include "message_wire.h"

enum answer_is {
	ANSWER_NONE,	/* not a question: nothing is sent */
	ANSWER_LOCAL,	/* 'message' */
	ANSWER_REFUSED, /* 'message' says that the question is no good */
	ANSWER_FORWARD, /* others know, or nobody */
};

struct answer {
	enum answer_is is;
	struct dns_query query; /* not for NONE; borrows from the question */
	struct bytes message;	/* in the buffer */
};

/* 'buffer' of DNS_MESSAGE_MAX bytes.  Over TCP answers have any size. */
void answer_make(struct answer *a, struct zone *z, uint32_t ttl, struct bytes question, bool tcp,
		 struct rng *rng, void *buffer);
/* To a question that was to be forwarded, or cannot be answered now. */
struct bytes answer_refuse(const struct dns_query *q, enum dns_rcode rcode, void *buffer);
/* What the answer to 'q' may have. */
size_t answer_limit(const struct dns_query *q, bool tcp);

#endif
