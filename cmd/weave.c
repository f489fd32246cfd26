/* weave: the command line of the router.  Parses (cli_args.c), asks the API over its unix socket
 * (cli_http_io.c), and starts or stops the daemon (cli_process_io.c). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include <weave/must.h>

#include "cli_args.h"
#include "cli_container_io.h"
#include "cli_dns_io.h"
#include "cli_http_io.h"
#include "cli_process_io.h"
#include "options.h"

static const char *directory(const char *given, const char *variable, const char *usual)
{
	const char *value = getenv(variable);

	if (given)
		return given;
	return value && *value ? value : usual;
}

static const char *run_dir(const struct cli_args *a)
{
	return directory(a->run_dir, "WEAVE_RUN_DIR", OPTIONS_RUN_DIR);
}

static const char *state_dir(const struct cli_args *a)
{
	return directory(a->state_dir, "WEAVE_STATE_DIR", OPTIONS_STATE_DIR);
}

/* --- asking the router -------------------------------------------------------------------- */

/* The answer's text is printed as it is, or with 'plain' without the prefix lengths. */
static void print_body(const char *body, bool plain)
{
	for (bool skip = false; *body; body++) {
		if (plain && *body == '/')
			skip = true;
		else if (*body == ' ' || *body == '\n')
			skip = false;
		if (!skip)
			putchar(*body);
	}
}

struct question {
	const char *method, *path, *form;
	bool plain; /* the answer without prefix lengths */
	const char
		*note; /* it may take as long as it takes; said when it does.  NULL: it does not */
};

/* One request, its answer on stdout; returns the exit code. */
static int ask(const struct cli_args *a, const struct question *q)
{
	struct cli_request request = { .method = q->method,
				       .path = q->path,
				       .form = q->form,
				       .json = a->json,
				       .timeout_s = q->note ? CLI_NO_TIMEOUT : 0,
				       .note = q->note };
	struct cli_answer answer;
	int result = cli_ask(run_dir(a), &request, &answer);

	if (result == 0)
		print_body(text_string(&answer.body), q->plain);
	if (result == 0 && fflush(stdout) != 0)
		result = 1;
	cli_answer_fini(&answer);
	return result;
}

static int get(const struct cli_args *a, const char *path)
{
	return ask(a, &(struct question){ .method = "GET", .path = path });
}

static const char waiting_for_address[] =
	"waiting for an address; 'weave status ipam' tells why; Ctrl-C gives up";

/* --- commands ----------------------------------------------------------------------------- */

static int peers(const struct cli_args *a, const char *path)
{
	struct text form = { 0 };
	int result;

	for (size_t i = 0; i < a->rest_count; i++)
		cli_form_add(&form, "peer", a->rest[i]);
	if (a->replace)
		cli_form_add(&form, "replace", "true");
	result = ask(a, &(struct question){
				.method = "POST", .path = path, .form = text_string(&form) });
	text_fini(&form);
	return result;
}

static void add_addresses(const struct cli_args *a, struct text *form)
{
	for (size_t i = 0; i < a->addresses_count; i++)
		cli_form_add(form, "address", a->addresses[i]);
}

static void add_network(const struct cli_args *a, struct text *form)
{
	if (a->network)
		cli_form_add(form, "network", a->network);
}

static int network(const struct cli_args *a)
{
	bool create = strcmp(a->what, "create") == 0;
	struct text form = { 0 };
	int result;

	cli_form_add(&form, "name", a->network);
	if (a->number)
		cli_form_add(&form, "number", a->number);
	result = ask(a, &(struct question){ .method = create ? "POST" : "DELETE",
					    .path = "/network",
					    .form = text_string(&form),
					    .plain = true });
	text_fini(&form);
	return result;
}

static int attach(const struct cli_args *a)
{
	struct text form = { 0 }, message = { 0 };
	struct cli_container container;
	int result = 1;

	if (cli_container_find(a->container, &container, &message)) {
		cli_form_add(&form, "id", container.id);
		cli_form_add(&form, "netns", container.netns);
		add_network(a, &form);
		add_addresses(a, &form);
		if (!a->multicast_route)
			cli_form_add(&form, "multicast-route", "false");
		if (a->dns && container.fqdn[0])
			cli_form_add(&form, "fqdn", container.fqdn);
		result = ask(a, &(struct question){ .method = "POST",
						    .path = "/attach",
						    .form = text_string(&form),
						    .plain = true,
						    .note = waiting_for_address });
	} else {
		fprintf(stderr, "weave attach: %s\n", text_string(&message));
	}
	text_fini(&form);
	text_fini(&message);
	return result;
}

