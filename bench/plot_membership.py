#!/usr/bin/python3
"""Draws doc/membership.svg with gnuplot from the last line of bench/history/membership.jsonl."""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def block(name, rows):
    return f"${name} << END\n" + "".join(" ".join(str(cell) for cell in row) + "\n" for row in rows) + "END\n"


def draw(runs, path):
    sizes = [r for r in runs if r["kind"] == "healthy"]
    losses = [r for r in runs if r["kind"] == "loss"]
    largest = sorted({r["nodes"] for r in losses})
    script = block("sizes", [[r["nodes"], r["one_epoch_ms"], r["suspected_ms"]["p99"], r["dead_ms"]["p99"],
                              r["idle_bytes_per_node_s"] / 1000] for r in sizes])
    for nodes in largest:
        script += block(f"loss{nodes}", [[r["loss_percent"], r["suspicions_per_node_hour"], r["false_dead"]]
                                         for r in losses if r["nodes"] == nodes])
    script += f"""
set terminal svg size 1050,360 font 'sans,11' background rgb 'white'
set output '{path}'
set multiplot layout 1,3
set key outside top center vertical maxrows 3 samplen 2
set grid
set logscale x
set xlabel 'nodes'
set ylabel 'ms (simulated)'
set yrange [0:*]
plot $sizes using 1:2 with linespoints title 'start to one epoch', \\
  $sizes using 1:3 with linespoints title 'crash to Suspected, p99', \\
  $sizes using 1:4 with linespoints title 'crash to Dead, p99'
set ylabel 'kB a node a second, idle'
plot $sizes using 1:5 with linespoints title 'sent'
unset logscale x
set xlabel 'packets lost, %'
set ylabel 'suspicions a node and hour'
plot """ + ", ".join(f"$loss{n} using 1:2 with linespoints title '{n} nodes, "
                     f"{sum(r['false_dead'] for r in losses if r['nodes'] == n)} false Dead'" for n in largest) + "\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def main():
    with open(f"{ROOT}/bench/history/membership.jsonl") as f:
        draw(json.loads(f.readlines()[-1])["runs"], f"{ROOT}/doc/membership.svg")


if __name__ == "__main__":
    sys.exit(main())
