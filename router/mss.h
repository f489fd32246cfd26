/* Lowers the TCP maximum segment size that a SYN announces to what our path carries.
 *
 * Pure.  Changes the frame in place, with its checksum (RFC 1624); never raises the value and
 * never adds the option.
 */
#ifndef WEAVE_ROUTER_MSS_H
#define WEAVE_ROUTER_MSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames longer than this are no SYN worth looking at: headers with all options fit. */
#define MSS_FRAME_SIZE_MAX 200u

/* 'mtu': largest IP packet that travels whole.  'undone': the checksum does not cover the options
 * yet, and stays.  True when the frame was changed. */
bool mss_clamp(uint8_t *frame, size_t size, size_t mtu, bool undone);

#endif
