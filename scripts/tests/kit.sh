# Sourced by the scripts beside it: requests to the nodes of a lab from the host, and checks that count.
# API and MANAGEMENT are the first ports of `make cluster`, TOKEN its token, NODES how many nodes there are.
API=${API:-8081} MANAGEMENT=${MANAGEMENT:-9081} TOKEN=${TOKEN:-dev-token} READER=${READER:-dev-reader-token} NODES=${NODES:-5}
LAB=$(dirname "${BASH_SOURCE[0]}")/../lab
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0

# ask NODE METHOD PATH [CURL ARGUMENTS]: prints the body, a line feed and the status ("000": no answer).
ask() {
	local node=$1 method=$2 path=$3
	shift 3
	curl -s -m 10 -w '\n%{http_code}' -X "$method" -H "Authorization: Bearer $TOKEN" "$@" "http://localhost:$((API + node - 1))$path"
}

# code NODE METHOD PATH [...]: the status alone.
code() { ask "$@" | tail -n 1; }
# body NODE PATH [...]: what a GET answers, whatever its status.
body() { local node=$1 path=$2; shift 2; ask "$node" GET "$path" "$@" | sed '$d'; }
# manage NODE PATH FILTER: what jq makes of an object of the management port.
manage() {
	curl -s -m 10 -H "Authorization: Bearer $TOKEN" "http://localhost:$((MANAGEMENT + $1 - 1))$2" | jq -cr "$3"
}
# from_all FILTER PATH: the same of every node that is up, one line where they agree.
from_all() {
	local n urls=()
	for n in $up; do urls+=("http://localhost:$((MANAGEMENT + n - 1))$2"); done
	curl -s -m 10 -H "Authorization: Bearer $TOKEN" "${urls[@]}" | jq -cr "$1" | sort -u
}
up=$(seq "$NODES")

ok() { passed=$((passed + 1)); echo "  ok    $1"; }
bad() { failed=$((failed + 1)); echo "  FAIL  $1"; }
# is WHAT WANTED FOUND
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1: wanted '$2', found '$3'"; fi; }
# holds WHAT COMMAND...: the command succeeds.
holds() { local what=$1; shift; if "$@"; then ok "$what"; else bad "$what: $*"; fi; }
# comes WHAT SECONDS COMMAND...: it succeeds in time; tells how long it took.
comes() {
	local what=$1 seconds=$2 begin=$EPOCHREALTIME now
	shift 2
	until "$@"; do
		now=$EPOCHREALTIME
		if [ $((${now/./} - ${begin/./})) -gt $((seconds * 1000000)) ]; then bad "$what: not within $seconds s"; return; fi
		sleep 0.05
	done
	now=$EPOCHREALTIME
	ok "$what ($(((${now/./} - ${begin/./}) / 1000)) ms, at most $seconds s)"
}
finish() {
	echo "$passed passed, $failed failed, 0 skipped"
	[ -z "$SLIPRING_COUNTS" ] || echo "$passed $failed 0 ${SUITE:-$1}" >>"$SLIPRING_COUNTS"
	[ $failed -eq 0 ] && [ $passed -gt 0 ]
}
