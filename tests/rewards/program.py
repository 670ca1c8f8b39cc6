"""A judge that speaks lines of JSON: the length of a completion, with a note; silent on blank ones."""

import json
import sys

for line in sys.stdin:
    request = json.loads(line)

    def score(sample):
        text = sample["completion"]
        if text == "die":
            print("cannot go on", file=sys.stderr)
            sys.exit(4)
        if text == "babble":
            return "many"
        return {"score": len(text), "note": f"step {request['step']}"} if text else None

    scores = [score(sample) for sample in request["samples"]]
    print("no JSON" if "garbage" in sys.argv else json.dumps({"scores": scores}), flush=True)
