#include <weave/address_service.h>

#include <stdio.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/hash.h>
#include <weave/must.h>
#include <weave/table.h>

#define ID_SIZE (API_ID_SIZE + sizeof API_MARK)

_Static_assert(API_ID_SIZE - 1 + sizeof API_MARK - 1 <= IPAM_CONTAINER_MAX,
	       "the universes take every id, with the mark, too");

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

/* The name of 'id' in the universes, with the mark or without it. */
static struct bytes named(const char *id, bool attached, char *room)
{
	size_t size = strlen(id);

	MUST(size > 0 && size < API_ID_SIZE);
	memcpy(room, id, size + 1);
	if (!attached)
		memcpy(room + size, API_MARK, sizeof API_MARK);
	return bytes_of(room, attached ? size : size + sizeof API_MARK - 1);
}

static bool holds_any(const struct address_service *s, struct bytes name)
{
	uint64_t offset;

	for (size_t i = 0; i < s->ranges_count; i++)
		if (ipam_lookup(s->ranges[i].ipam, name, everything(&s->ranges[i]), 0, &offset))
			return true;
	return false;
}

/* The name under which the universes know 'id': the one that it has there, if it has one.  It may
 * have both for a while, when it was asked for in both ways at once. */
static struct bytes name_of(const struct address_service *s, const char *id, bool attached,
			    char *room)
{
	if (holds_any(s, named(id, !attached, room)) && !holds_any(s, named(id, attached, room)))
		attached = !attached;
	return named(id, attached, room);
}

struct bytes address_id(struct bytes name)
{
	size_t mark = sizeof API_MARK - 1;

	if (name.size > mark && memcmp(name.data + name.size - mark, API_MARK, mark) == 0)
		name.size -= mark;
	return name;
}

/* False when it is none of ours. */
static bool id_of(struct bytes name, char *id, bool *attached)
{
	struct bytes bare = address_id(name);

	if (bare.size >= API_ID_SIZE)
		return false;
	*attached = bare.size == name.size;
	memcpy(id, bare.data, bare.size);
	id[bare.size] = '\0';
	return true;
}

