/// The errors a profile may answer with, by name, with the numbers of x86-64 Linux (asm-generic/errno-base.h and errno.h).
package let errnoNames: [(name: String, number: Int32)] = [
  ("EPERM", 1), ("ENOENT", 2), ("EIO", 5), ("ENOEXEC", 8), ("EAGAIN", 11), ("ENOMEM", 12), ("EACCES", 13), ("EBUSY", 16),
  ("ENODEV", 19),
  ("EINVAL", 22), ("ENOSYS", 38), ("EOPNOTSUPP", 95),
]
