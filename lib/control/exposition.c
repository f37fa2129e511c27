#include "control/exposition.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

bool
exposition_open(struct exposition *e)
{
	*e = (struct exposition){ 0 };
	e->out = open_memstream(&e->text, &e->len);
	return e->out;
}

static void
put_escaped(FILE *out, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*text == '\\' || (quotes && *text == '"'))
			fputc('\\', out);
		fputc(*text, out);
	}
}

void
exposition_family(struct exposition *e, const char *name, const char *type, const char *help)
{
	e->family = name;
	fprintf(e->out, "# HELP %s ", name);
	put_escaped(e->out, help, false);
	fprintf(e->out, "\n# TYPE %s %s\n", name, type);
}

static void
put_name(struct exposition *e, const char *const *labels)
{
	fputs(e->family, e->out);
	for (int i = 0; labels && labels[i]; i += 2) {
		fprintf(e->out, "%c%s=\"", i ? ',' : '{', labels[i]);
		put_escaped(e->out, labels[i + 1], true);
		fputc('"', e->out);
	}
	if (labels && labels[0])
		fputc('}', e->out);
}

void
exposition_integer(struct exposition *e, uint64_t value, const char *const *labels)
{
	put_name(e, labels);
	fprintf(e->out, " %" PRIu64 "\n", value);
}

void
exposition_real(struct exposition *e, double value, const char *const *labels)
{
	put_name(e, labels);
	fprintf(e->out, " %.9g\n", value);
}

char *
exposition_close(struct exposition *e, size_t *len)
{
	bool failed = ferror(e->out);

	if (fclose(e->out) != 0 || failed) {
		free(e->text);
		return NULL;
	}
	*len = e->len;
	return e->text;
}
