/* Keep a program of the tools to the tools' own libraries, character sets and locales.
 *
 * glibc's loader asks this library before it opens another one (rtld-audit(7)): one that RUNPATH, RPATH, $ORIGIN or dlopen
 * name by a path, too. Whatever the path, the answer is the file that has it in the tree, or none: a planted
 * /usr/lib/man-db/libman.so of the container's is never opened by the host's man. A link of the tree with an absolute
 * target would lead into the container: it is followed as if the tree were the root.
 *
 * Two directories stand in libc itself. They become PLACE/L and PLACE/G in this process's memory, without a variable that
 * the container's programs would inherit. No libc, no data: scripts/generate-starter builds it, enter/tools.py writes
 * PLACE into it.
 */

#define _GNU_SOURCE
#include <asm/errno.h>
#include <elf.h>
#include <link.h>
#include <linux/fcntl.h>
#include <sys/syscall.h>

#include "call.h"

#define EXPORTED __attribute__((visibility("default")))
enum { MOST = 4096 };

/* enter/tools.py looks for the @ */
static const volatile char place[32] = "@PLACE@@@@@@@@@@@@@@@@@@@@@@@@@";
static const char tree[] = "/.tree";
static char path[MOST];

EXPORTED unsigned la_version(unsigned version) {
    return version;
}

/* gcc asks for it where it fills an array, on arm64; a program without libc has nobody else's. */
void *memcpy(void *to, const void *from, __SIZE_TYPE__ size) {
    for (__SIZE_TYPE__ at = 0; at < size; at++)
        ((char *)to)[at] = ((const char *)from)[at];
    return to;
}

/* Write a text at a position of the path; return where it ends, or 0 when it does not fit. */
static word put(word at, const char *text) {
    do
        if (at >= MOST)
            return 0;
    while ((path[at++] = *text++));
    return at - 1;
}

static word put_place(void) {
    word at = 0;
    while ((path[at] = place[at]))
        at++;
    return at;
}

/* Tell how much of a path is PLACE/.tree or PLACE. */
static word within(const char *name, const char *folder) {
    word at = 0, more = 0;
    for (; place[at]; at++)
        if (name[at] != place[at])
            return 0;
    for (; folder[more]; more++)
        if (name[at + more] != folder[more])
            return 0;
    return name[at + more] == '/' ? at + more : 0;
}

/* Find where the path really is; the kernel says it of an open file. */
static int real_path(void) {
    char link[] = "/proc/self/fd/..........";
    long fd = CALL(openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0, 0, 0), n = -1, at = sizeof "/proc/self/fd/" - 1;
    if (fd < 0)
        return 0;
    word power = 1;
    while (power * 10 <= (word)fd)
        power *= 10;
    for (; power; power /= 10)
        link[at++] = '0' + (word)fd / power % 10;
    link[at] = 0;
    n = CALL(readlinkat, AT_FDCWD, link, path, MOST - 1, 0, 0);
    CALL(close, fd, 0, 0, 0, 0, 0);
    path[n > 0 ? n : 0] = 0;
    return within(path, tree) != 0;
}

/* Follow the links at the end of the path as if the tree were the root. */
static int follow(void) {
    char target[MOST];
    for (int i = 0; i < 40; i++) {
        long n = CALL(readlinkat, AT_FDCWD, path, target, MOST - 1, 0, 0);
        if (n == -ENOENT)
            return 0;
        if (n < 0)
            break;
        target[n] = 0;
        word end = 0;
        if (target[0] == '/')
            end = put(put_place(), tree);
        else
            for (word at = 0; path[at]; at++)
                if (path[at] == '/')
                    end = at + 1;
        if (!put(end, target))
            return 0;
    }
    return real_path();
}

EXPORTED char *la_objsearch(const char *name, uintptr_t *cookie, unsigned flag) {
    (void)cookie, (void)flag;
    int folders = 0;
    for (const char *at = name; *at; at++)
        folders |= *at == '/';
    if (!folders) /* each directory is asked about next */
        return (char *)name;
    word at = within(name, "") ? 0 : put(put_place(), tree);
    if (*name != '/' || !put(at, name) || !follow())
        put(put_place(), "/.none/-"); /* not NULL: glibc looks at errno then, which only a call of its own sets */
    return path;
}

/* Write PLACE/L or PLACE/G over a directory's name, as long as that was: its length is known elsewhere. */
static void redirect(char *at, word size, char letter) {
    word i = 0;
    for (; place[i]; i++)
        at[i] = place[i];
    while (i < size)
        at[i++] = '/';
    at[size - 1] = letter;
}

static void redirect_all(char *at, char *end) {
    word least = 2;
    while (place[least - 2])
        least++;
    for (; at + 16 < end; at++) {
        if (at[0] != '/' || at[1] != 'u' || at[-1] || !begins(at, "/usr/lib"))
            continue;
        for (word size = 8; at + size < end && at[size]; size++) {
            int cut = at[size + 7] == 0 || at[size + 7] == '/';
            if (begins(at + size, "/locale") && cut && size + 7 >= least)
                redirect(at, size + 7, 'L');
            cut = at[size + 6] == 0 || at[size + 6] == '/';
            if (begins(at + size, "/gconv") && cut && size + 6 >= least)
                redirect(at, size + 6, 'G');
        }
    }
}

EXPORTED unsigned la_objopen(struct link_map *map, Lmid_t space, uintptr_t *cookie) {
    (void)space, (void)cookie;
    const char *name = map->l_name;
    for (const char *at = name; *at; at++)
        if (*at == '/')
            name = at + 1;
    Elf64_Ehdr *file = (Elf64_Ehdr *)map->l_addr;
    if (!begins(name, "libc.so") || !begins((char *)file, ELFMAG))
        return 0;
    Elf64_Phdr *part = (Elf64_Phdr *)((char *)file + file->e_phoff), *last = part + file->e_phnum;
    for (; part < last; part++) {
        if (part->p_type != PT_LOAD || part->p_flags & PF_W)
            continue;
        word begin = map->l_addr + (part->p_vaddr & -4096UL), end = map->l_addr + part->p_vaddr + part->p_filesz;
        int code = part->p_flags & PF_X;
        char *found = 0; /* linkers that put texts between the instructions: only where they are is made writable */
        for (char *at = (char *)begin; !found && at + 16 < (char *)end; at++)
            if (at[0] == '/' && (begins(at, "/usr/lib/locale") || begins(at, "/usr/lib64/locale")))
                found = at;
        if (!found || CALL(mprotect, begin, end - begin, 1 | 2, 0, 0, 0) < 0)
            continue;
        redirect_all((char *)begin + 1, (char *)end);
        CALL(mprotect, begin, end - begin, code ? 1 | 4 : 1, 0, 0, 0);
    }
    return 0;
}
