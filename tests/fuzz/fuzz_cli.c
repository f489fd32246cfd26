/* Command lines, one word per line: as weave's arguments, and as weaver's options with the lines
 * behind an empty one as the environment. */
#include <stdint.h>
#include <string.h>

#include <weave/alloc.h>
#include <weave/hostport.h>
#include <weave/must.h>

#include "../../cmd/cli_args.h"
#include "../../cmd/options.h"

#define WORDS_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_weave(const char *const *words, int count)
{
	struct text message = { 0 };
	struct cli_args a;
	enum cli_verdict verdict = cli_args_parse(&a, count, words, &message);

	MUST(verdict != CLI_WRONG || message.size > 0);
	MUST(verdict != CLI_RUN || message.size == 0);
	MUST(a.addresses_count <= CLI_ADDRESSES_MAX);
	MUST(a.rest_count <= (size_t)count);
	for (size_t i = 0; verdict == CLI_RUN && i < a.addresses_count; i++) {
		const char *text = a.addresses[i], *colon = strchr(text, ':');
		bool marked = strncmp(text, "ip:", 3) == 0 || strncmp(text, "net:", 4) == 0;
		struct cidr again;

		MUST(strcmp(text, "net:default") == 0 ||
		     cidr_parse(marked ? colon + 1 : text, &again));
	}
	text_fini(&message);
}

static void as_weaver(const char *const *words, int count, const char *const *environment)
{
	struct weaver_options o;
	struct hostport parsed;
	struct why why = { 0 };

	if (!weaver_options_parse(&o, count, words, environment, &why)) {
		MUST(why.reason == WHY_INVALID && why.text[0]);
		return;
	}
	MUST(o.run_dir[0] == '/' && o.state_dir[0] == '/');
	MUST(o.port > 0 && o.bridge[0]);
	for (size_t i = 0; i < o.peers_count; i++)
		MUST(hostport_parse(o.peers[i], &parsed, &why));
	weaver_options_fini(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *words[WORDS_MAX + 1] = { NULL };
	size_t before = mem_in_use();
	char *text = mem_new(size + 1, 1), *at = text;
	int count = 0, arguments = -1;

	memcpy(text, data, size);
	while (count < WORDS_MAX && at <= text + size) {
		size_t length = strcspn(at, "\n");

		if (length == 0 && arguments < 0)
			arguments = count;
		at[length] = '\0';
		words[count++] = at;
		at += length + 1;
	}
	if (arguments < 0)
		arguments = count;
	as_weave(words, arguments);
	as_weaver(words, arguments, words + arguments);
	mem_free(text);
	MUST(mem_in_use() == before);
	return 0;
}
