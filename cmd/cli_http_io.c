#include "cli_http_io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

/* For how long there has been no answer, and what is to be said about it. */
struct patience {
	time_t since;
	const char *note; /* NULL: nothing, or said */
};

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
	struct text *body = ctx;

	text_add_bytes(body, data, size * count);
	return body->full ? 0 : size * count; /* 0 makes curl give up */
}

/* Called by curl all the time. */
static int on_progress(void *ctx, curl_off_t total, curl_off_t got, curl_off_t to_send,
		       curl_off_t sent)
{
	struct patience *patience = ctx;

	(void)total;
	(void)to_send;
	(void)sent;
	if (patience->note && got == 0 && time(NULL) - patience->since >= CLI_NOTE_S) {
		fprintf(stderr, "weave: %s\n", patience->note);
		patience->note = NULL;
	}
	return 0;
}

static long timeout_of(const struct cli_request *r)
{
	if (r->timeout_s == CLI_NO_TIMEOUT)
		return 0; /* curl's word for none */
	return r->timeout_s ? r->timeout_s : CLI_TIMEOUT_S;
}

static void set_up(CURL *curl, const struct cli_request *r, struct curl_slist *headers,
		   struct cli_answer *answer, char *error)
{
	struct text url = { 0 };

	text_add(&url, "http://weave%s", r->path);
	curl_easy_setopt(curl, CURLOPT_URL, text_string(&url)); /* keeps a copy */
	text_fini(&url);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, r->socket_path);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CLI_CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, timeout_of(r));
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body);
	if (strcmp(r->method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, r->form ? (long)strlen(r->form) : 0L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->form ? r->form : "");
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
	}
}

static void explain_failure(CURL *curl, CURLcode rc, const char *error, struct cli_answer *answer)
{
	long os_error = 0;

	answer->failure = (int)rc;
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
	if (os_error && rc == CURLE_COULDNT_CONNECT)
		snprintf(answer->problem, sizeof answer->problem, "%s", strerror((int)os_error));
	else
		snprintf(answer->problem, sizeof answer->problem, "%s",
			 error[0] ? error : curl_easy_strerror(rc));
}

void cli_http(const struct cli_request *request, struct cli_answer *answer)
{
	char error[CURL_ERROR_SIZE] = "";
	struct patience patience = { time(NULL), request->note };
	struct curl_slist *headers = NULL;
	CURL *curl = curl_easy_init();
	CURLcode rc;

	*answer = (struct cli_answer){ .body = { .limit = CLI_ANSWER_SIZE_MAX } };
	if (!curl) {
		answer->failure = CURLE_FAILED_INIT;
		snprintf(answer->problem, sizeof answer->problem, "libcurl does not start");
		return;
	}
	headers = curl_slist_append(headers, request->json ? "Accept: application/json"
							   : "Accept: text/plain");
	set_up(curl, request, headers, answer, error);
	if (request->note) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &patience);
	}
	rc = curl_easy_perform(curl);
	if (rc == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
	else
		explain_failure(curl, rc, error, answer);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
}

void cli_answer_fini(struct cli_answer *answer)
{
	text_fini(&answer->body);
}

void cli_percent_encode(struct text *out, const char *value)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789-._~";

	for (; *value; value++) {
		if (strchr(unreserved, *value))
			text_add_bytes(out, value, 1);
		else
			text_add(out, "%%%02X", (unsigned)(unsigned char)*value);
	}
}

void cli_form_add(struct text *form, const char *name, const char *value)
{
	text_add(form, "%s%s=", form->size ? "&" : "", name);
	cli_percent_encode(form, value);
}

static int no_answer(const char *run_dir, const struct cli_answer *answer)
{
	fprintf(stderr, "weave: the router does not answer on %s/weave.sock: %s\n", run_dir,
		answer->problem);
	return answer->failure;
}

static int refused(const struct cli_answer *answer)
{
	const char *body = text_string(&answer->body);

	if (*body)
		fprintf(stderr, "%s%s", body, body[strlen(body) - 1] == '\n' ? "" : "\n");
	else
		fprintf(stderr, "weave: the router answers %ld\n", answer->status);
	return answer->status == 404 ? CLI_EXIT_ABSENT : 1;
}

int cli_ask(const char *run_dir, struct cli_request *request, struct cli_answer *answer)
{
	struct text socket = { 0 };
	int result = 0;

	text_add(&socket, "%s/weave.sock", run_dir);
	request->socket_path = text_string(&socket);
	cli_http(request, answer);
	if (answer->failure)
		result = no_answer(run_dir, answer);
	else if (answer->status / 100 != 2)
		result = refused(answer);
	request->socket_path = NULL;
	text_fini(&socket);
	return result;
}
