#include <weave/docker_watch_io.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <ev.h>

#include <weave/alloc.h>
#include <weave/list.h>

#define ANSWER_MAX ((size_t)64 << 20)
#define EVENT_MAX ((size_t)1 << 20) /* of one line */
#define REQUEST_MS 5000L
#define CREATE_MS 30000L /* the engine asks us meanwhile, perhaps before we are there */

enum news_type { NEWS_NETWORK, NEWS_CONTAINER, NEWS_GONE, NEWS_LISTED, NEWS_LOST, NEWS_LOG };

struct news {
	struct list link;
	enum news_type type;
	union {
		struct engine_network network;
		struct container container;
		char id[DOCKER_ID_SIZE];
		char text[200];
	};
};

struct docker_watch {
	const struct docker_watch_config *config;
	const struct docker_watch_ops *ops;
	struct ev_loop *loop;
	struct log *log;
	struct ev_async wake;
	pthread_t thread;
	int stop; /* an event */
	pthread_mutex_t lock;
	struct list news; /* with the lock held */
	/* of the thread */
	CURLM *multi;
	char version[CONTAINER_VERSION_SIZE];
	struct text line; /* of events, not whole yet */
	char ids[4096][DOCKER_ID_SIZE];
	size_t ids_count;
	bool networks_changed, has_default;
	char lost[200]; /* what was said last */
};

/* ---- to the loop ---- */

static void tell(struct docker_watch *w, const struct news *what)
{
	struct news *n = mem_copy(what, sizeof *what);

	pthread_mutex_lock(&w->lock);
	list_append(&w->news, &n->link);
	pthread_mutex_unlock(&w->lock);
	ev_async_send(w->loop, &w->wake);
}

static void deliver(struct docker_watch *w, const struct news *n)
{
	const struct docker_watch_ops *o = w->ops;

	switch (n->type) {
	case NEWS_NETWORK:
		o->network(o->ctx, &n->network);
		break;
	case NEWS_CONTAINER:
		o->container(o->ctx, &n->container);
		break;
	case NEWS_GONE:
		o->gone(o->ctx, n->id);
		break;
	case NEWS_LISTED:
		o->listed(o->ctx);
		break;
	case NEWS_LOST:
		o->lost(o->ctx, n->text);
		break;
	case NEWS_LOG:
		log_warning(w->log, "docker: %s", n->text);
		break;
	}
}

static struct news *take(struct docker_watch *w)
{
	struct news *n = NULL;

	pthread_mutex_lock(&w->lock);
	if (!list_empty(&w->news)) {
		n = list_entry(w->news.next, struct news, link);
		list_remove(&n->link);
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}

static void on_wake(struct ev_loop *loop, struct ev_async *watcher, int events)
{
	struct docker_watch *w = watcher->data;
	struct news *n;

	(void)loop;
	(void)events;
	while ((n = take(w))) {
		deliver(w, n);
		mem_free(n);
	}
}

/* ---- one request (thread) ---- */

static bool stopped(const struct docker_watch *w)
{
	struct pollfd p = { .fd = w->stop, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static size_t on_part(char *data, size_t size, size_t count, void *ctx)
{
	struct text *body = ctx;

	text_add_bytes(body, data, size * count);
	return body->full ? 0 : size * count;
}

/* Carries the transfer out; ends it when we are to stop. */
static CURLcode perform(struct docker_watch *w, CURL *easy)
{
	struct curl_waitfd stop = { .fd = w->stop, .events = CURL_WAIT_POLLIN };
	CURLcode rc = CURLE_ABORTED_BY_CALLBACK;
	int running = 1, left;
	CURLMsg *message;

	curl_multi_add_handle(w->multi, easy);
	while (running && !stopped(w)) {
		if (curl_multi_perform(w->multi, &running) != CURLM_OK)
			break;
		if (running && curl_multi_poll(w->multi, &stop, 1, 1000, NULL) != CURLM_OK)
			break;
	}
	while ((message = curl_multi_info_read(w->multi, &left)))
		if (message->msg == CURLMSG_DONE && message->easy_handle == easy)
			rc = message->data.result;
	curl_multi_remove_handle(w->multi, easy);
	return rc;
}

static CURL *new_transfer(struct docker_watch *w, const char *path, long limit_ms)
{
	CURL *easy = curl_easy_init();
	struct text url = { 0 };

	if (!easy)
		return NULL;
	text_add(&url, "http://docker%s%s%s", w->version[0] ? "/v" : "", w->version, path);
	curl_easy_setopt(easy, CURLOPT_URL, text_string(&url)); /* copied */
	text_fini(&url);
	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, w->config->socket);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, REQUEST_MS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, limit_ms);
	return easy;
}

/* The HTTP status, or 0 with what went wrong in w->lost. */
static long ask(struct docker_watch *w, const char *path, const char *json, struct text *body)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURL *easy = new_transfer(w, path, json ? CREATE_MS : REQUEST_MS);
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	long status = 0;

