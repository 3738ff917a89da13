/* Start a program of the tools with the tools' own loader and libraries, never the container's.
 *
 * Every name in the tools' program directories is a hard link to this one file, so PLACE/usr/bin/strace stands for
 * PLACE/.tree/usr/bin/strace. An ELF program names its loader by an absolute path, which would be the container's. So this
 * maps the loader of the tools by itself and enters it as if it had been called by hand (auditor.c is not for musl):
 *
 *     LOADER --inhibit-cache --audit AUDITOR --library-path LIBRARIES [--argv0 NAME] PROGRAM ARGUMENTS
 *
 * There is no second execve: /proc/PID/exe, comm and cmdline are those of PLACE/usr/bin/strace, and a program that starts
 * itself again by /proc/self/exe comes here again. No libc, no data, no relocations: scripts/generate-starter builds it,
 * enter/tools.py appends its settings. It runs as the command, when all is dropped: it has no power of its own.
 */

#include <elf.h>
#include <linux/fcntl.h>
#include <sys/syscall.h>

#include "call.h"

enum { ROOM = 4096, PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { PRIVATE = 2, FIXED = 0x10, ANONYMOUS = 0x20, NOEXEC = 8, MOST_LINKS = 40, MOST_WORDS = 32 };

/* Settings, each ended by NUL: PLACE, LIBRARIES, then rows of NAME, KIND, VALUE; an empty NAME ends them.
 * KIND a: an argument before the user's; e: NAME=VALUE for the environment where it is not set; u: the beginning of
 * variables that are left out; l: a program that mostly starts others. NAME* matches a beginning, + all that are not l. */
extern const char settings[] __attribute__((visibility("hidden")));

#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call begin\n hlt\n");
static void __attribute__((noreturn)) enter(word *stack, word entry) {
    __asm__ volatile("mov %0,%%rsp\n xor %%edx,%%edx\n xor %%ebp,%%ebp\n jmp *%1" : : "r"(stack), "r"(entry) : "memory");
    __builtin_unreachable();
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x29,0\n mov x30,0\n mov x0,sp\n bl begin\n");
static void __attribute__((noreturn)) enter(word *stack, word entry) {
    register word to __asm__("x16") = entry;
    __asm__ volatile("mov sp,%0\n mov x0,0\n br %1" : : "r"(stack), "r"(to) : "x0", "memory");
    __builtin_unreachable();
}
#endif

static word length(const char *text) {
    word n = 0;
    while (text[n])
        n++;
    return n;
}

static int same(const char *one, const char *other) {
    return begins(one, other) && length(one) == length(other);
}

static void __attribute__((noreturn)) fail(const char *what, const char *name) {
    const char *parts[] = {"docker nsenter: cannot start ", name, ": ", what, "\n"};
    for (int i = 0; i < 5; i++)
        CALL(write, 2, parts[i], length(parts[i]), 0, 0, 0);
    for (;;)
        CALL(exit_group, 126, 0, 0, 0, 0, 0);
}

/* Append to a path of ROOM bytes, where it ends now. */
static void append(char *path, const char *text, word count) {
    word at = length(path);
    if (at + count >= ROOM)
        fail("its path is too long", path);
    for (word i = 0; i < count; i++)
        path[at + i] = text[i];
    path[at + count] = 0;
}

/* Write below the tree: PLACE/.tree and a path that is absolute there. */
static void inside(char *path, const char *absolute) {
    path[0] = 0;
    append(path, settings, length(settings));
    append(path, "/.tree", 6);
    append(path, absolute, length(absolute));
}

/* Follow links as if the tree were the root: /etc/alternatives/vi of the tools, not of the container. */
static void resolve(char *path) {
    char target[ROOM];
    for (int i = 0; i < MOST_LINKS; i++) {
        long n = CALL(readlinkat, AT_FDCWD, path, target, ROOM - 1, 0, 0);
        if (n < 0)
            return;
        target[n] = 0;
        if (target[0] == '/') {
            inside(path, target);
            continue;
        }
        word end = length(path);
        while (path[end - 1] != '/')
            end--;
        path[end] = 0;
        append(path, target, n);
    }
}

static const char *basename_of(const char *path) {
    const char *found = path;
    for (; *path; path++)
        if (*path == '/')
            found = path + 1;
    return found;
}

/* Tell whether a row of the settings is for this program. */
static int meant(const char *row, const char *name, int launches) {
    word n = length(row);
    if (*row == '+')
        return !launches;
    if (row[n - 1] != '*')
        return same(row, name);
    for (word i = 0; i + 1 < n; i++)
        if (name[i] != row[i])
            return 0;
    return 1;
}

static int variable(const char *entry, const char *setting) {
    for (;; entry++, setting++) {
        if (*entry != *setting)
            return 0;
        if (*entry == '=')
            return 1;
    }
}

struct loader {
    word base, entry, headers, count;
    int knows_argv0, forgot;
};

/* The loader's own directories are the container's: let it find nothing there. Note whether it knows --argv0, as
 * glibc does since 2.33 and musl since 1.1.21. */
static void forget_directories(struct loader *found, char *at, char *end) {
    for (; at + 8 < end; at++) {
        int folder = at[0] == '/' && begins(at, "/lib") && (at[4] == '/' || at[4] == ':' || at[4] == '6' || at[4] == '3');
        if (folder || (at[0] == '/' && begins(at, "/etc/ld"))) {
            at[1] = '-';
            found->forgot = 1;
        } else if (at[0] == 'a' && begins(at, "argv0"))
            found->knows_argv0 = 1;
    }
}

/* Map the loader as the kernel does (fs/binfmt_elf.c). */
static struct loader map_loader(const char *path, const char *name, word page) {
    char head[ROOM];
    struct loader found = {0};
    long fd = CALL(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0 || CALL(pread64, fd, head, ROOM, 0, 0, 0) < (long)sizeof(Elf64_Ehdr))
        fail("its loader is not among the tools", name);
    Elf64_Ehdr *file = (Elf64_Ehdr *)head;
    Elf64_Phdr *part = (Elf64_Phdr *)(head + file->e_phoff), *last = part + file->e_phnum;
    if (file->e_machine != MACHINE || file->e_type != ET_DYN || (char *)last > head + ROOM || file->e_phoff > ROOM)
        fail("its loader is of an unknown kind", name);
    word high = 0;
    for (Elf64_Phdr *each = part; each < last; each++)
        if (each->p_type == PT_LOAD && each->p_vaddr + each->p_memsz > high)
            high = each->p_vaddr + each->p_memsz;
    found.base = CALL(mmap, 0, high + page, PROT_NONE, PRIVATE | ANONYMOUS, -1, 0);
    if (found.base > -(word)ROOM)
        fail("no memory for its loader", name);
    for (Elf64_Phdr *each = part; each < last; each++) {
        if (each->p_type != PT_LOAD)
            continue;
        word skip = each->p_vaddr & (page - 1), begin = found.base + each->p_vaddr - skip;
        word filled = found.base + each->p_vaddr + each->p_filesz, end = filled - each->p_filesz + each->p_memsz;
        word whole = (filled + page - 1) & -page;
        int code = each->p_flags & PF_X, data = each->p_flags & PF_W;
        int first = PROT_READ | (code ? PROT_EXEC : PROT_WRITE);
        if ((word)CALL(mmap, begin, filled - begin, first, PRIVATE | FIXED, fd, each->p_offset - skip) != begin)
            fail("its loader cannot be mapped", name);
        if (data) {
            for (word at = filled; at < whole; at++) /* to the end of the page: loaders count on it */
                *(volatile char *)at = 0;
            if (end > whole)
                CALL(mmap, whole, end - whole, PROT_READ | PROT_WRITE, PRIVATE | FIXED | ANONYMOUS, -1, 0);
        } else if (!code) {
            forget_directories(&found, (char *)begin, (char *)filled);
            CALL(mprotect, begin, filled - begin, PROT_READ, 0, 0, 0);
        }
    }
    /* Some linkers put the texts between the instructions, as on arm64 */
    for (Elf64_Phdr *each = part; each < last && !found.forgot; each++) {
        word begin = (found.base + each->p_vaddr) & -page, end = found.base + each->p_vaddr + each->p_filesz;
        if (each->p_type != PT_LOAD || !(each->p_flags & PF_X) ||
            CALL(mprotect, begin, end - begin, PROT_READ | PROT_WRITE, 0, 0, 0) < 0)
            continue;
        forget_directories(&found, (char *)begin, (char *)end);
        if (CALL(mprotect, begin, end - begin, PROT_READ | PROT_EXEC, 0, 0, 0) < 0)
            fail("its loader cannot be mapped", name);
    }
    CALL(close, fd, 0, 0, 0, 0, 0);
    found.entry = found.base + file->e_entry;
    found.headers = found.base + file->e_phoff;
    found.count = file->e_phnum;
    return found;
}

/* Tell whether a path leads to a file of the tree, and write that file's path. */
static int found_inside(char *path, const char *folder, const char *name) {
    char probe[1];
    inside(path, folder);
    append(path, name, length(name));
    resolve(path);
    long fd = CALL(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0, 0), n = -1;
    if (fd >= 0) {
        n = CALL(pread64, fd, probe, 1, 0, 0, 0);
        CALL(close, fd, 0, 0, 0, 0, 0);
    }
    return n == 1;
}

/* Read the #! line of a script: its interpreter is the tools', and `env NAME` is NAME, which PATH would find in the
 * container first. Write the interpreter's path in the tree and its name as it is called; return its argument or 0. */
static char *interpreter(char *head, char *path, char *called) {
    char *line = head + 2, *end = line, *argument;
    while (*end && *end != '\n')
        end++;
    while (end > line && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    *end = 0;
    while (*line == ' ' || *line == '\t')
        line++;
    for (argument = line; *argument && *argument != ' ' && *argument != '\t';)
        argument++;
    if (*argument)
        *argument++ = 0;
    while (*argument == ' ' || *argument == '\t')
        argument++;
    called[0] = 0;
    append(called, settings, length(settings));
    if (same(basename_of(line), "env") && *argument && *argument != '-') {
        const char *folders[] = {"/usr/local/bin/", "/usr/bin/", "/bin/"};
        for (int i = 0; i < 3; i++)
            if (found_inside(path, folders[i], argument)) {
                append(called, folders[i], length(folders[i]));
                append(called, argument, length(argument));
                return 0;
            }
    }
    if (!found_inside(path, line, ""))
        fail("its interpreter is not among the tools", line);
    append(called, line, length(line));
    return *argument ? argument : 0;
}

/* Open a file and read its beginning. */
static long read_head(const char *path, char *head, const char *name) {
    long fd = CALL(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    long n = fd < 0 ? -1 : CALL(pread64, fd, head, ROOM - 1, 0, 0, 0);
    if (n < 0)
        fail("it cannot be read", name);
    for (word i = n; i < ROOM; i++)
        head[i] = 0;
    return fd;
}

/* Find the loader that an ELF program of this machine asks for; 0 for a static one, and for all else. */
static const char *wanted_loader(long fd, char *head) {
    Elf64_Ehdr *file = (Elf64_Ehdr *)head;
    if (!begins(head, ELFMAG) || head[EI_CLASS] != ELFCLASS64 || file->e_machine != MACHINE ||
        file->e_phoff > ROOM || file->e_phoff + file->e_phnum * sizeof(Elf64_Phdr) > ROOM - 257)
        return 0;
    Elf64_Phdr *part = (Elf64_Phdr *)(head + file->e_phoff);
    char *name = head + ROOM - 257;
    for (word i = 0; i < file->e_phnum; i++)
        if (part[i].p_type == PT_INTERP && part[i].p_filesz < 256 &&
            CALL(pread64, fd, name, part[i].p_filesz, part[i].p_offset, 0, 0) > 0) {
            name[part[i].p_filesz] = 0;
            return name;
        }
    return 0;
}

void __attribute__((noreturn, used)) begin(word *stack) {
    word argc = stack[0], page = 4096, envc = 0, auxc = 0;
    char **argv = (char **)(stack + 1), **envp = argv + argc + 1;
    while (envp[envc])
        envc++;
    Elf64_auxv_t *aux = (Elf64_auxv_t *)(envp + envc + 1);
    const char *executed = argc ? argv[0] : "";
    for (; aux[auxc].a_type; auxc++) {
        if (aux[auxc].a_type == AT_PAGESZ)
            page = aux[auxc].a_un.a_val;
        if (aux[auxc].a_type == AT_EXECFN)
            executed = (const char *)aux[auxc].a_un.a_val;
    }

    /* Which program? The name that was executed: argv[0] may be anything */
    char self[ROOM], path[ROOM], head[ROOM], loader[ROOM];
    word prefix = length(settings);
    long n = CALL(readlinkat, AT_FDCWD, "/proc/self/exe", self, ROOM - 1, 0, 0);
    self[n > 0 ? n : 0] = 0;
    if (!begins(self, settings) || self[prefix] != '/') {
        self[0] = 0;
        append(self, executed, length(executed));
    }
    if (!begins(self, settings) || self[prefix] != '/')
        fail("it was not called by its path", self);
    const char *name = basename_of(self);
    inside(path, self + prefix);
    resolve(path);

    /* A script? Then its interpreter is the program, and the script its first argument */
    char of_script[ROOM], called[ROOM], *before[2] = {0, 0}, *first = argc ? argv[0] : self;
    word scripts = 0;
    long fd = read_head(path, head, name);
    if (head[0] == '#' && head[1] == '!') {
        CALL(close, fd, 0, 0, 0, 0, 0);
        of_script[0] = 0;
        append(of_script, path, length(path));
        char line[ROOM];
        for (word i = 0; i < ROOM; i++)
            line[i] = head[i];
        char *argument = interpreter(line, path, called);
        if (argument) {
            word room = length(argument) + 1;
            for (word i = 0; i < room; i++)
                self[i] = argument[i];
            before[scripts++] = self;
        }
        before[scripts++] = of_script;
        first = called;
        name = basename_of(called);
        fd = read_head(path, head, name);
    }

    /* What the settings add for it, and which variables they leave out */
    const char *libraries = settings + prefix + 1;
    char *more[MOST_WORDS], *variables[envc + MOST_WORDS + 1];
    word added = 0, kept = 0;
    int launches = 0;
    for (word i = 0; i < envc; i++)
        variables[kept++] = envp[i];
    const char *rows = libraries + length(libraries) + 1;
    word size = 1;
    for (int text = 0; text || rows[size - 1]; size++) /* an empty NAME ends them; no other word is empty */
        text = rows[size - 1] != 0;
    char copy[size]; /* programs write into their environment: bash ends a name where = was */
    for (word i = 0; i < size; i++)
        copy[i] = rows[i];
    for (char *row = copy; *row;) {
        char *kind = row + length(row) + 1, *value = kind + length(kind) + 1;
        int fits = meant(row, name, launches), character = begins(value, "LC_CTYPE=");
        launches |= fits && *kind == 'l';
        if (fits && *kind == 'a' && added < MOST_WORDS)
            more[added++] = value;
        if (fits && *kind == 'u') {
            word left = 0;
            for (word i = 0; i < kept; i++)
                if (!begins(variables[i], value))
                    variables[left++] = variables[i];
            kept = left;
        }
        for (word i = 0; fits && *kind == 'e' && i < kept; i++) /* what else chooses the character set wins */
            fits = !variable(variables[i], value) &&
                   !(character && (begins(variables[i], "LC_ALL=") || begins(variables[i], "LANG=")));
        if (fits && *kind == 'e' && kept < envc + MOST_WORDS)
            variables[kept++] = value;
        row = value + length(value) + 1;
    }
    variables[kept] = 0;

    /* Its words, and before them the loader's */
    const char *wanted = wanted_loader(fd, head);
    CALL(close, fd, 0, 0, 0, 0, 0);
    char *words[argc + added + scripts + 12], auditor[ROOM];
    word count = 0;
    struct loader found = {0};
    if (wanted) {
        inside(loader, wanted);
        resolve(loader);
        found = map_loader(loader, name, page);
        words[count++] = loader;
        if (!begins(basename_of(wanted), "ld-musl")) {
            words[count++] = "--inhibit-cache";
            words[count++] = "--audit";
            auditor[0] = 0;
            append(auditor, settings, prefix);
            append(auditor, "/.auditor", 9);
            words[count++] = auditor;
        }
        words[count++] = "--library-path";
        words[count++] = (char *)libraries;
        if (found.knows_argv0) {
            words[count++] = "--argv0";
            words[count++] = first;
        }
    }
    words[count++] = wanted ? path : first;
    for (word i = 0; i < added; i++)
        words[count++] = more[i];
    for (word i = 0; i < scripts; i++)
        words[count++] = before[i];
    for (word i = 1; i < argc; i++)
        words[count++] = argv[i];
    words[count] = 0;
    if (!wanted) {
        CALL(execve, path, words, variables, 0, 0, 0);
        fail("it cannot be executed", name);
    }

    /* A stack as the kernel would have made it for the loader */
    word fresh[1 + count + 1 + kept + 1 + 2 * (auxc + 1) + 2] __attribute__((aligned(16)));
    word at = 0;
    fresh[at++] = count;
    for (word i = 0; i < count; i++)
        fresh[at++] = (word)words[i];
    fresh[at++] = 0;
    for (word i = 0; i <= kept; i++)
        fresh[at++] = (word)variables[i];
    for (word i = 0; i <= auxc; i++) {
        word type = aux[i].a_type, value = aux[i].a_un.a_val;
        if (type == AT_PHDR)
            value = found.headers;
        else if (type == AT_PHNUM)
            value = found.count;
        else if (type == AT_ENTRY)
            value = found.entry;
        else if (type == AT_BASE)
            value = 0;
        fresh[at++] = type;
        fresh[at++] = value;
    }
    enter(fresh, found.entry);
}
