#include "nic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REPLY_SIZE = 16384 }; /* one link's attributes; the kernel sends a few KiB */

struct request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	char attributes[64];
};

/* Sends one request and receives its one answer; bytes received, or -1 with errno. */
static ssize_t
ask(struct request *request, char *reply)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t len = -1;

	if (fd < 0)
		return -1;
	if (sendto(fd, request, request->header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) >= 0)
		len = recv(fd, reply, REPLY_SIZE, 0);
	int saved = errno;
	close(fd);
	errno = saved;
	return len;
}

/* The errno an answer carries, or 0. */
static int
reply_error(const struct nlmsghdr *header)
{
	return header->nlmsg_type == NLMSG_ERROR ? -((const struct nlmsgerr *)NLMSG_DATA(header))->error : 0;
}

static void
read_xdp(struct nic *nic, struct rtattr *nested)
{
	int len = (int)RTA_PAYLOAD(nested);

	for (struct rtattr *a = RTA_DATA(nested); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_XDP_PROG_ID)
			memcpy(&nic->xdp_program, RTA_DATA(a), 4);
}

static void
read_link(struct nic *nic, const struct nlmsghdr *header)
{
	struct ifinfomsg *link = NLMSG_DATA(header);
	int len = (int)IFLA_PAYLOAD(header);

	nic->up = link->ifi_flags & IFF_UP;
	nic->loopback = link->ifi_flags & IFF_LOOPBACK;
	for (struct rtattr *a = IFLA_RTA(link); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		if (a->rta_type == IFLA_NUM_RX_QUEUES)
			memcpy(&nic->rx_queues, RTA_DATA(a), 4);
		else if ((a->rta_type & NLA_TYPE_MASK) == IFLA_XDP)
			read_xdp(nic, a);
	}
}

/* Needs CAP_SYS_ADMIN; without it the name stays empty. */
static void
read_xdp_name(struct nic *nic)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr by_id = { .prog_id = nic->xdp_program }, query = { 0 };
	int fd = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &by_id, sizeof by_id);

	if (fd < 0)
		return;
	query.info.bpf_fd = (uint32_t)fd;
	query.info.info_len = sizeof info;
	query.info.info = (uint64_t)(uintptr_t)&info;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &query, sizeof query) == 0)
		snprintf(nic->xdp_name, sizeof nic->xdp_name, "%.15s", info.name);
	close(fd);
}

static void
read_addresses(struct nic *nic, const char *name)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) != 0)
		return;
	for (struct ifaddrs *at = list; at && !*nic->address; at = at->ifa_next) {
		const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)at->ifa_addr;
		const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)at->ifa_addr;

		if (!at->ifa_addr || strcmp(at->ifa_name, name) != 0)
			continue;
		if (at->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET, &ipv4->sin_addr, nic->address, sizeof nic->address);
		else if (at->ifa_addr->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr))
			inet_ntop(AF_INET6, &ipv6->sin6_addr, nic->address, sizeof nic->address);
	}
	freeifaddrs(list);
}

/* proc(5): interface, destination, ..., mask last but three; all hex. */
static bool
has_ipv4_default(const char *name)
{
	FILE *file = fopen("/proc/self/net/route", "r");
	char line[256], device[IFNAMSIZ + 1];
	unsigned destination, mask;
	bool found = false;

	while (file && !found && fgets(line, sizeof line, file))
		found = sscanf(line, "%16s %x %*x %*x %*d %*d %*d %x", device, &destination, &mask) == 3 &&
		    strcmp(device, name) == 0 && destination == 0 && mask == 0;
	if (file)
		fclose(file);
	return found;
}

static bool
has_ipv6_default(const char *name)
{
	FILE *file = fopen("/proc/self/net/ipv6_route", "r");
	char line[256], destination[33], device[IFNAMSIZ + 1];
	unsigned len, flags;
	bool found = false;

	/* RTF_REJECT: the kernel keeps an unreachable default route on lo. */
	while (file && !found && fgets(line, sizeof line, file))
		found = sscanf(line, "%32s %x %*s %*s %*s %*s %*s %*s %x %16s", destination, &len, &flags, device) == 4 &&
		    strcmp(device, name) == 0 && len == 0 && strspn(destination, "0") == 32 && !(flags & RTF_REJECT);
	if (file)
		fclose(file);
	return found;
}

