# What the scripts of a release share. Sourced; the working directory is the checkout's root.

TARGET=$(uname -m)-unknown-linux-gnu
VERSION=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)

# Everything that bears a date bears this one, so that the same commit gives the same bytes.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

die() {
    echo "${0#./}: $*" >&2
    exit 2
}

# Seconds since this shell began, with what they were spent on.
took() { echo "$1 in $SECONDS s" >&2; }
