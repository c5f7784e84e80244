"""Run a program as in a container: contained.py KIND PROGRAM ARGUMENTS...

Loads the filter that such a container has before its program, and exec(2)s it.
  docker   what Docker's own profile refuses to who has no CAP_SYS_ADMIN: namespaces (clone3 does
           not exist, so that its flags need not be looked at), mounts, tracing
  old      the same on a kernel without Landlock
"""
import ctypes
import errno
import os
import sys

ALLOW, ERRNO = 0x7fff0000, 0x00050000
SPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
REFUSED = {"unshare": errno.EPERM, "setns": errno.EPERM, "mount": errno.EPERM, "umount2": errno.EPERM,
           "pivot_root": errno.EPERM, "ptrace": errno.EPERM, "bpf": errno.EPERM, "clone3": errno.ENOSYS}
OLD = {name: errno.ENOSYS for name in ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")}
MASKED_EQ = 7


class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def load(refused):
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(ALLOW)))
    for name, error in refused.items():
        assert lib.seccomp_rule_add(context, ctypes.c_uint32(ERRNO | error),
                                    lib.seccomp_syscall_resolve_name(name.encode()), 0) == 0, name
    clone = lib.seccomp_syscall_resolve_name(b"clone")
    for bit in range(32):
        if SPACES >> bit & 1:
            compare = (Compare * 1)(Compare(0, MASKED_EQ, 1 << bit, 1 << bit))
            assert lib.seccomp_rule_add_array(context, ctypes.c_uint32(ERRNO | errno.EPERM), clone, 1, compare) == 0
    assert lib.seccomp_load(context) == 0
    lib.seccomp_release(context)


if __name__ == "__main__":
    load(REFUSED if sys.argv[1] == "docker" else {**REFUSED, **OLD})
    os.execv(sys.argv[2], sys.argv[2:])
