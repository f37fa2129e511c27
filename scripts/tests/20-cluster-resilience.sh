#!/bin/bash
# A node is killed under a cluster's clients and comes back: nobody gets a wrong value, and who lives goes on.
# From the host; needs `make cluster` (SLIPRING_LAB names another lab).
. "$(dirname "$0")/kit.sh"
KEYS=100
victim=$NODES

# count NODE FILE OPERATOR: of the keys whose numbers are in the file, how many have a value that is (==) or is not (!=) theirs.
count() {
	jq -Rnc '{items: [inputs | {key: "keep:\(.)"}]}' <"$2" >"$scratch/ask"
	ask "$1" POST /v1/cache/batch/get --data @"$scratch/ask" | sed '$d' |
		jq "[.items[] | select(.status == \"ok\" and .value $3 \"value of \(.key)\")] | length"
}
right() { count "$1" "$2" ==; }
wrong() { count "$1" "$2" !=; }
all_see() { [ "$(from_all "[.peers[] | select(.node_id == \"n$victim\") | .status][0]" /cluster/status)" = "$1" ]; }
all_count() { [ "$(from_all .node_count /cluster/status)" = "$1" ]; }
one_table() { [ "$(from_all '[.epoch, .table_digest]' /cluster/ring | wc -l)" = 1 ]; }
owned_by() { manage 1 /cluster/ring "[.members[] | select(.node_id == \"n$1\") | .first_slots] | add // 0"; }
not_owner() { [ "$(owned_by "$victim")" = 0 ] && one_table; }
ready() { [ "$(code "$1" GET /readyz)" = 200 ]; }

echo "before"
is "all count $NODES nodes" "$NODES" "$(from_all .node_count /cluster/status)"
holds "one partition table" one_table
era=$(manage 1 /cluster/status .epoch)
jq -nc "{items: [range($KEYS) | {key: \"keep:\(.)\", value: \"value of keep:\(.)\"}]}" >"$scratch/put"
is "$KEYS keys are written" $KEYS "$(ask 1 POST /v1/cache/batch/put --data @"$scratch/put" | sed '$d' | jq '[.items[] | select(.status == "ok")] | length')"
seq 0 $((KEYS - 1)) >"$scratch/all"
sed "s|.*|url = http://localhost:$MANAGEMENT/v1/owners/keep:&|" "$scratch/all" >"$scratch/urls"
curl -s -H "Authorization: Bearer $TOKEN" -K "$scratch/urls" | jq -r '[(.key | sub("keep:"; "")), .owners[0].node_id] | join(" ")' >"$scratch/owners"
awk -v victim="n$victim" '$2 == victim {print $1}' "$scratch/owners" >"$scratch/lost"
awk -v victim="n$victim" '$2 != victim {print $1}' "$scratch/owners" >"$scratch/living"
lost=$(wc -l <"$scratch/lost") living=$(wc -l <"$scratch/living")
holds "some of them belong to node $victim ($lost)" test "$lost" -gt 0
for n in $up; do is "all are right at node $n" $KEYS "$(right "$n" "$scratch/all")"; done

echo "node $victim is killed"
"$LAB" kill "n$victim" -9
up=$(seq $((NODES - 1)))
comes "all others call it dead" 5 all_see Dead
holds "all others count one less" all_count $((NODES - 1))
is "it is named" "[\"n$victim\"]" "$(from_all .dead_nodes /cluster/status)"
for n in $up; do
	is "node $n has every value whose owner lives" "$living" "$(right "$n" "$scratch/living")"
	is "node $n has no wrong value" 0 "$(wrong "$n" "$scratch/all")"
	is "node $n is ready" 200 "$(code "$n" GET /readyz)"
done
key="keep:$(head -n 1 "$scratch/living")"
is "a key of a living owner is written" 200 "$(code 2 PUT "/v1/cache/$key" --data new)"
is "and read elsewhere" new "$(body 3 "/v1/cache/$key")"
is "and put back" 200 "$(code 4 PUT "/v1/cache/$key" --data "value of $key")"
orphan="keep:$(head -n 1 "$scratch/lost")"
if [ "$(owned_by "$victim")" != 0 ]; then # else its slots have moved already
	is "a write to its key is refused" 503 "$(code 1 PUT "/v1/cache/$orphan" --data no)"
	is "by name" owner_dead "$(ask 1 PUT "/v1/cache/$orphan" --data no | sed '$d' | jq -r .code)"
fi

echo "its slots move"
comes "it owns nothing, in one table" 25 not_owner
holds "the epoch rose" test "$(manage 1 /cluster/status .epoch)" -gt "$era"
is "the others have all slots" 16384 "$(from_all '[.members[].first_slots] | add' /cluster/ring)"
is "its key is missing, not wrong" 404 "$(code 1 GET "/v1/cache/$orphan")"
is "its key can be written" 200 "$(code 2 PUT "/v1/cache/$orphan" --data "value of $orphan")"
is "and read elsewhere" "value of $orphan" "$(body 3 "/v1/cache/$orphan")"
for n in $up; do is "node $n still has every value whose owner lives" "$living" "$(right "$n" "$scratch/living")"; done

echo "it comes back"
"$LAB" start "n$victim"
comes "all see it alive" 10 all_see Alive
up=$(seq "$NODES")
comes "all count $NODES nodes" 10 all_count "$NODES"
comes "it is ready" 10 ready "$victim"
comes "one partition table" 10 one_table
for n in $up; do is "node $n has no wrong value" 0 "$(wrong "$n" "$scratch/all")"; done
is "every key can be written again" $KEYS "$(ask "$victim" POST /v1/cache/batch/put --data @"$scratch/put" | sed '$d' | jq '[.items[] | select(.status == "ok")] | length')"
for n in $up; do is "and is right at node $n" $KEYS "$(right "$n" "$scratch/all")"; done
is "nobody is dead" '[]' "$(from_all .dead_nodes /cluster/status)"
finish cluster-resilience
