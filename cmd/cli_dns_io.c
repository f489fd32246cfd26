#include "cli_dns_io.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "cli_container_io.h"
#include "cli_http_io.h"

#define TRIES 2
#define ANSWER_TIMEOUT_MS 6000 /* the router asks others for 5 s */
#define MESSAGE_MAX 65535

static int ask(const struct cli_dns *c, const char *method, const char *path,
	       struct cli_answer *answer)
{
	struct cli_request request = { .method = method, .path = path };

	return cli_ask(c->run_dir, &request, answer);
}

/* ---- dns-add, dns-remove ---- */

static int send_one(const struct cli_dns *c, const char *method, const char *id,
		    const struct ip_addr *ip, const char *fqdn)
{
	struct cli_answer answer;
	struct text path = { 0 };
	char text[IP_TEXT_SIZE];
	int result;

	text_add_string(&path, "/name/");
	cli_percent_encode(&path, id);
	if (ip)
		text_add(&path, "/%s", ip_text(*ip, text));
	if (fqdn) {
		text_add_string(&path, "?fqdn=");
		cli_percent_encode(&path, fqdn);
	}
	result = ask(c, method, text_string(&path), &answer);
	cli_answer_fini(&answer);
	text_fini(&path);
	return result;
}

/* All addresses that the router has given the container. */
static int addresses_of(const struct cli_dns *c, const char *id, struct ip_addr *list,
			size_t *count)
{
	struct cli_request request = { .method = "GET", .json = true };
	struct cli_answer answer;
	struct text path = { 0 };
	json_t *root = NULL, *one, *address;
	size_t i, k = 0;
	int result;

	*count = 0;
	text_add_string(&path, "/ps?id=");
	cli_percent_encode(&path, id);
	request.path = text_string(&path);
	result = cli_ask(c->run_dir, &request, &answer);
	if (result == 0)
		root = json_loadb(text_string(&answer.body), answer.body.size, 0, NULL);
	json_array_foreach(root, i, one)
		json_array_foreach(json_object_get(one, "Addresses"), k, address)
	{
		struct cidr cidr;

		if (*count < CLI_ADDRESSES_MAX && json_is_string(address) &&
		    cidr_parse(json_string_value(address), &cidr))
			list[(*count)++] = cidr.ip;
	}
	json_decref(root);
	cli_answer_fini(&answer);
	text_fini(&path);
	return result;
}

static int complain(const char *command, const char *what)
{
	fprintf(stderr, "weave %s: %s\n", command, what);
	return 1;
}

static int add_each(const struct cli_dns *c, const char *id, const char *fqdn)
{
	struct ip_addr own[CLI_ADDRESSES_MAX];
	const struct ip_addr *list = c->args->ips;
	size_t count = c->args->ips_count;
	int result = 0;

	if (!count) {
		result = addresses_of(c, id, own, &count);
		list = own;
	}
	if (!result && !count)
		return complain("dns-add", "this container has no addresses: attach it first, or "
					   "name one");
	for (size_t i = 0; !result && i < count; i++)
		result = send_one(c, "PUT", id, &list[i], fqdn);
	return result;
}

int cli_dns_add(const struct cli_dns *c)
{
	const char *fqdn = c->args->fqdn;
	struct cli_container container;
	struct text message = { 0 };
	int result;

	if (!c->args->container)
		return add_each(c, "weave:extern", fqdn);
	if (!cli_container_find(c->args->container, &container, &message))
		result = complain("dns-add", text_string(&message));
	else if (!fqdn && !container.fqdn[0])
		result = complain("dns-add", "this container's host name has no domain: give its "
					     "name with -h");
	else
		result = add_each(c, container.id, fqdn ? fqdn : container.fqdn);
	text_fini(&message);
	return result;
}

/* A container that is gone is known by the name that it was attached under. */
int cli_dns_remove(const struct cli_dns *c)
{
	const struct cli_args *a = c->args;
	const char *id = a->container ? a->container : "weave:extern";
	struct cli_container container;
	struct text message = { 0 };
	int result = 0;

	if (a->container && cli_container_find(a->container, &container, &message))
		id = container.id;
	for (size_t i = 0; !result && i < a->ips_count; i++)
		result = send_one(c, "DELETE", id, &a->ips[i], a->fqdn);
	if (!a->ips_count)
		result = send_one(c, "DELETE", id, NULL, a->fqdn);
	text_fini(&message);
	return result;
}

/* ---- dns-lookup ---- */

static bool server_address(const char *text, struct sockaddr_storage *out, socklen_t *size)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct netaddr a;

	if (!netaddr_parse(text, 53, &a))
		return false;
	if (ip_compare(a.ip, (struct ip_addr){ .family = 4 }) == 0)
		ip_parse("127.0.0.1", &a.ip);
	memset(out, 0, sizeof *out);
	if (a.ip.family == 4) {
		v4.sin_port = htons(a.port);
		memcpy(&v4.sin_addr, a.ip.b, 4);
		memcpy(out, &v4, *size = sizeof v4);
	} else {
		v6.sin6_port = htons(a.port);
		memcpy(&v6.sin6_addr, a.ip.b, 16);
		memcpy(out, &v6, *size = sizeof v6);
	}
	return true;
}

