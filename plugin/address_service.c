#include <weave/address_service.h>

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#define ID_SIZE (API_ID_SIZE + sizeof API_MARK)

void address_service_init(struct address_service *s, const struct address_range *ranges,
			  size_t count)
{
	MUST(count <= ADDRESS_RANGES_MAX);
	*s = (struct address_service){ .ranges_count = count };
	for (size_t i = 0; i < count; i++)
		s->ranges[i] = ranges[i];
	list_init(&s->jobs);
}

static void free_job(struct address_job *job)
{
	list_remove(&job->link);
	text_fini(&job->text);
	mem_free(job);
}

void address_service_fini(struct address_service *s)
{
	while (s->jobs.next && !list_empty(&s->jobs))
		free_job(list_entry(s->jobs.next, struct address_job, link));
}

/* ---- whose an address is ---- */

static struct span everything(const struct address_range *r)
{
	return (struct span){ 0, r->universe.size };
}

static bool holds_any(const struct address_service *s, const char *container)
{
	struct bytes name = bytes_of(container, strlen(container));
	uint64_t offset;

	for (size_t i = 0; i < s->ranges_count; i++)
		if (ipam_lookup(s->ranges[i].ipam, name, everything(&s->ranges[i]), 0, &offset))
			return true;
	return false;
}

/* The name under which the universes know 'id': the one that it has there, if it has one. */
static struct bytes name_of(const struct address_service *s, const char *id, bool attached,
			    char *room)
{
	int n = snprintf(room, ID_SIZE, "%s%s", id, API_MARK);
	bool marked;

	MUST(n > 0 && (size_t)n < ID_SIZE);
	marked = holds_any(s, room);
	room[strlen(id)] = '\0';
	if (marked || (!attached && !holds_any(s, room)))
		room[strlen(id)] = API_MARK[0];
	return bytes_of(room, strlen(room));
}

/* Back to the id; false when it was never attached. */
static bool id_of(struct bytes name, char *id, bool *attached)
{
	size_t mark = sizeof API_MARK - 1, size = name.size;

	*attached = size <= mark || memcmp(name.data + size - mark, API_MARK, mark) != 0;
	if (!*attached)
		size -= mark;
	if (size >= API_ID_SIZE)
		return false;
	memcpy(id, name.data, size);
	id[size] = '\0';
	return true;
}

static size_t range_of(const struct address_service *s, struct ip_addr ip, uint64_t *offset)
{
	for (size_t i = 0; i < s->ranges_count; i++)
		if (universe_offset(&s->ranges[i].universe, ip, offset))
			return i;
	return ADDRESS_RANGES_MAX;
}

/* ---- asking ---- */

static struct address_job *new_job(struct address_service *s)
{
	struct address_job *job = mem_new(1, sizeof *job);

	job->service = s;
	list_append(&s->jobs, &job->link);
	return job;
}

static struct bytes container_of_job(const struct address_job *job)
{
	return bytes_of(job->container, job->container_size);
}

/* Takes everything back that is still asked for or was brought. */
static void take_back(struct address_job *job, struct mono now)
{
	struct address_service *s = job->service;

	for (size_t i = 0; i < job->parts_count; i++) {
		struct address_part *p = &job->parts[i];
		uint64_t offset;

		if (p->universe >= s->ranges_count)
			continue;
		if (p->request) {
			ipam_cancel(s->ranges[p->universe].ipam, p->request, now);
			p->request = 0;
		} else if (p->fresh &&
			   universe_offset(&s->ranges[p->universe].universe, p->cidr.ip, &offset)) {
			ipam_release(s->ranges[p->universe].ipam, container_of_job(job), offset,
				     now);
		}
		p->fresh = false;
	}
	job->waiting = 0;
}

static void fail(struct address_job *job, const struct why *why, struct mono now)
{
	take_back(job, now);
	job->state = ADDRESS_JOB_FAILED;
	job->why = *why;
}

static struct address_part *add_part(struct address_job *job, size_t universe)
{
	struct address_part *p = &job->parts[job->parts_count++];

	MUST(job->parts_count <= ADDRESS_PARTS_MAX);
	*p = (struct address_part){ .universe = universe };
	if (universe < ADDRESS_RANGES_MAX) {
		p->request = ++job->service->last_request;
		job->waiting++;
	}
	return p;
}

/* A request within one job: the question may be answered by the time it returns only through an
 * action, so all parts stand before the first answer comes. */
struct question {
	size_t universe;
	bool claim;
	struct span span;
	uint8_t prefix;
	struct cidr outside; /* an address that nobody manages */
};

struct questions {
	size_t count;
	struct question list[ADDRESS_PARTS_MAX];
};

