/* What a container's root can try against processes that it sees; a line for each thing reached.
 *
 *   attacker watch NAME MARKER MARK...   try every process whose command line, or an ancestor's, says one of the marks
 *                                        (* is every process there is but an attacker's own)
 *   attacker hostile SOCKET PID...       be the entered command: go for processes and a socket of the host's
 *
 * MARKER is a file of the host's: who reads it through /proc/PID/root has the host's files. It needs no more than what
 * a container has by default: root's id, fourteen capabilities and docker's seccomp filter.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIDS = 1 << 22, TRIES = 14 };
enum { UNKNOWN, OWN, TARGET };
/* Milliseconds from one try to the next: many at once, for the time before execve, then over the command's life. */
static const int PAUSES[TRIES] = {0, 0, 0, 0, 1, 2, 4, 8, 15, 30, 50, 80, 120, 200};
static struct { unsigned char looks, tries, named; long due; unsigned long told; } state[PIDS];
static char **marks;
static const char *name, *marker, *as;
static char shown[96], entry[64];

static long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static ssize_t read_file(int pid, const char *file, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n;
}

static int field(const char *status, const char *key, int nth) {
    const char *at = strstr(status, key);
    if (!at) return -1;
    at += strlen(key);
    int value = -1;
    for (char *end; nth >= 0; nth--, at = end) value = strtol(at, &end, 10);
    return value;
}

/* Say what was reached, once for each process, thing and way. */
static const char *THINGS[] = {"root", "marker", "write", "cwd", "exe", "fd", "mem", "environ", "maps", "map_files",
                               "ns", "ptrace", "vm_readv", "pidfd_getfd", "auxv", "syscall", "exe-write"};
static void reached(int pid, const char *thing) {
    unsigned long bit = 0;
    for (unsigned i = 0; i < sizeof THINGS / sizeof *THINGS; i++)
        if (!strcmp(THINGS[i], thing)) bit = 1ul << i;
    if (state[pid].told & bit) return;
    state[pid].told |= bit;
    printf("HIT %s %s %s %s %d %s\n", name, *entry ? entry : "-", thing, as, pid, shown);
}

static int opens(int pid, const char *file, int flags) {
    char path[512];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    return open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* What an open(2) or a readlink(2) in /proc/PID reaches. */
static void try_files(int pid) {
    char path[512], text[4096];
    int fd = opens(pid, "root", O_RDONLY | O_DIRECTORY);
    if (fd >= 0) {
        reached(pid, "root");
        int file = openat(fd, marker + 1, O_RDONLY | O_CLOEXEC);
        if (file >= 0) { reached(pid, "marker"); close(file); }
        if ((file = openat(fd, marker + 1, O_WRONLY | O_APPEND | O_CLOEXEC)) >= 0) { reached(pid, "write"); close(file); }
        close(fd);
    }
    if ((fd = opens(pid, "cwd", O_RDONLY | O_DIRECTORY)) >= 0) { reached(pid, "cwd"); close(fd); }
    if ((fd = opens(pid, "exe", O_RDONLY)) >= 0) { reached(pid, "exe"); close(fd); }
    if ((fd = opens(pid, "exe", O_WRONLY)) >= 0 || errno == ETXTBSY) reached(pid, "exe-write");
    if (fd >= 0) close(fd);
    if ((fd = opens(pid, "ns/mnt", O_RDONLY)) >= 0) { reached(pid, "ns"); close(fd); }
    for (int number = 0; number < 12; number++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, number);
        if (readlink(path, text, sizeof text) > 0) { reached(pid, "fd"); break; }
    }
    if (read_file(pid, "environ", text, sizeof text) > 0) reached(pid, "environ");
    if (read_file(pid, "auxv", text, sizeof text) > 0) reached(pid, "auxv");
    if (read_file(pid, "syscall", text, sizeof text) > 0) reached(pid, "syscall");
    unsigned long first = 0;
    if (read_file(pid, "maps", text, sizeof text) > 0) { reached(pid, "maps"); first = strtoul(text, 0, 16); }
    if ((fd = opens(pid, "mem", O_RDWR)) >= 0) {
        if (first && pread(fd, text, 1, first) == 1) reached(pid, "mem");
        close(fd);
    }
    snprintf(path, sizeof path, "/proc/%d/map_files", pid);
    DIR *maps = opendir(path);
    for (struct dirent *each; maps && (each = readdir(maps));)
        if (each->d_name[0] != '.') { reached(pid, "map_files"); break; }
    if (maps) closedir(maps);
}

