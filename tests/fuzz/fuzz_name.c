/* A name entry from anybody: what decodes encodes to the same bytes.  Input: { flags u8, key size
 * u8, key, value }. */
#include <stdint.h>
#include <string.h>

#include <weave/must.h>
#include <weave/reader.h>

#include "../../dns/kind_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_over(data, size);
	uint8_t flags = read_u8(&r, "flags") & ENTRY_TOMBSTONE;
	size_t key_size = read_u8(&r, "size");
	const uint8_t *key = read_bytes(&r, key_size, "key");
	struct entry_view e = { .kind = KIND_NAME,
				.flags = flags,
				.writer = 1,
				.generation = 1,
				.version = 1,
				.key = bytes_of(key, key ? key_size : 0) };
	uint8_t k[NAME_KEY_SIZE], v[NAME_VALUE_MAX];
	struct writer to_key = writer_over(k, sizeof k), to_value = writer_over(v, sizeof v);
	struct name_entry name;

	if (!key || !key_size)
		return 0;
	e.value = flags ? bytes_of(NULL, 0) : bytes_of(r.at, reader_left(&r));
	/* So that the hash is no wall. */
	if (!flags && key_size == NAME_KEY_SIZE && name_entry_decode(&name, &e) &&
	    !strcmp(name_entry_decode(&name, &e), "name.hash")) {
		name_entry_key(&name, &to_key);
		e.key = writer_bytes(&to_key);
	}
	if (name_entry_decode(&name, &e))
		return 0;
	if (flags)
		return 0;
	MUST(!hostname_check(name.hostname, NULL));
	to_key = writer_over(k, sizeof k);
	name_entry_key(&name, &to_key);
	MUST(bytes_equal(writer_bytes(&to_key), e.key));
	name_entry_value(&name, &to_value);
	MUST(bytes_equal(writer_bytes(&to_value), e.value));
	return 0;
}
