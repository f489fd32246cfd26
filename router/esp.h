/* Encryption of the kernel's data path by ESP (RFC 4303): which security associations and which
 * policies the kernel should have now.
 *
 * Pure; loop thread.  Part of struct fastdp, which hands out what has to be changed; the world
 * (router/fastdp_io.c, net/xfrm_io.c) carries it out, and says when it could not.
 *
 * Keys.  The sleeve path's root gives one chain for each direction (sleeve_keys.h), and chains only
 * go forward, as there:
 *
 *	chain n --kdf 1, 36 bytes--> key and salt of epoch n       (AES-256-GCM, RFC 4106)
 *	chain n --kdf 2-----------> chain n+1                      (then chain n is wiped)
 *
 * Epochs.  Each end has associations for what the other end sends now and for what it will send
 * next, so a sender may turn whenever the other end has said, over the control connection, that it
 * takes the next epoch: no packet is lost to a change of keys.
 *
 *	sender                                     receiver
 *	sends n                                    takes n, n+1
 *	   <------------------- MESSAGE (takes n+1)
 *	'life_ms' later: association n+1 out,
 *	the policy names it; sends n+1
 *	   MESSAGE (sends n+1) ------------------->
 *	                                           takes n+1, n+2; n for ESP_LINGER_MS more
 *	   <------------------- MESSAGE (takes n+2)
 *
 * Guards.  For each remote address two policies: what goes out to its VXLAN port must go by the
 * newest association (or not at all), what comes in to ours must have come by one of this guard.
 * They stand before the kernel's maps name that address, and for ESP_LINGER_MS after they have
 * stopped doing so: there is no moment in which a frame could leave in clear.  An association that
 * is used up, expired or deleted by somebody is a packet not sent.
 *
 * An association belongs to the address that its path had when it was made: a path that moves works
 * again two epochs later.
 */
#ifndef WEAVE_ROUTER_ESP_H
#define WEAVE_ROUTER_ESP_H

#include <weave/addr.h>
#include <weave/fastdp.h>
#include <weave/time.h>

/* For what was overtaken, and for programs that still run with what the maps said before. */
#define ESP_LINGER_MS 10000u
#define ESP_CHAIN_SIZE 32u
/* The kernel ends an association that lives so many times longer than it should: the daemon that
 * should have replaced it is gone. */
#define ESP_LIVES 5u
#define ESP_EXPIRES_MIN_S 20u
/* Of the SPI, for epochs; the rest is the path's. */
#define ESP_SPI_EPOCHS 0xffu

struct esp;

struct esp *esp_new(uint64_t life_ms);
void esp_free(struct esp *e); /* wipes all keys */

/* ---- paths, by the number of their fastdp session ---- */
struct esp_chains {
	uint8_t out[ESP_CHAIN_SIZE], in[ESP_CHAIN_SIZE]; /* of epoch 0 */
};

/* 'spi': of epoch 0 of what comes in; its ESP_SPI_EPOCHS are zero, the rest is not. */
void esp_begin(struct esp *e, uint32_t session, uint32_t spi, const struct esp_chains *chains,
	       struct ip_addr remote, struct mono now);
/* The other end's SPI. */
void esp_on_setup(struct esp *e, uint32_t session, uint32_t spi, struct mono now);
void esp_set_remote(struct esp *e, uint32_t session, struct ip_addr remote, struct mono now);
void esp_end(struct esp *e, uint32_t session, struct mono now);
/* The order could not be carried out: none of the paths that need it is ready any more. */
void esp_on_failed(struct esp *e, const struct fastdp_op *op);
/* Its guard stands, and was never refused: the maps may name its address. */
bool esp_ready(const struct esp *e, uint32_t session);
bool esp_spi_in_use(const struct esp *e, uint32_t spi);

/* ---- messages ---- */
struct esp_message {
	uint32_t sends; /* newest epoch that its sender sends in */
	uint32_t takes; /* newest that it takes */
};

/* NULL, or the field that cannot be. */
const char *esp_on_message(struct esp *e, uint32_t session, const struct esp_message *m,
			   struct mono now);
/* The next one to be sent, and for whom; false: none. */
bool esp_next_message(struct esp *e, uint32_t *session, struct esp_message *m);

/* ---- the kernel ---- */
enum esp_orders { ESP_ADDS, ESP_REMOVALS };

/* The next thing to be told, an FASTDP_OP_SA or FASTDP_OP_GUARD; its key is borrowed until the next
 * call.  Additions go before, removals after, all that makes use of them. */
bool esp_next(struct esp *e, enum esp_orders orders, struct fastdp_op *op, struct mono now);
struct mono esp_deadline(const struct esp *e, struct mono now);

void esp_check(const struct esp *e);

#endif
