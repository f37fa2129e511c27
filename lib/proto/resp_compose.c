/* resp_compose.c - a pass's replies: a run of requests is one command, which has a composer of its own. */
#include "proto/resp.h"

#include "base/check.h"

void
resp_args_of(struct resp_compose *c, const struct resp_run *run, struct resp_args *args)
{
	uint32_t at = run->requests->text_at;
	struct view text = c->reply->input;
	struct resp_memory *memory = c->state->memory;
	struct resp_hole hole;

	if (at & RESP_IN_TEXT) {
		at &= ~RESP_IN_TEXT;
		text = view_of(memory->text.bytes, memory->text.len);
	}
	CHECK(at <= text.len);
	if (resp_read(view_of(text.data + at, text.len - at), true, memory ? &memory->words : NULL, args, &hole) != RESP_WHOLE ||
	    args->count == 0) {
		/* Refused before it was whole: no reply that names arguments comes here. */
		args->count = args->held = 1;
		args->at[0] = view_of("", 0);
	}
}

/* The requests of one command, from number i on. */
static struct resp_run
run_from(const struct stream_reply *reply, uint32_t i)
{
	const struct request *first = &reply->requests[i];
	struct resp_run run = {
		.command = resp_command(first->verb), .requests = first, .responses = &reply->responses[i], .count = 1,
		.part = first->initial == RESP_PART, .first = true, .last = true,
	};

	while (i + run.count < reply->count && first[run.count].text_at == first->text_at &&
	    first[run.count].verb == first->verb)
		run.count++;
	return run;
}

static void
compose_run(struct resp_compose *c, struct resp_run *run)
{
	struct resp_memory *memory = c->state->memory;

	c->out.muted = (c->state->shown & (RESP_SHOWN_MUTE | RESP_SHOWN_SKIP)) != 0;
	if ((c->state->shown & RESP_SHOWN_VOID) && (run->requests->text_at & RESP_IN_TEXT))
		return;
	if (run->part) {
		run->first = memory->done == 0;
		memory->done += run->count;
		run->last = memory->done == memory->total;
	}
	if (run->last)
		c->state->shown &= (uint8_t)~RESP_SHOWN_SKIP;
	/* Whatever the operation: it is OP_ANSWERED when the request was asked for with others. */
	if (run->requests->local != RESP_REPLY_COMPOSED && run->requests->op != OP_FLUSH)
		resp_compose_reply(c, run);
	else
		run->command->compose(c, run);
}

bool
resp_compose_pass(struct stream_reply *reply)
{
	struct resp_compose c;
	uint32_t i = 0;

	c.reply = reply;
	c.state = resp_state(reply->state);
	c.resp3 = c.state->shown & RESP_SHOWN_3;
	resp_out_begin(&c.out, reply->blocks, reply->out);
	while (i < reply->count) {
		struct resp_run run = run_from(reply, i);

		compose_run(&c, &run);
		i += run.count;
	}
	c.state->shown &= (uint8_t)~RESP_SHOWN_VOID;
	resp_flush(&c.out);
	return !c.out.failed;
}