/* A container that is gone can still be detached by the identity under which it was attached. */
static int detach(const struct cli_args *a)
{
	struct text form = { 0 }, message = { 0 };
	struct cli_container container;
	int result;

	if (cli_container_find(a->container, &container, &message)) {
		cli_form_add(&form, "id", container.id);
		cli_form_add(&form, "netns", container.netns);
	} else {
		cli_form_add(&form, "id", a->container);
	}
	add_network(a, &form);
	add_addresses(a, &form);
	result = ask(a, &(struct question){ .method = "DELETE",
					    .path = "/attach",
					    .form = text_string(&form),
					    .plain = true });
	text_fini(&form);
	text_fini(&message);
	return result;
}

static int expose(const struct cli_args *a, const char *method, const char *note)
{
	struct text form = { 0 };
	int result;

	add_addresses(a, &form);
	if (!a->masquerade)
		cli_form_add(&form, "skipNAT", "true");
	if (a->fqdn)
		cli_form_add(&form, "fqdn", a->fqdn);
	result = ask(a, &(struct question){ .method = method,
					    .path = "/expose",
					    .form = text_string(&form),
					    .plain = true,
					    .note = note });
	text_fini(&form);
	return result;
}

static int status(const struct cli_args *a)
{
	struct text path = { 0 };
	int result;

	text_add(&path, "/status%s%s", *a->what ? "/" : "", a->what);
	result = get(a, text_string(&path));
	text_fini(&path);
	return result;
}

static int report(struct cli_args *a)
{
	struct text path = { 0 };
	int result;

	text_add_string(&path, "/report");
	a->json = !a->format;
	if (a->format) {
		text_add_string(&path, "?format=");
		cli_percent_encode(&path, a->format);
	}
	result = get(a, text_string(&path));
	text_fini(&path);
	return result;
}

/* Unknown containers are left out, as in Weave Net: they have no line. */
static int ps(const struct cli_args *a)
{
	struct text path = { 0 }, message = { 0 };
	struct cli_container container;
	int result;

	text_add_string(&path, "/ps");
	for (size_t i = 0; i < a->rest_count; i++) {
		const char *id = a->rest[i];
		bool found = strcmp(id, "weave:expose") != 0 &&
			     cli_container_find(id, &container, &message);

		text_add_string(&path, i ? "&id=" : "?id=");
		cli_percent_encode(&path, found ? container.id : id);
		if (found) {
			text_add_string(&path, "&netns=");
			cli_percent_encode(&path, container.netns);
		}
	}
	result = get(a, text_string(&path));
	text_fini(&path);
	text_fini(&message);
	return result;
}

#define PASSWORD_ROOM (2 * PASSWORD_SIZE_MAX + 8)

/* The first line of the file; false after a message. */
static bool read_password(const char *path, char *to)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "re");
	size_t size;

	if (!f) {
		fprintf(stderr, "weave password: cannot open %s: %s\n", path, strerror(errno));
		return false;
	}
	/* What stdio reads ahead would stay in its own memory. */
	setvbuf(f, NULL, _IONBF, 0);
	size = fread(to, 1, PASSWORD_ROOM - 1, f);
	to[size] = '\0';
	if (!standard)
		fclose(f);
	if (strlen(to) != size) {
		fprintf(stderr, "weave password: %s holds a zero byte: is it a text?\n", path);
		return false;
	}
	to[strcspn(to, "\r\n")] = '\0';
	if (*to)
		return true;
	fprintf(stderr, "weave password: the first line of %s is empty\n", path);
	return false;
}

/* The secret goes to the router by its socket, and is wiped here. */
static int password(const struct cli_args *a)
{
	char secret[PASSWORD_ROOM] = "";
	struct text form = { 0 };
	int result = 1;

	if (!*a->change)
		return get(a, "/password");
	if (strcmp(a->change, "rotate") == 0 && !read_password(a->password_file, secret))
		goto out;
	cli_form_add(&form, "action", a->change);
	if (*secret)
		cli_form_add(&form, "password", secret);
	if (a->force)
		cli_form_add(&form, "force", "true");
	result = ask(a, &(struct question){ .method = "POST",
					    .path = "/password",
					    .form = text_string(&form) });
	if (form.data)
		explicit_bzero(form.data, form.size);
out:
	explicit_bzero(secret, sizeof secret);
	text_fini(&form);
	return result;
}