	*body = (struct text){ .limit = ANSWER_MAX };
	if (easy) {
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_part);
		curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
		if (json)
			curl_easy_setopt(easy, CURLOPT_POSTFIELDS, json);
		rc = perform(w, easy);
		if (rc == CURLE_OK)
			curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(easy);
	}
	curl_slist_free_all(headers);
	if (rc != CURLE_OK)
		snprintf(w->lost, sizeof w->lost, "%s", curl_easy_strerror(rc));
	return status;
}

static struct bytes bytes_in(const struct text *t)
{
	return bytes_of(text_string(t), t->size);
}

/* ---- what there is (thread) ---- */

static void on_network(void *ctx, const struct engine_network *n)
{
	struct docker_watch *w = ctx;
	struct news news = { .type = NEWS_NETWORK, .network = *n };

	if (strcmp(n->network.name, DOCKER_NETWORK_DEFAULT) == 0)
		w->has_default = true;
	tell(w, &news);
}

static bool list_networks(struct docker_watch *w)
{
	struct text body;
	bool ok;

	w->networks_changed = w->has_default = false;
	ok = ask(w, "/networks", NULL, &body) == 200 &&
	     network_list_decode(bytes_in(&body), on_network, w);
	text_fini(&body);
	return ok;
}

static void look_at(struct docker_watch *w, const char *id)
{
	struct news news = { .type = NEWS_CONTAINER };
	char path[DOCKER_ID_SIZE + 32];
	struct text body;

	snprintf(path, sizeof path, "/containers/%s/json", id);
	if (ask(w, path, NULL, &body) == 200 && container_decode(bytes_in(&body), &news.container))
		tell(w, &news);
	text_fini(&body);
}

static void on_id(void *ctx, const char *id)
{
	struct docker_watch *w = ctx;

	if (w->ids_count < sizeof w->ids / sizeof w->ids[0])
		strcpy(w->ids[w->ids_count++], id);
}

static bool list_containers(struct docker_watch *w)
{
	struct text body;
	bool ok;

	w->ids_count = 0;
	ok = ask(w, "/containers/json", NULL, &body) == 200 &&
	     container_list_decode(bytes_in(&body), on_id, w);
	text_fini(&body);
	for (size_t i = 0; ok && i < w->ids_count && !stopped(w); i++)
		look_at(w, w->ids[i]);
	return ok;
}

static void make_default(struct docker_watch *w)
{
	struct news news = { .type = NEWS_LOG };
	struct text body;
	long status;

	if (w->has_default || !w->config->default_network || stopped(w))
		return;
	status = ask(w, "/networks/create", w->config->default_network, &body);
	if (status == 201)
		w->networks_changed = true;
	else
		snprintf(news.text, sizeof news.text,
			 "cannot make the network %s, which is tried again: %.120s",
			 DOCKER_NETWORK_DEFAULT, status ? text_string(&body) : w->lost);
	if (status != 201 && !stopped(w))
		tell(w, &news);
	text_fini(&body);
}

/* ---- events (thread) ---- */

static void on_line(struct docker_watch *w, struct bytes line)
{
	struct news gone = { .type = NEWS_GONE };
	char id[DOCKER_ID_SIZE];

	switch (engine_event_decode(line, id)) {
	case ENGINE_CONTAINER_CHANGED:
		/* Looked at when the transfer has a pause: it runs just now. */
		on_id(w, id);
		break;
	case ENGINE_CONTAINER_GONE:
		strcpy(gone.id, id);
		tell(w, &gone);
		break;
	case ENGINE_NETWORKS_CHANGED:
		w->networks_changed = true;
		break;
	case ENGINE_OTHER:
		break;
	}
}

static size_t on_events(char *data, size_t size, size_t count, void *ctx)
{
	struct docker_watch *w = ctx;
	size_t total = size * count, from = 0;

	for (size_t i = 0; i < total; i++) {
		if (data[i] != '\n')
			continue;
		text_add_bytes(&w->line, data + from, i - from);
		if (!w->line.full)
			on_line(w, bytes_in(&w->line));
		text_fini(&w->line);
		w->line.full = false;
		from = i + 1;
	}
	text_add_bytes(&w->line, data + from, total - from);
	return total;
}

