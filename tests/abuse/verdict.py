"""Counts what holds and what does not, a line each."""


class Verdict:
    """The checks of one run.

    `known` are the checks that are expected to fail, with the reason: a defect that is known fails nothing, and one that
    is mended is called out, so that its entry does not outlive it.
    """

    def __init__(self, known=None, quiet=False):
        self.known, self.quiet = known or {}, quiet
        self.passed, self.failed, self.defects, self.mended = 0, 0, 0, []
        self.seen = set()
        # The names of the failed checks of each attack, for the self-test.
        self.failures = {}
        self.attack = None

    def check(self, name, holds, found=""):
        """Counts and prints one check; what was found is shown when it does not hold."""
        self.seen.add(name)
        if holds:
            self.passed += 1
            self.mended += [name] if name in self.known else []
            self.say("ok      " + name)
        elif name in self.known:
            self.defects += 1
            self.say(f"known   {name}: {shortened(found)}")
        else:
            self.failed += 1
            self.failures.setdefault(self.attack, []).append(name)
            self.say(f"FAILED  {name}: {shortened(found)}")

    def say(self, line):
        if not self.quiet:
            print(line, flush=True)

    def conclude(self):
        """The closing lines; returns the exit code."""
        for name in self.mended:
            print(f"holds now, so it is no known defect any more: {name}")
        print(f"\n{self.passed} passed, {self.failed} failed, {self.defects} known defects")
        return 1 if self.failed else 0


def shortened(found, limit=600):
    text = str(found)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
