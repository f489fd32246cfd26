#include <weave/server_io.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ev.h>
#include <microhttpd.h>

#include <weave/alloc.h>
#include <weave/docker.h>
#include <weave/list.h>
#include <weave/must.h>

#include "api.h"

#define STATUS_CONNECTIONS_MAX 64u
/* Many containers may start at once, and each waits for its address.  The rest is for those who
 * ask for a status, detach or stop meanwhile. */
#define CONTROL_CONNECTIONS_MAX 1024u
#define WAITING_MAX (CONTROL_CONNECTIONS_MAX - 128u)
#define HEADERS_SIZE_MAX (32u * 1024u)
#define IDLE_TIMEOUT_S 10u
#define REQUEST_TIME_MAX_S 30u
#define STATUS_BACKLOG 64
#define GROUP_BUFFER_SIZE 16384

static const char stopping_text[] = "the router stops";

/* One listening socket with its HTTP daemon and the watchers that drive it. */
struct listener {
	struct server *server; /* NULL while unused */
	struct MHD_Daemon *daemon;
	bool read_only;
	struct list clients;
	struct list waiting;  /* requests whose answers are to come */
	size_t waiting_count; /* without the brief ones */
	bool stopping;	      /* nothing new is begun */
	ev_io io;
	ev_timer timer;
	ev_timer patrol; /* looks for clients that take too long */
};

struct server {
	const struct api_ops *ops;
	struct ev_loop *loop;
	struct log *log;
	char *socket_path, *lock_path;
	int lock_fd;
	bool socket_ours; /* the file at socket_path was made by us */
	double request_time_max_s;
	struct listener control, status;
};

/* One connection. */
struct client {
	struct list link; /* in its listener's clients */
	int fd;		  /* libmicrohttpd's; never closed here */
	ev_tstamp since;  /* when it opened, or when its last request was over */
	bool waits;	  /* for an answer of ours: that may take any time */
};

/* One request, from its first byte to the end of its answer.
 *
 *	COMING ---> SENDING              answered at once
 *	   |           ^
 *	   +-> WAITING-+                  suspended in libmicrohttpd: nobody looks at its socket but
 *us
 *	          |
 *	          +-> GONE               the client has closed; libmicrohttpd is to see it
 */
struct request {
	struct listener *listener;
	char *uri;
	struct text form;
	bool headers_seen;
	bool docker; /* its body is no form */
	enum request_state { COMING, WAITING, SENDING, GONE } state;
	struct api_reply *reply; /* NULL before and after */
	/* While waiting: */
	struct MHD_Connection *connection;
	struct client *client;
	struct list link; /* in its listener's waiting */
	ev_io watch;	  /* for the end of the client */
};

/* --- connections -------------------------------------------------------------------------- */

static bool has_closed(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = ctx;
	struct client *client = *socket_context;
	const union MHD_ConnectionInfo *info;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		client = mem_new(1, sizeof *client);
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		client->fd = info ? info->connect_fd : -1;
		client->since = ev_now(l->server->loop);
		list_append(&l->clients, &client->link);
		if (!ev_is_active(&l->patrol))
			ev_timer_again(l->server->loop, &l->patrol);
		*socket_context = client;
	} else if (client) {
		list_remove(&client->link);
		mem_free(client);
		if (list_empty(&l->clients))
			ev_timer_stop(l->server->loop, &l->patrol);
		*socket_context = NULL;
	}
}

/* --- answers that come later --------------------------------------------------------------- */

/* The connection is libmicrohttpd's again, which calls on_request for it soon. */
static void stop_waiting(struct request *r, enum request_state state)
{
	MUST(r->state == WAITING);
	r->state = state;
	r->client->waits = false;
	r->client->since = ev_now(r->listener->server->loop); /* its time starts now */
	ev_io_stop(r->listener->server->loop, &r->watch);
	list_remove(&r->link);
	r->listener->waiting_count -= !r->reply || !r->reply->brief;
	MHD_resume_connection(r->connection);
	/* libmicrohttpd wakes only threads of its own. */
	ev_feed_event(r->listener->server->loop, &r->listener->io, EV_READ);
}

