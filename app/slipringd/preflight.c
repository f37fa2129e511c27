#include "preflight.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "nic.h"
#include "usocket.h"

/* --- rights ------------------------------------------------------------------ */

static uint64_t
effective_capabilities(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long long mask = 0;
	char line[256];

	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "CapEff: %llx", &mask) == 1)
			break;
	if (file)
		fclose(file);
	return mask;
}

static bool
is_driver(const struct io_profile *profile, const char *name)
{
	return strcmp(profile->driver, name) == 0;
}

static void
need(uint64_t have, unsigned capability, const char *name, char *missing, size_t size)
{
	size_t len = strlen(missing);

	if (!(have >> capability & 1))
		snprintf(missing + len, size - len, "%s%s", len ? "," : "", name);
}

/* Whether so many bytes may be locked without CAP_IPC_LOCK: AF_XDP's packet memory is. */
static bool
may_lock(uint64_t bytes)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= bytes;
}

/*
 * What the drivers' system calls ask for. libxdp looks programs up by id, for which
 * the kernel wants cap_sys_admin (tried: cap_bpf alone fails).
 */
static enum status
check_rights(const struct io_profile *profile, struct error *error)
{
	uint64_t have = effective_capabilities();
	bool xdp = is_driver(profile, "net_af_xdp");
	char missing[100] = "";

	if (xdp || is_driver(profile, "net_af_packet"))
		need(have, CAP_NET_RAW, "cap_net_raw", missing, sizeof missing);
	if (xdp || is_driver(profile, "net_af_packet"))
		need(have, CAP_NET_ADMIN, "cap_net_admin", missing, sizeof missing);
	if (xdp)
		need(have, CAP_SYS_ADMIN, "cap_sys_admin", missing, sizeof missing);
	if (xdp && !may_lock((uint64_t)profile->mbufs * 4096))
		need(have, CAP_IPC_LOCK, "cap_ipc_lock", missing, sizeof missing);
	if (!*missing)
		return STATUS_OK;
	return error_set(error, STATUS_UNAVAILABLE, "profile %s needs rights this process lacks (%s): run it as root, "
	    "or: setcap %s+ep slipringd", profile->name, missing, missing);
}

/* One level only: a longer missing path is more likely a slip than a wish. */
static enum status
make_run_dir(const struct config *config, struct error *error)
{
	if (mkdir(config->run_dir, 0755) == 0 || errno == EEXIST)
		return access(config->run_dir, W_OK) == 0 ? STATUS_OK :
		    error_set(error, STATUS_IO, "run_dir %s: %s; give a directory this process may write to",
		    config->run_dir, strerror(errno));
	return error_set(error, STATUS_IO, "run_dir %s cannot be made: %s", config->run_dir, strerror(errno));
}

/* Two nodes of one name would also share the notes in run_dir. */
static enum status
check_control_socket(const struct config *config, struct error *error)
{
	if (!usocket_is_listening(config->control_socket))
		return STATUS_OK;
	return error_set(error, STATUS_UNAVAILABLE, "a node answers on %s already: stop it, or give this one another "
	    "node_id", config->control_socket);
}

/* --- locks ------------------------------------------------------------------- */

/* Both sides of a vhost-user socket name the same path; a kernel interface is one whatever drives it. */
static socklen_t
lock_address(const struct io_profile *profile, const char *interface, struct sockaddr_un *address)
{
	bool user = is_driver(profile, "net_vhost") || is_driver(profile, "net_virtio_user");

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	/* The first byte stays NUL: an abstract name. */
	int len = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "slipring/%s/%s",
	    user ? profile->driver : "interface", interface);

	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

/* Process that holds an interface's lock, or 0. */
static pid_t
lock_holder(const struct sockaddr_un *address, socklen_t len)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof peer;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, len) == 0)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	if (fd >= 0)
		close(fd);
	return peer.pid;
}

static enum status
lock(struct preflight *preflight, const struct io_profile *profile, const char *interface, struct error *error)
{
	struct sockaddr_un address;
	socklen_t len = lock_address(profile, interface, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* listen(2) so that whoever comes second can ask who holds it. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1) != 0) {
		int why = errno;

		if (fd >= 0)
			close(fd);
		if (why == EADDRINUSE)
			return error_set(error, STATUS_UNAVAILABLE, "interface %s is in use by another slipringd, "
			    "process %d: stop that one, or give this one its own interface", interface,
			    (int)lock_holder(&address, len));
		return error_set(error, STATUS_IO, "cannot lock interface %s: %s", interface, strerror(why));
	}
	preflight->locks[preflight->lock_count].fd = fd;
	preflight->locks[preflight->lock_count++].interface = interface;
	return STATUS_OK;
}

