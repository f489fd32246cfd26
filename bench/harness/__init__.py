"""The benchmark harness: how weave's ways to carry traffic, and other overlays, compare.

	place     where is measured: namespaces of this machine, or two real hosts over ssh
	modes     what is measured: each way to carry a frame from host to host
	peers     the same for overlays that others make and Debian packages
	path      whether traffic really goes the way that a mode claims
	measures  one measurement between two containers
	cpu       processor time of a host, and of whom
	rounds    the run: rounds interleaved between modes, results kept as they come
	result    the file of results: schema, medians, ratios, CSV
	stats     the statistics, pure
	compare   what got slower between two results
	report    the page and the picture
	machine   what it was measured on

docs/BENCHMARK.md says how to use it, how to read it and how to add a mode.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "net"))