static void add_subnet(const struct address_service *s, size_t universe, struct cidr subnet,
		       struct questions *q, struct why *why)
{
	struct question *one = &q->list[q->count];

	*one = (struct question){ .universe = universe, .prefix = subnet.prefix };
	if (universe_subnet(&s->ranges[universe].universe, subnet, &one->span, why))
		q->count++;
}

/* Adds the questions for one want; 'why' is set when it cannot be asked for. */
static void add_want(const struct address_service *s, const struct api_want *want,
		     struct questions *q, struct why *why)
{
	struct question *one = &q->list[q->count];
	char text[CIDR_TEXT_SIZE];
	uint64_t offset = 0;
	size_t i;

	switch (want->type) {
	case API_WANT_ADDRESS:
		i = range_of(s, want->cidr.ip, &offset);
		*one = (struct question){
			i, true, { offset, offset + 1 }, want->cidr.prefix, want->cidr
		};
		q->count++;
		return;
	case API_WANT_DEFAULT:
		for (i = 0; i < s->ranges_count && !why->text[0]; i++)
			add_subnet(s, i, s->ranges[i].default_subnet, q, why);
		if (s->ranges_count == 0)
			why_set(why, WHY_INVALID,
				"this router gives out no addresses (it was launched with an "
				"empty --ipalloc-range): name one as <ip>/<prefix length>");
		return;
	case API_WANT_SUBNET:
		for (i = 0; i < s->ranges_count; i++)
			if (cidr_overlaps(s->ranges[i].universe.prefix, want->cidr))
				break;
		if (i < s->ranges_count)
			add_subnet(s, i, want->cidr, q, why);
		else
			why_set(why, WHY_INVALID, "subnet %s lies outside the allocation range%s",
				cidr_text(want->cidr, text),
				s->ranges_count ? "" : ": this router has none");
		return;
	}
	NOT_REACHED("want");
}

static void ask(struct address_job *job, const struct questions *qs, struct mono now)
{
	struct address_service *s = job->service;

	for (size_t n = 0; n < qs->count; n++) {
		const struct question *q = &qs->list[n];
		struct address_part *p = add_part(job, q->universe);
		uint64_t had;

		p->cidr = q->outside;
		p->cidr.prefix = q->prefix;
		if (q->universe < ADDRESS_RANGES_MAX)
			p->fresh = !ipam_lookup(s->ranges[q->universe].ipam, container_of_job(job),
						q->span, 0, &had);
	}
	for (size_t n = 0; n < qs->count; n++) {
		const struct question *q = &qs->list[n];
		struct ipam *ipam = q->universe < ADDRESS_RANGES_MAX ? s->ranges[q->universe].ipam
								     : NULL;

		if (ipam && q->claim)
			ipam_claim(ipam, job->parts[n].request, container_of_job(job),
				   q->span.start, now);
		else if (ipam)
			ipam_allocate(ipam, job->parts[n].request, container_of_job(job), q->span,
				      now);
	}
}

static bool add_address(struct api_addresses *list, struct cidr cidr)
{
	for (size_t i = 0; i < list->count; i++)
		if (ip_compare(list->list[i].ip, cidr.ip) == 0)
			return true;
	if (list->count == API_ADDRESSES_MAX)
		return false;
	list->list[list->count++] = cidr;
	return true;
}

static void finish(struct address_job *job, struct mono now)
{
	struct why why;

	job->state = ADDRESS_JOB_DONE;
	for (size_t i = 0; i < job->parts_count; i++) {
		if (job->parts[i].cidr.ip.family == 0 ||
		    add_address(&job->addresses, job->parts[i].cidr))
			continue;
		why_set(&why, WHY_INVALID, "a container has at most %d addresses",
			API_ADDRESSES_MAX);
		fail(job, &why, now);
		return;
	}
}

struct address_job *address_job_get(struct address_service *s, const char *id, bool attached,
				    const struct api_wants *wants, struct mono now)
{
	static const struct api_want usual = { .type = API_WANT_DEFAULT };
	struct questions *q = mem_new(1, sizeof *q);
	struct address_job *job = new_job(s);
	struct why why = { 0 };

	MUST(strlen(id) < API_ID_SIZE && wants->count <= API_ADDRESSES_MAX);
	job->container_size = name_of(s, id, attached, job->container).size;
	for (size_t i = 0; i < wants->count && !why.text[0]; i++)
		add_want(s, &wants->list[i], q, &why);
	if (wants->count == 0)
		add_want(s, &usual, q, &why);
	if (why.text[0])
		fail(job, &why, now);
	else
		ask(job, q, now);
	if (job->state == ADDRESS_JOB_WAITING && job->waiting == 0)
		finish(job, now);
	mem_free(q);
	return job;
}