/* --- kernel interfaces --------------------------------------------------------- */

/* libxdp's program for AF_XDP sockets when there is no dispatcher for several programs. */
static const char socket_program[] = "xsk_def_prog";

static void
note_path(const struct config *config, char *path, size_t size)
{
	snprintf(path, size, "%s/%s.xdp", config->run_dir, config->node_id);
}

/* Whether an earlier life of this node noted this program. */
static bool
is_noted(const struct config *config, const char *interface, uint32_t program)
{
	char path[VALUE_TEXT_SIZE + VALUE_NAME_SIZE + 8], line[128], name[VALUE_ITEM_SIZE];
	bool found = false;
	unsigned id;

	note_path(config, path, sizeof path);
	FILE *file = fopen(path, "r");
	while (file && !found && fgets(line, sizeof line, file))
		found = sscanf(line, "%63s %u", name, &id) == 2 && id == program && strcmp(name, interface) == 0;
	if (file)
		fclose(file);
	return found;
}

void
preflight_remember(struct preflight *preflight, const struct config *config)
{
	struct error error;
	struct nic nic;

	if (!preflight->xdp)
		return;
	note_path(config, preflight->note, sizeof preflight->note);
	FILE *file = fopen(preflight->note, "w");
	if (!file) {
		log_warn("%s: %s; a start after a crash may take our XDP program for a stranger's", preflight->note,
		    strerror(errno));
		return;
	}
	for (uint32_t i = 0; i < preflight->lock_count; i++)
		if (nic_read(preflight->locks[i].interface, &nic, &error) == STATUS_OK && nic.xdp_program)
			fprintf(file, "%s %u\n", preflight->locks[i].interface, nic.xdp_program);
	fclose(file);
}

/* A killed process leaves its program attached, and frames then pass it by. */
static enum status
check_xdp(const struct config *config, const char *interface, const struct nic *nic, struct error *error)
{
	if (!nic->xdp_program)
		return STATUS_OK;
	if (strcmp(nic->xdp_name, socket_program) != 0 && !is_noted(config, interface, nic->xdp_program))
		return error_set(error, STATUS_UNAVAILABLE, "interface %s has an XDP program attached (id %u%s%s) that is "
		    "not ours: stop what uses it, or: ip link set dev %s xdp off", interface, nic->xdp_program,
		    *nic->xdp_name ? ", " : "", nic->xdp_name, interface);
	log_info("interface %s: detaching the XDP program that an earlier process left", interface);
	return nic_detach_xdp(nic, error);
}

/* Frames for the kernel would end at the node: whoever is logged in over it would be cut off. */
static enum status
check_unused(const struct config *config, const char *interface, const struct nic *nic, struct error *error)
{
	if (!*nic->address && !nic->default_route)
		return STATUS_OK;
	if (config->take_nic) {
		log_warn("interface %s: taken although the kernel uses it%s%s%s (take_nic)", interface,
		    *nic->address ? ", address " : "", nic->address, nic->default_route ? ", default route" : "");
		return STATUS_OK;
	}
	return error_set(error, STATUS_UNAVAILABLE, "interface %s is used by this machine%s%s%s; taking it would cut "
	    "that off. Give another interface, remove the address (ip addr flush dev %s), or say --take-nic",
	    interface, *nic->address ? ": it has address " : "", nic->address,
	    !nic->default_route ? "" : *nic->address ? " and the default route" : ": it has the default route",
	    interface);
}

/* Workers that open a queue of this interface. */
static uint32_t
queues_wanted(const struct config *config, const char *interface)
{
	uint32_t wanted = 0;

	if (config->interfaces.count == 1)
		return config->workers;
	for (uint32_t i = 0; i < config->interfaces.count; i++)
		wanted += strcmp(config->interfaces.values[i], interface) == 0;
	return wanted;
}

/* An AF_XDP socket reads one queue; frames that the sender hashes to a queue without one are lost. */
static enum status
check_queues(const struct config *config, const char *interface, const struct nic *nic, struct error *error)
{
	uint32_t wanted = queues_wanted(config, interface);

	if (wanted == nic->rx_queues)
		return STATUS_OK;
	if (wanted > nic->rx_queues)
		return error_set(error, STATUS_UNAVAILABLE, "interface %s has %u receive queues for %u workers: give each an "
		    "interface, or more queues: ethtool -L %s combined %u (veth: rx %u tx %u, on both ends)", interface,
		    nic->rx_queues, wanted, interface, wanted, wanted, wanted);
	return error_set(error, STATUS_UNAVAILABLE, "interface %s has %u receive queues and %u would be read, so frames in "
	    "the others would be lost: ethtool -L %s combined %u (veth: rx %u tx %u, on both ends), or more workers", interface,
	    nic->rx_queues, wanted, interface, wanted, wanted, wanted);
}