static bool is_of(struct bytes name, const char *id)
{
	char holder[API_ID_SIZE];
	bool attached;

	return id_of(name, holder, &attached) && strcmp(holder, id) == 0;
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

/* Says to all other jobs that brought the same container the same address whether it is theirs to
 * give back now.  False when there are none. */
static bool tell_others(const struct address_job *job, const struct address_part *p, bool fresh)
{
	struct address_service *s = job->service;
	bool any = false;

	for (struct list *l = s->jobs.next; l != &s->jobs; l = l->next) {
		struct address_job *other = list_entry(l, struct address_job, link);

		if (other == job || other->state == ADDRESS_JOB_FAILED ||
		    !bytes_equal(container_of_job(other), container_of_job(job)))
			continue;
		for (size_t i = 0; i < other->parts_count; i++) {
			struct address_part *o = &other->parts[i];

			if (o->universe != p->universe || o->request ||
			    ip_compare(o->cidr.ip, p->cidr.ip) != 0)
				continue;
			o->fresh = fresh;
			any = true;
		}
	}
	return any;
}

static void give_back(struct address_job *job, const struct address_part *p, struct mono now)
{
	const struct address_range *r = &job->service->ranges[p->universe];
	uint64_t offset;

	if (!tell_others(job, p, true) && universe_offset(&r->universe, p->cidr.ip, &offset))
		ipam_release(r->ipam, container_of_job(job), offset, now);
}

/* Takes everything back that is still asked for or was brought. */
static void take_back(struct address_job *job, struct mono now)
{
	struct address_service *s = job->service;

	for (size_t i = 0; i < job->parts_count; i++) {
		struct address_part *p = &job->parts[i];

		if (p->universe >= s->ranges_count)
			continue;
		if (p->request)
			ipam_cancel(s->ranges[p->universe].ipam, p->request, now);
		else if (p->fresh)
			give_back(job, p, now);
		p->request = 0;
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

		p->cidr = q->outside;
		p->cidr.prefix = q->prefix;
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
	if (!address_job_holds(job, &why)) {
		fail(job, &why, now);
		return;
	}
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

	if (s->ranges_count == 0) {
		why_set(&job->why, WHY_INVALID, "this router gives out no addresses");
		job->state = ADDRESS_JOB_FAILED;
	}
	return job;
}

static void add_all(struct address_job *job)
{
	for (size_t i = 0; i < job->service->ranges_count; i++)
		add_part(job, i);
}

static bool has_ring(const struct address_range *r)
{
	return ipam_ring_state(r->ipam).ring_id != 0;
}

struct address_job *address_job_prime(struct address_service *s, struct mono now)
{
	struct address_job *job = job_of_all(s);

	add_all(job);
	for (size_t i = 0; i < job->parts_count; i++)
		ipam_prime(s->ranges[i].ipam, job->parts[i].request, now);
	return job;
}

struct address_job *address_job_remove_peer(struct address_service *s, peer_name peer, bool force,
					    struct mono now)
{
	struct address_job *job = job_of_all(s);

	/* A range of which nobody has wanted an address yet is nobody's. */
	for (size_t i = 0; i < s->ranges_count; i++)
		if (has_ring(&s->ranges[i]))
			add_part(job, i);
	if (job->parts_count == 0)
		add_all(job);
	for (size_t i = 0; i < job->parts_count; i++)
		ipam_remove_peer(s->ranges[job->parts[i].universe].ipam, job->parts[i].request,
				 peer, 0, force, now);
	return job;
}

struct address_job *address_job_hand_over(struct address_service *s, bool force, struct mono now)
{
	struct address_job *job = job_of_all(s);

	/* One range must not be given away when another one says no: there is no way back. */
	for (size_t i = 0; i < s->ranges_count && job->state == ADDRESS_JOB_WAITING; i++)
		if (!ipam_may_reset(s->ranges[i].ipam, force, &job->why))
			job->state = ADDRESS_JOB_FAILED;
	if (job->state == ADDRESS_JOB_WAITING)
		add_all(job);
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

/* With two ranges each sentence names its own. */
static void add_sentence(struct address_job *job, const struct address_range *r,
			 struct bytes sentence)
{
	char range[CIDR_TEXT_SIZE];

	text_add(&job->text, "%.*s", (int)sentence.size, (const char *)sentence.data);
	if (job->service->ranges_count > 1)
		text_add(&job->text, " (%s)", cidr_text(r->universe.prefix, range));
	text_add_string(&job->text, "\n");
}

static void take_answer(struct address_job *job, struct address_part *p,
			const struct ipam_action *a)
{
	const struct address_range *r = &job->service->ranges[p->universe];

	p->fresh = a->fresh;
	if (job->container_size)
		p->cidr.ip = universe_address(&r->universe, a->offset);
	else if (a->bytes.size)
		add_sentence(job, r, a->bytes);
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
		fail(job, &a->why, now);
		return job;
	}
	take_answer(job, p, a);
	if (job->waiting)
		return NULL;
	finish(job, now);
	return job;
}

bool address_job_holds(const struct address_job *job, struct why *why)
{
	const struct address_service *s = job->service;
	char text[IP_TEXT_SIZE];
	uint64_t offset;

	for (size_t i = 0; job->container_size && i < job->parts_count; i++) {
		const struct address_part *p = &job->parts[i];
		const struct address_range *r = &s->ranges[p->universe];

		if (p->universe >= s->ranges_count ||
		    (universe_offset(&r->universe, p->cidr.ip, &offset) &&
		     ipam_lookup(r->ipam, container_of_job(job),
				 (struct span){ offset, offset + 1 }, 0, &offset)))
			continue;
		why_set(why, WHY_INVALID, "%s was given back meanwhile: try again",
			ip_text(p->cidr.ip, text));
		return false;
	}
	return true;
}

void address_job_keep(struct address_job *job)
{
	if (!job)
		return;
	for (size_t i = 0; job->container_size && i < job->parts_count; i++)
		if (job->parts[i].universe < job->service->ranges_count)
			tell_others(job, &job->parts[i], false);
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

static void add_held(const struct address_range *r, const char *id, struct span span,
		     uint8_t prefix, struct api_addresses *out)
{
	char room[ID_SIZE];

	for (int attached = 0; attached < 2; attached++) {
		struct bytes name = named(id, attached, room);
		uint64_t at = 0;

		for (; ipam_lookup(r->ipam, name, span, at, &at); at++)
			add_address(out,
				    (struct cidr){ universe_address(&r->universe, at), prefix });
	}
}

bool address_lookup(const struct address_service *s, const char *id, const struct cidr *subnet,
		    struct api_addresses *out, struct why *why)
{
	struct span spans[ADDRESS_RANGES_MAX];

	out->count = 0;
	if (!spans_of(s, subnet, spans, why))
		return false;
	for (size_t i = 0; i < s->ranges_count; i++)
		if (spans[i].start < spans[i].end)
			add_held(&s->ranges[i], id, spans[i],
				 subnet ? subnet->prefix : s->ranges[i].default_subnet.prefix, out);
	return true;
}

void address_held(const struct address_service *s, const char *id, struct api_addresses *out)
{
	out->count = 0;
	for (size_t i = 0; i < s->ranges_count; i++)
		add_held(&s->ranges[i], id, everything(&s->ranges[i]),
			 s->ranges[i].universe.prefix.prefix, out);
}

static size_t release_all(struct address_service *s, const char *id, struct mono now)
{
	char room[ID_SIZE];
	size_t count = 0;

	for (size_t i = 0; i < s->ranges_count; i++)
		for (int attached = 0; attached < 2; attached++)
			count += ipam_release_all(s->ranges[i].ipam, named(id, attached, room),
						  now);
	return count;
}

/* Whether this container has the address at 'offset'; then its name there, copied into 'room'. */
static bool held_by(const struct address_range *r, uint64_t offset, const char *id, char *room,
		    struct bytes *name)
{
	uint64_t at;
	bool disputed;

	if (!ipam_address_at(r->ipam, offset, &at, name, &disputed) || at != offset ||
	    !is_of(*name, id))
		return false;
	memcpy(room, name->data, name->size);
	*name = bytes_of(room, name->size);
	return true;
}

static bool release(struct address_service *s, const char *id, struct ip_addr ip, struct mono now)
{
	char room[ID_SIZE];
	struct bytes name;
	uint64_t offset;
	size_t i = range_of(s, ip, &offset);

	return i < s->ranges_count && held_by(&s->ranges[i], offset, id, room, &name) &&
	       ipam_release(s->ranges[i].ipam, name, offset, now);
}

bool address_release(struct address_service *s, const char *id, const struct ip_addr *ip,
		     struct mono now, struct why *why)
{
	char text[IP_TEXT_SIZE];

	if (ip ? release(s, id, *ip, now) : release_all(s, id, now) > 0)
		return true;
	why_set(why, WHY_INVALID, "%.90s has no address%s%s here", id, ip ? " " : "",
		ip ? ip_text(*ip, text) : "");
	return false;
}

bool address_holder(const struct address_service *s, struct ip_addr ip, char *id)
{
	uint64_t offset = 0, at;
	size_t i = range_of(s, ip, &offset);
	bool disputed, attached;
	struct bytes name;

	return i < s->ranges_count &&
	       ipam_address_at(s->ranges[i].ipam, offset, &at, &name, &disputed) && at == offset &&
	       id_of(name, id, &attached);
}

void address_free(struct address_service *s, const char *id, struct ip_addr ip, struct mono now)
{
	release(s, id, ip, now);
}

/* A row of the list, found by its id. */
struct owner_row {
	struct table_link link;
	size_t index;
};

static struct api_attachment *owner_in(struct api_attachments *list, struct table *rows,
				       const char *id)
{
	static const struct hash_key key = { 0, 0 }; /* ids come from who may do anything here */
	uint64_t h = hash64(&key, id, strlen(id));
	struct owner_row *row;
	struct api_attachment *a;

	for (struct table_link *l = table_first(rows, h); l; l = table_next(l, h)) {
		row = table_entry(l, struct owner_row, link);
		if (strcmp(list->list[row->index].id, id) == 0)
			return &list->list[row->index];
	}
	row = mem_new(1, sizeof *row);
	row->index = list->count;
	table_insert(rows, &row->link, h);
	a = api_attachments_add(list);
	strcpy(a->id, id);
	return a;
}

void address_owned(const struct address_service *s, struct api_attachments *out)
{
	struct table rows = { 0 };

	for (size_t i = 0; i < s->ranges_count; i++) {
		const struct address_range *r = &s->ranges[i];
		struct bytes name;
		bool disputed, attached;
		char id[API_ID_SIZE];

		for (uint64_t at = 0; ipam_address_at(r->ipam, at, &at, &name, &disputed); at++)
			if (id_of(name, id, &attached))
				add_address(&owner_in(out, &rows, id)->addresses,
					    (struct cidr){ universe_address(&r->universe, at),
							   r->default_subnet.prefix });
	}
	TABLE_EACH(&rows, l)
		mem_free(table_entry(l, struct owner_row, link));
	table_fini(&rows);
}

void address_default_subnets(const struct address_service *s, struct api_addresses *out)
{
	out->count = 0;
	for (size_t i = 0; i < s->ranges_count; i++)
		out->list[out->count++] = s->ranges[i].default_subnet;
}

static bool is_in(const struct address_service *s, const struct api_want *want, struct ip_addr ip)
{
	if (want->type == API_WANT_SUBNET)
		return cidr_contains(want->cidr, ip);
	for (size_t i = 0; i < s->ranges_count; i++)
		if (cidr_contains(s->ranges[i].default_subnet, ip))
			return true;
	return false;
}

const struct api_want *address_select(const struct address_service *s,
				      const struct api_wants *wants, const struct cidr *have,
				      size_t have_count, struct api_addresses *out)
{
	const struct api_want *nothing = NULL;

	out->count = 0;
	for (size_t n = 0; n < wants->count; n++) {
		const struct api_want *want = &wants->list[n];
		bool any = want->type == API_WANT_ADDRESS;

		if (any)
			add_address(out, want->cidr);
		for (size_t i = 0; want->type != API_WANT_ADDRESS && i < have_count; i++) {
			if (!is_in(s, want, have[i].ip))
				continue;
			add_address(out, have[i]);
			any = true;
		}
		if (!any && !nothing)
			nothing = want;
	}
	return nothing;
}

/* ---- what lives on the bridge ---- */

bool address_found(struct address_service *s, const char *id, struct ip_addr ip, struct mono now)
{
	char room[ID_SIZE];
	struct bytes name;
	uint64_t offset;
	size_t i = range_of(s, ip, &offset);

	if (i == ADDRESS_RANGES_MAX)
		return true;
	/* Asked for in either way it is the same container's. */
	if (!held_by(&s->ranges[i], offset, id, room, &name))
		name = name_of(s, id, true, room);
	return ipam_found(s->ranges[i].ipam, name, offset, now);
}

/* Somebody waits for more addresses for it, perhaps longer than the grace of those it has. */
static bool is_waited_for(const struct address_service *s, const char *id)
{
	for (struct list *l = s->jobs.next; l != &s->jobs; l = l->next)
		if (bytes_equal(container_of_job(list_entry(l, struct address_job, link)),
				bytes_of(id, strlen(id))))
			return true;
	return false;
}

void address_mark_container(struct address_service *s, const char *id, bool alive, struct mono now)
{
	alive = alive || is_waited_for(s, id);
	for (size_t i = 0; i < s->ranges_count; i++)
		ipam_container(s->ranges[i].ipam, bytes_of(id, strlen(id)), alive, now);
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
