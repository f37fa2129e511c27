#!/bin/bash
# The cluster's interface as a client of any node meets it, from the host. Needs `make cluster`.
. "$(dirname "$0")/kit.sh"

echo "who is there"
for n in $up; do
	is "node $n lives" 200 "$(code "$n" GET /healthz)"
	is "node $n is ready" 200 "$(code "$n" GET /readyz)"
done
is "all count $NODES nodes" "$NODES" "$(from_all .node_count /cluster/status)"
is "all see all others alive" "$((NODES - 1))" "$(from_all '[.peers[] | select(.status == "Alive")] | length' /cluster/status)"
is "nobody is dead" '[]' "$(from_all .dead_nodes /cluster/status)"
is "all are at one epoch" 1 "$(from_all .epoch /cluster/status | wc -l)"
is "which is a number above 0" true "$(manage 1 /cluster/status '.epoch > 0')"
is "ring_size is nodes x virtual_nodes" "$((NODES * 64))" "$(from_all .ring_size /cluster/status)"
is "there is no read repair yet" false "$(from_all .read_repair_enabled /cluster/status)"
is "members are $NODES, too" "$NODES" "$(from_all '.members | length' /cluster/members)"
is "each knows which one it is" "$NODES" "$(from_all '.node_id' /cluster/members | wc -l)"
is "one partition table" 1 "$(from_all .table_digest /cluster/ring | wc -l)"
is "every slot has a first owner" 16384 "$(from_all '[.members[].first_slots] | add' /cluster/ring)"
is "no heartbeat is late" true "$(from_all '.phi_threshold as $most | all(.peers[]; .phi < $most)' /cluster/heartbeat)"
is "they speak to each other" true "$(from_all '.gossip.packets_in > 0 and .gossip.bytes_out > 0' /dist/metrics)"

echo "who may"
is "nobody without a token" 401 "$(curl -s -o "$scratch/e" -w '%{http_code}' "http://localhost:$API/cluster/status")"
is "the error has a name" unauthenticated "$(jq -r .code "$scratch/e")"
is "nobody with a wrong one" 401 "$(curl -s -o "$scratch/e" -w '%{http_code}' -H 'Authorization: Bearer wrong-token' "http://localhost:$API/cluster/status")"
is "that error has another" bad_token "$(jq -r .code "$scratch/e")"
is "a reader reads" 200 "$(TOKEN=$READER code 1 GET /cluster/status)"
is "a reader does not write" 403 "$(TOKEN=$READER code 1 PUT /v1/cache/greeting --data no)"
is "a Host from elsewhere is refused" 421 "$(code 1 GET /cluster/status -H 'Host: evil.example')"

echo "a key from everywhere"
is "PUT at node 1" 200 "$(code 1 PUT /v1/cache/greeting --data world)"
for n in $up; do
	is "GET at node $n" world "$(body "$n" /v1/cache/greeting)"
done
is "all name the same owners" 1 "$(from_all '[.slot, .epoch, .owners]' /v1/owners/greeting | wc -l)"
is "the slot is CRC-16/XMODEM's" 12182 "$(manage 1 /v1/owners/foo .slot)"
is "HEAD at node 3" 200 "$(curl -s -I -o "$scratch/head" -w '%{http_code}' -H "Authorization: Bearer $TOKEN" "http://localhost:$((API + 2))/v1/cache/greeting")"
holds "it tells the version" grep -qi '^ETag: "[0-9]*"' "$scratch/head"
version=$(tr -d '\r' <"$scratch/head" | sed -n 's/^ETag: //Ip')
is "a condition on that version holds" 200 "$(code 4 PUT /v1/cache/greeting --data again -H "If-Match: $version")"
is "and then no more" 412 "$(code 5 PUT /v1/cache/greeting --data never -H "If-Match: $version")"
is "DELETE at node 5" 200 "$(code "$NODES" DELETE /v1/cache/greeting)"
for n in $up; do
	is "gone at node $n" 404 "$(code "$n" GET /v1/cache/greeting)"
done

echo "any bytes"
head -c 300000 /dev/urandom >"$scratch/blob"
is "300 000 bytes at node 2" 200 "$(code 2 PUT /v1/cache/blob --data-binary @"$scratch/blob" -H 'Content-Type: application/octet-stream')"
for n in $up; do
	curl -s -m 10 -H "Authorization: Bearer $TOKEN" -o "$scratch/back$n" "http://localhost:$((API + n - 1))/v1/cache/blob"
	holds "the same bytes at node $n" cmp -s "$scratch/blob" "$scratch/back$n"
done
is "a life of 300 ms" 200 "$(code 1 PUT /v1/cache/short --data x -H 'Slipring-TTL-Ms: 300')"
gone() { [ "$(code 3 GET /v1/cache/short)" = 404 ]; }
comes "is over at node 3" 2 gone

echo "many keys at once"
jq -nc '{items: [range(200) | {key: "many:\(.)", value: "value \(.)"}]}' >"$scratch/put"
jq -nc '{items: [range(200) | {key: "many:\(.)"}]}' >"$scratch/keys"
is "200 keys written at node 1" 200 "$(ask 1 POST /v1/cache/batch/put --data @"$scratch/put" | sed '$d' | jq '[.items[] | select(.status == "ok")] | length')"
for n in $up; do
	is "and read at node $n" 200 "$(ask "$n" POST /v1/cache/batch/get --data @"$scratch/keys" | sed '$d' |
		jq '[.items | to_entries[] | select(.value.value == "value \(.key)")] | length')"
done
seq 0 59 | sed "s|.*|url = http://localhost:$MANAGEMENT/v1/owners/many:&|" >"$scratch/urls"
owners=$(curl -s -H "Authorization: Bearer $TOKEN" -K "$scratch/urls" | jq -r '.owners[0].node_id' | sort -u | wc -l)
is "they belong to all nodes" "$NODES" "$owners"
is "200 keys deleted at node $NODES" 200 "$(ask "$NODES" POST /v1/cache/batch/delete --data @"$scratch/keys" | sed '$d' | jq '[.items[] | select(.status == "ok")] | length')"

echo "for programs"
is "no such path" 404 "$(code 1 GET /nowhere)"
is "no such method" 405 "$(code 1 POST /cluster/status)"
holds "the paths are told" test "$(manage 1 /openapi.json '.paths | has("/cluster/status") and has("/v1/owners/{key}")')" = true
body 1 /metrics >"$scratch/metrics"
holds "figures for Prometheus" grep -q '^slipring_.*cluster.* [0-9]' "$scratch/metrics"
holds "figures of the process" test "$(manage 3 /debug/vars .process.threads)" -gt 1
is "nothing of all this changed the membership" 1 "$(from_all .epoch /cluster/status | wc -l)"
finish cluster-api
