/* Listening sockets. The path: listen_socket -> listen_tcp or listen_unix; when that fails tcp_fault looks through
 * /proc for who has the port. Owns nothing. */
#include "base/io/listen_socket.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG        511
#define LINKS_READ_MAX 200000 /* /proc entries looked at before giving up */
#define NAME_MAX_BYTES 64

/* ---- who holds the port ---- */

/* The inode of the socket that listens on the port, 0 when not seen. */
static unsigned long listener_inode(const char *table, int port)
{
    FILE *file = fopen(table, "re");
    char line[512];
    unsigned long found = 0;

    if (!file)
        return 0;
    while (!found && fgets(line, sizeof(line), file)) {
        unsigned local, state;
        unsigned long inode;
        /* sl local:port remote:port state queues timer retransmits uid timeout inode */
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
                   &local, &state, &inode) == 3 &&
            state == 0x0a && local == (unsigned)port)
            found = inode;
    }
    fclose(file);
    return found;
}

static bool process_holds(const char *pid, const char *socket_name, int *budget)
{
    char path[128], link[64];
    snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
    DIR *dir = opendir(path);
    bool found = false;

    if (!dir)
        return false;
    for (struct dirent *e; !found && (e = readdir(dir)) && --*budget > 0;) {
        char name[sizeof(path) + sizeof(e->d_name)];
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        ssize_t n = readlink(name, link, sizeof(link) - 1);
        if (n <= 0)
            continue;
        link[n] = '\0';
        found = strcmp(link, socket_name) == 0;
    }
    closedir(dir);
    return found;
}

static void process_name(const char *pid, char *out, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
    FILE *file = fopen(path, "re");

    snprintf(out, size, "a process");
    if (!file)
        return;
    if (fgets(out, (int)size, file))
        out[strcspn(out, "\n")] = '\0';
    fclose(file);
}

/* "PROCESS (pid N)" into out; unchanged when it cannot be told. */
static void port_holder(int port, char *out, size_t size)
{
    unsigned long inode = listener_inode("/proc/net/tcp", port);
    if (!inode)
        inode = listener_inode("/proc/net/tcp6", port);
    DIR *proc = inode ? opendir("/proc") : NULL;
    if (!proc)
        return;

    char socket_name[64], name[NAME_MAX_BYTES];
    int budget = LINKS_READ_MAX;
    bool found = false;
    snprintf(socket_name, sizeof(socket_name), "socket:[%lu]", inode);
    for (struct dirent *e; !found && (e = readdir(proc)) && budget > 0;) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        if (!process_holds(e->d_name, socket_name, &budget))
            continue;
        process_name(e->d_name, name, sizeof(name));
        snprintf(out, size, "%s (pid %.10s)", name, e->d_name);
        found = true;
    }
    closedir(proc);
}

/* ---- TCP ---- */

static int tcp_address(const struct listen_socket *spec, struct sockaddr_storage *out,
                       socklen_t *ret_length)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, spec->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)spec->port);
        *ret_length = sizeof(*v4);
        return 0;
    }
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET6, spec->host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)spec->port);
        *ret_length = sizeof(*v6);
        return 0;
    }
    return -ERR_INVALID;
}

static int tcp_fault(const struct listen_socket *spec, int error, struct fault *fault)
{
    char holder[128] = "another process";

    if (error == EADDRINUSE) {
        port_holder(spec->port, holder, sizeof(holder));
        return fault_set(fault, -ERR_EXISTS,
                         "port %d is in use by %s; stop it or choose another with %s", spec->port,
                         holder, spec->port_option);
    }
    if (error == EACCES)
        return fault_set(fault, -ERR_DENIED,
                         "port %d may only be opened by root; choose one above 1023 with %s",
                         spec->port, spec->port_option);
    if (error == EADDRNOTAVAIL)
        return fault_set(fault, -ERR_INVALID,
                         "%s is not an address of this host; choose another with %s", spec->host,
                         spec->host_option);
    return fault_set(fault, -ERR_IO, "cannot listen on %s port %d: %s", spec->host, spec->port,
                     strerror(error));
}

static int listen_tcp(const struct listen_socket *spec, int *ret_port, struct fault *fault)
{
    struct sockaddr_storage address;
    socklen_t length;
    int on = 1;

    if (tcp_address(spec, &address, &length) < 0)
        return fault_set(fault, -ERR_INVALID, "%s is not an address to listen on", spec->host);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return tcp_fault(spec, errno, fault);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;
        close(fd);
        return tcp_fault(spec, error, fault);
    }
    getsockname(fd, (struct sockaddr *)&address, &length);
    *ret_port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                    : ((struct sockaddr_in *)&address)->sin_port);
    return fd;
}

/* ---- a path ---- */

/* Removes what a dead process left at the path. 0, or -ERR_EXISTS when somebody listens there or it
 * is not a socket. */
static int clear_leftover(const struct sockaddr_un *address, struct fault *fault)
{
    struct stat st;

    if (lstat(address->sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return fault_set(fault, -ERR_EXISTS, "%s exists and is not a socket; move it away",
                         address->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fault_set(fault, -ERR_IO, "cannot make a socket: %s", strerror(errno));
    int r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = errno;
    close(fd);
    if (r == 0 || error != ECONNREFUSED)
        return fault_set(fault, -ERR_EXISTS,
                         "another process listens on %s; stop it or choose another state folder",
                         address->sun_path);
    unlink(address->sun_path);
    return 0;
}

static int listen_unix(const struct listen_socket *spec, struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(spec->unix_path) >= sizeof(address.sun_path))
        return fault_set(
            fault, -ERR_INVALID,
            "the socket path %s is longer than %zu bytes; choose a shorter state folder",
            spec->unix_path, sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, spec->unix_path, strlen(spec->unix_path));
    int r = clear_leftover(&address, fault);
    if (r < 0)
        return r;

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Nobody can connect before listen(), so the mode is right from the first connection on. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(spec->unix_path, spec->unix_mode) < 0 || listen(fd, BACKLOG) < 0) {
        r = fault_set(fault, errno == EACCES ? -ERR_DENIED : -ERR_IO, "cannot listen on %s: %s",
                      spec->unix_path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return r;
    }
    return fd;
}

int listen_socket(const struct listen_socket *spec, int *ret_port, struct fault *reterr_fault)
{
    *ret_port = 0;
    return spec->unix_path ? listen_unix(spec, reterr_fault)
                           : listen_tcp(spec, ret_port, reterr_fault);
}
