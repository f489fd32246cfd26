/* What is asked for in one go, against real universes of a peer that is alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weave/address_service.h>
#include <weave/alloc.h>
#include <weave/must.h>

#define SELF UINT64_C(0x020000000001)

struct fixture {
	struct store *store;
	struct ipam *ipam[ADDRESS_RANGES_MAX];
	size_t count;
	struct address_service service;
	struct log log;
	struct mono now;
	struct address_job *finished; /* last */
};

static void quiet(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	(void)line;
}

static void add_range(struct fixture *f, struct address_range *range, const char *cidr,
		      const char *subnet)
{
	struct ipam_config config = {
		.self = SELF, .store_id = 7, .seed = 1, .mode = IPAM_CONSENSUS, .electors = 1
	};
	struct cidr c;
	struct why why;

	assert_true(cidr_parse(cidr, &c) && universe_init(&config.universe, c, &why));
	assert_true(cidr_parse(subnet, &range->default_subnet));
	range->universe = config.universe;
	range->ipam = f->ipam[f->count++] = ipam_new(&config, &f->log);
}

static struct fixture *begin(bool dual)
{
	struct fixture *f = mem_new(1, sizeof *f);
	struct address_range ranges[ADDRESS_RANGES_MAX];

	f->log = (struct log){ LOG_ERROR_LEVEL, quiet, NULL };
	f->now.ms = 1000;
	f->store = store_new(1);
	add_range(f, &ranges[0], "10.32.0.0/24", "10.32.0.0/25");
	if (dual)
		add_range(f, &ranges[1], "fd00::/64", "fd00::/120");
	ipam_register(f->store, f->ipam, f->count);
	for (size_t i = 0; i < f->count; i++)
		ipam_start(f->ipam[i], f->now);
	address_service_init(&f->service, ranges, f->count);
	return f;
}

static void end(struct fixture *f)
{
	address_service_fini(&f->service);
	store_free(f->store);
	for (size_t i = 0; i < f->count; i++)
		ipam_free(f->ipam[i]);
	mem_free(f);
}

static void carry_out(struct fixture *f, size_t i, const struct ipam_action *a)
{
	struct address_job *job;

	switch (a->type) {
	case IPAM_SAVE:
		ipam_on_saved(f->ipam[i], a->ticket, f->now);
		break;
	case IPAM_MERGE:
		store_merge(f->store, &a->entry, 0, f->now);
		break;
	case IPAM_ANSWER:
		job = address_service_on_answer(&f->service, i, a, f->now);
		if (job)
			f->finished = job;
		break;
	case IPAM_PUT:
	case IPAM_SEND:
	case IPAM_RENEW:
		break;
	}
}

static void run(struct fixture *f, uint64_t ms)
{
	struct ipam_action a;
	uint64_t until = f->now.ms + ms;

	do {
		for (size_t i = 0; i < f->count; i++) {
			while (ipam_next_action(f->ipam[i], &a))
				carry_out(f, i, &a);
			ipam_tick(f->ipam[i], f->now);
			ipam_check(f->ipam[i]);
		}
		f->now.ms += 100;
	} while (f->now.ms < until);
}

static struct api_want want(const char *text)
{
	struct api_want w = { API_WANT_DEFAULT, { { 0, { 0 } }, 0 } };
	const char *cidr = strchr(text, ':');

	if (strcmp(text, "net:default") == 0)
		return w;
	w.type = strncmp(text, "net:", 4) == 0 ? API_WANT_SUBNET : API_WANT_ADDRESS;
	assert_true(cidr_parse(w.type == API_WANT_SUBNET ? cidr + 1 : text, &w.cidr));
	return w;
}

