/* The set-up message of the data path. */
#include <stdint.h>
#include <string.h>

#include <weave/must.h>

#include "../../router/sleeve_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t copy[SLEEVE_SETUP_SIZE];
	struct writer w = writer_over(copy, sizeof copy);
	struct sleeve_setup setup;

	if (sleeve_setup_read(&setup, bytes_of(data, size)))
		return 0;
	sleeve_setup_write(&setup, &w);
	MUST(!w.full && writer_size(&w) == size && memcmp(copy, data, size) == 0);
	return 0;
}
