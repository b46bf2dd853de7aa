# Named steps and the seconds that each takes. Sourced by scripts/test and .ci/run.
#
#   run_step NAME COMMAND...   says NAME and runs COMMAND in a shell of its own; where that fails the next ones run all the same
#   print_steps                the table; to be called from the script's EXIT trap
#   no_step_failed             names the steps that failed, if any, and fails then

step_names=()
step_microseconds=()
failed_steps=()

now_microseconds() { printf '%s' "${EPOCHREALTIME/[^0-9]/}"; }

run_step() {
    local name=$1 began status
    began=$(now_microseconds)
    shift
    printf '\n== %s\n' "$name"
    # Tested in any way, the command would not stop at its own first failure.
    set +e
    (
        set -e
        "$@"
    )
    status=$?
    set -e
    step_names+=("$name")
    step_microseconds+=("$(($(now_microseconds) - began))")
    ((status == 0)) || failed_steps+=("$name")
}

has_failed() { [[ " ${failed_steps[*]} " == *" $1 "* ]]; }

print_steps() {
    local index slowest=0 note
    ((${#step_names[@]} > 0)) || return 0
    for index in "${!step_names[@]}"; do
        ((step_microseconds[index] <= step_microseconds[slowest])) || slowest=$index
    done
    printf '\n%-14s %8s\n' step seconds
    for index in "${!step_names[@]}"; do
        note=
        ((index != slowest)) || note='  slowest'
        ! has_failed "${step_names[index]}" || note+='  failed'
        printf '%-14s %6d.%d%s\n' "${step_names[index]}" \
            $((step_microseconds[index] / 1000000)) $((step_microseconds[index] / 100000 % 10)) "$note"
    done
}

no_step_failed() {
    ((${#failed_steps[@]} > 0)) || return 0
    printf '\n%s: failed: %s\n' "${0#./}" "${failed_steps[*]}" >&2
    return 1
}