static enum status
check_kernel_interface(const struct config *config, const struct io_profile *profile, const char *interface,
    struct error *error)
{
	char names[160];
	struct nic nic;

	if (nic_read(interface, &nic, error) != STATUS_OK) {
		nic_names(names, sizeof names);
		return error_set(error, STATUS_UNAVAILABLE, "there is no interface %s here; there is: %s", interface,
		    *names ? names : "none but lo (is this the right network namespace?)");
	}
	if (nic.loopback)
		return error_set(error, STATUS_INVALID, "interface %s is the loopback and no network card: give a card's "
		    "name (ip -br link lists them)", interface);
	if (check_unused(config, interface, &nic, error) != STATUS_OK)
		return error->status;
	if (!nic.up)
		return error_set(error, STATUS_UNAVAILABLE, "interface %s is down: ip link set dev %s up", interface,
		    interface);
	if (is_driver(profile, "net_af_xdp"))
		return check_queues(config, interface, &nic, error) == STATUS_OK ?
		    check_xdp(config, interface, &nic, error) : error->status;
	if (queues_wanted(config, interface) > 1)
		return error_set(error, STATUS_UNAVAILABLE, "profile %s opens one queue an interface, and %s is given to "
		    "%u workers: each would see every frame", profile->name, interface,
		    queues_wanted(config, interface));
	return STATUS_OK;
}

/* --- PCI cards and sockets ------------------------------------------------------- */

/* Last part of a symbolic link, or "". */
static void
link_name(const char *path, char *name, size_t size)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof target - 1);
	const char *slash;

	target[len > 0 ? len : 0] = '\0';
	slash = strrchr(target, '/');
	snprintf(name, size, "%.63s", slash ? slash + 1 : target);
}

static enum status
check_pci(const struct config *config, const struct io_profile *profile, const char *address, struct error *error)
{
	char path[PATH_MAX], driver[64];
	struct stat st;

	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s", address);
	if (strchr(address, '/') || stat(path, &st) != 0)
		return error_set(error, STATUS_UNAVAILABLE, "there is no PCI device %s (such as 0000:03:00.0); "
		    "dpdk-devbind.py -s lists them", address);
	snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver", address);
	link_name(path, driver, sizeof driver);
	if (strncmp(driver, "vfio", 4) != 0 && strncmp(driver, "uio", 3) != 0 && strcmp(driver, "igb_uio") != 0)
		return error_set(error, STATUS_UNAVAILABLE, "PCI device %s belongs to %s%s: take it off the network, then: "
		    "modprobe vfio-pci; dpdk-devbind.py -b vfio-pci %s", address,
		    *driver ? "the kernel's driver " : "no driver", driver, address);
	if (queues_wanted(config, address) > profile->queues)
		return error_set(error, STATUS_UNAVAILABLE, "PCI device %s is given to %u workers, and profile %s allows "
		    "%u queues", address, queues_wanted(config, address), profile->name, profile->queues);
	return STATUS_OK;
}

/* The switch's socket must be there. */
static enum status
check_virtio_user(const char *path, struct error *error)
{
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return error_set(error, STATUS_UNAVAILABLE, "there is no vhost-user socket %s: start the switch first", path);
	return STATUS_OK;
}

static enum status
check_interface(const struct config *config, const struct io_profile *profile, const char *interface,
    struct error *error)
{
	if (is_driver(profile, "pci"))
		return check_pci(config, profile, interface, error);
	if (is_driver(profile, "net_virtio_user"))
		return check_virtio_user(interface, error);
	if (is_driver(profile, "net_vhost")) /* we make the socket; a dead process may have left one */
		return usocket_clear(interface, error);
	if (is_driver(profile, "net_ring"))
		return STATUS_OK;
	return check_kernel_interface(config, profile, interface, error);
}

/* --- all together ------------------------------------------------------------------ */

static bool
seen_before(const struct texts *interfaces, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (strcmp(interfaces->values[i], interfaces->values[index]) == 0)
			return true;
	return false;
}

/* The lock comes first: what another slipringd left to us must not be mistaken for its leavings. */
static enum status
check_interfaces(struct preflight *preflight, const struct config *config, const struct io_profile *profile,
    struct error *error)
{
	for (uint32_t i = 0; i < config->interfaces.count; i++) {
		const char *interface = config->interfaces.values[i];

		if (seen_before(&config->interfaces, i))
			continue;
		if (lock(preflight, profile, interface, error) != STATUS_OK ||
		    check_interface(config, profile, interface, error) != STATUS_OK)
			return error->status;
	}
	return STATUS_OK;
}

