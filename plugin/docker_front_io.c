#include <weave/docker_front_io.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <microhttpd.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "docker_promises_io.h"

#define CONNECTIONS_MAX 1024u
#define ANSWER_MAX ((size_t)1 << 20)
#define RETRY_MS 1000 /* how soon a router that did not answer is asked again on its own */
#define CONNECT_MS 1000L

static const char content_type[] = "application/vnd.docker.plugins.v1.2+json";

struct docker_front {
	const struct docker_front_config *config;
	struct log *log;
	struct MHD_Daemon *daemons[DOCKER_FRONT_SOCKETS_MAX];
	size_t daemons_count, made; /* sockets that are there because of us */
	pthread_t keeper;
	bool keeping;
	int stop;	      /* an event: the keeper ends */
	pthread_mutex_t lock; /* of what follows */
	struct docker_promises promises;
	long long hopeless_until; /* the router did not take a promise */
};

/* One request; lives from its first byte to the end of its answer. */
struct request {
	char path[128];
	struct text body;
	struct timespec begun;
};

struct reply {
	unsigned status;
	struct text json;
};

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- to the router ---- */

static size_t on_part(char *data, size_t size, size_t count, void *ctx)
{
	struct text *body = ctx;

	text_add_bytes(body, data, size * count);
	return body->full ? 0 : size * count; /* 0 makes curl give up */
}

static CURLcode post(struct docker_front *f, const char *url, struct bytes body, long limit_ms,
		     struct reply *reply)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURL *curl = curl_easy_init();
	CURLcode rc = CURLE_OUT_OF_MEMORY;
	long status = 0;

	reply->json.limit = ANSWER_MAX;
	if (curl) {
		/* Without it curl waits for leave to send a large body. */
		headers = curl_slist_append(headers, "Expect:");
		curl_easy_setopt(curl, CURLOPT_URL, url);
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, f->config->router);
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, limit_ms);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body.size);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
				 body.size ? (const char *)body.data : "");
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_part);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply->json);
		rc = curl_easy_perform(curl);
		if (rc == CURLE_OK)
			curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(curl);
	}
	curl_slist_free_all(headers);
	reply->status = (unsigned)status;
	return rc;
}

static CURLcode ask_router(struct docker_front *f, enum docker_call call, struct bytes body,
			   uint64_t asked_ms, long limit_ms, struct reply *reply)
{
	struct text url = { 0 };
	CURLcode rc;

	text_add(&url, "http://weave/docker/%s", docker_call_path(call));
	if (asked_ms)
		text_add(&url, "?asked=%llu", (unsigned long long)asked_ms);
	rc = post(f, text_string(&url), body, limit_ms, reply);
	/* A router that stops, or that has too much to do, has not done it. */
	if (rc == CURLE_OK && reply->status == 503)
		rc = CURLE_GOT_NOTHING;
	if (rc != CURLE_OK)
		text_fini(&reply->json);
	text_fini(&url);
	return rc;
}