static void on_answer(struct api_reply *reply, void *ctx)
{
	(void)reply;
	stop_waiting(ctx, SENDING);
}

static void client_gone(struct request *r)
{
	struct api_reply *reply = r->reply;

	stop_waiting(r, GONE);
	r->reply = NULL;
	api_reply_free(reply);
}

/* A client that waits is silent: what comes is its end, as a rule. */
static void on_watch(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct request *r = watcher->data;
	char byte;
	ssize_t n = recv(r->client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		/* The next request already.  It stays where it is, and on_patrol looks after us. */
		ev_io_stop(loop, watcher);
		return;
	}
	client_gone(r);
}

static void wait_for_answer(struct request *r, struct MHD_Connection *connection)
{
	struct listener *l = r->listener;

	r->state = WAITING;
	r->connection = connection;
	r->client = client_of(connection);
	MUST(r->client);
	r->client->waits = true;
	list_append(&l->waiting, &r->link);
	l->waiting_count += !r->reply->brief;
	api_reply_await(r->reply, on_answer, r);
	ev_io_init(&r->watch, on_watch, r->client->fd, EV_READ);
	r->watch.data = r;
	ev_io_start(l->server->loop, &r->watch);
	MHD_suspend_connection(connection);
}

/* Those whose clients have sent more than one request, and closed.  A cancelled request may let
 * others have their answer, so the list is read from its start again. */
static void drop_closed(struct listener *l)
{
	struct list *at = l->waiting.next;

	while (at != &l->waiting) {
		struct request *r = list_entry(at, struct request, link);
		bool gone = !ev_is_active(&r->watch) && has_closed(r->client->fd);

		if (gone)
			client_gone(r);
		at = gone ? l->waiting.next : at->next;
	}
}

/* They get an answer if their sockets take it at once. */
static void refuse_all_waiting(struct listener *l)
{
	while (!list_empty(&l->waiting)) {
		struct request *r = list_entry(l->waiting.next, struct request, link);

		stop_waiting(r, SENDING);
		api_reply_refuse(&r->reply, 503, stopping_text);
	}
}

/* libmicrohttpd's timeout starts over with each byte, so a client that sends one byte at a time
 * could stay for ever.  It sees a closed connection and drops it. */
static void on_patrol(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct listener *l = watcher->data;

	(void)events;
	for (struct list *at = l->clients.next; at != &l->clients; at = at->next) {
		struct client *client = list_entry(at, struct client, link);

		if (!client->waits && ev_now(loop) - client->since > l->server->request_time_max_s)
			shutdown(client->fd, SHUT_RDWR);
	}
	drop_closed(l);
}

/* --- requests ----------------------------------------------------------------------------- */

static void *begin_request(void *ctx, const char *uri, struct MHD_Connection *connection)
{
	struct request *r = mem_new(1, sizeof *r);

	(void)connection;
	r->listener = ctx;
	r->uri = mem_copy_text(uri);
	r->docker = strncmp(uri, API_DOCKER_PATH, sizeof API_DOCKER_PATH - 1) == 0;
	r->form.limit = r->docker && !r->listener->read_only ? DOCKER_BODY_MAX : API_FORM_SIZE_MAX;
	list_init(&r->link);
	return r;
}

static void end_request(void *ctx, struct MHD_Connection *connection, void **request,
			enum MHD_RequestTerminationCode code)
{
	struct listener *l = ctx;
	struct request *r = *request;
	struct client *client = client_of(connection);

	(void)code;
	if (client)
		client->since = ev_now(l->server->loop);
	if (!r)
		return;
	MUST(r->state != WAITING); /* suspended connections do not end */
	api_reply_free(r->reply);
	mem_free(r->uri);
	if (r->form.data) /* it may hold a password */
		explicit_bzero(r->form.data, r->form.size);
	text_fini(&r->form);
	mem_free(r);
	*request = NULL;
}

