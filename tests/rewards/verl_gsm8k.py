"""A score in the style of verl's GSM8K example: the number behind `####`."""

import re


def extract_solution(solution_str, method="strict"):
    if method == "strict":
        found = re.findall(r"#### (\-?[0-9\.\,]+)", solution_str)
        return found[-1].replace(",", "").replace("$", "") if found else None
    found = [number for number in re.findall(r"(\-?[0-9\.\,]+)", solution_str) if number not in ("", ".")]
    return found[-1] if found else None


def compute_score(data_source, solution_str, ground_truth, extra_info=None, method="strict", format_score=0.1, score=1.0):
    answer = extract_solution(solution_str, method)
    if answer is None:
        return 0
    return score if answer == ground_truth else format_score