static void answer_error(struct reply *reply, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void answer_error(struct reply *reply, unsigned status, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	text_fini(&reply->json);
	reply->status = status;
	docker_answer_error(&reply->json, text);
}

static void answer_no_router(struct reply *reply, CURLcode rc)
{
	if (rc == CURLE_OPERATION_TIMEDOUT)
		answer_error(reply, 200,
			     "the weave router did not answer within %d s: see 'weave status' and "
			     "'weave status ipam'",
			     DOCKER_FRONT_WAIT_MS / 1000);
	else if (rc == CURLE_COULDNT_CONNECT)
		answer_error(reply, 200,
			     "the weave router does not run on this host: start it "
			     "with 'weave launch'");
	else
		answer_error(reply, 200, "the weave router does not answer: %s",
			     curl_easy_strerror(rc));
}

/* ---- promises ---- */

/* With the lock held.  True: none is left. */
static bool keep_promises(struct docker_front *f)
{
	const struct docker_promise *p;

	while ((p = docker_promises_first(&f->promises))) {
		struct reply reply = { 0 };
		struct bytes body = bytes_of(p->body, strlen(p->body));
		CURLcode rc;

		if (now_ms() < f->hopeless_until)
			return false;
		rc = ask_router(f, p->call, body, p->asked_ms, DOCKER_FRONT_LATER_MS, &reply);
		/* One that hangs is not waited for by each caller in turn; one that is not there
		 * costs nothing to ask, and may be there by now. */
		if (rc == CURLE_OPERATION_TIMEDOUT)
			f->hopeless_until = now_ms() + RETRY_MS;
		if (rc != CURLE_OK)
			return false;
		if (reply.status != 200 || strstr(text_string(&reply.json), "\"Err\""))
			log_warning(f->log, "%s, promised before: %s", docker_call_path(p->call),
				    text_string(&reply.json));
		text_fini(&reply.json);
		docker_promises_done(&f->promises);
	}
	f->hopeless_until = 0;
	return true;
}

static void promise(struct docker_front *f, enum docker_call call, struct bytes body,
		    struct reply *reply)
{
	struct why why;

	if (docker_promises_add(&f->promises, call, body, &why)) {
		answer_error(reply, 200, "%s", why.text);
		return;
	}
	log_info(f->log, "%s: the router does not answer; it will be done when it does",
		 docker_call_path(call));
	reply->status = 200;
	docker_answer_empty(&reply->json);
}

static void *keeper(void *ctx)
{
	struct docker_front *f = ctx;
	struct pollfd p = { .fd = f->stop, .events = POLLIN };

	while (poll(&p, 1, RETRY_MS) <= 0) {
		pthread_mutex_lock(&f->lock);
		keep_promises(f);
		pthread_mutex_unlock(&f->lock);
	}
	return NULL;
}

/* ---- one request ---- */

static void hand_on(struct docker_front *f, const struct docker_request *r, struct bytes body,
		    struct reply *reply)
{
	bool later = docker_call_who(r->call) == DOCKER_LATER, kept;
	CURLcode rc;

	pthread_mutex_lock(&f->lock);
	kept = keep_promises(f);
	if (!kept && later)
		promise(f, r->call, body, reply);
	pthread_mutex_unlock(&f->lock);
	if (!kept && later)
		return;
	if (!kept) {
		answer_no_router(reply, CURLE_COULDNT_CONNECT);
		return;
	}
	rc = ask_router(f, r->call, body, 0, later ? DOCKER_FRONT_LATER_MS : DOCKER_FRONT_WAIT_MS,
			reply);
	if (rc == CURLE_OK)
		return;
	if (!later) {
		answer_no_router(reply, rc);
		return;
	}
	pthread_mutex_lock(&f->lock);
	promise(f, r->call, body, reply);
	pthread_mutex_unlock(&f->lock);
}

static void answer(struct docker_front *f, const char *method, const struct request *request,
		   struct reply *reply)
{
	struct bytes body = bytes_of(text_string(&request->body), request->body.size);
	struct docker_request r;
	struct why why = { 0 };
	unsigned status;

	if (strcmp(method, "POST") != 0) {
		answer_error(reply, 405, "Docker's plugin protocol is POST only");
		return;
	}
	status = request->body.full ? 413 : docker_decode(&r, request->path, body, &why);
	if (request->body.full) {
		answer_error(reply, status, "the request is larger than 4 MiB");
	} else if (status) {
		log_warning(f->log, "%.60s: %s", request->path, why.text);
		answer_error(reply, status, "%s", why.text);
	} else {
		if (docker_call_who(r.call) == DOCKER_ALONE) {
			reply->status = 200;
			docker_answer_alone(&r, &reply->json);
		} else {
			hand_on(f, &r, body, reply);
		}
		docker_request_fini(&r);
	}
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, const struct reply *reply)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		reply->json.size, (void *)reply->json.data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

static void log_time(struct docker_front *f, const struct request *r, unsigned status)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	log_debug(f->log, "%.60s: %u in %.3f ms", r->path, status,
		  (double)(now.tv_sec - r->begun.tv_sec) * 1e3 +
			  (double)(now.tv_nsec - r->begun.tv_nsec) / 1e6);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *part,
				  size_t *part_size, void **state)
{
	struct docker_front *f = ctx;
	struct request *r = *state;
	struct reply reply = { 0 };
	enum MHD_Result result;

	(void)version;
	if (!r) {
		r = mem_new(1, sizeof *r);
		clock_gettime(CLOCK_MONOTONIC, &r->begun);
		snprintf(r->path, sizeof r->path, "%s", *url == '/' ? url + 1 : url);
		r->body.limit = DOCKER_BODY_MAX;
		*state = r;
		return MHD_YES;
	}
	if (*part_size) {
		text_add_bytes(&r->body, part, *part_size);
		*part_size = 0;
		return MHD_YES;
	}
	answer(f, method, r, &reply);
	log_time(f, r, reply.status);
	result = send_reply(connection, &reply);
	text_fini(&reply.json);
	return result;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct request *r = *state;

	(void)ctx;
	(void)connection;
	(void)code;
	if (!r)
		return;
	text_fini(&r->body);
	mem_free(r);
	*state = NULL;
}

