#!/usr/bin/env bash
#SBATCH --job-name=ban-gate-sweep
#SBATCH --array=0-7
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@60
#
# A sweep in as many parts as the array has tasks, which begins with 0:
#   ban-gate sweep plan http://mlflow:5000 --samples samples.toml -o /shared/sweep
#   sbatch slurm-array.sh /shared/sweep
# The same command once more does what is left. Verdicts are no failure of a task: read them with
#   ban-gate sweep report /shared/sweep
set -euo pipefail

sweep=${1:?give the folder of the sweep}
export OMP_NUM_THREADS=1

# In the background, so that bash hears the signal above and passes it on.
ban-gate sweep run "$sweep" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
  --workers "${SLURM_CPUS_PER_TASK:-1}" --requests-per-second 5 --exit-zero &
child=$!
trap 'kill -TERM "$child"' TERM
code=0
wait "$child" || code=$?
if kill -0 "$child" 2>/dev/null; then # a signal ended the wait, not the sweep
  code=0
  wait "$child" || code=$?
fi
exit "$code"
