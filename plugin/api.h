/* Between the HTTP server and the API: requests, answers, and the life of an answer to come.
 * Everybody else includes <weave/api.h>.  Pure; loop thread.
 *
 *	       api_handle                     api_reply_...
 *	NEW ----------------> OPEN -----------------------------> ANSWERED --> api_reply_free
 *	                       |  the client goes: api_reply_free
 *	                       |     with a cancel: called, freed
 *	                       +---> without: nobody waits; freed by api_reply_...
 */
#ifndef WEAVE_PLUGIN_API_H
#define WEAVE_PLUGIN_API_H

#include <weave/api.h>
#include <weave/text.h>

#define API_FORM_SIZE_MAX 65536u   /* of a request's body */
#define API_DOCKER_PATH "/docker/" /* below it the body is JSON, of DOCKER_BODY_MAX at most */

/* A request as it came in; everything borrowed. */
struct api_request {
	const char *method;
	const char *uri;  /* path and query, still percent-encoded */
	const char *form; /* body: application/x-www-form-urlencoded, or JSON; may be NULL */
	size_t form_size;
	bool wants_json; /* Accept: application/json */
	bool read_only;	 /* came in on the read-only listener */
};

struct api_response {
	unsigned status;
	const char *content_type;
	const char *allow; /* for the Allow header, NULL if none */
	struct text body;
};

/* What a success looks like. */
enum api_shape {
	API_LINE,   /* 200, with a newline at the end */
	API_VALUE,  /* 200, without it: clients of Weave Net parse the body as it is */
	API_SILENT, /* 204; a text, if there is one, as 200 */
};

/* Read freely, change by functions. */
struct api_reply {
	struct api_response response; /* holds when answered */
	bool answered;
	bool brief; /* never waits for other routers */
	bool alone; /* nobody waits for it any more */
	enum api_shape shape;
	void (*cancel)(void *ctx);
	void *cancel_ctx;
	void (*on_answer)(struct api_reply *r, void *ctx); /* see api_reply_await */
	void *on_answer_ctx;
};

struct api_reply *api_reply_new(void);

/* Answers 'request' in 'reply', which is new: at once (then it is answered on return) or later.
 * Errors are answers too. */
void api_handle(const struct api_ops *ops, const struct api_request *request,
		struct api_reply *reply);

/* 'on_answer' is called once, when the answer is there. */
void api_reply_await(struct api_reply *r, void (*on_answer)(struct api_reply *r, void *ctx),
		     void *ctx);

/* Whatever its state; an operation that still works on it is cancelled.  NULL is fine. */
void api_reply_free(struct api_reply *r);

/* An answer of the server itself, which takes the place of whatever an operation may still say:
 * that is cancelled. */
void api_reply_refuse(struct api_reply **r, unsigned status, const char *text);

/* The 'index'-th route, or false: its method, its pattern ("{}" stands for one segment) and
 * whether the read-only listener answers it.  For tests. */
bool api_route(size_t index, const char **method, const char **pattern, bool *read_only);

#endif
