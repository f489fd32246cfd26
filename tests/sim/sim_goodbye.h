/* Checks that both ends of a connection show the same reason for its end: the one that was said. */
#ifndef WEAVE_SIM_GOODBYE_H
#define WEAVE_SIM_GOODBYE_H

#include "sim_stream.h"

/* The engine of 'side' has just asked to close this open connection. */
void sim_goodbye(struct sim_stream *t, unsigned side);

#endif