/* ---- of whole universes ---- */

static struct address_job *job_of_all(struct address_service *s)
{
	struct address_job *job = new_job(s);
	struct why why;

	for (size_t i = 0; i < s->ranges_count; i++)
		add_part(job, i);
	if (s->ranges_count == 0) {
		why_set(&why, WHY_INVALID, "this router gives out no addresses");
		job->state = ADDRESS_JOB_FAILED;
		job->why = why;
	}
	return job;
}

struct address_job *address_job_prime(struct address_service *s, struct mono now)
{
	struct address_job *job = job_of_all(s);

	for (size_t i = 0; i < job->parts_count; i++)
		ipam_prime(s->ranges[i].ipam, job->parts[i].request, now);
	return job;
}

struct address_job *address_job_remove_peer(struct address_service *s, peer_name peer, bool force,
					    struct mono now)
{
	struct address_job *job = job_of_all(s);

	for (size_t i = 0; i < job->parts_count; i++)
		ipam_remove_peer(s->ranges[i].ipam, job->parts[i].request, peer, 0, force, now);
	return job;
}

struct address_job *address_job_hand_over(struct address_service *s, bool force, struct mono now)
{
	struct address_job *job = job_of_all(s);

	for (size_t i = 0; i < job->parts_count; i++)
		ipam_reset(s->ranges[i].ipam, job->parts[i].request, force, now);
	return job;
}

/* ---- answers ---- */

static struct address_part *find_part(struct address_service *s, uint64_t request,
				      struct address_job **job)
{
	for (struct list *l = s->jobs.next; l != &s->jobs; l = l->next) {
		*job = list_entry(l, struct address_job, link);
		for (size_t i = 0; (*job)->waiting && i < (*job)->parts_count; i++)
			if ((*job)->parts[i].request == request)
				return &(*job)->parts[i];
	}
	return NULL;
}

static void take_answer(struct address_job *job, struct address_part *p,
			const struct ipam_action *a)
{
	const struct address_range *r = &job->service->ranges[p->universe];

	if (job->container_size)
		p->cidr.ip = universe_address(&r->universe, a->offset);
	else if (a->bytes.size)
		text_add(&job->text, "%.*s\n", (int)a->bytes.size, (const char *)a->bytes.data);
}

struct address_job *address_service_on_answer(struct address_service *s, size_t universe,
					      const struct ipam_action *a, struct mono now)
{
	struct address_job *job;
	struct address_part *p = find_part(s, a->request, &job);

	if (!p || p->universe != universe)
		return NULL;
	p->request = 0;
	job->waiting--;
	if (!a->ok) {
		p->fresh = false;
		fail(job, &a->why, now);
		return job;
	}
	take_answer(job, p, a);
	if (job->waiting)
		return NULL;
	finish(job, now);
	return job;
}

void address_job_keep(struct address_job *job)
{
	if (job)
		free_job(job);
}

void address_job_undo(struct address_job *job, struct mono now)
{
	if (!job)
		return;
	take_back(job, now);
	free_job(job);
}

/* ---- at once ---- */

static bool spans_of(const struct address_service *s, const struct cidr *subnet, struct span *spans,
		     struct why *why)
{
	char text[CIDR_TEXT_SIZE];
	bool any = false;

	for (size_t i = 0; i < s->ranges_count; i++) {
		const struct address_range *r = &s->ranges[i];

		spans[i] = (struct span){ 0, 0 };
		if (subnet && !cidr_overlaps(r->universe.prefix, *subnet))
			continue;
		if (!universe_subnet(&r->universe, subnet ? *subnet : r->default_subnet, &spans[i],
				     why))
			return false;
		any = true;
	}
	if (!any)
		why_set(why, WHY_INVALID, "subnet %s lies outside the allocation range",
			subnet ? cidr_text(*subnet, text) : "net:default");
	return any;
}

bool address_lookup(const struct address_service *s, const char *id, const struct cidr *subnet,
		    struct api_addresses *out, struct why *why)
{
	struct span spans[ADDRESS_RANGES_MAX];
	char room[ID_SIZE];
	struct bytes name = name_of(s, id, true, room);
	uint64_t at = 0;

	out->count = 0;
	if (!spans_of(s, subnet, spans, why))
		return false;
	for (size_t i = 0; i < s->ranges_count; i++) {
		const struct address_range *r = &s->ranges[i];
		uint8_t prefix = subnet ? subnet->prefix : r->default_subnet.prefix;

		for (at = 0;
		     spans[i].start < spans[i].end && ipam_lookup(r->ipam, name, spans[i], at, &at);
		     at++)
			add_address(out,
				    (struct cidr){ universe_address(&r->universe, at), prefix });
	}
	return true;
}