static enum MHD_Result send_response(struct MHD_Connection *connection,
				     const struct api_response *r)
{
	struct MHD_Response *response;
	enum MHD_Result result = MHD_NO;

	response = MHD_create_response_from_buffer(r->body.size, r->body.data,
						   MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (r->allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, r->allow);
	result = MHD_queue_response(connection, r->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct api_response r = { .status = status, .content_type = "text/plain; charset=utf-8" };

	enum MHD_Result result;

	text_add(&r.body, "%s\n", text);
	result = send_response(connection, &r);
	text_fini(&r.body);
	return result;
}

static bool header_has(struct MHD_Connection *connection, const char *name, const char *part)
{
	const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

	return value && strcasestr(value, part);
}

/* The whole request is here. */
static enum MHD_Result handle(struct request *r, struct MHD_Connection *connection,
			      const char *method)
{
	struct listener *l = r->listener;
	struct api_request api = { .method = method,
				   .uri = r->uri,
				   .form = text_string(&r->form),
				   .form_size = r->form.size,
				   .wants_json = header_has(connection, MHD_HTTP_HEADER_ACCEPT,
							    "application/json"),
				   .read_only = l->read_only };

	r->reply = api_reply_new();
	api_handle(l->server->ops, &api, r->reply);
	if (!r->reply->answered && !r->reply->brief && l->waiting_count >= WAITING_MAX)
		api_reply_refuse(&r->reply, 503, "too many requests wait: try again later");
	if (!r->reply->answered) {
		wait_for_answer(r, connection);
		return MHD_YES;
	}
	r->state = SENDING;
	return send_response(connection, &r->reply->response);
}

/* Called once with the headers, then with parts of the body, then with a part of size 0, and after
 * a wait once more. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *part,
				  size_t *part_size, void **request)
{
	static const char form_type[] = "application/x-www-form-urlencoded";
	struct request *r = *request;

	(void)ctx;
	(void)url;
	(void)version;
	MUST(r);
	if (r->state == GONE)
		return MHD_NO;
	if (r->state == SENDING)
		return send_response(connection, &r->reply->response);
	if (*part_size > 0) {
		text_add_bytes(&r->form, part, *part_size);
		*part_size = 0;
		return MHD_YES;
	}
	if (!r->headers_seen) {
		r->headers_seen = true;
		return MHD_YES;
	}
	if (r->form.full)
		return refuse(connection, 413, "the request's body is too large");
	if (r->form.size && !r->docker &&
	    !header_has(connection, MHD_HTTP_HEADER_CONTENT_TYPE, form_type))
		return refuse(connection, 415, "the body is no application/x-www-form-urlencoded");
	if (r->listener->stopping)
		return refuse(connection, 503, stopping_text);
	return handle(r, connection, method);
}

/* --- driving libmicrohttpd ---------------------------------------------------------------- */

static void run(struct listener *l)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(l->daemon);
	ev_timer_stop(l->server->loop, &l->timer);
	if (MHD_get_timeout(l->daemon, &timeout_ms) != MHD_YES)
		return;
	ev_timer_set(&l->timer, (double)timeout_ms / 1000.0, 0.0);
	ev_timer_start(l->server->loop, &l->timer);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)loop;
	(void)events;
	run(watcher->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	run(watcher->data);
}

/* libmicrohttpd's own messages: what a client did wrong is nobody's alarm. */
static void on_message(void *ctx, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static void on_message(void *ctx, const char *format, va_list args)
{
	struct listener *l = ctx;
	char line[256];

	vsnprintf(line, sizeof line, format, args);
	line[strcspn(line, "\n")] = '\0';
	if (l->server)
		log_debug(l->server->log, "http: %s", line);
}

/* Serves on 'fd', which is taken, also on failure. */
static int listener_start(struct listener *l, struct server *s, int fd, bool read_only,
			  unsigned idle_timeout_s)
{
	const union MHD_DaemonInfo *info;

	l->server = s;
	l->read_only = read_only;
	list_init(&l->clients);
	list_init(&l->waiting);
	l->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		on_request, l, MHD_OPTION_EXTERNAL_LOGGER, on_message, l, MHD_OPTION_LISTEN_SOCKET,
		fd, MHD_OPTION_CONNECTION_LIMIT,
		read_only ? STATUS_CONNECTIONS_MAX : CONTROL_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_SIZE_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, idle_timeout_s ? idle_timeout_s : IDLE_TIMEOUT_S,
		MHD_OPTION_URI_LOG_CALLBACK, begin_request, l, MHD_OPTION_NOTIFY_COMPLETED,
		end_request, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_END);
	if (!l->daemon) {
		close(fd);
		l->server = NULL;
		return errno > 0 ? -errno : -EIO;
	}
	info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	MUST(info && info->epoll_fd >= 0);
	ev_io_init(&l->io, on_readable, info->epoll_fd, EV_READ);
	ev_timer_init(&l->timer, on_timer, 0.0, 0.0);
	ev_timer_init(&l->patrol, on_patrol, s->request_time_max_s / 4, s->request_time_max_s / 4);
	l->io.data = l->timer.data = l->patrol.data = l;
	ev_io_start(s->loop, &l->io);
	run(l);
	return 0;
}

static void listener_stop(struct listener *l)
{
	if (!l->daemon)
		return;
	l->stopping = true;
	refuse_all_waiting(l);
	MHD_run(l->daemon); /* takes them back, */
	MHD_run(l->daemon); /* and sends */
	ev_io_stop(l->server->loop, &l->io);
	ev_timer_stop(l->server->loop, &l->timer);
	ev_timer_stop(l->server->loop, &l->patrol);
	MHD_stop_daemon(l->daemon);
	l->daemon = NULL;
	l->server = NULL;
}

/* --- the unix socket ---------------------------------------------------------------------- */

static int fail(struct why *why, int rc, const char *what, const char *name)
{
	why_set(why, WHY_TRANSPORT, "%s %s: %s", what, name, strerror(-rc));
	return rc;
}

static int already_running(struct why *why, const char *path)
{
	why_set(why, WHY_TRANSPORT, "already running: a router answers on %s", path);
	return -EADDRINUSE;
}

static int gid_of(const char *group, gid_t *gid)
{
	struct group entry, *found = NULL;
	char *buffer = mem_new(GROUP_BUFFER_SIZE, 1);
	int rc = getgrnam_r(group, &entry, buffer, GROUP_BUFFER_SIZE, &found);

	if (found)
		*gid = found->gr_gid;
	mem_free(buffer);
	if (rc)
		return -rc;
	return found ? 0 : -ENOENT;
}

/* Two routers that start at once must not both find the socket stale: the lock goes to one, and
 * with its process.  The file stays, for removing it would let a third one lock a new file. */
static int take_lock(struct server *s, struct why *why)
{
	s->lock_fd = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return fail(why, -errno, "cannot open", s->lock_path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return already_running(why, s->socket_path);
	return fail(why, -errno, "cannot lock", s->lock_path);
}

/* Removes what is at the socket's path unless somebody answers there. */
static int remove_stale(const struct sockaddr_un *address, struct why *why)
{
	const char *path = address->sun_path;
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail(why, -errno, "cannot look at", path);
	if (!S_ISSOCK(st.st_mode)) {
		why_set(why, WHY_TRANSPORT, "%s exists and is no socket: remove it", path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(why, -errno, "cannot make a socket for", path);
	rc = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? errno : 0;
	close(fd);
	/* EAGAIN: somebody listens who is too busy to answer. */
	if (rc == 0 || rc == EAGAIN)
		return already_running(why, path);
	if (unlink(path) < 0)
		return fail(why, -errno, "cannot remove", path);
	return 0;
}

static int set_access(struct server *s, const char *group, struct why *why)
{
	gid_t gid = (gid_t)-1;
	int rc;

	if (group) {
		rc = gid_of(group, &gid);
		if (rc == -ENOENT) {
			why_set(why, WHY_INVALID, "there is no group '%s'", group);
			return rc;
		}
		if (rc)
			return fail(why, rc, "cannot look up the group", group);
	}
	if (gid != (gid_t)-1 && chown(s->socket_path, (uid_t)-1, gid) < 0)
		return fail(why, -errno, "cannot give to the group", s->socket_path);
	if (chmod(s->socket_path, 0660) < 0)
		return fail(why, -errno, "cannot change the mode of", s->socket_path);
	return 0;
}

/* A listening unix socket in *fd. */
static int open_control(struct server *s, const char *group, int *fd, struct why *why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int rc;

	if (strlen(s->socket_path) >= sizeof address.sun_path)
		return fail(why, -ENAMETOOLONG, "cannot listen on", s->socket_path);
	strcpy(address.sun_path, s->socket_path);
	rc = remove_stale(&address, why);
	if (rc)
		return rc;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return fail(why, -errno, "cannot make a socket for", s->socket_path);
	/* Nobody else may connect between bind and chmod. */
	mask = umask(0177);
	rc = bind(*fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
	umask(mask);
	if (rc)
		return fail(why, rc, "cannot listen on", s->socket_path);
	s->socket_ours = true;
	rc = set_access(s, group, why);
	if (rc)
		return rc;
	/* A client of a full backlog is refused at once (unix(7): EAGAIN), not made to wait. */
	if (listen(*fd, CONTROL_CONNECTIONS_MAX) < 0)
		return fail(why, -errno, "cannot listen on", s->socket_path);
	return 0;
}

static int start_control(struct server *s, const struct server_config *config, struct why *why)
{
	int fd = -1, rc;

	rc = take_lock(s, why);
	if (rc)
		return rc;
	rc = open_control(s, config->socket_group, &fd, why);
	if (rc) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	rc = listener_start(&s->control, s, fd, false, config->idle_timeout_s);
	return rc ? fail(why, rc, "cannot serve", s->socket_path) : 0;
}

/* --- the read-only listener --------------------------------------------------------------- */

static socklen_t socket_address(struct netaddr a, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;

	memset(out, 0, sizeof *out);
	if (a.ip.family == 6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(a.port);
		memcpy(&v6->sin6_addr, a.ip.b, 16);
		return sizeof *v6;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(a.port);
	memcpy(&v4->sin_addr, a.ip.b, 4);
	return sizeof *v4;
}

static int start_status(struct server *s, const struct server_config *config, struct why *why)
{
	struct sockaddr_storage address;
	socklen_t size = socket_address(config->status_addr, &address);
	char text[ENDPOINT_TEXT_SIZE];
	int fd, on = 1, rc = 0;

	netaddr_text(config->status_addr, text);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(why, -errno, "cannot make a socket for", text);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (const struct sockaddr *)&address, size) < 0 || listen(fd, STATUS_BACKLOG) < 0)
		rc = -errno;
	if (rc) {
		close(fd);
		return fail(why, rc, "cannot serve the status on", text);
	}
	rc = listener_start(&s->status, s, fd, true, config->idle_timeout_s);
	return rc ? fail(why, rc, "cannot serve the status on", text) : 0;
}

int server_new(struct server **out, const struct server_config *config, const struct api_ops *ops,
	       struct ev_loop *loop, struct log *log, struct why *why)
{
	struct server *s = mem_new(1, sizeof *s);
	struct text lock_path = { 0 };
	int rc;

	s->ops = ops;
	s->loop = loop;
	s->log = log;
	s->lock_fd = -1;
	s->request_time_max_s = config->request_time_s ? config->request_time_s
						       : REQUEST_TIME_MAX_S;
	s->socket_path = mem_copy_text(config->socket_path);
	text_add(&lock_path, "%s.lock", config->socket_path);
	s->lock_path = mem_copy_text(text_string(&lock_path));
	text_fini(&lock_path);

	rc = start_control(s, config, why);
	if (rc == 0 && config->status_enabled)
		rc = start_status(s, config, why);
	if (rc) {
		server_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	listener_stop(&s->control);
	listener_stop(&s->status);
	if (s->socket_ours)
		unlink(s->socket_path);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	mem_free(s->socket_path);
	mem_free(s->lock_path);
	mem_free(s);
}