/* What a system call reaches. A process is not left stopped. */
static void try_calls(int pid) {
    char byte;
    unsigned long first = 0;
    char text[4096];
    if (read_file(pid, "maps", text, sizeof text) > 0) first = strtoul(text, 0, 16);
    struct iovec into = {&byte, 1}, from = {(void *)(first ? first : 0x400000), 1};
    if (syscall(SYS_process_vm_readv, pid, &into, 1ul, &from, 1ul, 0ul) == 1 || errno == EFAULT) reached(pid, "vm_readv");
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    if (pidfd >= 0) {
        for (int number = 0; number < 12; number++) {
            int fd = syscall(438 /* pidfd_getfd */, pidfd, number, 0);
            if (fd >= 0) { reached(pid, "pidfd_getfd"); close(fd); break; }
        }
        close(pidfd);
    }
    if (ptrace(PTRACE_SEIZE, pid, 0, 0)) return; /* ATTACH asks the same, and may leave its SIGSTOP behind */
    reached(pid, "ptrace");
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    int status;
    if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) ptrace(PTRACE_DETACH, pid, 0, 0);
}

static void effective(struct __user_cap_data_struct *data) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    syscall(SYS_capset, &header, data);
}

/* Try as root, with the target's ids for files alone, and with them for good; capabilities are kept each time. */
static void attack(int pid, int uid, int gid) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct mine[2], full[2];
    syscall(SYS_capget, &header, mine);
    memcpy(full, mine, sizeof full);
    full[0].effective = full[0].permitted;
    full[1].effective = full[1].permitted;
    as = "root";
    try_files(pid);
    try_calls(pid);
    if (!uid && !gid) return;
    as = "fsuid";
    setfsgid(gid);
    setfsuid(uid);
    effective(full); /* setfsuid takes the file capabilities away */
    try_files(pid);
    setfsuid(0);
    setfsgid(0);
    as = "uid";
    prctl(PR_SET_KEEPCAPS, 1);
    setresgid(gid, gid, 0);
    setresuid(uid, uid, 0);
    effective(full);
    try_files(pid);
    try_calls(pid);
    setresuid(0, 0, 0);
    setresgid(0, 0, 0);
    effective(full);
}

/* A security module hides the process: try it by its number alone, where every process is one to try. */
static void blind(int pid) {
    for (char **mark = marks; *mark; mark++)
        if (**mark == '*') {
            as = "blind";
            *entry = 0;
            strcpy(shown, "?");
            try_files(pid);
            try_calls(pid);
        }
}

static const char *find_mark(char *line, ssize_t n) {
    for (ssize_t i = 0; i < n; i++)
        if (!line[i]) line[i] = ' ';
    for (char **mark = marks; *mark; mark++) {
        const char *at = strstr(line, *mark);
        if (at) return at;
    }
    return 0;
}

/* Whether a process is one to try: it or an ancestor of it says a mark; never an attacker. */
static int is_target(int pid) {
    char line[65536], status[4096];
    int all = 0;
    for (char **mark = marks; *mark; mark++) all |= **mark == '*';
    *entry = *shown = 0;
    for (int depth = 0, each = pid; each > 1 && depth < 8; depth++) {
        ssize_t n = read_file(each, "cmdline", line, sizeof line);
        if (n < 0) return UNKNOWN;
        if (!depth) {
            find_mark(line, n);
            if (strstr(line, "/attacker watch")) return OWN;
            snprintf(shown, sizeof shown, "%.90s", n > 0 ? line : "?");
            for (char *at = shown; *at; at++) if (*at == ' ' || *at == '\n') *at = '_';
        }
        const char *mark = n > 0 ? find_mark(line, n) : 0;
        /* Of the engine's containers only helpers: one that is traced while runc makes it stays behind */
        if (mark && mark[0] == '/') return depth && strstr(shown, "python") ? TARGET : depth ? UNKNOWN : OWN;
        if (mark) {
            sscanf(mark, "%63[a-z0-9]", entry);
            return TARGET;
        }
        if (read_file(each, "status", status, sizeof status) <= 0) return UNKNOWN;
        each = field(status, "PPid:", 0);
    }
    return all ? TARGET : UNKNOWN;
}

