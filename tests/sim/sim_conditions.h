/* What a scenario can wait for and expect. */
#ifndef WEAVE_SIM_CONDITIONS_H
#define WEAVE_SIM_CONDITIONS_H

#include "sim.h"
#include "sim_script_parse.h"

#define SIM_FLOWS_MAX 64u

/* What "mark" remembered, and frames that "flows" sent. */
struct sim_marks {
	uint64_t *repairs; /* per router */
	uint64_t segments;
	uint64_t *jumps;
	uint64_t flow_first; /* id of the first frame of the waiting in hand */
	size_t memory;
};

struct sim_condition {
	const char *name, *types, *help;
	bool (*holds)(struct sim *s, struct sim_marks *marks, const struct script_value *v);
};

/* NULL at the end. */
const struct sim_condition *sim_condition_at(size_t index);
const struct sim_condition *sim_condition_find(const char *name);

void sim_marks_set(struct sim *s, struct sim_marks *marks);
void sim_marks_fini(struct sim_marks *marks);

#endif
