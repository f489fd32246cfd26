/* The kinds that this folder owns: their checks, and the fields that several of them share.
 *
 * Pure.  A row {number, name, check} is completed with the on_change of the view that registers
 * it: topology for peer and link, garbage for gone.  Values may be followed by fields of later
 * versions, which are ignored here; keys may not.
 */
#ifndef WEAVE_GOSSIP_KINDS_H
#define WEAVE_GOSSIP_KINDS_H

#include <weave/peer.h>
#include <weave/reader.h>
#include <weave/store.h>
#include <weave/writer.h>

extern const struct kind kind_peer, kind_link, kind_gone;

/* u48, not zero. */
peer_name kind_read_name(struct reader *r, const char *what);
/* u8 length and printable text into 'text' (NUL-terminated); longer than 'max' fails. */
void kind_read_text(struct reader *r, char *text, size_t max, const char *what);
void kind_write_text(struct writer *w, const char *text, size_t max);
/* u8 family (0, 4, 6) and 0, 4 or 16 bytes. */
struct ip_addr kind_read_ip(struct reader *r, const char *what);
void kind_write_ip(struct writer *w, struct ip_addr ip);

#endif
