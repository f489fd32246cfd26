/* weave-plugin beside the router: started by launch, ended by reset only, for Docker needs it to
 * stop containers while no router runs.  Messages go to stderr. */
#ifndef WEAVE_CMD_CLI_PLUGIN_IO_H
#define WEAVE_CMD_CLI_PLUGIN_IO_H

#include "options.h"

/* Starts it if it is wanted and nobody answers on its socket; 0, or 1 when it is wanted by the
 * options and does not start. */
int cli_plugin_start(const struct weaver_options *o);
/* Ends the one of this run folder; none there is fine. */
void cli_plugin_stop(const char *run_dir);

#endif