/* ---- sockets ---- */

static int fail(struct why *why, int rc, const char *what, const char *path)
{
	why_set(why, WHY_TRANSPORT, "%s %.90s: %s", what, path, strerror(-rc));
	return rc;
}

static int make_folder_of(const char *path)
{
	char folder[sizeof((struct sockaddr_un *)0)->sun_path];

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		memcpy(folder, path, (size_t)(slash - path));
		folder[slash - path] = '\0';
		if (mkdir(folder, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static bool answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
			      errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return ok;
}

static int listen_on(const char *path, int *out, struct why *why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	int fd, rc;

	if (path[0] != '/' || strlen(path) >= sizeof address.sun_path)
		return fail(why, -EINVAL, "cannot listen on", path);
	strcpy(address.sun_path, path);
	rc = make_folder_of(path);
	if (rc)
		return fail(why, rc, "cannot make the folder of", path);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return fail(why, -EEXIST, "there is something else at", path);
		if (answers(&address))
			return fail(why, -EADDRINUSE, "somebody answers on", path);
		unlink(path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mask = umask(0177); /* root only: whoever may speak here changes the host's network */
	rc = fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
			     listen(fd, (int)CONNECTIONS_MAX) < 0
		     ? -errno
		     : 0;
	umask(mask);
	if (rc && fd >= 0)
		close(fd);
	*out = fd;
	return rc ? fail(why, rc, "cannot listen on", path) : 0;
}

/* Takes 'fd'.  No timeout: Docker keeps its connections for the next call. */
static int serve(struct docker_front *f, int fd, struct why *why)
{
	struct MHD_Daemon *daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0,
		NULL, NULL, on_request, f, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, NULL, MHD_OPTION_END);

	if (!daemon) {
		close(fd);
		return fail(why, -EIO, "cannot serve", "the plugin's socket");
	}
	f->daemons[f->daemons_count++] = daemon;
	return 0;
}

static int open_sockets(struct docker_front *f, struct why *why)
{
	const struct docker_front_config *c = f->config;
	int rc = 0, fd;

	for (size_t i = 0; rc == 0 && i < c->fds_count; i++)
		rc = serve(f, c->fds[i], why);
	for (size_t i = 0; rc == 0 && i < c->sockets_count; i++) {
		rc = listen_on(c->sockets[i], &fd, why);
		if (rc)
			break;
		f->made++;
		rc = serve(f, fd, why);
	}
	return rc;
}

/* ---- life ---- */

int docker_front_new(const struct docker_front_config *config, struct log *log,
		     struct docker_front **out, struct why *why)
{
	struct docker_front *f = mem_new(1, sizeof *f);
	int rc;

	MUST(config->sockets_count + config->fds_count <= DOCKER_FRONT_SOCKETS_MAX);
	f->config = config;
	f->log = log;
	f->promises.fd = -1;
	f->stop = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&f->lock, NULL);
	rc = docker_promises_open(&f->promises, config->promises, log, why);
	if (rc == 0)
		rc = open_sockets(f, why);
	if (rc == 0) {
		f->keeping = pthread_create(&f->keeper, NULL, keeper, f) == 0;
		if (!f->keeping)
			rc = fail(why, -EAGAIN, "cannot start a thread for", config->promises);
	}
	if (rc) {
		docker_front_free(f);
		return rc;
	}
	*out = f;
	return 0;
}

void docker_front_free(struct docker_front *f)
{
	const uint64_t one = 1;

	if (!f)
		return;
	for (size_t i = 0; i < f->made; i++)
		unlink(f->config->sockets[i]);
	for (size_t i = 0; i < f->daemons_count; i++)
		MHD_stop_daemon(f->daemons[i]);
	if (f->keeping && write(f->stop, &one, sizeof one) == sizeof one)
		pthread_join(f->keeper, NULL);
	docker_promises_close(&f->promises);
	pthread_mutex_destroy(&f->lock);
	if (f->stop >= 0)
		close(f->stop);
	mem_free(f);
}