static int version(const struct cli_args *a)
{
	struct cli_request request = { .method = "GET", .path = "/version" };
	struct cli_answer answer;
	struct text socket = { 0 };
	int result = 0;

	printf("weave script %s\n", WEAVE_VERSION);
	text_add(&socket, "%s/weave.sock", run_dir(a));
	request.socket_path = text_string(&socket);
	cli_http(&request, &answer);
	if (!answer.failure && answer.status == 200)
		printf("weave %s", text_string(&answer.body));
	else
		result = cli_daemon_version();
	cli_answer_fini(&answer);
	text_fini(&socket);
	return result;
}

/* One after the other, up to the first that is refused. */
static int remove_peers(const struct cli_args *a)
{
	int result = 0;

	for (size_t i = 0; i < a->rest_count && result == 0; i++) {
		struct text path = { 0 };

		text_add_string(&path, "/peer/");
		cli_percent_encode(&path, a->rest[i]);
		text_add_string(&path, a->force ? "?force=true" : "");
		result = ask(a,
			     &(struct question){
				     .method = "DELETE",
				     .path = text_string(&path),
				     .note = "waiting until every peer has answered; 'weave status "
					     "ipam' tells whom; Ctrl-C gives up" });
		text_fini(&path);
	}
	return result;
}

static int run(struct cli_args *a)
{
	switch (a->command) {
	case CLI_LAUNCH:
		return cli_launch(run_dir(a), state_dir(a), a->rest, a->rest_count);
	case CLI_STOP:
		return cli_stop(run_dir(a));
	case CLI_RESET:
		return cli_reset(run_dir(a), state_dir(a), a->force);
	case CLI_CONNECT:
		return peers(a, "/connect");
	case CLI_FORGET:
		return peers(a, "/forget");
	case CLI_ATTACH:
		return attach(a);
	case CLI_DETACH:
		return detach(a);
	case CLI_EXPOSE:
		return expose(a, "POST", waiting_for_address);
	case CLI_HIDE:
		return expose(a, "DELETE", NULL);
	case CLI_STATUS:
		return status(a);
	case CLI_REPORT:
		return report(a);
	case CLI_NETWORK:
		return network(a);
	case CLI_PASSWORD:
		return password(a);
	case CLI_PS:
		return ps(a);
	case CLI_VERSION:
		return version(a);
	case CLI_PRIME:
		return ask(a, &(struct question){
				      .method = "GET",
				      .path = "/ring",
				      .note = "waiting until the peers have agreed; 'weave "
					      "status ipam' tells on whom; Ctrl-C gives up" });
	case CLI_RMPEER:
		return remove_peers(a);
	case CLI_DNS_ADD:
		return cli_dns_add(&(struct cli_dns){ run_dir(a), a });
	case CLI_DNS_REMOVE:
		return cli_dns_remove(&(struct cli_dns){ run_dir(a), a });
	case CLI_DNS_LOOKUP:
		return cli_dns_lookup(&(struct cli_dns){ run_dir(a), a });
	case CLI_DNS_ARGS:
		return cli_dns_args(&(struct cli_dns){ run_dir(a), a });
	}
	NOT_REACHED("command");
}

int main(int argc, char **argv)
{
	struct text message = { 0 };
	struct cli_args a;
	enum cli_verdict verdict;
	int result = 1;

	verdict = cli_args_parse(&a, argc > 0 ? argc - 1 : 0,
				 argc > 0 ? (const char *const *)(argv + 1) : NULL, &message);
	if (message.size)
		fprintf(stderr, "weave: %s\n", text_string(&message));
	if (verdict == CLI_HELP || verdict == CLI_USAGE)
		fputs(cli_usage(), stderr);
	if (verdict == CLI_HELP)
		result = 0;
	if (verdict == CLI_RUN) {
		curl_global_init(CURL_GLOBAL_DEFAULT);
		result = run(&a);
		curl_global_cleanup();
	}
	text_fini(&message);
	return result;
}