/* Look at a process again; 0 when there is nothing more to try. */
static int look(int pid) {
    char status[4096];
    if (state[pid].due > now()) return 1;
    if (read_file(pid, "status", status, sizeof status) <= 0) {
        if (errno == EACCES) blind(pid);
        return 0;
    }
    if (field(status, "Tgid:", 0) != pid) return 0;
    int kind = is_target(pid);
    if (kind == OWN) return 0;
    if (kind == UNKNOWN) {
        state[pid].due = now() + 2 * state[pid].looks;
        return ++state[pid].looks < 6;
    }
    if (!state[pid].named) {
        if (*entry || !state[pid].tries) printf("TRY %s %s %d %s\n", name, *entry ? entry : "-", pid, shown);
        state[pid].named = *entry != 0;
    }
    attack(pid, field(status, "Uid:", 1), field(status, "Gid:", 1));
    state[pid].due = now() + PAUSES[state[pid].tries++];
    return state[pid].tries < TRIES;
}

/* The newest number that was given in this pid namespace: far quicker to read than the list of all. */
static int newest(void) {
    char text[128];
    int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    char *last = strrchr(text, ' ');
    return last ? atoi(last) : 0;
}

static void watch(void) {
    static int pending[4096], count;
    int pause = getenv("PAUSE") ? atoi(getenv("PAUSE")) : 400; /* an emulated machine has no time for more */
    setvbuf(stdout, 0, _IOLBF, 0);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    printf("WATCHING %s\n", name);
    for (int seen = newest();;) {
        int last = newest();
        if (last < seen) seen = 300; /* the numbers begin again */
        for (int pid = seen + 1; pid <= last && count < 4096; pid++) {
            memset(&state[pid], 0, sizeof *state);
            pending[count++] = pid;
        }
        seen = last;
        int kept = 0;
        for (int i = 0; i < count; i++)
            if (look(pending[i])) pending[kept++] = pending[i];
        count = kept;
        usleep(count ? pause / 2 : pause);
    }
}

/* The entered command is the container's own program: what of the host's does it get at? */
static int hostile(const char *path, char **pids) {
    printf("RUNS\n");
    for (; *pids; pids++) {
        int pid = atoi(*pids), status;
        char text[4096];
        if (!kill(pid, SIGURG)) printf("REACHED signal %d\n", pid); /* ignored, but a signal: AppArmor lets pass 0 */
        if (!ptrace(PTRACE_SEIZE, pid, 0, 0)) {
            printf("REACHED seize %d\n", pid);
            ptrace(PTRACE_INTERRUPT, pid, 0, 0);
            if (waitpid(pid, &status, __WALL) == pid) ptrace(PTRACE_DETACH, pid, 0, 0);
        }
        if (read_file(pid, "environ", text, sizeof text) > 0 && strstr(text, "SECRET=")) printf("REACHED environ %d\n", pid);
        struct rlimit limit;
        if (!prlimit(pid, RLIMIT_NOFILE, 0, &limit)) printf("REACHED prlimit %d\n", pid);
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + 1, path, sizeof address.sun_path - 2);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!connect(fd, (void *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(path))) puts("REACHED socket");
    return 0;
}

int main(int count, char **words) {
    if (count > 4 && !strcmp(words[1], "watch")) {
        name = words[2];
        marker = words[3];
        marks = words + 4;
        watch();
    }
    if (count > 2 && !strcmp(words[1], "hostile")) return hostile(words[2], words + 3);
    fputs("usage: attacker watch NAME MARKER MARK... | hostile SOCKET PID...\n", stderr);
    return 2;
}
