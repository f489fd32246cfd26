#include <weave/net.h>

#include <errno.h>
#include <jansson.h>
#include <nftables/libnftables.h>
#include <string.h>

#include <weave/alloc.h>

/* nft's complaint without the echo of the input that follows it on further lines. */
static void first_line(const char *text, char *line, size_t size)
{
	size_t n = strcspn(text, "\n");

	if (n >= size)
		n = size - 1;
	memcpy(line, text, n);
	line[n] = 0;
}

int net_nft(const char *commands, char **output, struct why *why)
{
	/* A context of its own per call: its socket belongs to the namespace we are in. */
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	char line[120];
	int rc = 0;

	if (!nft || nft_ctx_buffer_output(nft) || nft_ctx_buffer_error(nft)) {
		why_set(why, WHY_INVALID, "nftables: no context");
		rc = -ENOMEM;
		goto out;
	}
	if (output)
		nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_NUMERIC_ALL);
	if (nft_run_cmd_from_buffer(nft, commands)) {
		rc = -EIO;
		first_line(nft_ctx_get_error_buffer(nft), line, sizeof line);
		why_set(why, WHY_INVALID, "nftables: %s", *line ? line : "refused");
		goto out;
	}
	if (output)
		*output = mem_copy_text(nft_ctx_get_output_buffer(nft));
out:
	if (nft)
		nft_ctx_free(nft);
	return rc;
}

int net_nft_table_exists(const char *table, bool *exists, struct why *why)
{
	char *text = NULL;
	json_t *root, *item;
	size_t i;
	int rc = net_nft("list tables inet", &text, why);

	*exists = false;
	if (rc)
		return rc;
	root = json_loads(text, 0, NULL);
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		const char *name = json_string_value(
			json_object_get(json_object_get(item, "table"), "name"));

		if (name && strcmp(name, table) == 0)
			*exists = true;
	}
	json_decref(root);
	mem_free(text);
	return 0;
}