/* Asks for up to three things and lets time pass. */
static struct address_job *get(struct fixture *f, const char *id, const char *a, const char *b,
			       const char *c)
{
	const char *texts[] = { a, b, c };
	struct api_wants wants = { .count = 0 };
	struct address_job *job;

	for (size_t i = 0; i < 3 && texts[i]; i++)
		wants.list[wants.count++] = want(texts[i]);
	f->finished = NULL;
	job = address_job_get(&f->service, id, true, &wants, f->now);
	if (job->state != ADDRESS_JOB_WAITING)
		return job;
	run(f, 2000);
	return f->finished;
}

static const char *addresses_text(const struct api_addresses *a)
{
	static char text[512];
	char one[CIDR_TEXT_SIZE];

	text[0] = '\0';
	for (size_t i = 0; i < a->count; i++) {
		if (i)
			strcat(text, " ");
		strcat(text, cidr_text(a->list[i], one));
	}
	return text;
}

#define EXPECT_ADDRESSES(job, expected)                                                            \
	do {                                                                                       \
		assert_non_null(job);                                                              \
		assert_int_equal((job)->state, ADDRESS_JOB_DONE);                                  \
		assert_string_equal(addresses_text(&(job)->addresses), expected);                  \
	} while (0)

static const char *held(struct fixture *f, const char *id)
{
	struct api_addresses a;
	struct cidr all;
	struct why why;

	assert_true(cidr_parse("10.32.0.0/24", &all));
	assert_true(address_lookup(&f->service, id, &all, &a, &why));
	return addresses_text(&a);
}

static void nothing_named_means_the_default_subnets(void **state)
{
	struct fixture *f = begin(true);
	struct address_job *job = get(f, "c1", NULL, NULL, NULL);

	(void)state;
	EXPECT_ADDRESSES(job, "10.32.0.1/25 fd00::1/120");
	address_job_keep(job);
	/* Asked again, the same ones. */
	job = get(f, "c1", "net:default", NULL, NULL);
	EXPECT_ADDRESSES(job, "10.32.0.1/25 fd00::1/120");
	address_job_undo(job, f->now);
	assert_string_equal(held(f, "c1"), "10.32.0.1/24");
	end(f);
}

static void several_things_come_in_their_order(void **state)
{
	struct fixture *f = begin(false);
	struct address_job *job = get(f, "c1", "net:10.32.0.128/26", "192.0.2.1/24", "net:default");

	(void)state;
	EXPECT_ADDRESSES(job, "10.32.0.129/26 192.0.2.1/24 10.32.0.1/25");
	address_job_keep(job);
	job = get(f, "c2", "10.32.0.2/25", "net:default", NULL);
	EXPECT_ADDRESSES(job, "10.32.0.2/25");
	address_job_keep(job);
	end(f);
}

static void one_refusal_gives_all_back(void **state)
{
	struct fixture *f = begin(false);
	struct address_job *job = get(f, "c1", "10.32.0.9/25", NULL, NULL);

	(void)state;
	EXPECT_ADDRESSES(job, "10.32.0.9/25");
	address_job_keep(job);
	job = get(f, "c2", "net:default", "10.32.0.9/25", NULL);
	assert_int_equal(job->state, ADDRESS_JOB_FAILED);
	assert_non_null(strstr(job->why.text, "10.32.0.9"));
	address_job_undo(job, f->now);
	assert_string_equal(held(f, "c2"), "");
	assert_string_equal(held(f, "c1"), "10.32.0.9/24");
	/* What it had before stays. */
	job = get(f, "c1", "net:10.32.0.0/28", "net:10.64.0.0/24", NULL);
	assert_int_equal(job->state, ADDRESS_JOB_FAILED);
	assert_non_null(strstr(job->why.text, "10.64.0.0/24 lies outside"));
	address_job_undo(job, f->now);
	assert_string_equal(held(f, "c1"), "10.32.0.9/24");
	end(f);
}

