/* User-Mode Linux 6.1 keeps 2696 octets of a process's vector registers. A host whose processor has
   more of them (AMX) takes only all of them back, and User-Mode Linux dies at its first process.
   Preloaded, this fills up what it leaves out with what the process has. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define NT_X86_XSTATE 0x202

long ptrace(enum __ptrace_request request, ...)
{
    static long (*host)(enum __ptrace_request, ...);
    static char all[1 << 16];
    struct iovec whole = { all, sizeof all }, *part;
    va_list arguments;
    long pid, addr, data, result;

    va_start(arguments, request);
    pid = va_arg(arguments, long);
    addr = va_arg(arguments, long);
    data = va_arg(arguments, long);
    va_end(arguments);
    if (!host)
        *(void **)&host = dlsym(RTLD_NEXT, "ptrace");
    if ((request != PTRACE_GETREGSET && request != PTRACE_SETREGSET) || addr != NT_X86_XSTATE)
        return host(request, pid, addr, data);
    part = (struct iovec *)data;
    result = host(PTRACE_GETREGSET, pid, addr, &whole);
    if (result < 0)
        return result;
    if (part->iov_len > whole.iov_len)
        part->iov_len = whole.iov_len;
    if (request == PTRACE_GETREGSET) {
        memcpy(part->iov_base, all, part->iov_len);
        return result;
    }
    memcpy(all, part->iov_base, part->iov_len);
    return host(PTRACE_SETREGSET, pid, addr, &whole);
}
