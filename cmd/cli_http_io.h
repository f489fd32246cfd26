/* One HTTP request over a unix socket: to the router's API, or to Docker's.
 *
 * libcurl; blocking, with limits on time and size.  The CLI has one thread.
 */
#ifndef WEAVE_CMD_CLI_HTTP_IO_H
#define WEAVE_CMD_CLI_HTTP_IO_H

#include <stdbool.h>

#include <weave/text.h>

#define CLI_CONNECT_TIMEOUT_S 3L
#define CLI_TIMEOUT_S 60L
#define CLI_NO_TIMEOUT (-1L) /* the answer comes when it comes, or the connection ends */
#define CLI_NOTE_S 3
#define CLI_ANSWER_SIZE_MAX ((size_t)64 << 20)

struct cli_request {
	const char *socket_path;
	const char *method;
	const char *path; /* starts with '/', already percent-encoded */
	const char *form; /* sent as the body, NULL or "": none */
	bool json;	  /* ask for JSON */
	long timeout_s;	  /* for all of it; 0: CLI_TIMEOUT_S; CLI_NO_TIMEOUT */
	const char
		*note; /* said on stderr when there is no answer after CLI_NOTE_S; NULL: nothing */
};

struct cli_answer {
	int failure;	   /* 0, or curl's error: 7 nobody answers, 28 too slow */
	char problem[256]; /* what it says about that */
	long status;	   /* HTTP's, 0 on failure */
	struct text body;  /* cli_answer_fini frees it */
};

void cli_http(const struct cli_request *request, struct cli_answer *answer);

#define CLI_EXIT_ABSENT 4 /* HTTP 404: a component that does not run */

/* The same to the router whose run folder that is ('socket_path' is filled in).  0, or the exit
 * code after a message on stderr; 'answer' is to be finished in any case. */
int cli_ask(const char *run_dir, struct cli_request *request, struct cli_answer *answer);
void cli_answer_fini(struct cli_answer *answer);

/* Appends "name=value" to a form, percent-encoded (unreserved characters of RFC 3986 stay). */
void cli_form_add(struct text *form, const char *name, const char *value);
void cli_percent_encode(struct text *out, const char *value);

#endif