static size_t release_all(struct address_service *s, const char *id, struct mono now)
{
	char room[ID_SIZE];
	struct bytes name = name_of(s, id, true, room);
	size_t count = 0;

	for (size_t i = 0; i < s->ranges_count; i++)
		count += ipam_release_all(s->ranges[i].ipam, name, now);
	return count;
}

bool address_release(struct address_service *s, const char *id, const struct ip_addr *ip,
		     struct mono now, struct why *why)
{
	char room[ID_SIZE], text[IP_TEXT_SIZE];
	uint64_t offset;
	size_t i = ip ? range_of(s, *ip, &offset) : 0;

	if (ip && i < s->ranges_count &&
	    ipam_release(s->ranges[i].ipam, name_of(s, id, true, room), offset, now))
		return true;
	if (!ip && release_all(s, id, now))
		return true;
	why_set(why, WHY_INVALID, "%.90s has no address%s%s here", id, ip ? " " : "",
		ip ? ip_text(*ip, text) : "");
	return false;
}

void address_free(struct address_service *s, struct ip_addr ip, struct mono now)
{
	struct bytes name;
	uint64_t offset, at;
	bool disputed;
	size_t i = range_of(s, ip, &offset);
	char copy[ID_SIZE];

	if (i == ADDRESS_RANGES_MAX ||
	    !ipam_address_at(s->ranges[i].ipam, offset, &at, &name, &disputed) || at != offset ||
	    name.size > sizeof copy)
		return;
	memcpy(copy, name.data, name.size);
	ipam_release(s->ranges[i].ipam, bytes_of(copy, name.size), offset, now);
}

static struct api_attachment *owner_in(struct api_attachments *list, const char *id)
{
	struct api_attachment *a;

	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->list[i].id, id) == 0)
			return &list->list[i];
	a = api_attachments_add(list);
	strcpy(a->id, id);
	return a;
}

void address_owned(const struct address_service *s, struct api_attachments *out)
{
	for (size_t i = 0; i < s->ranges_count; i++) {
		const struct address_range *r = &s->ranges[i];
		struct bytes name;
		bool disputed, attached;
		char id[API_ID_SIZE];

		for (uint64_t at = 0; ipam_address_at(r->ipam, at, &at, &name, &disputed); at++)
			if (id_of(name, id, &attached))
				add_address(&owner_in(out, id)->addresses,
					    (struct cidr){ universe_address(&r->universe, at),
							   r->default_subnet.prefix });
	}
}

void address_default_subnets(const struct address_service *s, struct api_addresses *out)
{
	out->count = 0;
	for (size_t i = 0; i < s->ranges_count; i++)
		out->list[out->count++] = s->ranges[i].default_subnet;
}

bool address_in_subnet(const struct address_service *s, struct cidr cidr, const struct cidr *subnet)
{
	if (subnet)
		return cidr_contains(*subnet, cidr.ip);
	for (size_t i = 0; i < s->ranges_count; i++)
		if (cidr_contains(s->ranges[i].default_subnet, cidr.ip))
			return true;
	return false;
}

/* ---- what lives on the bridge ---- */

bool address_found(struct address_service *s, const char *id, struct ip_addr ip, struct mono now)
{
	char room[ID_SIZE];
	uint64_t offset;
	size_t i = range_of(s, ip, &offset);

	return i == ADDRESS_RANGES_MAX ||
	       ipam_found(s->ranges[i].ipam, name_of(s, id, true, room), offset, now);
}

/* Somebody waits for more addresses for it, perhaps longer than the grace of those it has. */
static bool is_waited_for(const struct address_service *s, const char *id)
{
	for (struct list *l = s->jobs.next; l != &s->jobs; l = l->next)
		if (strcmp(list_entry(l, struct address_job, link)->container, id) == 0)
			return true;
	return false;
}

/* The name is copied first: telling a universe may change its addresses. */
void address_mark_living(struct address_service *s, bool (*is_alive)(void *ctx, const char *id),
			 void *ctx, struct mono now)
{
	for (size_t i = 0; i < s->ranges_count; i++) {
		struct ipam *ipam = s->ranges[i].ipam;
		struct bytes name;
		bool disputed, attached;
		char id[API_ID_SIZE];

		for (uint64_t at = 0; ipam_address_at(ipam, at, &at, &name, &disputed); at++)
			if (id_of(name, id, &attached) && attached)
				ipam_container(ipam, bytes_of(id, strlen(id)),
					       is_alive(ctx, id) || is_waited_for(s, id), now);
	}
}
