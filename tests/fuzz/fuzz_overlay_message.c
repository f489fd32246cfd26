/* The set-up messages of the data paths. */
#include <stdint.h>
#include <string.h>

#include <weave/must.h>

#include "../../router/fastdp_wire.h"
#include "../../router/sleeve_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fastdp(struct bytes message)
{
	uint8_t copy[FASTDP_SETUP_SIZE];
	struct writer w = writer_over(copy, sizeof copy);
	struct fastdp_setup setup;

	if (fastdp_setup_read(&setup, message))
		return;
	fastdp_setup_write(&setup, &w);
	MUST(!w.full && writer_size(&w) == message.size);
	MUST(memcmp(copy, message.data, message.size) == 0);
}

static void epochs(struct bytes message)
{
	uint8_t copy[FASTDP_EPOCHS_SIZE];
	struct writer w = writer_over(copy, sizeof copy);
	struct esp_message m;

	if (fastdp_epochs_read(&m, message))
		return;
	fastdp_epochs_write(&m, &w);
	MUST(!w.full && writer_size(&w) == message.size);
	MUST(memcmp(copy, message.data, message.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t copy[SLEEVE_SETUP_SIZE];
	struct writer w = writer_over(copy, sizeof copy);
	struct sleeve_setup setup;

	fastdp(bytes_of(data, size));
	epochs(bytes_of(data, size));
	if (sleeve_setup_read(&setup, bytes_of(data, size)))
		return 0;
	sleeve_setup_write(&setup, &w);
	MUST(!w.full && writer_size(&w) == size && memcmp(copy, data, size) == 0);
	return 0;
}
