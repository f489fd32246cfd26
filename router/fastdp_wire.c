#include "fastdp_wire.h"

#include <string.h>

#include <weave/bpf_maps.h>
#include <weave/must.h>

#include "frame.h"

const char *fastdp_setup_read(struct fastdp_setup *s, struct bytes message)
{
	struct reader r = reader_over(message.data, message.size);

	*s = (struct fastdp_setup){ 0 };
	if (read_u8(&r, "fastdp.type") != FASTDP_SETUP_TYPE)
		reader_fail(&r, "fastdp.type");
	if (read_u8(&r, "fastdp.reserved") != 0)
		reader_fail(&r, "fastdp.reserved");
	s->port = read_u16(&r, "fastdp.port");
	if (!s->port)
		reader_fail(&r, "fastdp.port");
	s->session = read_u32(&r, "fastdp.session");
	if (!s->session)
		reader_fail(&r, "fastdp.session");
	s->key.k0 = read_u64(&r, "fastdp.key");
	s->key.k1 = read_u64(&r, "fastdp.key");
	s->spi = read_u32(&r, "fastdp.spi");
	if (s->spi && (s->spi <= ESP_SPI_EPOCHS || (s->spi & ESP_SPI_EPOCHS)))
		reader_fail(&r, "fastdp.spi");
	return reader_verdict(&r);
}

void fastdp_setup_write(const struct fastdp_setup *s, struct writer *w)
{
	write_u8(w, FASTDP_SETUP_TYPE);
	write_u8(w, 0);
	write_u16(w, s->port);
	write_u32(w, s->session);
	write_u64(w, s->key.k0);
	write_u64(w, s->key.k1);
	write_u32(w, s->spi);
}

const char *fastdp_epochs_read(struct esp_message *m, struct bytes message)
{
	struct reader r = reader_over(message.data, message.size);

	*m = (struct esp_message){ 0 };
	if (read_u8(&r, "epochs.type") != FASTDP_EPOCHS_TYPE)
		reader_fail(&r, "epochs.type");
	if (read_uint(&r, 3, "epochs.reserved") != 0)
		reader_fail(&r, "epochs.reserved");
	m->sends = read_u32(&r, "epochs.sends");
	m->takes = read_u32(&r, "epochs.takes");
	return reader_verdict(&r);
}

void fastdp_epochs_write(const struct esp_message *m, struct writer *w)
{
	write_u8(w, FASTDP_EPOCHS_TYPE);
	write_uint(w, 0, 3);
	write_u32(w, m->sends);
	write_u32(w, m->takes);
}

static void put_u16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

void fastdp_ping_write(const struct fastdp_ping_frame *f, uint8_t *frame)
{
	uint8_t *ping = frame + FRAME_HEADER_SIZE + 20;
	struct writer w = writer_over(ping, sizeof(struct fastdp_ping));
	uint8_t *ip = frame + FRAME_HEADER_SIZE;
	size_t size = f->size - FRAME_HEADER_SIZE;

	MUST(f->size >= FASTDP_PING_FRAME_MIN && size <= UINT16_MAX);
	memset(frame, 0, f->size);
	frame[0] = 0x02; /* of nobody: only the kernel of the other end sees it */
	frame[6] = 0x02;
	memcpy(frame + 8, &f->session, sizeof f->session);
	put_u16(frame + 12, ETHERTYPE_IPV4);
	ip[0] = 0x45;
	put_u16(ip + 2, (uint16_t)size);
	ip[8] = 1; /* hops: it is not to be forwarded */
	ip[9] = FASTDP_PING_PROTOCOL;
	put_u16(ip + 10, checksum_finish(checksum_add(0, ip, 20)));
	write_u8(&w, FASTDP_PING);
	write_u8(&w, f->by_hand ? FASTDP_PING_BY_HAND : 0);
	write_u16(&w, 0);
	write_u32(&w, f->their_session);
	write_u32(&w, f->token);
	write_u32(&w, 0);
	write_u64(&w, hash64(&f->theirs, ping, FASTDP_PING_PROVED));
	MUST(!w.full);
}
