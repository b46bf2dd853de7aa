# Named steps and the seconds that each takes. Sourced by scripts/test and .ci/run.
#
#   run_step NAME COMMAND...   says NAME, runs COMMAND; where that fails the script ends
#   print_steps                the table; to be called from the script's EXIT trap

step_names=()
step_microseconds=()
running_step=
running_since=

now_microseconds() { printf '%s' "${EPOCHREALTIME/[^0-9]/}"; }

run_step() {
    running_step=$1
    running_since=$(now_microseconds)
    shift
    printf '\n== %s\n' "$running_step"
    "$@"
    end_step
}

end_step() {
    step_names+=("$running_step")
    step_microseconds+=("$(($(now_microseconds) - running_since))")
    running_step=
}

# A step that still runs when the table is printed is the one that failed.
print_steps() {
    local failed=$running_step index slowest=0 note
    [[ -z $failed ]] || end_step
    ((${#step_names[@]} > 0)) || return 0
    for index in "${!step_names[@]}"; do
        ((step_microseconds[index] <= step_microseconds[slowest])) || slowest=$index
    done
    printf '\n%-14s %8s\n' step seconds
    for index in "${!step_names[@]}"; do
        note=
        ((index != slowest)) || note='  slowest'
        [[ ${step_names[index]} != "$failed" ]] || note+='  failed'
        printf '%-14s %6d.%d%s\n' "${step_names[index]}" \
            $((step_microseconds[index] / 1000000)) $((step_microseconds[index] / 100000 % 10)) "$note"
    done
}
