#!/bin/sh
# Installs lbtest from an archive of a release: scripts/install.sh --help. Nothing is fetched; the archive brings all.
set -eu

usage() {
    cat <<'END'
Usage: scripts/install.sh ARCHIVE CHECKSUM [FOLDER]

Checks that ARCHIVE (lbtest-VERSION-ARCH-linux.tar.gz) has the SHA-256 of CHECKSUM, 64 hexadecimal
digits or a SHA256SUMS file that names the archive, and installs the executable, as `lbtest` and as the
plug-in for `kubectl lbtest`, its manual pages and its completions below FOLDER (default: /usr/local). A
later version replaces an earlier one.
END
}

die() {
    echo "install.sh: $*" >&2
    exit 2
}

case ${1-} in
--help | -h)
    usage
    exit 0
    ;;
esac
case $# in
2 | 3) ;;
*) die "an archive and its checksum are needed; --help tells more" ;;
esac
archive=$1
checksum=$2
folder=${3:-/usr/local}
[ -r "$archive" ] || die "$archive cannot be read"
if [ -f "$checksum" ]; then
    name=$(basename "$archive")
    listed=$(awk -v name="$name" '$2 == name || $2 == "*" name { print $1 }' "$checksum")
    [ -n "$listed" ] || die "$checksum does not list $name"
    checksum=$listed
fi
printf '%s  %s\n' "$checksum" "$archive" | sha256sum -c >/dev/null 2>&1 ||
    die "$archive does not have the checksum $checksum: get both again; nothing was installed"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tar -xzf "$archive" -C "$scratch" --strip-components=1
"$scratch/lbtest" --version >/dev/null 2>&1 ||
    die "the executable does not run here ($(uname -sm)): is the archive for another architecture? nothing was installed"

put() {
    mkdir -p "$(dirname "$2")" && cp "$1" "$2.new" && chmod "$3" "$2.new" && mv "$2.new" "$2"
}
put "$scratch/lbtest" "$folder/bin/lbtest" 755
ln -sf lbtest "$folder/bin/kubectl-lbtest"
for page in "$scratch"/man1/*; do
    put "$page" "$folder/share/man/man1/${page##*/}" 644
done
put "$scratch/completions/lbtest.bash" "$folder/share/bash-completion/completions/lbtest" 644
put "$scratch/completions/lbtest.zsh" "$folder/share/zsh/site-functions/_lbtest" 644
put "$scratch/completions/lbtest.fish" "$folder/share/fish/vendor_completions.d/lbtest.fish" 644
echo "installed $("$folder/bin/lbtest" --version) as $folder/bin/lbtest"
