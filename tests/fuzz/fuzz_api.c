/* Requests as api.c gets them: the first line is "<method> <uri>", with 'j' or 'r' before it for
 * "wants JSON" and "read-only listener"; the rest is the form.  The daemon behind it agrees to
 * everything. */
#include <stdint.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/must.h>

#include "../unit/plugin/fake_ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t before = mem_in_use();
	struct fake f = { .refuse = WHY_NONE };
	struct api_ops ops = fake_ops(&f);
	struct api_request request = { .method = "GET" };
	struct api_response response;
	char *text = mem_new(size + 1, 1), *line = text, *end, *blank;

	memcpy(text, data, size);
	if (*line == 'j' || *line == 'r') {
		request.wants_json = *line == 'j';
		request.read_only = *line == 'r';
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
	api_handle(&ops, &request, &response);
	MUST(response.status >= 200 && response.status < 600);
	MUST(response.content_type);
	MUST(!request.read_only || f.calls.size == 0);
	MUST(response.status / 100 == 2 || response.status == 503 || f.calls.size == 0);
	text_fini(&response.body);
	text_fini(&f.calls);
	mem_free(text);
	MUST(mem_in_use() == before);
	return 0;
}