static void an_undone_job_leaves_nothing(void **state)
{
	struct fixture *f = begin(false);
	struct api_wants none = { .count = 0 };
	struct address_job *job = get(f, "c1", "net:default", "192.0.2.1/24", NULL);

	(void)state;
	EXPECT_ADDRESSES(job, "10.32.0.1/25 192.0.2.1/24");
	address_job_undo(job, f->now);
	assert_string_equal(held(f, "c1"), "");
	/* While it waits, too. */
	job = address_job_get(&f->service, "c1", true, &none, f->now);
	assert_int_equal(job->state, ADDRESS_JOB_WAITING);
	f->finished = NULL;
	address_job_undo(job, f->now);
	run(f, 1000);
	assert_null(f->finished);
	assert_string_equal(held(f, "c1"), "");
	end(f);
}

/* Two jobs for one container get one address: it goes with the last of them, and only if none was
 * kept. */
static void jobs_for_one_container_share_what_they_get(void **state)
{
	struct api_wants one = { .count = 1 }, other = { .count = 2 };

	(void)state;
	one.list[0] = want("net:10.32.0.0/28");
	other.list[0] = want("net:10.32.0.0/28");
	other.list[1] = want("net:10.32.0.64/28");
	for (int kept = 0; kept < 4; kept++) {
		struct fixture *f = begin(false);
		struct address_job *a = address_job_get(&f->service, "c1", true, &one, f->now);
		struct address_job *b = address_job_get(&f->service, "c1", true, &other, f->now);

		run(f, 1000);
		EXPECT_ADDRESSES(a, "10.32.0.1/28");
		EXPECT_ADDRESSES(b, "10.32.0.1/28 10.32.0.65/28");
		(kept & 1) ? address_job_keep(b) : address_job_undo(b, f->now);
		assert_string_equal(held(f, "c1"),
				    kept & 1 ? "10.32.0.1/24 10.32.0.65/24" : "10.32.0.1/24");
		(kept & 2) ? address_job_keep(a) : address_job_undo(a, f->now);
		assert_string_equal(held(f, "c1"), kept & 1   ? "10.32.0.1/24 10.32.0.65/24"
						   : kept & 2 ? "10.32.0.1/24"
							      : "");
		end(f);
		f = begin(false);
		a = address_job_get(&f->service, "c1", true, &one, f->now);
		b = address_job_get(&f->service, "c1", true, &other, f->now);
		run(f, 1000);
		(kept & 1) ? address_job_keep(a) : address_job_undo(a, f->now);
		assert_string_equal(held(f, "c1"), "10.32.0.1/24 10.32.0.65/24");
		(kept & 2) ? address_job_keep(b) : address_job_undo(b, f->now);
		assert_string_equal(held(f, "c1"), kept & 2   ? "10.32.0.1/24 10.32.0.65/24"
						   : kept & 1 ? "10.32.0.1/24"
							      : "");
		end(f);
	}
}

/* What a job brought may be given back, and be another's, before it is put to use. */
static void an_address_may_go_before_it_is_used(void **state)
{
	struct fixture *f = begin(false);
	struct address_job *job = get(f, "c1", NULL, NULL, NULL), *other;
	struct why why = { 0 };

	(void)state;
	EXPECT_ADDRESSES(job, "10.32.0.1/25");
	assert_true(address_job_holds(job, &why));
	assert_true(address_release(&f->service, "c1", NULL, f->now, &why));
	other = get(f, "c2", NULL, NULL, NULL);
	EXPECT_ADDRESSES(other, "10.32.0.1/25");
	assert_false(address_job_holds(job, &why));
	assert_non_null(strstr(why.text, "10.32.0.1 was given back"));
	address_job_undo(job, f->now);
	assert_true(address_job_holds(other, &why));
	assert_string_equal(held(f, "c2"), "10.32.0.1/24");
	address_job_keep(other);
	end(f);
}

