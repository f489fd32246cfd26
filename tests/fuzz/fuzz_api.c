/* Requests as api.c gets them: the first line is "<method> <uri>", with 'j' or 'r' before it for
 * "wants JSON" and "read-only listener", or 'n' or 'h' for a daemon without IPAM and one whose
 * answers come later; the rest is the form.  Else the daemon behind it agrees to everything. */
#include <stdint.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../../plugin/api.h"
#include "../unit/plugin/fake_ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct fake *f, const struct api_request *request,
		  const struct api_response *response)
{
	MUST(response->status >= 200 && response->status < 600);
	MUST(response->content_type);
	MUST(!request->read_only || f->calls.size == 0);
	MUST(response->status / 100 == 2 || response->status == 503 || f->calls.size == 0);
	MUST(response->status != 204 || response->body.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t before = mem_in_use();
	static struct fake f;
	struct api_ops ops = fake_ops(&f);
	struct api_request request = { .method = "GET" };
	struct api_reply *reply;
	char *text = mem_new(size + 1, 1), *line = text, *end, *blank;

	f = (struct fake){ .ipam = true };
	memcpy(text, data, size);
	if (*line == 'j' || *line == 'r' || *line == 'n' || *line == 'h') {
		request.wants_json = *line == 'j';
		request.read_only = *line == 'r';
		f.ipam = *line != 'n';
		f.hold = *line == 'h';
		line++;
	}
	end = line + strcspn(line, "\n");
	if (*end) {
		*end = '\0';
		request.form = end + 1;
		request.form_size = (size_t)(text + size - (end + 1));
	}
	blank = strchr(line, ' ');
	request.uri = blank ? blank + 1 : "/report";
	if (blank) {
		*blank = '\0';
		request.method = line;
	}
	reply = api_reply_new();
	api_handle(&ops, &request, reply);
	if (!reply->answered) {
		MUST(f.hold && f.held_count == 1);
		api_reply_text(reply, "later");
	}
	check(&f, &request, &reply->response);
	api_reply_free(reply);
	text_fini(&f.calls);
	mem_free(text);
	MUST(mem_in_use() == before);
	return 0;
}