/* ethtool -l: what is active; a device that cannot tell has all its queues active. */
static void
read_channels(struct nic *nic, const char *name)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq request = { .ifr_data = (char *)&channels };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && channels.rx_count + channels.combined_count)
		nic->rx_queues = channels.rx_count + channels.combined_count;
	if (fd >= 0)
		close(fd);
}

/* Everything about one interface; bytes received, or -1 with errno. */
static ssize_t
ask_link(uint32_t index, char *reply)
{
	struct request request = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof request.link),
		.nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST }, .link = { .ifi_index = (int)index } };

	return index ? ask(&request, reply) : -1;
}

uint64_t
nic_received(const char *name)
{
	_Alignas(struct nlmsghdr) char reply[REPLY_SIZE];
	struct nlmsghdr *header = (struct nlmsghdr *)reply;
	ssize_t got = ask_link(if_nametoindex(name), reply);
	struct rtnl_link_stats64 stats = { 0 };
	int len;

	if (got < (ssize_t)sizeof *header || reply_error(header) || (ssize_t)header->nlmsg_len > got)
		return 0;
	len = (int)IFLA_PAYLOAD(header);
	for (struct rtattr *a = IFLA_RTA(NLMSG_DATA(header)); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_STATS64 && RTA_PAYLOAD(a) >= sizeof stats.rx_packets)
			memcpy(&stats, RTA_DATA(a), RTA_PAYLOAD(a) < sizeof stats ? RTA_PAYLOAD(a) : sizeof stats);
	return stats.rx_packets;
}

enum status
nic_read(const char *name, struct nic *nic, struct error *error)
{
	_Alignas(struct nlmsghdr) char reply[REPLY_SIZE];
	const struct nlmsghdr *header = (const struct nlmsghdr *)reply;

	memset(nic, 0, sizeof *nic);
	nic->index = if_nametoindex(name);
	ssize_t len = ask_link(nic->index, reply);
	if (!nic->index || len < (ssize_t)sizeof *header || reply_error(header))
		return error_set(error, STATUS_UNAVAILABLE, "interface %s: %s", name,
		    strerror(len >= (ssize_t)sizeof *header ? reply_error(header) : errno));
	read_link(nic, header);
	read_channels(nic, name);
	if (nic->xdp_program)
		read_xdp_name(nic);
	read_addresses(nic, name);
	nic->default_route = has_ipv4_default(name) || has_ipv6_default(name);
	return STATUS_OK;
}

enum status
nic_detach_xdp(const struct nic *nic, struct error *error)
{
	struct request request = { .header = { .nlmsg_type = RTM_SETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.link = { .ifi_index = (int)nic->index } };
	struct rtattr *nested = (struct rtattr *)request.attributes, *fd = (struct rtattr *)RTA_DATA(nested);
	_Alignas(struct nlmsghdr) char reply[REPLY_SIZE];
	const int none = -1;

	fd->rta_type = IFLA_XDP_FD;
	fd->rta_len = RTA_LENGTH(sizeof none);
	memcpy(RTA_DATA(fd), &none, sizeof none);
	nested->rta_type = NLA_F_NESTED | IFLA_XDP;
	nested->rta_len = (unsigned short)RTA_LENGTH(fd->rta_len);
	request.header.nlmsg_len = NLMSG_LENGTH(sizeof request.link) + nested->rta_len;
	ssize_t len = ask(&request, reply);
	int failed = len < (ssize_t)sizeof(struct nlmsghdr) ? errno : reply_error((struct nlmsghdr *)reply);
	if (failed)
		return error_set(error, STATUS_UNAVAILABLE, "cannot detach the XDP program: %s", strerror(failed));
	return STATUS_OK;
}

void
nic_names(char *text, size_t size)
{
	struct if_nameindex *list = if_nameindex();
	size_t at = 0;

	text[0] = '\0';
	for (struct if_nameindex *nic = list; nic && nic->if_index && at < size; nic++)
		if (strcmp(nic->if_name, "lo") != 0)
			at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "", nic->if_name);
	if (list)
		if_freenameindex(list);
}