/* Asked for in both ways at once, a container has two names, and all that is under either. */
static void both_ways_at_once_are_one_container(void **state)
{
	struct fixture *f = begin(false);
	struct api_wants low = { .count = 1 }, high = { .count = 1 };
	struct address_job *a, *b;
	struct api_attachments owned = { .count = 0 };
	struct ip_addr ip;
	struct why why;

	(void)state;
	low.list[0] = want("net:10.32.0.0/28");
	high.list[0] = want("net:10.32.0.64/28");
	a = address_job_get(&f->service, "c1", true, &low, f->now);
	b = address_job_get(&f->service, "c1", false, &high, f->now);
	run(f, 1000);
	address_job_keep(a);
	address_job_keep(b);
	assert_string_equal(held(f, "c1"), "10.32.0.65/24 10.32.0.1/24");
	assert_true(ip_parse("10.32.0.1", &ip) && address_found(&f->service, "c1", ip, f->now));
	assert_true(ip_parse("10.32.0.65", &ip) && address_found(&f->service, "c1", ip, f->now));
	assert_false(address_found(&f->service, "c2", ip, f->now));
	address_owned(&f->service, &owned);
	assert_int_equal(owned.count, 1);
	assert_int_equal(owned.list[0].addresses.count, 2);
	api_attachments_fini(&owned);
	assert_true(address_release(&f->service, "c1", &ip, f->now, &why));
	assert_true(address_release(&f->service, "c1", NULL, f->now, &why));
	assert_string_equal(held(f, "c1"), "");
	end(f);
}

static void what_to_take_away(void **state)
{
	struct fixture *f = begin(false);
	struct api_wants wants = { .count = 3 };
	struct api_addresses out;
	struct cidr have[3];

	(void)state;
	assert_true(cidr_parse("10.32.0.5/25", &have[0]) &&
		    cidr_parse("10.32.0.200/25", &have[1]) && cidr_parse("192.0.2.7/24", &have[2]));
	wants.list[0] = want("net:default");
	wants.list[1] = want("192.0.2.9/24");
	wants.list[2] = want("net:10.32.0.0/24");
	assert_null(address_select(&f->service, &wants, have, 3, &out));
	assert_string_equal(addresses_text(&out), "10.32.0.5/25 192.0.2.9/24 10.32.0.200/25");
	wants.list[0] = want("net:198.51.100.0/24");
	assert_ptr_equal(address_select(&f->service, &wants, have, 3, &out), &wants.list[0]);
	assert_string_equal(addresses_text(&out), "192.0.2.9/24 10.32.0.5/25 10.32.0.200/25");
	wants.count = 1;
	assert_ptr_equal(address_select(&f->service, &wants, have, 3, &out), &wants.list[0]);
	assert_int_equal(out.count, 0);
	end(f);
}

static void what_is_outside_is_nobodys_business(void **state)
{
	struct fixture *f = begin(false);
	struct address_job *job;

	(void)state;
	job = get(f, "c1", "192.0.2.1/24", NULL, NULL);
	EXPECT_ADDRESSES(job, "192.0.2.1/24");
	address_job_keep(job);
	end(f);
	f = mem_new(1, sizeof *f);
	address_service_init(&f->service, NULL, 0);
	job = get(f, "c1", "net:default", NULL, NULL);
	assert_int_equal(job->state, ADDRESS_JOB_FAILED);
	assert_non_null(strstr(job->why.text, "gives out no addresses"));
	address_job_undo(job, f->now);
	address_service_fini(&f->service);
	mem_free(f);
}

static bool nobody_lives(void *ctx, const char *id)
{
	return ctx && strcmp(id, ctx) == 0;
}