enum status
preflight_run(struct preflight *preflight, const struct config *config, const struct io_profile *profile,
    struct error *error)
{
	memset(preflight, 0, sizeof *preflight);
	if (!config->interfaces.count && !is_driver(profile, "net_ring"))
		return error_set(error, STATUS_INVALID, "no interface is given, and profile %s needs one: interfaces: [...] "
		    "in the configuration, or --interfaces NAME", profile->name);
	if (check_rights(profile, error) == STATUS_OK && make_run_dir(config, error) == STATUS_OK &&
	    check_control_socket(config, error) == STATUS_OK &&
	    check_interfaces(preflight, config, profile, error) == STATUS_OK) {
		preflight->xdp = is_driver(profile, "net_af_xdp");
		return STATUS_OK;
	}
	preflight_release(preflight);
	return error->status;
}

static void
detach_left(const char *interface)
{
	struct error error;
	struct nic nic;

	if (nic_read(interface, &nic, &error) == STATUS_OK && nic.xdp_program &&
	    nic_detach_xdp(&nic, &error) != STATUS_OK)
		log_warn("interface %s: %s; ip link set dev %s xdp off", interface, error.text, interface);
}

void
preflight_release(struct preflight *preflight)
{
	while (preflight->lock_count) {
		preflight->lock_count--;
		if (preflight->xdp)
			detach_left(preflight->locks[preflight->lock_count].interface);
		close(preflight->locks[preflight->lock_count].fd);
	}
	if (*preflight->note)
		unlink(preflight->note);
}

/* Facts of /proc/meminfo. */
struct memory {
	uint64_t page_bytes, huge_total; /* huge pages */
	uint64_t available;              /* bytes a process may take before others suffer; huge pages apart */
};

static void
read_memory(struct memory *memory)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long long pages = 0, size_kb = 2048, available_kb = 0;
	char line[128];

	while (file && fgets(line, sizeof line, file)) {
		sscanf(line, "HugePages_Total: %llu", &pages);
		sscanf(line, "Hugepagesize: %llu kB", &size_kb);
		sscanf(line, "MemAvailable: %llu kB", &available_kb);
	}
	if (file)
		fclose(file);
	*memory = (struct memory){ size_kb * 1024, pages, available_kb * 1024 };
}

/* Not refused: what others hold now they may give back before the cache is full. */
static void
warn_of_shortage(const struct config *config, const struct memory *memory, uint64_t bytes, bool no_huge)
{
	uint64_t needed = config->memory + (no_huge ? bytes : 0);

	if (memory->available && needed > memory->available)
		log_warn("memory: the node may grow to %llu MiB, and %llu MiB are available now; once they are used up the "
		    "kernel kills processes", (unsigned long long)(needed >> 20),
		    (unsigned long long)(memory->available >> 20));
}

/* Too few huge pages: an error that says what to run, or doing without. */
static enum status
fall_back(const struct config *config, const struct memory *memory, uint64_t bytes, uint64_t huge_free_bytes,
    struct error *error)
{
	unsigned long long needed = (bytes + memory->page_bytes - 1) / memory->page_bytes;
	unsigned long long free_pages = huge_free_bytes / memory->page_bytes;
	unsigned long long to_set = memory->huge_total + needed - free_pages;

	if (config->huge_pages == HUGE_PAGES_YES)
		return error_set(error, STATUS_UNAVAILABLE, "%llu huge pages of %llu KiB are needed and %llu are free: "
		    "sysctl -w vm.nr_hugepages=%llu (huge_pages: auto does without)", needed,
		    (unsigned long long)(memory->page_bytes >> 10), free_pages, to_set);
	log_warn("only %llu of %llu huge pages are free: doing without (%llu MiB of small pages). For speed: "
	    "sysctl -w vm.nr_hugepages=%llu", free_pages, needed, (unsigned long long)(bytes >> 20), to_set);
	return STATUS_OK;
}

enum status
preflight_memory(const struct config *config, uint64_t bytes, uint64_t huge_free_bytes, bool *no_huge,
    struct error *error)
{
	struct memory memory;

	read_memory(&memory);
	*no_huge = config->huge_pages == HUGE_PAGES_NO || huge_free_bytes < bytes;
	if (config->huge_pages != HUGE_PAGES_NO && *no_huge &&
	    fall_back(config, &memory, bytes, huge_free_bytes, error) != STATUS_OK)
		return error->status;
	if (config->huge_pages == HUGE_PAGES_NO || !*no_huge)
		log_info("%s huge pages: %llu MiB for packets and tables", *no_huge ? "no" : "using",
		    (unsigned long long)(bytes >> 20));
	warn_of_shortage(config, &memory, bytes, *no_huge);
	return STATUS_OK;
}