/* What events have asked for; each container once. */
static void follow_up(struct docker_watch *w)
{
	size_t count = w->ids_count;

	if (w->networks_changed)
		list_networks(w);
	for (size_t i = 0; i < count && !stopped(w); i++) {
		bool again = false;

		for (size_t k = i + 1; k < count && !again; k++)
			again = strcmp(w->ids[i], w->ids[k]) == 0;
		if (!again)
			look_at(w, w->ids[i]);
	}
	w->ids_count = 0;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the engine goes, it is time to list again, or we are to stop.  Requests in between use the
 * same set of transfers. */
static void follow(struct docker_watch *w, time_t since)
{
	struct curl_waitfd stop = { .fd = w->stop, .events = CURL_WAIT_POLLIN };
	long long until = now_ms() + DOCKER_WATCH_RELIST_MS;
	char path[64];
	CURLM *own = curl_multi_init();
	CURL *easy;
	int running = 1;

	snprintf(path, sizeof path, "/events?since=%lld", (long long)since);
	easy = new_transfer(w, path, 0);
	w->ids_count = 0;
	if (easy && own) {
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_events);
		curl_easy_setopt(easy, CURLOPT_WRITEDATA, w);
		curl_multi_add_handle(own, easy);
		while (running && !stopped(w) && now_ms() < until) {
			if (curl_multi_perform(own, &running) != CURLM_OK)
				break;
			follow_up(w);
			if (running && curl_multi_poll(own, &stop, 1, 1000, NULL) != CURLM_OK)
				break;
		}
		curl_multi_remove_handle(own, easy);
	}
	curl_easy_cleanup(easy);
	curl_multi_cleanup(own);
	text_fini(&w->line);
}

/* ---- the thread ---- */

static bool find_engine(struct docker_watch *w)
{
	struct text body;

	w->version[0] = '\0';
	if (ask(w, "/version", NULL, &body) == 200)
		engine_choose_version(bytes_in(&body), w->version);
	text_fini(&body);
	return w->version[0];
}

static void one_life(struct docker_watch *w)
{
	struct news listed = { .type = NEWS_LISTED };
	time_t since = time(NULL) - 1;

	if (!list_networks(w))
		return;
	make_default(w);
	if (w->networks_changed && !list_networks(w))
		return;
	if (!list_containers(w) || stopped(w))
		return;
	tell(w, &listed);
	follow(w, since);
}

static void *watch(void *ctx)
{
	struct docker_watch *w = ctx;
	struct pollfd p = { .fd = w->stop, .events = POLLIN };
	bool there = false;

	do {
		bool found = find_engine(w);
		struct news lost = { .type = NEWS_LOST };

		if (there && !found) {
			snprintf(lost.text, sizeof lost.text, "%s", w->lost);
			tell(w, &lost);
		}
		there = found;
		if (found)
			one_life(w);
	} while (poll(&p, 1, DOCKER_WATCH_RETRY_MS) == 0);
	return NULL;
}

struct docker_watch *docker_watch_new(const struct docker_watch_config *config,
				      const struct docker_watch_ops *ops, struct ev_loop *loop,
				      struct log *log)
{
	struct docker_watch *w = mem_new(1, sizeof *w);

	curl_global_init(CURL_GLOBAL_DEFAULT); /* before there are threads; counted */
	w->config = config;
	w->ops = ops;
	w->loop = loop;
	w->log = log;
	w->line.limit = EVENT_MAX;
	list_init(&w->news);
	pthread_mutex_init(&w->lock, NULL);
	w->stop = eventfd(0, EFD_CLOEXEC);
	w->multi = curl_multi_init();
	ev_async_init(&w->wake, on_wake);
	w->wake.data = w;
	ev_async_start(loop, &w->wake);
	if (w->stop >= 0 && w->multi && pthread_create(&w->thread, NULL, watch, w) == 0)
		return w;
	log_error(log, "docker: the engine cannot be watched: %s", strerror(errno));
	ev_async_stop(loop, &w->wake);
	curl_multi_cleanup(w->multi);
	if (w->stop >= 0)
		close(w->stop);
	mem_free(w);
	return NULL;
}

void docker_watch_free(struct docker_watch *w)
{
	const uint64_t one = 1;
	struct news *n;

	if (!w)
		return;
	while (write(w->stop, &one, sizeof one) < 0 && errno == EINTR)
		;
	pthread_join(w->thread, NULL);
	ev_async_stop(w->loop, &w->wake);
	while ((n = take(w)))
		mem_free(n);
	curl_multi_cleanup(w->multi);
	close(w->stop);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}
