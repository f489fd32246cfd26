/* Every bound in one place, each with its reason.  Pure. */
#ifndef WEAVE_LIMITS_H
#define WEAVE_LIMITS_H

#include <stddef.h>

/* Control frames: one fits any buffer, and a slow peer blocks others for at most this much. */
#define FRAME_SIZE_MAX 65536u
/* Before a peer has proved who it is, one small fixed buffer each (control-plane.md 5). */
#define HANDSHAKE_SIZE_MAX 2048u
#define HANDSHAKES_MAX 64u
#define HANDSHAKE_TIMEOUT_MS 10000u
/* Addresses whose handshakes failed; a page or three. */
#define STRANGERS_MAX 256u
/* Failed handshakes that an address, and all together, have free; then a puzzle comes first.  More
 * than anybody makes by mistake; and 64 at once are under way at most, so failures that nobody
 * could know of yet fit the allowance of all.  At 0.25 ms each all of them cost at most 2.5 % of a
 * core. */
#define STRANGER_FAILURES 16u
#define STRANGER_FAILURES_PER_S 1u
#define STRANGERS_FAILURES 128u
#define STRANGERS_FAILURES_PER_S 100u
/* Leading zero bits of a solution: 2^16 hashes, about 15 ms; and what we solve at most for others.
 */
#define PUZZLE_BITS 16u
#define PUZZLE_BITS_MAX 18u
/* Each is compared with the address of each new connection. */
#define TRUSTED_SUBNETS_MAX 64u
/* A long random key in base64 fits many times; more is a wrong file. */
#define PASSWORD_SIZE_MAX 1024u
/* The one in use and the one that a network changes from or to: each more is one more guess for
 * whoever attacks a handshake. */
#define PASSWORDS_MAX 2u

/* Entries: small enough that sixteen fit a frame. */
#define ENTRY_SIZE_MAX 4096u
#define ENTRY_KEY_MAX 255u
/* Generations and versions at or above this are malformed: a value that can never be exceeded
 * would lock its key for ever (gossip-review F5e). */
#define VERSION_LIMIT (UINT64_C(1) << 62)
/* All entries of all kinds; 1 000 peers with 100 entries each, ten times over. */
#define STORE_ENTRIES_MAX 1000000u
/* Keys and values of all entries: no peer can make every router hold gigabytes. A million of the
 * usual size (100 bytes) stay far below. */
#define STORE_BYTES_MAX ((size_t)256 << 20)
/* Entries of one writer, so that one peer cannot fill every store. */
#define WRITER_ENTRIES_MAX 65536u
#define GONE_ENTRIES_MAX 4096u
#define PEERS_MAX 16384u

#define UNICAST_QUEUE_MAX (256u * 1024u)
#define UNICAST_PAYLOAD_MAX (FRAME_SIZE_MAX - 64u)
#define OVERLAY_MESSAGE_MAX 1024u
/* Ring id and digest of each universe (42 bytes for IPv6): room for eight. */
#define RINGS_MESSAGE_MAX 512u
#define HOP_LIMIT 32u

#define CONN_LIMIT_DEFAULT 100u
#define TARGETS_MAX 4096u
#define NICKNAME_MAX 255u
#define ADDRESSES_PER_PEER_MAX 16u

/* A ring may have a million pieces and thousands of requests may wait: the report shows so many of
 * them, or it would be hundreds of megabytes. Totals count all. */
#define STATUS_RING_PIECES_MAX 4096u
#define STATUS_PENDING_MAX 1024u
#define STATUS_NAMES_MAX 65536u
/* Address ranges that one router serves at a time: two for dual stack, and room. */
#define IPAM_STORE_UNIVERSES_MAX 16u

/* Data path. */
#define FRAME_DATA_MAX 65535u	     /* an Ethernet frame with all its headers */
#define ENDPOINTS_LOCAL_MAX 16384u   /* MACs on our own bridge */
#define ENDPOINTS_LEARNED_MAX 65536u /* MACs seen behind other peers, not published */
#define ENDPOINT_IPS_MAX 16u
#define REASSEMBLY_FRAMES_MAX 64u /* per connection, oldest goes first */
#define REASSEMBLY_TIMEOUT_MS 2000u
/* New keys for sealed datagrams: a stolen one opens two minutes.  At any speed of today that also
 * keeps far below what a key may seal (2^33 blocks at 10 Gbit/s; GCM's margin is 2^-60 there); the
 * count is for speeds to come. */
#define SLEEVE_EPOCH_MS 120000u
#define SLEEVE_EPOCH_PACKETS (UINT64_C(1) << 40)

#endif
