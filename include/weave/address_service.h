/* Addresses for containers, as people and programs ask for them: "net:default", "10.2.1.0/24", one
 * given address, both families at once.
 *
 * Pure; loop thread.  Stands between the API (and every later caller that wants addresses) and the
 * universes of <weave/ipam.h>: it splits a request into one question per address, collects the
 * answers, and takes back what was given if one of them is a refusal or nobody waits any more.
 * Nothing here is durable: the universes are.
 *
 * Whose an address is: the container's id.  Addresses of attached containers go 30 s after their
 * interface; those that were asked for through the API alone are kept until they are given back.
 * The universes know the latter by the id with API_MARK behind it, which no id can contain, so
 * that the difference is as durable as the address.
 */
#ifndef WEAVE_ADDRESS_SERVICE_H
#define WEAVE_ADDRESS_SERVICE_H

#include <weave/api.h>
#include <weave/ipam.h>
#include <weave/list.h>
#include <weave/text.h>

#define ADDRESS_RANGES_MAX 2u /* one of IPv4 and one of IPv6 */
#define ADDRESS_PARTS_MAX (2u * API_ADDRESSES_MAX)
/* Behind the id, so that a text of the whole shows the id only. */
#define API_MARK "\0api"

struct address_range {
	struct ipam *ipam; /* borrowed */
	struct universe universe;
	struct cidr default_subnet;
};

/* Embedded by the daemon; change by functions only. */
struct address_service {
	struct address_range ranges[ADDRESS_RANGES_MAX];
	size_t ranges_count; /* 0: no IPAM */
	uint64_t last_request;
	struct list jobs; /* that wait for answers */
};

enum address_job_state {
	ADDRESS_JOB_WAITING,
	ADDRESS_JOB_DONE,   /* 'addresses' or 'text' */
	ADDRESS_JOB_FAILED, /* 'why'; nothing was kept */
};

struct address_part {
	size_t universe;  /* ADDRESS_RANGES_MAX: outside all ranges, not managed by anybody */
	uint64_t request; /* 0: answered, or never asked */
	struct cidr cidr; /* the address once it is known; till then the subnet's prefix length */
	bool fresh;	  /* nobody had it before, and no other job has brought it since */
};

/* One request on its way.  Owned by the caller from address_job_... on, until it is ended by
 * address_job_keep or address_job_undo. */
struct address_job {
	enum address_job_state state;
	struct api_addresses addresses; /* each once, in the order in which they were asked for */
	struct text text;		/* what the universes say of themselves, a line each */
	struct why why;
	void *owner; /* the caller's */
	/* private */
	struct address_service *service;
	struct list link;
	size_t parts_count, waiting;
	struct address_part parts[ADDRESS_PARTS_MAX];
	size_t container_size;
	char container[API_ID_SIZE + sizeof API_MARK];
};

void address_service_init(struct address_service *s, const struct address_range *ranges,
			  size_t count);
/* Frees the jobs that wait; what they were given stays with the universes. */
void address_service_fini(struct address_service *s);

/* Gets the container an address for each of 'wants'; none: one of each range.  'attached': the
 * address shall live as long as the container's interface.  The state may be FAILED at once, DONE
 * only if everything lies outside all ranges. */
struct address_job *address_job_get(struct address_service *s, const char *id, bool attached,
				    const struct api_wants *wants, struct mono now);
struct address_job *address_job_prime(struct address_service *s, struct mono now);
struct address_job *address_job_remove_peer(struct address_service *s, peer_name peer, bool force,
					    struct mono now);
struct address_job *address_job_hand_over(struct address_service *s, bool force, struct mono now);
/* Carries an IPAM_ANSWER to its job; the job when it is waiting no more, else NULL. */
struct address_job *address_service_on_answer(struct address_service *s, size_t universe,
					      const struct ipam_action *answer, struct mono now);
/* Whether the container still has all that a job brought which is DONE: somebody may give an
 * address back before it is used. False with 'why'. */
bool address_job_holds(const struct address_job *job, struct why *why);
/* Ends a job; its addresses stay the container's. */
void address_job_keep(struct address_job *job);
/* Ends a job that waits or is done; addresses that it brought, and no other job, are free again. */
void address_job_undo(struct address_job *job, struct mono now);

/* ---- at once ---- */
/* What the container has in 'subnet' (NULL: the default subnets). False with 'why'. */
bool address_lookup(const struct address_service *s, const char *id, const struct cidr *subnet,
		    struct api_addresses *out, struct why *why);
/* All that the container has, wherever, with the prefix length of the range. */
void address_held(const struct address_service *s, const char *id, struct api_addresses *out);
/* Gives one address back, or all (NULL). False with 'why' when there is none such. */
bool address_release(struct address_service *s, const char *id, const struct ip_addr *ip,
		     struct mono now, struct why *why);
/* The address is on the interface of 'id' no more: free, if it was that container's. */
void address_free(struct address_service *s, const char *id, struct ip_addr ip, struct mono now);
/* Who has the address here; 'id' is of API_ID_SIZE bytes.  False: nobody. */
bool address_holder(const struct address_service *s, struct ip_addr ip, char *id);
/* All containers and what they have. */
void address_owned(const struct address_service *s, struct api_attachments *out);
void address_default_subnets(const struct address_service *s, struct api_addresses *out);
/* What of 'have' to take away when 'wants' are named: addresses as they are, have them or not, and
 * what is had in a subnet; each once. NULL, or the first subnet in which nothing is. */
const struct api_want *address_select(const struct address_service *s,
				      const struct api_wants *wants, const struct cidr *have,
				      size_t have_count, struct api_addresses *out);

/* The container's id in the name that the universes have for it. */
struct bytes address_id(struct bytes name);

/* ---- what lives on the bridge ---- */
/* The container 'id' has this address on its interface: it is its own from now on.  False when
 * another container of ours has it. */
bool address_found(struct address_service *s, const char *id, struct ip_addr ip, struct mono now);
/* Tells the universes whether this container, which was attached, lives. One that a job is for
 * does. */
void address_mark_container(struct address_service *s, const char *id, bool alive, struct mono now);
/* Tells the universes which containers live: 'is_alive' answers for the id of every container that
 * was ever attached and has addresses.  One that a job is for lives. */
void address_mark_living(struct address_service *s, bool (*is_alive)(void *ctx, const char *id),
			 void *ctx, struct mono now);

#endif
