/* Starting, stopping and resetting the daemon.  Results are exit codes of `weave`; messages go to
 * stderr.
 *
 * launch: weaver gets a session of its own, its output goes to <run-dir>/weaver.log, and it tells
 * over a pipe whether it is ready ("ready <peer name>" or "error <text>").  A launch that fails
 * leaves no process behind.
 */
#ifndef WEAVE_CMD_CLI_PROCESS_IO_H
#define WEAVE_CMD_CLI_PROCESS_IO_H

#include <stdbool.h>
#include <stddef.h>

#define CLI_LAUNCH_TIMEOUT_MS 10000
#define CLI_STOP_TIMEOUT_MS 10000

/* 'args' are the options and peers for weaver. */
int cli_launch(const char *run_dir, const char *state_dir, const char *const *args,
	       size_t args_count);

/* 0 also when no router runs (with a note). */
int cli_stop(const char *run_dir);

/* Has the router give its addresses to an heir, stops it, and runs `weaver --reset`.  Without
 * 'force' it ends before the stop when the addresses cannot be given away: because the router says
 * so, or because it does not run and has some on its disk. */
int cli_reset(const char *run_dir, const char *state_dir, bool force);

/* Runs `weaver --version`. */
int cli_daemon_version(void);

#endif