/* The bytes that come within the time; 0 when they do not. */
static size_t receive(int fd, uint8_t *to, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = poll(&p, 1, ANSWER_TIMEOUT_MS) == 1 ? recv(fd, to, size, 0) : 0;

	return n > 0 ? (size_t)n : 0;
}

static size_t exchange_tcp(int fd, const uint8_t *question, size_t question_size, uint8_t *answer)
{
	uint8_t head[2] = { (uint8_t)(question_size >> 8), (uint8_t)question_size };
	size_t size, done = 0, n;

	if (send(fd, head, 2, MSG_NOSIGNAL | MSG_MORE) != 2 ||
	    send(fd, question, question_size, MSG_NOSIGNAL) != (ssize_t)question_size ||
	    receive(fd, head, 2) != 2)
		return 0;
	size = (size_t)head[0] << 8 | head[1];
	while (done < size && (n = receive(fd, answer + done, size - done)))
		done += n;
	return done == size ? size : 0;
}

static size_t exchange(const struct sockaddr_storage *to, socklen_t to_size, bool tcp,
		       const uint8_t *question, size_t question_size, uint8_t *answer)
{
	int fd = socket(to->ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	size_t size = 0;

	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)to, to_size) == 0) {
		if (tcp)
			size = exchange_tcp(fd, question, question_size, answer);
		else if (send(fd, question, question_size, 0) == (ssize_t)question_size)
			size = receive(fd, answer, MESSAGE_MAX);
	}
	close(fd);
	return size;
}

static void print_addresses(ns_msg *m)
{
	char text[IP_TEXT_SIZE];
	ns_rr rr;

	for (int i = 0; i < ns_msg_count(*m, ns_s_an); i++) {
		struct ip_addr ip = { .family = 4 };

		if (ns_parserr(m, ns_s_an, i, &rr) < 0)
			return;
		if (ns_rr_type(rr) == ns_t_aaaa && ns_rr_rdlen(rr) == 16)
			ip.family = 6;
		else if (ns_rr_type(rr) != ns_t_a || ns_rr_rdlen(rr) != 4)
			continue;
		memcpy(ip.b, ns_rr_rdata(rr), ns_rr_rdlen(rr));
		puts(ip_text(ip, text));
	}
}

/* Prints what there is; false when nobody answered. */
static bool lookup(const struct sockaddr_storage *to, socklen_t to_size, const char *name, int type)
{
	static uint8_t answer[MESSAGE_MAX];
	struct __res_state state = { 0 };
	uint8_t question[512];
	bool done = false;
	int size;

	if (res_ninit(&state) < 0)
		return false;
	size = res_nmkquery(&state, ns_o_query, name, ns_c_in, type, NULL, 0, NULL, question,
			    sizeof question);
	for (int try = 0; size > 0 && !done && try < TRIES; try++) {
		bool tcp = false;
		size_t got;
		ns_msg m;

		do {
			got = exchange(to, to_size, tcp, question, (size_t)size, answer);
			if (!got || ns_initparse(answer, (int)got, &m) < 0 ||
			    memcmp(answer, question, 2) != 0)
				break;
			done = true;
			tcp = !tcp && ns_msg_getflag(m, ns_f_tc);
		} while (tcp);
		if (done)
			print_addresses(&m);
	}
	res_nclose(&state);
	return done;
}

int cli_dns_lookup(const struct cli_dns *c)
{
	struct sockaddr_storage to;
	struct cli_answer answer;
	socklen_t size = 0;
	int result = ask(c, "GET", "/dns-address-port", &answer);

	if (result == 0 && !server_address(text_string(&answer.body), &to, &size))
		result = complain("dns-lookup", "the router's answer is not understood");
	if (result == 0 && (!lookup(&to, size, c->args->rest[0], ns_t_a) ||
			    !lookup(&to, size, c->args->rest[0], ns_t_aaaa)))
		result = complain("dns-lookup", "the router's DNS does not answer");
	cli_answer_fini(&answer);
	return result;
}

/* ---- dns-args ---- */

int cli_dns_args(const struct cli_dns *c)
{
	struct cli_request quiet = { .method = "GET", .path = "/domain" };
	struct cli_answer domain, address;
	struct text socket = { 0 };
	int result = 0;

	text_add(&socket, "%s/weave.sock", c->run_dir);
	quiet.socket_path = text_string(&socket);
	cli_http(&quiet, &domain);
	if (domain.failure || domain.status != 404) {
		result = ask(c, "GET", "/dns-address", &address);
		if (result == 0)
			printf("--dns=%s --dns-search=%s", text_string(&address.body),
			       text_string(&domain.body));
		cli_answer_fini(&address);
	}
	cli_answer_fini(&domain);
	text_fini(&socket);
	return result;
}
