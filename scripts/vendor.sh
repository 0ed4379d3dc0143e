#!/usr/bin/env bash
# vendor: takes anew what third_party/ has of others, at the version and with the checksums that stand here.
#
#   scripts/vendor.sh            fetches the package, checks it, writes third_party/scalar/api-reference.js.gz
#   scripts/vendor.sh --check    fetches nothing; says whether the file that is there is the one of this script
#
# The file is committed, so that a build needs neither Node nor a network. A new version: its number and the two checksums
# below (both are printed when they differ), then `make docs`, and a look at /api/v1/docs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$root/scripts/common.sh"
cd "$root"

version=1.46.4
package_sha256=335d7f2d3a8ebb6b93a0e45142f5ee15965c09826bcacb18aeb1c5c187eedcb5
script_sha256=a4526135670431b943575ed0e3add6699024b2f08c8cd297337cec6b91d49a27        # of what is in the .gz
file=third_party/scalar/api-reference.js.gz

sum() { sha256sum | cut -d ' ' -f 1; }
expect() { [[ $2 == "$3" ]] || die "$1 has the SHA-256 $2, and scripts/vendor.sh expects $3"; }

if [[ ${1:-} == --check ]]; then
    expect "$file, unpacked," "$(gzip -dc "$file" | sum)" "$script_sha256"
    exit
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "@scalar/api-reference@$version" >/dev/null && mv ./*.tgz package.tgz)
expect "the package" "$(sum <"$work/package.tgz")" "$package_sha256"
tar -xzf "$work/package.tgz" -C "$work" package/dist/browser/standalone.js
# One change: a library in it tries whether it may make code of text, which a Content-Security-Policy without unsafe-eval
# reports each time. It is told no, the answer that it would get.
probe='return new Function(""),!0'
[[ $(grep -cF "$probe" "$work/package/dist/browser/standalone.js") == 1 ]] || die "the probe for new Function is no longer there once: does the page keep to its policy without this change?"
sed -i 's/return new Function(""),!0/return!1/' "$work/package/dist/browser/standalone.js"
expect "the script" "$(sum <"$work/package/dist/browser/standalone.js")" "$script_sha256"
gzip -9nc "$work/package/dist/browser/standalone.js" >"$work/script.gz"
mv "$work/script.gz" "$file"
say "$file is Scalar $version; now: make docs"