static void dead_containers_lose_their_addresses_later(void **state)
{
	struct fixture *f = begin(false);
	char c2[] = "c2";

	(void)state;
	address_job_keep(get(f, "c1", NULL, NULL, NULL));
	address_job_keep(get(f, "c2", NULL, NULL, NULL));
	address_mark_living(&f->service, nobody_lives, c2, f->now);
	run(f, IPAM_GRACE_MS - 2000);
	assert_string_equal(held(f, "c1"), "10.32.0.1/24");
	/* Back within the grace: the same address, and alive again. */
	address_job_keep(get(f, "c1", NULL, NULL, NULL));
	run(f, IPAM_GRACE_MS);
	assert_string_equal(held(f, "c1"), "10.32.0.1/24");
	address_mark_living(&f->service, nobody_lives, c2, f->now);
	run(f, IPAM_GRACE_MS + 1000);
	assert_string_equal(held(f, "c1"), "");
	assert_string_equal(held(f, "c2"), "10.32.0.2/24");
	end(f);
}

static void who_is_waited_for_lives(void **state)
{
	struct fixture *f = begin(false);
	struct api_wants none = { .count = 0 };
	struct address_job *job;

	(void)state;
	address_job_keep(get(f, "c1", "net:10.32.0.128/25", NULL, NULL));
	job = address_job_get(&f->service, "c1", true, &none, f->now);
	address_mark_living(&f->service, nobody_lives, NULL, f->now);
	run(f, IPAM_GRACE_MS + 1000);
	assert_string_equal(held(f, "c1"), "10.32.0.1/24 10.32.0.129/24");
	address_job_undo(job, f->now);
	end(f);
}

/* Nobody can see whether they live, so nobody takes them away. */
static void addresses_asked_for_by_programs_stay(void **state)
{
	struct fixture *f = begin(false);
	struct api_wants none = { .count = 0 };
	struct api_attachments owned = { .count = 0 };
	struct address_job *job;
	struct ip_addr ip;
	struct why why = { 0 };

	(void)state;
	address_job_get(&f->service, "p1", false, &none, f->now);
	run(f, 2000);
	address_job_keep(f->finished);
	address_mark_living(&f->service, nobody_lives, NULL, f->now);
	run(f, IPAM_GRACE_MS + 1000);
	assert_string_equal(held(f, "p1"), "10.32.0.1/24");
	/* How they are kept is nobody's business. */
	job = get(f, "other", "10.32.0.1/24", NULL, NULL);
	assert_int_equal(job->state, ADDRESS_JOB_FAILED);
	assert_string_equal(job->why.text, "10.32.0.1 is in use here by p1");
	address_job_undo(job, f->now);
	/* An attachment finds them, and they keep their kind. */
	address_job_keep(get(f, "p1", NULL, NULL, NULL));
	assert_string_equal(held(f, "p1"), "10.32.0.1/24");
	address_owned(&f->service, &owned);
	assert_int_equal(owned.count, 1);
	assert_string_equal(owned.list[0].id, "p1");
	api_attachments_fini(&owned);
	assert_true(ip_parse("10.32.0.2", &ip));
	assert_false(address_release(&f->service, "p1", &ip, f->now, &why));
	assert_non_null(strstr(why.text, "p1 has no address 10.32.0.2"));
	assert_true(address_release(&f->service, "p1", NULL, f->now, &why));
	assert_string_equal(held(f, "p1"), "");
	assert_false(address_release(&f->service, "p1", NULL, f->now, &why));
	end(f);
}

static void found_addresses_belong_to_who_has_them(void **state)
{
	struct fixture *f = begin(false);
	struct ip_addr ip, outside;

	(void)state;
	address_job_keep(get(f, "c1", NULL, NULL, NULL));
	assert_true(ip_parse("10.32.0.7", &ip));
	assert_true(ip_parse("192.0.2.1", &outside));
	assert_true(address_found(&f->service, "c2", ip, f->now));
	assert_true(address_found(&f->service, "c2", ip, f->now));
	assert_false(address_found(&f->service, "c1", ip, f->now));
	assert_true(address_found(&f->service, "c1", outside, f->now));
	assert_string_equal(held(f, "c2"), "10.32.0.7/24");
	address_free(&f->service, "c2", outside, f->now);
	/* Somebody else's stays, whatever was on whose interface. */
	address_free(&f->service, "c1", ip, f->now);
	assert_string_equal(held(f, "c2"), "10.32.0.7/24");
	address_free(&f->service, "c2", ip, f->now);
	assert_string_equal(held(f, "c2"), "");
	assert_string_equal(held(f, "c1"), "10.32.0.1/24");
	end(f);
}

