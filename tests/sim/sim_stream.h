/* A TCP connection of the simulated network: two ends, a pipe each way.  Private to the network. */
#ifndef WEAVE_SIM_STREAM_H
#define WEAVE_SIM_STREAM_H

#include <weave/gossip.h>
#include <weave/list.h>
#include <weave/table.h>

#include "sim.h"

enum sim_segment_type { SEGMENT_DATA, SEGMENT_FIN, SEGMENT_RESET };

struct sim_segment {
	struct list link;
	uint64_t at_us; /* arrives */
	enum sim_segment_type type;
	size_t size;
	uint8_t data[];
};

enum sim_half_state { HALF_CONNECTING, HALF_OPEN, HALF_CLOSING, HALF_GONE };

struct sim_half {
	struct sim_stream *stream;
	struct sim_router *router;
	uint64_t incarnation; /* of the router, when this end was opened */
	conn_id conn;
	struct table_link by_conn; /* in router->halves unless GONE */
	enum sim_half_state state;
	uint8_t *unsent; /* pulled, not yet taken by the window */
	size_t unsent_size, unsent_at;
	bool blocked; /* the window is full; goes on when it opens */
};

/* From half[i] to half[!i]. */
struct sim_pipe {
	struct list segments; /* in order of arrival */
	uint64_t last_us;     /* arrival of the newest */
	size_t window, unacked;
	size_t read;  /* delivered, its acknowledgement not yet returned */
	bool pending; /* an event for the first segment is in the queue */
	bool held;    /* the first segment waits for the link or the reader */
	bool ended;   /* FIN or RESET was sent */
};

struct sim_stream {
	struct sim *sim;
	struct sim_stream *next, *prev;
	uint64_t number;
	struct netaddr dialled;
	uint16_t port;	 /* of the dialling end */
	bool answered;	 /* a SYN got through */
	bool faulted;	 /* the world broke it: its reasons may differ */
	uint32_t events; /* in the queue that point here */
	struct sim_half half[2];
	struct sim_pipe pipe[2];
	uint32_t reasons[2]; /* bits of enum why_reason shown for the end */
};

struct sim_link *stream_link(const struct sim_stream *t, unsigned from);

#endif
