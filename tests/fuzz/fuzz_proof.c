/* Bodies of PROOF, from a peer that is in with an old password: to both ends, in any state.  The
 * input is cut by a length byte each; a body of size 0 lets the end that dialled begin.
 */
#include <stdint.h>
#include <string.h>

#include <sodium.h>

#include <weave/must.h>

#include "../../gossip/proof_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct passwords passwords = {
	2, { { 1, 3, { 'o', 'n', 'e' } }, { 2, 3, { 't', 'w', 'o' } } }
};

static void hear(struct proof *p, bool dialled, struct bytes body)
{
	uint8_t binding[DERIVED_SIZE] = { 3 }, entropy[PROOF_ENTROPY_SIZE], answer[PROOF_BODY_MAX];
	struct writer w = writer_over(answer, sizeof answer);
	enum proof_result result;
	const char *bad = NULL;
	uint32_t id = 0;

	memset(entropy, dialled + 1, sizeof entropy);
	if (body.size == 0) {
		proof_begin(p, &passwords, binding, entropy, &w);
	} else {
		result = proof_on_message(p, dialled, body, &passwords, binding, entropy, &w, &id,
					  &bad);
		MUST((result == PROOF_BAD) == (bad != NULL));
		/* Nobody guesses a tag. */
		MUST(result != PROOF_DONE);
	}
	MUST(!w.full);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proof ends[2] = { 0 };
	const uint8_t *end = size ? data + size : data;

	MUST(sodium_init() >= 0);
	while (data < end) {
		bool dialled = *data >> 7;
		size_t left = (size_t)(end - data) - 1, n = *data & 0x7f;

		data++;
		n = n > left ? left : n;
		if (n || dialled)
			hear(&ends[dialled], dialled, bytes_of(data, n));
		data += n;
	}
	for (int i = 0; i < 2; i++)
		proof_wipe(&ends[i]);
	return 0;
}
