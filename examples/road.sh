#!/usr/bin/env bash
# Fine-tune, reinforce, evaluate: the tiny policy's road once through. See road.md. Needs a built program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

grouper=target/release/grouper
runs=${1:-runs/road}
TIMEFORMAT='  %R s'
newest() { printf '%s\n' "$runs/$1"/* | sort -V | tail -n1; }

echo "== fine-tune: 60 updates on demonstrations of which half are right"
time $grouper sft configs/sft_tiny.toml --run "$runs" -q --set name=fine_tune \
    --set model.random_init=false --set data.source.chain_demonstrations.n_problems=20000 \
    --set data.source.chain_demonstrations.right=0.5 --set sft.steps=60 \
    --set optimizer.lr=5e-4 --set optimizer.schedule.warmup_steps=5

echo "== reinforce: 20 steps of GRPO on what came of it"
time $grouper grpo configs/r1_zero_tiny.toml --run "$runs" -q --set name=reinforce \
    --set model.checkpoint="$(newest fine_tune)/final" --set grpo.steps=20

echo "== evaluate: base, fine-tuned, reinforced"
time for model in configs/checkpoints/tiny "$(newest fine_tune)/final" "$(newest reinforce)/final"; do
    echo "$model"
    $grouper eval configs/r1_zero_tiny.toml --model "$model"
done
