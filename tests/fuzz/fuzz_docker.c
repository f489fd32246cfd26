/* Requests of Docker's plugin protocol: the first line is "Interface.Method", the rest the body; or
 * answers of an engine.
 * Whatever is taken is decided on and answered; what is refused has a reason. */
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include <weave/alloc.h>
#include <weave/containers.h>
#include <weave/docker.h>
#include <weave/must.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct docker_range ranges[] = {
	{ { { 4, { 10, 32, 0, 0 } }, 12 }, { { 4, { 10, 40, 0, 0 } }, 16 } },
	{ { { 6, { 0xfd } }, 48 }, { { 6, { 0xfd } }, 64 } },
};

static void check_json(struct text *json)
{
	json_t *value = json_loads(text_string(json), 0, NULL);

	MUST(json_is_object(value));
	json_decref(value);
	text_fini(json);
}

static void check_networks(const struct docker_networks *n)
{
	struct docker_networks back;
	struct text text = { 0 };

	docker_networks_encode(n, &text);
	MUST(!docker_networks_decode(&back, bytes_of(text_string(&text), text.size)));
	MUST(back.count == n->count);
	docker_networks_fini(&back);
	text_fini(&text);
}

static void handle(const char *call, struct bytes body)
{
	struct docker_networks n = { 0 };
	struct docker_request r;
	struct docker_plan plan;
	struct text json = { 0 };
	struct why why = { 0 };
	unsigned status = docker_decode(&r, call, body, &why);

	if (status) {
		MUST(status >= 400 && why.text[0]);
		docker_answer_error(&json, why.text);
		check_json(&json);
		return;
	}
	if (!docker_decide(&n, ranges, ARRAY_COUNT(ranges), &r, &plan, &why)) {
		MUST(why.text[0]);
		docker_answer_error(&json, why.text);
	} else if (plan.step == DOCKER_POOL) {
		docker_answer_pool(&plan.pool, &json);
	} else {
		docker_answer_alone(&r, &json);
	}
	check_json(&json);
	check_networks(&n);
	docker_request_fini(&r);
	docker_networks_fini(&n);
}

static void on_network(void *ctx, const struct engine_network *n)
{
	(void)ctx;
	MUST(n->network.id[0] && n->network.name[0] && n->network.pools_count <= DOCKER_POOLS_MAX);
}

static void on_id(void *ctx, const char *id)
{
	(void)ctx;
	MUST(id[0] && strlen(id) < DOCKER_ID_SIZE);
}

/* The same bytes as an engine's answers. */
static void read_engine(struct bytes answer)
{
	char version[CONTAINER_VERSION_SIZE], id[DOCKER_ID_SIZE];
	static struct container c;

	engine_choose_version(answer, version);
	if (container_decode(answer, &c))
		MUST(c.endpoints_count <= CONTAINER_ENDPOINTS_MAX && strlen(c.id) > 0);
	container_list_decode(answer, on_id, NULL);
	network_list_decode(answer, on_network, NULL);
	engine_event_decode(answer, id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t before = mem_in_use();
	struct docker_networks n;
	char call[64];

	if (end && (size_t)(end - data) < sizeof call) {
		memcpy(call, data, (size_t)(end - data));
		call[end - data] = '\0';
		handle(call, bytes_of(end + 1, size - (size_t)(end - data) - 1));
	}
	read_engine(bytes_of(data, size));
	if (!docker_networks_decode(&n, bytes_of(data, size)))
		docker_networks_fini(&n);
	MUST(mem_in_use() == before);
	return 0;
}
