#include "api.h"

#include <weave/alloc.h>
#include <weave/must.h>

#include "api_exchange.h"

const char api_type_text[] = "text/plain; charset=utf-8";

struct api_reply *api_reply_new(void)
{
	struct api_reply *r = mem_new(1, sizeof *r);

	r->response = (struct api_response){ .status = 200, .content_type = api_type_text };
	return r;
}

void api_response_error(struct api_response *r, unsigned status, const char *text)
{
	text_fini(&r->body);
	r->status = status;
	r->content_type = api_type_text;
	text_add(&r->body, "%s\n", text);
}

void api_response_why(struct api_response *r, const struct why *why)
{
	unsigned status = why->reason == WHY_INVALID ? 400 : why->reason == WHY_ABSENT ? 404 : 500;

	api_response_error(r, status, why->text[0] ? why->text : why_reason_text(why->reason));
}

void api_response_addresses(struct api_response *r, const struct api_addresses *a,
			    enum api_shape shape)
{
	char cidr[CIDR_TEXT_SIZE];

	for (size_t i = 0; i < a->count; i++)
		text_add(&r->body, "%s%s", i ? " " : "", cidr_text(a->list[i], cidr));
	if (a->count && shape == API_LINE)
		text_add_string(&r->body, "\n");
}

static void destroy(struct api_reply *r)
{
	text_fini(&r->response.body);
	mem_free(r);
}

void api_reply_finish(struct api_reply *r)
{
	MUST(!r->answered);
	r->answered = true;
	r->cancel = NULL;
	if (r->response.body.full)
		api_response_error(&r->response, 500, "the answer is too long");
	if (r->alone)
		destroy(r);
	else if (r->on_answer)
		r->on_answer(r, r->on_answer_ctx);
}

void api_reply_addresses(struct api_reply *r, const struct api_addresses *a)
{
	if (r->shape == API_SILENT)
		r->response.status = 204;
	else
		api_response_addresses(&r->response, a, r->shape);
	api_reply_finish(r);
}

void api_reply_text(struct api_reply *r, const char *text)
{
	if (r->shape == API_SILENT && !*text)
		r->response.status = 204;
	text_add_string(&r->response.body, text);
	if (*text && r->shape != API_VALUE && text[strlen(text) - 1] != '\n')
		text_add_string(&r->response.body, "\n");
	api_reply_finish(r);
}

void api_reply_json(struct api_reply *r, unsigned status, const char *json)
{
	r->response.status = status;
	r->response.content_type = "application/json";
	text_add(&r->response.body, "%s\n", json);
	api_reply_finish(r);
}

void api_reply_fail(struct api_reply *r, const struct why *why)
{
	api_response_why(&r->response, why);
	api_reply_finish(r);
}

void api_reply_on_cancel(struct api_reply *r, void (*cancel)(void *ctx), void *ctx)
{
	MUST(!r->answered && !r->alone);
	r->cancel = cancel;
	r->cancel_ctx = ctx;
}

void api_reply_await(struct api_reply *r, void (*on_answer)(struct api_reply *r, void *ctx),
		     void *ctx)
{
	MUST(!r->answered && !r->on_answer);
	r->on_answer = on_answer;
	r->on_answer_ctx = ctx;
}

void api_reply_free(struct api_reply *r)
{
	if (!r)
		return;
	if (r->answered) {
		destroy(r);
	} else if (r->cancel) {
		r->cancel(r->cancel_ctx);
		destroy(r);
	} else {
		r->alone = true;
		r->on_answer = NULL;
	}
}

void api_reply_refuse(struct api_reply **r, unsigned status, const char *text)
{
	api_reply_free(*r);
	*r = api_reply_new();
	api_response_error(&(*r)->response, status, text);
	(*r)->answered = true;
}
