"""Reward functions in the style of TRL's guide, for conversations."""

import re


def format_reward(completions, **kwargs):
    """Whether the reasoning stands in its tags, in front of an answer."""
    pattern = r"^<think>.*?</think>\s*<answer>.*?</answer>$"
    contents = [completion[0]["content"] for completion in completions]
    return [1.0 if re.match(pattern, content, re.DOTALL) else 0.0 for content in contents]


def echoes(prompts, completions, **kwargs):
    """Punishes completions that repeat what the user said."""
    asked = [prompt[-1]["content"] for prompt in prompts]
    said = [completion[0]["content"] for completion in completions]
    assert all(completion[0]["role"] == "assistant" for completion in completions)
    return [-1.0 if question in text else 0.0 for question, text in zip(asked, said)]
