/* The screen of slipring top. */
#include <stdlib.h>
#include <string.h>

#include "top.h"

static double
real(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* "97.3 %", or "-" when there was nothing to divide by. */
static const char *
percent(const json_t *object, const char *name, char text[16])
{
	json_t *share = json_object_get(object, name);

	if (!json_is_real(share))
		return "-";
	snprintf(text, 16, "%.1f %%", json_real_value(share) * 100);
	return text;
}

static void
draw_head(FILE *to, const char *where, const json_t *figures)
{
	unsigned long long up = (unsigned long long)json_integer_value(json_object_get(figures, "uptime_seconds"));

	fprintf(to, "slipring %s  version %s  up %llud %02llu:%02llu:%02llu  epoch %lld  workers %zu\n\n", where,
	    json_string_value(json_object_get(figures, "version")), up / 86400, up / 3600 % 24, up / 60 % 60, up % 60,
	    (long long)json_integer_value(json_object_get(figures, "epoch")), json_array_size(json_object_get(figures, "workers")));
}

static void
draw_node(FILE *to, const json_t *figures)
{
	double used = real(figures, "active_bytes") + real(figures, "table_bytes");
	char share[16];

	fprintf(to, "Operations %12.0f/s   gets %.0f/s  sets %.0f/s  hit ratio %s\n", real(figures, "operations_per_second"),
	    real(figures, "gets_per_second"), real(figures, "sets_per_second"), percent(figures, "hit_ratio", share));
	fprintf(to, "Frames in  %12.0f/s   out %.0f/s  dropped %.0f/s\n", real(figures, "rx_frames_per_second"),
	    real(figures, "tx_frames_per_second"), real(figures, "drops_per_second"));
	fprintf(to, "Memory     %12.1f MiB of %.1f MiB (%s)  items %.0f  evictions %.0f/s\n\n", used / (1 << 20),
	    real(figures, "budget_bytes") / (1 << 20), percent(figures, "memory_ratio", share), real(figures, "items"),
	    real(figures, "evictions_per_second"));
}

static void
draw_workers(FILE *to, const json_t *workers)
{
	size_t index;
	json_t *worker;

	fprintf(to, "WORKER CPUS       BUSY      OPS/S   HITS     RX/S     TX/S  MAILS/S SLEEPS/S\n");
	json_array_foreach((json_t *)workers, index, worker) {
		json_t *cpus = json_object_get(worker, "cpus");
		char busy[16], hits[16], text[24] = "-";

		if (json_is_integer(cpus))
			snprintf(text, sizeof text, "%lld", (long long)json_integer_value(cpus));
		else if (cpus)
			snprintf(text, sizeof text, "%s", json_string_value(cpus));
		fprintf(to, "%-6zu %-7s %7s %10.0f %7s %8.0f %8.0f %8.0f %8.0f\n", index, text, percent(worker, "busy_ratio", busy),
		    real(worker, "operations_per_second"), percent(worker, "hit_ratio", hits), real(worker, "rx_frames_per_second"),
		    real(worker, "tx_frames_per_second"), real(worker, "mails_per_second"), real(worker, "sleeps_per_second"));
	}
}

static void
draw_drops(FILE *to, const json_t *drops)
{
	const char *name;
	json_t *drop;

	if (json_object_size(drops) > 0)
		fprintf(to, "\nDROPPED                      TOTAL          /S\n");
	json_object_foreach((json_t *)drops, name, drop)
		fprintf(to, "%-20s %13lld %11.0f\n", name, (long long)json_integer_value(json_object_get(drop, "total")),
		    real(drop, "per_second"));
}

/* --- several nodes -------------------------------------------------------------------- */

static double
busiest(const json_t *workers)
{
	double most = 0;
	size_t index;
	json_t *worker;

	json_array_foreach((json_t *)workers, index, worker)
		if (real(worker, "busy_ratio") > most)
			most = real(worker, "busy_ratio");
	return most;
}

static void
draw_one(FILE *to, const json_t *one)
{
	char hits[16], memory[16];

	fprintf(to, "%-22s %-10s ", json_string_value(json_object_get(one, "node")),
	    json_string_value(json_object_get(one, "status")));
	if (json_object_get(one, "error")) {
		fprintf(to, "%s\n", json_string_value(json_object_get(one, "error")));
		return;
	}
	fprintf(to, "%7zu %6.1f%% %10.0f %7s %6.0fus %10.0f %7s %8.0f\n", json_array_size(json_object_get(one, "workers")),
	    100 * busiest(json_object_get(one, "workers")), real(one, "operations_per_second"), percent(one, "hit_ratio", hits),
	    real(one, "rtt_us"), real(one, "items"), percent(one, "memory_ratio", memory), real(one, "drops_per_second"));
}

/* Every worker of every node: after the nodes, as far as there is room. */
static void
draw_all_workers(FILE *to, const json_t *nodes)
{
	size_t index;
	json_t *one;

	json_array_foreach((json_t *)nodes, index, one)
		if (json_array_size(json_object_get(one, "workers")) > 1) {
			fprintf(to, "\n%s\n", json_string_value(json_object_get(one, "node")));
			draw_workers(to, json_object_get(one, "workers"));
		}
}

static void
draw_cluster(FILE *to, const char *where, const json_t *figures)
{
	json_t *nodes = json_object_get(figures, "nodes"), *one;
	char hits[16];
	size_t index;

	fprintf(to, "slipring %s  %zu nodes  epoch %lld\n\n", where, json_array_size(nodes),
	    (long long)json_integer_value(json_object_get(figures, "epoch")));
	fprintf(to, "Operations %12.0f/s   gets %.0f/s  sets %.0f/s  hit ratio %s\n", real(figures, "operations_per_second"),
	    real(figures, "gets_per_second"), real(figures, "sets_per_second"), percent(figures, "hit_ratio", hits));
	fprintf(to, "Frames in  %12.0f/s   out %.0f/s  dropped %.0f/s  items %.0f  evictions %.0f/s\n\n",
	    real(figures, "rx_frames_per_second"), real(figures, "tx_frames_per_second"), real(figures, "drops_per_second"),
	    real(figures, "items"), real(figures, "evictions_per_second"));
	fprintf(to, "%-22s %-10s %7s %7s %10s %7s %8s %10s %7s %8s\n", "NODE", "STATUS", "WORKERS", "BUSY", "OPS/S", "HITS", "PING",
	    "ITEMS", "MEMORY", "DROPS/S");
	json_array_foreach(nodes, index, one)
		draw_one(to, one);
	draw_all_workers(to, nodes);
}

/* A terminal wraps what is too long and scrolls what is too much: both are cut. */
static void
cut(FILE *to, const char *text, unsigned columns, unsigned rows)
{
	for (unsigned row = 0; *text && (rows == 0 || row < rows); row++) {
		size_t len = strcspn(text, "\n");

		if (row > 0)
			putc('\n', to);
		fwrite(text, 1, columns && len > columns ? columns : len, to);
		if (columns)
			fputs("\033[K", to);
		text += len + (text[len] == '\n');
	}
	if (columns == 0)
		putc('\n', to);
}

void
top_draw(FILE *to, const char *where, const json_t *figures, unsigned columns, unsigned rows)
{
	char *text = NULL;
	size_t len;
	FILE *page = open_memstream(&text, &len);

	if (!page)
		abort();
	if (json_object_get(figures, "nodes")) {
		draw_cluster(page, where, figures);
	} else {
		draw_head(page, where, figures);
		draw_node(page, figures);
		draw_workers(page, json_object_get(figures, "workers"));
		draw_drops(page, json_object_get(figures, "drops"));
	}
	fclose(page);
	cut(to, text, columns, rows);
	free(text);
}
