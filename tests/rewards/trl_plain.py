"""Reward functions in the style of TRL's guide, for data sets of plain text."""

import re


def reward_len(completions, **kwargs):
    """Rewards completions near 20 characters."""
    return [-abs(20 - len(completion)) for completion in completions]


def answer_reward(completions, answer, **kwargs):
    """1 where the boxed answer is that of the data set's own column."""
    matches = [re.search(r"\\boxed\{(.*?)\}", completion) for completion in completions]
    contents = [match.group(1) if match else "" for match in matches]
    return [1.0 if content == truth else 0.0 for content, truth in zip(contents, answer)]


def longer_is_better(prompts, completions, completion_ids, **kwargs):
    """By the tokens, not the characters."""
    assert len(prompts) == len(completions)
    return [float(len(ids)) for ids in completion_ids]


def math_only(prompts, completions, task, **kwargs):
    """One task of several: None where the row is of another."""
    return [float("4" in text) if kind == "math" else None for text, kind in zip(completions, task)]


def shaped(completions, trainer_state, log_metric, log_extra, **kwargs):
    """Grows with training, and logs on the way."""
    log_metric("seen", len(completions))
    log_extra("text", completions)
    return [trainer_state.global_step / 10 for _ in completions]


async def judged(completions, **kwargs):
    """As one that waits for a service."""
    import asyncio

    await asyncio.sleep(0.01)
    return [float(len(completion) > 3) for completion in completions]


reward = reward_len
