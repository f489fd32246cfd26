"""A run: every mode of a profile is set up and its way checked; then rounds, in each of which every
mode has its turn at every measure, so that a slow minute of the machine hits all; then the ways are
checked again.  What is measured is in the result at once: a run that is broken off keeps it."""

import contextlib
import dataclasses
import os
import subprocess
import time

import lab
from . import cpu, measures, modes, path, result

TRIES = 2

FAILURES = (AssertionError, RuntimeError, OSError, ValueError, KeyError, subprocess.SubprocessError)


def short(error):
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return " / ".join(lines)[-300:] if lines else type(error).__name__


class Run:
    def __init__(self, result, settings, names, measure_names, rounds, until=None, say=print):
        self.result = result
        self.asked = settings
        self.names = names              # of modes
        self.measures = [measures.MEASURES[n] for n in measure_names]
        self.rounds = rounds
        self.until = until              # time.monotonic() at which no further round begins
        self.say = say
        self.slice = len(result["slices"]) - 1
        self.longest = 0.0              # seconds of a round

    def set_state(self, profile, mode, status, reason=""):
        state = self.result["state"].setdefault(profile, {})
        old = state.get(mode, {})
        tainted = any(r["profile"] == profile and r["mode"] == mode for r in self.result["runs"])
        if old.get("status") == "failed" and tainted:
            return  # its runs cannot be told apart from those of a slice that went well
        state[mode] = {**old, "status": status, "reason": reason}
        if status != "measured":
            self.say(f"  {self.result['modes'][mode]['title']}: {status}: {reason}")

    def build(self, place, name):
        """A scene whose way was checked, or None and the reason is noted."""
        profile, mode = place.profile.name, modes.MODES[name]
        try:
            if mode.hosts > place.hosts_max:
                raise modes.Unavailable(f"needs {mode.hosts} hosts")
            missing = [t for t in ("tcpdump", *mode.tools) if not place.has(t)]
            if missing:
                raise modes.Unavailable(f"not installed: {', '.join(missing)}")
            scene = mode.build(place)
            # A peer's handshake that was too early for the other end comes again after 20 s.
            lab.wait_until(modes.SETTLE * 2, lambda: scene.client.reaches(scene.ip),
                           "the other container answers a ping")
            problem = path.wrong(scene)
            # Some begin over TCP, or through a third one, and find their way in a moment.
            deadline = time.monotonic() + modes.SETTLE
            while problem and mode.group == "peer" and time.monotonic() < deadline:
                time.sleep(0.5)
                problem = path.wrong(scene)
            if problem:
                raise RuntimeError(problem)
        except modes.Unavailable as reason:
            if not self.result["state"].get(profile, {}).get(name):
                self.set_state(profile, name, "skipped", str(reason))
            return None
        except FAILURES as error:
            self.set_state(profile, name, "failed", short(error))
            return None
        self.set_state(profile, name, "measured")
        self.result["state"][profile][name]["mtu"] = scene.mtu
        return scene

    def check_again(self, profile, name, scene):
        try:
            problem = path.wrong(scene)
        except FAILURES as error:
            problem = short(error)
        if problem:
            self.set_state(profile, name, "failed", f"after measuring: {problem}")

    def turn(self, profile, name, scene, number):
        parts = []
        for measure in self.measures:
            run = {"profile": profile, "mode": name, "measure": measure.name, "round": number,
                   "slice": self.slice}
            try:
                run.update(self.undisturbed(measure, scene))
            except FAILURES as error:
                run["error"] = short(error)
                self.say(f"    {name} {measure.name}: {run['error']}")
            if run.get("metrics") != {}:
                self.result["runs"].append(run)
            mark = "!" if result.is_disturbed(run) else ""
            for metric, value in list(run.get("metrics", {}).items())[:1]:
                parts.append(f"{measure.name} {value:.4g}{mark}")
        self.say(f"    {self.result['modes'][name]['title']:24} {'   '.join(parts)}")

    def undisturbed(self, measure, scene):
        """One measurement; a second one when others used the processors meanwhile, and then that
        of the two that was disturbed less.  What was measured plays no part in the choice."""
        best = None
        for _ in range(TRIES):
            begin = time.monotonic()
            with cpu.Meter(scene.hosts) as meter:
                metrics, raw = measure.function(scene, self.settings)
            share = meter.disturbed(time.monotonic() - begin)
            if best is None or share < best["disturbed"]:
                best = {"metrics": metrics, "raw": raw, "disturbed": round(share, 3)}
                if self.settings.tolerate != result.DISTURBED_MAX:
                    best["tolerated"] = self.settings.tolerate
            if share <= self.settings.tolerate:
                break
        return best

    def next_round(self, profile):
        return 1 + max((r["round"] for r in self.result["runs"] if r["profile"] == profile),
                       default=0)

    def profile(self, place):
        """All rounds of one profile."""
        self.settings = dataclasses.replace(
            self.asked, seconds=self.asked.seconds * place.profile.longer)
        self.longest = 0.0
        self.result["profiles"].setdefault(place.profile.name, place.describe())
        self.say(f"\n{place.profile.title}")
        reason = place.why_not()
        if reason:
            self.result["profiles"][place.profile.name].update(status="skipped", reason=reason)
            self.say(f"  skipped: {reason}")
            return
        if place.exclusive:
            self._one_at_a_time(place)
        else:
            self._side_by_side(place)

    def _side_by_side(self, place):
        name, scenes = place.profile.name, {}
        with contextlib.ExitStack() as stack:
            for mode in self.names:
                scene = self.build(place, mode)
                if scene is not None:
                    scenes[mode] = scene
                    # The laboratory ends all; but some tidy up more when they are asked.
                    if modes.MODES[mode].group == "peer":
                        stack.callback(scene.close)
            for count in range(self.rounds):
                if not self._round(name, count, scenes.items()):
                    break
            for mode, scene in scenes.items():
                self.check_again(name, mode, scene)

    def _one_at_a_time(self, place):
        for count in range(self.rounds):
            if not self._round(place.profile.name, count, self._visits(place)):
                break

    def _visits(self, place):
        for mode in self.names:
            with contextlib.ExitStack() as stack:
                stack.callback(place.clear)
                scene = self.build(place, mode)
                if scene is None:
                    continue
                stack.callback(scene.close)
                yield mode, scene
                self.check_again(place.profile.name, mode, scene)

    def _round(self, profile, count, scenes):
        """False: no time for another one."""
        started = time.monotonic()
        if self.until is not None and started + self.longest > self.until:
            self.say(f"  time is up after {count} rounds")
            return False
        number = self.next_round(profile)
        self.say(f"  round {number}, {os.getloadavg()[0]:.1f} load")
        for mode, scene in scenes:
            self.turn(profile, mode, scene, number)
        self.longest = max(self.longest, time.monotonic() - started)
        return True
