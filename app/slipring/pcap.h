/* pcap.h - request frames in a file, for packet generators. */
#ifndef SLIPRING_PCAP_H
#define SLIPRING_PCAP_H

#include "cli.h"
#include "load.h"

/*
 * Writes cli->frames Ethernet frames to cli->pcap (classic format, nanoseconds):
 * sets of every key first, then the mix. Addresses are documentation's (RFC 5737,
 * locally administered MACs), for the generator to overwrite; checksums are right.
 * The frames carry no cookie: a node answers each with a challenge until the
 * generator fills in the one it was given (bytes 24 to 31 of the payload).
 */
int pcap_write(struct cli *cli, struct load *load);

#endif
