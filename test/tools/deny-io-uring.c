/*
 * Runs a program that may not use io_uring, as in a container with Docker's default profile:
 *
 *     deny-io-uring [--enosys | --enter-only] program [argument...]
 *
 * A seccomp filter answers io_uring_setup, io_uring_enter and io_uring_register with EPERM, or with ENOSYS, or only io_uring_enter with EPERM,
 * and lets everything else through. The three numbers are the same on all architectures. See seccomp(2).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define IO_URING_SETUP 425
#define IO_URING_ENTER 426
#define IO_URING_REGISTER 427

int main(int argc, char **argv) {
  int first = 1;
  unsigned int error = EPERM, lowest = IO_URING_SETUP, highest = IO_URING_REGISTER;
  if (argc > 1 && strcmp(argv[1], "--enosys") == 0) {
    error = ENOSYS;
    first = 2;
  } else if (argc > 1 && strcmp(argv[1], "--enter-only") == 0) {
    lowest = highest = IO_URING_ENTER;
    first = 2;
  }
  if (argc <= first) {
    fprintf(stderr, "usage: %s [--enosys | --enter-only] program [argument...]\n", argv[0]);
    return 2;
  }
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, lowest, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, highest, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    perror("cannot install the filter");
    return 1;
  }
  execvp(argv[first], argv + first);
  perror(argv[first]);
  return 127;
}
