# What the scripts of a release share. Sourced; the working directory is the checkout's root.

VERSION=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)

# Everything that bears a date bears this one, so that the same commit gives the same bytes. Exported it would have ring,
# and all that depends on it, compiled anew.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

die() {
    echo "${0#./}: $*" >&2
    exit 2
}

# Seconds since this shell began, with what they were spent on.
took() { echo "$1 in $SECONDS s" >&2; }

# What Debian and containers call an architecture.
debian_name() { sed 's/x86_64/amd64/; s/aarch64/arm64/' <<<"$1"; }

# Sets `arch` and `folder` from `[--arch ARCH] [FOLDER]`; `usage` is the script's own.
arch_and_folder() {
    arch=$(uname -m)
    folder=
    while (($# > 0)); do
        case $1 in
        --help | -h)
            usage
            exit 0
            ;;
        --arch)
            (($# > 1)) || die "--arch needs a name: x86_64 or aarch64"
            arch=$2
            shift
            ;;
        --arch=*) arch=${1#*=} ;;
        -*) die "there is no option $1; --help tells more" ;;
        *)
            [[ -z $folder ]] || die "one folder at most; --help tells more"
            folder=$1
            ;;
        esac
        shift
    done
    [[ $arch == x86_64 || $arch == aarch64 ]] || die "--arch is x86_64 or aarch64, not $arch"
    folder=${folder:-dist/$arch}
}
