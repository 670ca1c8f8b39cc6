"""A score in the style of verl's `default_compute_score`: one function for many data sets, with details."""


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    if data_source == "math":
        right = solution_str.strip() == ground_truth
        return {"score": 1.0 if right else -1.0, "acc": right, "pred": solution_str.strip()}
    if data_source == "words":
        limit = (extra_info or {}).get("limit", 3)
        return float(len(solution_str.split()) <= limit)
    raise NotImplementedError(f"Reward function is not implemented for {data_source=}")