static void whole_universes_answer_in_words(void **state)
{
	struct fixture *f = begin(true);
	struct address_job *job = address_job_prime(&f->service, f->now);

	(void)state;
	f->finished = NULL;
	run(f, 1000);
	assert_true(f->finished == job);
	assert_int_equal(job->state, ADDRESS_JOB_DONE);
	assert_string_equal(text_string(&job->text),
			    "there is a ring (10.32.0.0/24)\nthere is a ring (fd00::/64)\n");
	address_job_keep(job);
	job = address_job_remove_peer(&f->service, SELF + 1, false, f->now);
	f->finished = NULL;
	run(f, 1000);
	assert_true(f->finished == job);
	assert_int_equal(job->state, ADDRESS_JOB_DONE);
	assert_non_null(strstr(text_string(&job->text), "0 IPs taken over from "));
	address_job_keep(job);
	end(f);
}

/* A range that refuses keeps the others from being given away. */
static void all_ranges_are_handed_over_or_none(void **state)
{
	struct fixture *f = begin(true);
	struct address_job *job;
	struct why why;

	(void)state;
	address_job_keep(get(f, "c1", "net:fd00::/120", NULL, NULL));
	job = address_job_hand_over(&f->service, false, f->now);
	assert_int_equal(job->state, ADDRESS_JOB_FAILED);
	assert_non_null(strstr(job->why.text, "1 addresses are in use"));
	address_job_undo(job, f->now);
	assert_true(address_release(&f->service, "c1", NULL, f->now, &why));
	job = address_job_hand_over(&f->service, false, f->now);
	f->finished = NULL;
	run(f, 1000);
	assert_true(f->finished == job);
	assert_int_equal(job->state, ADDRESS_JOB_DONE);
	address_job_keep(job);
	end(f);
}

/* Nobody owns anything where there is no ring. */
static void a_range_without_a_ring_is_left_out(void **state)
{
	struct fixture *f = begin(true);
	struct address_job *job;

	(void)state;
	address_job_keep(get(f, "c1", "net:fd00::/120", NULL, NULL));
	f->finished = NULL;
	job = address_job_remove_peer(&f->service, SELF + 1, false, f->now);
	run(f, 1000);
	assert_true(f->finished == job);
	assert_int_equal(job->state, ADDRESS_JOB_DONE);
	assert_string_equal(text_string(&job->text),
			    "0 IPs taken over from 02:00:00:00:00:02 (fd00::/64)\n");
	address_job_keep(job);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_named_means_the_default_subnets),
		cmocka_unit_test(several_things_come_in_their_order),
		cmocka_unit_test(one_refusal_gives_all_back),
		cmocka_unit_test(an_undone_job_leaves_nothing),
		cmocka_unit_test(jobs_for_one_container_share_what_they_get),
		cmocka_unit_test(an_address_may_go_before_it_is_used),
		cmocka_unit_test(both_ways_at_once_are_one_container),
		cmocka_unit_test(what_to_take_away),
		cmocka_unit_test(what_is_outside_is_nobodys_business),
		cmocka_unit_test(dead_containers_lose_their_addresses_later),
		cmocka_unit_test(who_is_waited_for_lives),
		cmocka_unit_test(addresses_asked_for_by_programs_stay),
		cmocka_unit_test(found_addresses_belong_to_who_has_them),
		cmocka_unit_test(whole_universes_answer_in_words),
		cmocka_unit_test(all_ranges_are_handed_over_or_none),
		cmocka_unit_test(a_range_without_a_ring_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
